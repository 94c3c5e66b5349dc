"""The Gaussian hidden Markov random field against its own model, brute force and scikit-learn's mixture."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from spicemix_core.baselines import HMRF, fit_hmrf_grid, log_gaussian
from spicemix_core.baselines.gaussians import GaussianPrior


def lattice(side):
    path = sparse.diags_array([np.ones(side - 1)] * 2, offsets=[-1, 1])
    return sparse.csr_array(sparse.kronsum(path, path))


def sample_potts(side, n_states, beta, rng, n_sweeps=200):
    """States on a square lattice from the Potts prior: Gibbs sampling, white squares, then black ones."""
    states = rng.integers(n_states, size=(side, side))
    colour = np.indices((side, side)).sum(axis=0) % 2
    for sweep in range(2 * n_sweeps):
        frame = np.pad(np.eye(n_states)[states], ((1, 1), (1, 1), (0, 0)))
        same = frame[:-2, 1:-1] + frame[2:, 1:-1] + frame[1:-1, :-2] + frame[1:-1, 2:]
        proposal = (beta * same + rng.gumbel(size=same.shape)).argmax(axis=2)
        states = np.where(colour == sweep % 2, proposal, states)
    return states.ravel()


def draw(side=24, n_states=3, beta=0.9, distance=1.6, n_features=4, seed=0):
    """Expression, graph and states drawn from the model; every two state means are ``distance`` sd apart."""
    rng = np.random.default_rng(seed)
    graph = lattice(side)
    states = sample_potts(side, n_states, beta, rng)
    means = distance / np.sqrt(2) * np.eye(n_states, n_features)
    return means[states] + rng.standard_normal((side * side, n_features)), graph, states


def log_partition(graph, n_states, beta):
    energies = [beta * sum(c[i] == c[j] for i, j in zip(*sparse.triu(graph).nonzero(), strict=True))
                for c in product(range(n_states), repeat=graph.shape[0])]
    return logsumexp(energies)


def oracle(expression, graph, beta, distance):
    """States by mean field with the true parameters of `draw`: the best result that a fit can have."""
    n_features = expression.shape[1]
    means = distance / np.sqrt(2) * np.eye(3, n_features)
    log_density = log_gaussian(expression, means, [np.eye(n_features)] * 3)
    r = np.full(log_density.shape, 1 / 3)
    for _ in range(200):  # all cells at once, half a step: a slow equivalent of the sweeps
        field = log_density + beta * (graph @ r)
        r = 0.5 * r + 0.5 * np.exp(field - logsumexp(field, axis=1, keepdims=True))
    return r.argmax(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_states_of_its_own_model_are_recovered_as_well_as_with_the_true_parameters(seed):
    expression, graph, states = draw(distance=3.0, seed=seed)
    score = {beta: adjusted_rand_score(states, HMRF(3, beta=beta, n_components=None, random_state=0)
                                       .fit(expression, graph).labels_) for beta in (0.0, 0.9)}
    best = {beta: adjusted_rand_score(states, oracle(expression, graph, beta, 3.0)) for beta in (0.0, 0.9)}
    # Over 20 seeds: on average 0.009 below the oracle (at most 0.06), 0.09 above the oracle with beta = 0.
    assert score[0.9] > best[0.9] - 0.1
    assert score[0.9] > max(best[0.0], score[0.0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0, 10.0])
def test_bound_never_falls(seed, beta):
    expression, graph, _ = draw(side=12, seed=seed)
    model = HMRF(6, beta=beta, n_components=3, tol=1e-8, max_iter=2000, random_state=seed)
    fit = model.fit(expression, graph)
    assert fit.converged_
    assert fit.n_iter_ >= len(fit.bound_) >= 3
    assert (np.diff(fit.bound_) > -1e-9 * abs(fit.bound_[-1])).all()


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_bound_is_below_the_log_posterior_summed_over_all_configurations(beta):
    expression, graph, _ = draw(side=3, n_states=2, n_features=2, seed=1)
    fit = HMRF(2, beta=beta, n_components=None, random_state=0).fit(expression, graph)
    log_density = log_gaussian(expression, fit.means_, fit.covariances_)
    edges = list(zip(*sparse.triu(graph).nonzero(), strict=True))
    joint = [sum(log_density[i, k] for i, k in enumerate(c)) + beta * sum(c[i] == c[j] for i, j in edges)
             for c in product(range(2), repeat=9)]
    exact = logsumexp(joint) + GaussianPrior(expression, 2).log_density(fit.means_, fit.covariances_)
    gap = exact - fit.bound_[-1]  # both up to log Z(beta)
    assert gap > -1e-9
    assert gap < 1e-9 if beta == 0 else gap < 0.5 * log_partition(graph, 2, beta)


def test_with_beta_zero_it_is_a_mixture_of_gaussians_with_equal_weights():
    expression, graph, _ = draw(side=15, n_features=3)
    fit = HMRF(4, beta=0.0, n_components=None, random_state=0).fit(expression, graph)
    mixture = GaussianMixture(4)
    mixture.weights_, mixture.means_, mixture.covariances_ = np.full(4, 0.25), fit.means_, fit.covariances_
    mixture.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(fit.covariances_))
    np.testing.assert_allclose(fit.responsibilities_, mixture.predict_proba(expression), atol=1e-9)


def test_fit_is_a_fixed_point_of_the_mean_field_equations():
    expression, graph, _ = draw(side=10)
    model = HMRF(3, beta=0.7, n_components=None, tol=1e-12, max_iter=5000, random_state=0)
    fit = model.fit(expression, graph)
    field = log_gaussian(expression, fit.means_, fit.covariances_) + 0.7 * (graph @ fit.responsibilities_)
    expected = np.exp(field - logsumexp(field, axis=1, keepdims=True))
    np.testing.assert_allclose(fit.responsibilities_, expected, atol=1e-5)


def test_log_density_is_scipys():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((2, 3, 3))
    means, covariances = rng.standard_normal((2, 3)), root @ root.transpose(0, 2, 1)
    features = rng.standard_normal((7, 3))
    expected = [multivariate_normal(m, c).logpdf(features) for m, c in zip(means, covariances, strict=True)]
    np.testing.assert_allclose(log_gaussian(features, means, covariances), np.transpose(expected))


def test_parameters_maximise_the_bound_for_given_responsibilities():
    rng = np.random.default_rng(0)
    features, r = rng.standard_normal((40, 3)), rng.dirichlet(np.ones(2), size=40)
    prior = GaussianPrior(features, 2)

    def objective(means, covariances):
        return np.sum(r * log_gaussian(features, means, covariances)) + prior.log_density(means, covariances)

    means, covariances = prior.maximize(features, r)
    best = objective(means, covariances)
    for _ in range(50):
        step = 1e-3 * rng.standard_normal((3, 3))
        assert objective(means + 1e-3 * rng.standard_normal((2, 3)), covariances) < best
        assert objective(means, covariances + (step + step.T)) < best


def test_unused_states_are_removed_for_good():
    expression, graph, states = draw(side=20, distance=3.0)
    fit = HMRF(10, beta=0.9, n_components=None).fit(expression, graph, states)
    assert fit.n_states_ == len(np.unique(fit.labels_)) == 3
    assert fit.responsibilities_.shape == (400, 3)
    np.testing.assert_allclose(fit.responsibilities_.sum(axis=1), 1)
    assert adjusted_rand_score(states, fit.labels_) > 0.7


@pytest.mark.parametrize("seed", range(3))
def test_a_high_beta_removes_states_of_single_cells(seed):
    expression, graph, states = draw(side=20, distance=5.0, seed=seed)
    crumbs = states.copy()
    crumbs[[30, 110, 205, 290, 370]] = [3, 4, 5, 6, 7]
    models = [HMRF(8, beta=beta, n_components=None) for beta in (0.9, 3, 10)]
    left = [model.fit(expression, graph, crumbs).n_states_ for model in models]
    assert left[0] >= left[1] > left[2] == 3


def test_renaming_the_initial_states_renames_the_result():
    expression, graph, _ = draw(side=12)
    start = np.random.default_rng(0).integers(3, size=144)
    renamed = np.array([2, 0, 1])
    a = HMRF(3, beta=0.5, n_components=None).fit(expression, graph, start)
    b = HMRF(3, beta=0.5, n_components=None).fit(expression, graph, renamed[start])
    np.testing.assert_allclose(b.responsibilities_[:, renamed], a.responsibilities_, atol=1e-7)
    assert b.bound_ == pytest.approx(a.bound_)


def test_units_of_the_expression_do_not_matter():
    expression, graph, _ = draw(side=12)
    start = np.random.default_rng(0).integers(3, size=144)
    a = HMRF(3, beta=0.5, n_components=3).fit(expression, graph, start)
    b = HMRF(3, beta=0.5, n_components=3).fit(1000 * expression + 5, graph, start)
    np.testing.assert_allclose(a.responsibilities_, b.responsibilities_, atol=1e-7)


def test_same_seed_gives_the_same_fit_and_the_graph_may_be_dense():
    expression, graph, _ = draw(side=12)
    a = HMRF(5, beta=0.5, n_components=2, random_state=3).fit(expression, graph)
    b = HMRF(5, beta=0.5, n_components=2, random_state=3).fit(expression, graph.toarray())
    np.testing.assert_array_equal(a.responsibilities_, b.responsibilities_)
    assert a.bound_ == b.bound_


def test_cells_without_neighbours_follow_their_expression_alone():
    expression, graph, _ = draw(side=10)
    alone = sparse.block_diag([graph, sparse.csr_array((1, 1))])
    twice = np.vstack([expression, expression[:1]])
    fit = HMRF(3, beta=2.0, n_components=None, random_state=0).fit(twice, alone)
    field = log_gaussian(expression[:1], fit.means_, fit.covariances_)
    np.testing.assert_allclose(fit.responsibilities_[-1], np.exp(field - logsumexp(field))[0])


def test_grid_is_one_fit_per_beta_from_the_same_clusters():
    expression, graph, _ = draw(side=12)
    fits = fit_hmrf_grid(expression, graph, 4, betas=[0, 1.5], n_components=3, random_state=0)
    assert list(fits) == [0.0, 1.5]
    alone = HMRF(4, beta=1.5, n_components=3, random_state=0).fit(expression, graph)
    np.testing.assert_array_equal(fits[1.5].labels_, alone.labels_)


def test_stopping_early_is_reported():
    expression, graph, _ = draw(side=12)
    model = HMRF(5, beta=0.5, n_components=None, tol=1e-12, max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Increase max_iter"):
        fit = model.fit(expression, graph)
    assert not fit.converged_
    assert fit.n_iter_ == 2


def test_lattice_sampler_agrees_with_the_exact_share_of_equal_neighbours():
    rng = np.random.default_rng(0)
    draws = np.array([sample_potts(2, 3, 1.0, rng, n_sweeps=15) for _ in range(800)])
    weights, shares = [], []
    for c in product(range(3), repeat=4):
        equal = sum(c[i] == c[j] for i, j in ((0, 1), (0, 2), (1, 3), (2, 3)))
        weights.append(np.exp(equal))
        shares.append(c[0] == c[1])
    expected = np.average(shares, weights=weights)
    assert abs(np.mean(draws[:, 0] == draws[:, 1]) - expected) < 4 * np.sqrt(expected * (1 - expected) / 800)


@pytest.mark.parametrize(("options", "message"), [
    ({"beta": -1.0}, "beta must be .* not -1"),
    ({"beta": np.nan}, "beta must be .* not nan"),
    ({"beta": 1.0, "max_iter": 0}, "max_iter must be .* not 0"),
])
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HMRF(3, **options)


def test_bad_input_is_refused():
    expression, graph, _ = draw(side=5)
    model = HMRF(3, beta=1.0, n_components=2)
    spoilt = expression.copy()
    spoilt[7, 1] = np.nan
    one_way = graph.toarray()
    one_way[0, 1] = 0
    for inputs, message in [
        ((spoilt, graph), "in row 7"),
        ((expression[0], graph), "matrix of cells x genes"),
        ((expression[:-1], graph), r"shape \(25, 25\) for 24 cells"),
        ((expression, one_way), "not symmetric"),
        ((expression, graph, np.full(25, 3)), "integers from 0 to 2"),
        ((expression, graph, np.zeros(24, dtype=int)), "must be 25 integers"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(*inputs)
    with pytest.raises(ValueError, match="from 1 to 4"):
        HMRF(3, beta=1.0).fit(expression, graph)
    with pytest.raises(ValueError, match="n_states is 26"):
        HMRF(26, beta=1.0, n_components=2).fit(expression, graph)
    with pytest.raises(ValueError, match="Set n_components to at most 4"):
        HMRF(3, beta=1.0, n_components=None).fit(expression[:, [0, 1, 2, 3, 0]], graph)
