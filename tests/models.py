"""Small data sets drawn at random, for tests of the model."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.spatial import Delaunay


def neighbor_graph(coordinates):
    """Delaunay neighbours, written out here so that the model's tests do not lean on the package's graphs."""
    triangles = Delaunay(coordinates).simplices
    i, j = np.concatenate([triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (0, 2))]).T
    graph = sp.csr_array((np.ones(i.size), (i, j)), shape=(len(coordinates),) * 2)
    graph = sp.csr_array(graph.maximum(graph.T))
    graph.data[:] = 1.0
    return graph


def small_samples(random_state=0, n_cells=(80, 60), n_genes=30, n_metagenes=4, noise=0.02):
    """Expressions and graphs of samples whose cells mix ``n_metagenes`` metagenes, smoothly over space."""
    rng = np.random.default_rng(random_state)
    metagenes = rng.gamma(0.5, size=(n_genes, n_metagenes))
    metagenes /= metagenes.sum(axis=0)
    expressions, graphs = [], []
    for n in n_cells:
        coordinates = rng.random((n, 2))
        centers = rng.random((n_metagenes, 2))
        weights = np.exp(-6.0 * ((coordinates[:, None] - centers) ** 2).sum(axis=2))
        weights += 0.2 * rng.random((n, n_metagenes))
        states = rng.gamma(8.0, size=(n, 1)) * weights / weights.sum(axis=1, keepdims=True)
        expressions.append(np.clip(states @ metagenes.T + noise * rng.normal(size=(n, n_genes)), 0.0, None))
        graphs.append(neighbor_graph(coordinates))
    return expressions, graphs


def small_adata(random_state=0, **options):
    """Samples of :func:`small_samples` as one AnnData object: slides "left" and "right", genes "Gene0", ..."""
    expressions, graphs = small_samples(random_state, **options)
    adata = anndata.AnnData(np.concatenate(expressions))
    adata.obs_names = [f"cell{i}" for i in range(adata.n_obs)]
    adata.var_names = [f"Gene{g}" for g in range(adata.n_vars)]
    names = ["left", "right"][: len(expressions)]
    adata.obs["slide"] = pd.Categorical(np.repeat(names, [len(y) for y in expressions]))
    adata.obsp["spatial_connectivities"] = sp.block_diag(graphs, format="csr")
    return adata
