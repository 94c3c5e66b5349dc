"""SpiceMix with Leiden clusters instead of Ward's: one fit of this package, then scanpy.

Types come from the states, normalised as in `tl.cluster_states`, and domains from the averages of `tl.domains`, without
smoothed labels. A graph of 15 neighbours and Leiden clusters (igraph, two iterations) follow, as in `pca_leiden.py`.
The own number is that of resolution 1.
"""

import sys
import warnings
from pathlib import Path

import hand_over
import scanpy as sc
from scipy import sparse

sys.path.insert(0, str(Path(__file__).parents[3]))  # this package needs nothing that scanpy does not install


def run(adata, seed, variant):
    from spicemix_core import SpiceMix

    facts = adata.uns.pop("facts")
    SpiceMix(facts["n_metagenes"], affinity_penalty=facts["penalty"], random_state=seed).fit(adata, sample_key="sample")
    for target, n_groups in facts["n_groups"].items():
        adata.obsm["rows"] = rows_of(adata, target)
        sc.pp.neighbors(adata, use_rep="rows", random_state=seed)

        def cluster(resolution):
            sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False,
                         random_state=seed)
            return adata.obs["leiden"].to_numpy()

        yield f"{target}/own", cluster(1.0)
        yield f"{target}/same", hand_over.at_number(cluster, n_groups)


def rows_of(adata, target):
    """Normalised states of the cells, or their averages over neighbours."""
    from spicemix_core.tl import normalize_states
    from spicemix_core.tl.regions import average_over_neighbours, averaging_weights, averagings_for

    states = adata.obsm["X_spicemix"]
    if target == "types":
        return normalize_states(states, "clipped_zscore")
    weights = averaging_weights(sparse.csr_array(adata.obsp["spatial_connectivities"]))
    return average_over_neighbours(normalize_states(states, "zscore_proportions"), weights, averagings_for(weights))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "scanpy", __doc__)
