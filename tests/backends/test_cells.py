"""The contract of ``Cells``: the same sums and states wherever the cells are."""

import numpy as np
import pytest
from distributed import Client
from models import small_samples

from spicemix_core.affinity import pseudo_likelihood_sums
from spicemix_core.backends.place import place_cells
from spicemix_core.cells import Cells, StateSums
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.steps import nonnegative_least_squares, split_states, update_latent_states

PLACES = ["local", "torch", "dask", "dask-torch"]
METHODS = ["gram_times", "profiles", "expression_of", "cluster_sums", "solve_states", "update_states",
           "affinity_sums"]
K, G, N, NOISE = 4, 30, 151, 0.1


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0") as client:
        yield client


@pytest.fixture(scope="module")
def samples():
    return check_samples(*small_samples(0, n_cells=(61, 40, 50)), K)  # the cells of one part begin with an odd index


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=PLACES)
def place(request, samples):
    """A function that makes the cells of all samples, which starts from ``states``."""
    client = request.getfixturevalue("client") if "dask" in request.param else None
    device = "cpu" if "torch" in request.param else None
    return lambda **options: place_cells(samples, client=client, device=device, **options)


@pytest.fixture
def states(rng):
    return rng.dirichlet(np.ones(K), N), rng.gamma(4.0, size=N)


@pytest.fixture
def metagenes(rng):
    return rng.dirichlet(np.ones(G), K).T


def expression(samples):
    return np.concatenate([c * y for y, c in zip(samples.expressions, samples.scaling, strict=True)])


def test_the_protocol_has_seven_documented_methods():
    public = [name for name, value in vars(Cells).items() if callable(value) and not name.startswith("_")]
    assert sorted(public) == sorted(METHODS) and all(getattr(Cells, name).__doc__ for name in METHODS)


def test_all_methods_and_attributes_exist(place, samples):
    cells = place()
    assert cells.samples is samples and all(callable(getattr(cells, name)) for name in METHODS)


def test_states_are_those_given(place, states):
    for ours, given in zip(place(states=states).states, states, strict=True):
        assert type(ours) is np.ndarray
        np.testing.assert_array_equal(ours, given)


def test_gram_products_are_those_of_the_scaled_expression(place, samples, metagenes):
    Y = expression(samples)
    np.testing.assert_allclose(place().gram_times(metagenes), Y.T @ (Y @ metagenes), rtol=1e-11)


def test_profiles_are_those_of_the_chosen_cells(place, samples):
    Y, chosen = expression(samples), np.array([150, 3, 70, 61, 60])
    places, coordinates, sizes = place().profiles(np.eye(G), chosen)
    order = np.argsort(places)
    np.testing.assert_array_equal(places[order], np.arange(5))
    np.testing.assert_allclose(sizes[order], Y[chosen].sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(coordinates[order] * sizes[order, None], Y[chosen], rtol=1e-12, atol=1e-14)


def test_expression_is_that_of_the_chosen_cells(place, samples):
    chosen = np.array([150, 3, 70, 61, 60])
    places, rows = place().expression_of(chosen)
    order = np.argsort(places)
    np.testing.assert_array_equal(places[order], np.arange(5))
    np.testing.assert_allclose(rows[order], expression(samples)[chosen], rtol=1e-14)


def test_cluster_sums_assign_each_cell_to_the_nearest_centroid(place, samples, metagenes):
    Y = expression(samples)
    totals = Y.sum(axis=1, keepdims=True)
    nearest = (((Y / totals)[:, None] - metagenes.T[None]) ** 2).sum(axis=2).argmin(axis=1)
    expected = Y.T @ (totals * np.eye(K)[nearest])
    np.testing.assert_allclose(place().cluster_sums(np.eye(G), metagenes.T), expected, rtol=1e-11, atol=1e-12)


def test_solved_states_are_non_negative_least_squares(place, samples, metagenes):
    Y, cells = expression(samples), place()
    X = nonnegative_least_squares(metagenes.T @ metagenes, Y @ metagenes)
    gram, cross = cells.solve_states(metagenes)
    np.testing.assert_allclose(gram, X.T @ X, rtol=1e-9)
    np.testing.assert_allclose(cross, Y.T @ X, rtol=1e-9)
    for ours, expected in zip(cells.states, split_states(X), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-8, atol=1e-10)


def test_the_state_step_returns_the_sums_over_its_states(place, samples, states, metagenes):
    Y, cells = expression(samples), place(states=states)
    sums = cells.update_states(metagenes, -np.eye(K), NOISE, 1.0)
    proportions, sizes = cells.states
    X = sizes[:, None] * proportions
    expected = StateSums(gram=X.T @ X, cross=Y.T @ X, sizes=sizes.sum(),
                         pairs=proportions.T @ (samples.graph @ proportions),
                         moved=abs(proportions - states[0]).sum(), n_sweeps=sums.n_sweeps)
    for name in StateSums._fields:
        np.testing.assert_allclose(getattr(sums, name), getattr(expected, name), rtol=1e-10, err_msg=name)


def test_the_state_step_is_that_of_arrays(place, samples, states, metagenes):
    cells = place(states=states)
    n_sweeps = cells.update_states(metagenes, -np.eye(K), NOISE, 1.0).n_sweeps
    gram, linear = metagenes.T @ metagenes / NOISE**2, samples.times_metagenes(metagenes) / NOISE**2
    *expected, sweeps = update_latent_states(gram, linear, -np.eye(K), samples.graph, *states, state_penalty=1.0)
    for ours, theirs in zip(cells.states, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert n_sweeps <= sweeps + 1


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("spacing", [1, 3])
def test_affinity_sums_are_those_of_every_nth_cell(place, samples, states, metagenes, order, spacing):
    cells = place(states=states)
    cells.update_states(metagenes, -np.eye(K), NOISE, 1.0)
    proportions, _ = cells.states
    neighbor_sums = samples.graph @ proportions
    expected = pseudo_likelihood_sums(-np.eye(K), proportions[::spacing], neighbor_sums[::spacing], order)
    found = cells.affinity_sums(-np.eye(K), order, spacing)
    assert len(found) == order + 1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)
