"""Initial metagenes: pure cells are found, cells of few counts get no centroids, directions are the leading ones."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import subspace_angles

from spicemix_core import initialization
from spicemix_core.initialization import _leading_directions, initial_metagenes, kmeans_metagenes
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.inputs.parameters import INITS
from spicemix_core.local_cells import LocalCells


def cells_of(expressions):
    return LocalCells(check_samples(expressions, None, 4))


def pure_cells(rng, n_cells=200, n_genes=80, n_types=4):
    """Cells of one metagene each, of very different sizes, with noise: expression, metagenes and types."""
    metagenes = rng.dirichlet(np.full(n_genes, 0.3), size=n_types).T
    types = rng.integers(n_types, size=n_cells)
    sizes = rng.gamma(2.0, size=n_cells) + 0.2
    expression = sizes[:, None] * metagenes.T[types] + rng.normal(scale=0.002, size=(n_cells, n_genes))
    return np.abs(expression), metagenes, types


def errors(found, metagenes):
    """Total variation of each metagene from the nearest one found."""
    return 0.5 * np.abs(found[:, None, :] - metagenes[:, :, None]).sum(axis=0).min(axis=1)


@pytest.mark.parametrize("init", ["weighted", "profiles"])
def test_metagenes_of_pure_cells_are_found_whatever_their_sizes(init):
    expression, metagenes, _ = pure_cells(np.random.default_rng(0))
    found = initial_metagenes(cells_of([expression]), 4, np.random.default_rng(1), init)
    np.testing.assert_allclose(found.sum(axis=0), 1.0)
    assert (found >= 0).all()
    assert errors(found, metagenes).max() < 0.1


def test_cells_of_few_counts_do_not_take_centroids():
    """Twelve small cells of one of three genes each: their profiles lie farther out than those of whole types."""
    rng = np.random.default_rng(2)
    expression, metagenes, _ = pure_cells(rng, n_cells=80)
    few = np.zeros((12, expression.shape[1]))
    few[np.arange(12), np.arange(12) % 3] = 0.02
    samples = cells_of([np.vstack([expression, few])])
    assert errors(initial_metagenes(samples, 4, np.random.default_rng(3)), metagenes).max() < 0.1


@pytest.mark.parametrize("init", INITS)
def test_several_samples_sparse_or_dense_give_the_same_start(init):
    expression, _, _ = pure_cells(np.random.default_rng(4))
    parts = [expression[:120], expression[120:]]
    dense = initial_metagenes(cells_of(parts), 4, np.random.default_rng(5), init)
    sparse = initial_metagenes(cells_of([sp.csr_array(y) for y in parts]), 4, np.random.default_rng(5), init)
    np.testing.assert_allclose(dense, sparse, atol=1e-12)


def test_expression_is_clustered_as_it_is_and_profiles_without_the_sizes():
    """Cells of two types and two sizes: on expression the centroids are sizes, on profiles they are types."""
    rng = np.random.default_rng(8)
    metagenes, sizes = rng.dirichlet(np.full(20, 0.5), size=2), np.tile([1.0, 30.0], 40)
    expression = sizes[:, None] * metagenes[np.repeat([0, 1], 40)]
    cells = cells_of([expression])
    on_profiles = initial_metagenes(cells, 2, np.random.default_rng(0), "profiles")
    assert errors(on_profiles, metagenes.T).max() < 1e-12
    rows = cells.expression_of(np.arange(80))[1]
    expected = kmeans_metagenes(rows, 2, int(np.random.default_rng(0).integers(2**31)))
    np.testing.assert_array_equal(initial_metagenes(cells, 2, np.random.default_rng(0), "expression"), expected)


@pytest.mark.parametrize("init", ["weighted", "profiles"])
def test_a_random_subset_of_many_cells_determines_the_centroids(init, monkeypatch):
    expression, metagenes, _ = pure_cells(np.random.default_rng(9), n_cells=400)
    monkeypatch.setattr(initialization, "KMEANS_CELLS", 100)
    samples = cells_of([expression[:300], expression[300:]])
    found = initial_metagenes(samples, 4, np.random.default_rng(0), init)
    assert errors(found, metagenes).max() < 0.1
    np.testing.assert_array_equal(found, initial_metagenes(samples, 4, np.random.default_rng(0), init))


def test_directions_span_the_leading_singular_vectors():
    rng = np.random.default_rng(6)
    singular_values = np.concatenate([np.geomspace(100, 10, 49), np.full(31, 1.0)])
    expression = np.linalg.qr(rng.normal(size=(300, 80)))[0] * singular_values
    expression = expression @ np.linalg.qr(rng.normal(size=(80, 80)))[0] + 5.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # negative values
        samples = cells_of([expression])
    directions = _leading_directions(samples, rng)
    exact = np.linalg.svd(expression)[2][: directions.shape[1]].T
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-12)
    assert np.abs(subspace_angles(directions, exact)).max() < 1e-3


def test_few_genes_keep_all_directions():
    expression, _, _ = pure_cells(np.random.default_rng(7), n_genes=20)
    directions = _leading_directions(cells_of([expression]), np.random.default_rng(8))
    np.testing.assert_array_equal(directions, np.eye(20))
