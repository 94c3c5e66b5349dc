"""Two kinds of niches of squidpy, `squidpy.gr.calculate_niche`: ``spatialleiden`` and ``utag``.

Neighbours as in squidpy's manual: the six of the lattice for Visium, otherwise a Delaunay graph, for each sample.
SpatialLeiden clusters this graph and scanpy's graph of expression together, with equal weight; the resolution of
expression is the one that gives the number of groups wanted, then that of space is searched, as the authors of
SpatialLeiden do. Its own number is that of squidpy's default resolution, 0.5. UTAG averages expression over neighbours
before principal components and Leiden clusters (15 neighbours); squidpy has no default resolution for it.
"""

import warnings

import hand_over
import scanpy as sc
import squidpy as sq


def run(adata, seed, variant):
    graph_of(adata)
    if variant == "spatialleiden":
        sc.pp.pca(adata, n_comps=min(50, min(adata.shape) - 1), random_state=seed)
        sc.pp.neighbors(adata, random_state=seed)

    def niches(resolution):
        options = {"n_neighbors": 15} if variant == "utag" else {"random_state": seed}
        sq.gr.calculate_niche(adata, flavor=variant, resolutions=[resolution], **options)
        return adata.obs.pop(f"{variant}_niche_res={resolution}" if variant == "utag" else
                             f"{variant}_res={resolution}").to_numpy()

    for target, n_groups in adata.uns["facts"]["n_groups"].items():
        if variant == "utag":
            yield f"{target}/same", hand_over.at_number(niches, n_groups)
            continue
        yield f"{target}/own", niches(0.5)
        first = resolution_of_expression(adata, n_groups, seed)
        yield f"{target}/same", hand_over.at_number(lambda r, first=first: niches((first, r)), n_groups)


def resolution_of_expression(adata, n_groups, seed):
    """The resolution at which Leiden clusters of expression alone come nearest to this number."""
    tried = {}

    def cluster(resolution):
        sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=-1, directed=False, random_state=seed)
        tried[resolution] = adata.obs["leiden"].nunique()
        return adata.obs["leiden"].to_numpy()

    hand_over.at_number(cluster, n_groups)
    return min(tried, key=lambda resolution: abs(tried[resolution] - n_groups))


def graph_of(adata):
    """Write the neighbour graph to ``obsp["spatial_connectivities"]``."""
    if adata.uns["facts"]["lattice"]:
        return  # the data file has them, for each section
    sq.gr.spatial_neighbors(adata, library_key="sample", coord_type="generic", delaunay=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    hand_over.main(run, "squidpy", __doc__)
