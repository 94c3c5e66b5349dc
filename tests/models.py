"""Helpers of several test modules: small random data sets, interrupted fits, and the comparison of models."""

import warnings

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial import Delaunay
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix, algorithm
from spicemix_core.files import checkpoint
from spicemix_core.inputs.arrays import check_samples


def neighbor_graph(coordinates):
    """Delaunay neighbours, computed here so that the model's tests do not depend on the package's graphs."""
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


def random_affinity_problem(seed, K=4, n_cells=80):
    rng = np.random.default_rng(seed)
    (_,), (graph,) = small_samples(seed, n_cells=(n_cells,))
    proportions = rng.dirichlet(np.full(K, 0.4), size=n_cells)
    return np.zeros((K, K)), proportions, graph @ proportions, int(graph.nnz)


def random_state_problem(seed, K=5, strength=1.0):
    rng = np.random.default_rng(seed)
    expressions, graphs = small_samples(seed, n_metagenes=K)
    samples = check_samples(expressions, graphs, K)
    metagenes = rng.dirichlet(np.full(samples.n_genes, 0.5), size=K).T
    noise = 0.15
    affinity = strength * rng.normal(size=(K, K))
    return dict(
        gram=metagenes.T @ metagenes / noise**2,
        linear=samples.times_metagenes(metagenes) / noise**2,
        affinity=affinity + affinity.T,
        graph=samples.graph,
        proportions=rng.dirichlet(np.ones(K), size=samples.n_cells),
        sizes=rng.gamma(K, size=samples.n_cells),
        state_penalty=1.0,
    )


def assert_same_model(first, second):
    """All attributes of two models: the same types, and arrays with the same bits."""
    assert type(first) is type(second) and set(vars(first)) == set(vars(second))
    for name, value in vars(first).items():
        other = vars(second)[name]
        assert type(other) is type(value), name
        if name == "history_":
            assert value.equals(other) and value.index.equals(other.index)
            assert value.dtypes.equals(other.dtypes) and type(value.index) is type(other.index)
        elif isinstance(value, list):
            assert len(value) == len(other) and all(np.array_equal(a, b) for a, b in zip(value, other, strict=True))
        elif isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other)  # no NaN, and -0 nowhere: equal is equal in bits
        else:
            assert value == other, name


def write_authors_result(path, n_metagenes=3, affinity=-1.0, noise=(0.1, 0.3)):
    """A small result in the layout of the authors' 2022 program, two samples of 6 and 2 cells, 5 genes."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["hyperparameters/K"], file["hyperparameters/lambda_SigmaXInv"] = n_metagenes, 1e-3
        file["hyperparameters/repli_list"] = [b"a", b"b"]
        for step in (10, 20):
            metagenes = rng.random((5, n_metagenes))
            file[f"parameters/M/{step}"] = metagenes / metagenes.sum(0)
            file[f"parameters/Sigma_x_inv/{step}"] = np.full((n_metagenes, n_metagenes), affinity)
            for i, (n, sigma) in enumerate(zip((6, 2), noise, strict=True)):
                file[f"latent_states/XT/{i}/{step}"] = rng.random((n, n_metagenes)) + step
                file[f"parameters/sigma_yx_invs/{i}/{step}"] = 1 / sigma
        for step in (1, 10, 20):
            file[f"progress/Q/{step}"] = float(step)


class Stopped(Exception):
    pass


def stopped_fit(samples, path, n, **options):
    """Fit until the ``n``-th iteration is about to begin, with a checkpoint after each."""
    iterate, done = algorithm.iterate, []

    def counted(*arguments, **keywords):
        if len(done) == n:
            raise Stopped
        done.append(None)
        return iterate(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        patch.setattr(checkpoint, "SECONDS", 0.0)
        patch.setattr(algorithm, "iterate", counted)
        SpiceMix(**options).fit_arrays(*samples, checkpoint=path)
