"""Principal components and Leiden clusters: scanpy's tutorial, without space.

From log-normalised expression of all genes: 50 principal components, a graph of 15 neighbours, and Leiden clusters
(igraph, two iterations). The own number is that of the default resolution, 1. Domains are the same kind of clusters.
"""

import warnings

import hand_over
import scanpy as sc


def run(adata, seed, variant):
    sc.pp.pca(adata, n_comps=min(50, min(adata.shape) - 1), random_state=seed)
    sc.pp.neighbors(adata, random_state=seed)

    def cluster(resolution):
        sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
        return adata.obs["leiden"].to_numpy()

    own = cluster(1.0)
    for target, n_groups in adata.uns["facts"]["n_groups"].items():
        yield f"{target}/own", own
        yield f"{target}/same", hand_over.at_number(cluster, n_groups)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "scanpy", __doc__)
