"""BANKSY, from the authors' Python package: lambda 0.2 for types, 0.8 for domains; both are judged by both labels.

As in the authors' tutorials: log-normalised expression, 15 spatial neighbours with scaled Gaussian weights, azimuthal
Gabor filters of order 0 and 1, 20 principal components, and Leiden clusters of the graph of 50 nearest neighbours, with
the settings of their `run_Leiden_partition`. The samples lie far apart. The own number is that of resolution 0.7, which
their tutorial uses.
"""

import contextlib
import io
import warnings

import hand_over
import leidenalg
from banksy.cluster_methods import LeidenPartition
from banksy.embed_banksy import generate_banksy_matrix
from banksy.initialize_banksy import initialize_banksy
from banksy_utils.umap_pca import pca_umap


def run(adata, seed, variant):
    facts, share = adata.uns.pop("facts"), float(variant)
    adata.obs["x"], adata.obs["y"] = adata.obsm["spatial"].T
    with contextlib.redirect_stdout(io.StringIO()):
        found = initialize_banksy(adata, ("x", "y", "spatial"), 15, nbr_weight_decay="scaled_gaussian", max_m=1,
                                  plt_edge_hist=False, plt_nbr_weights=False, plt_theta=False)
        found, _ = generate_banksy_matrix(adata, found, [share], max_m=1, verbose=False)
        pca_umap(found, pca_dims=[20], add_umap=False, plt_remaining_var=False)
        reduced = found["scaled_gaussian"][share]["adata"].obsm["reduced_pc_20"]
        graph = LeidenPartition(reduced, num_nn=50, nns_have_weights=True, compute_shared_nn=True,
                                filter_shared_nn=True, shared_nn_max_rank=3, shared_nn_min_shared_nbrs=5,
                                verbose=False)

    def cluster(resolution):
        with contextlib.redirect_stdout(io.StringIO()):
            labels, _ = graph.partition(resolution=resolution, n_iterations=-1, seed=seed,
                                        partition_metric=leidenalg.RBConfigurationVertexPartition)
        return labels.dense

    own = cluster(0.7)
    for target, n_groups in facts["n_groups"].items():
        yield f"{target}/own", own
        yield f"{target}/same", hand_over.at_number(cluster, n_groups)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "pybanksy", __doc__)
