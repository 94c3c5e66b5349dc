"""Each step of an iteration: it never raises its own objective, and it agrees with an independent solver."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from models import random_affinity_problem, random_state_problem

from spicemix_core import affinity as affinity_module
from spicemix_core.latent_states import SWEEP_TOL
from spicemix_core.steps import (
    affinity_objective,
    duality_gap,
    simplex_moments,
    squared_residual,
    states_energy,
    update_affinity,
    update_latent_states,
    update_metagenes,
    update_noise,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0, 100.0])
def test_state_step_lowers_the_energy(seed, strength):
    problem = random_state_problem(seed, strength=strength)
    proportions, sizes, _ = update_latent_states(**problem)
    after = dict(problem, proportions=proportions, sizes=sizes)
    assert states_energy(**after) <= states_energy(**problem)
    assert (proportions >= 0).all() and (sizes >= 0).all()
    np.testing.assert_allclose(proportions.sum(axis=1), 1.0, atol=1e-12)


def test_energy_is_the_sum_of_its_terms():
    problem = random_state_problem(1)
    graph, z, s = problem["graph"].toarray(), problem["proportions"], problem["sizes"]
    energy = 0.0
    for i in range(len(z)):
        x = s[i] * z[i]
        energy += 0.5 * x @ problem["gram"] @ x - problem["linear"][i] @ x + s[i]
        energy += sum(z[i] @ problem["affinity"] @ z[j] for j in range(i) if graph[i, j])
    assert states_energy(**problem) == pytest.approx(energy, rel=1e-12)


def test_cells_without_a_field_are_solved_exactly():
    problem = random_state_problem(2, strength=0.0)
    proportions, sizes, n_sweeps = update_latent_states(**problem)
    states = sizes[:, None] * proportions
    gradient = states @ problem["gram"] - problem["linear"] + 1.0
    assert n_sweeps == 1 and gradient.min() > -1e-8 and abs(gradient * states).max() < 1e-8


def test_no_small_move_lowers_the_energy_of_a_solved_cell():
    """One cell with a fixed neighbour: compare with scipy started at our answer."""
    problem = random_state_problem(3, strength=2.0)
    graph = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    two = dict(problem, graph=graph, linear=problem["linear"][:2], proportions=problem["proportions"][:2],
               sizes=problem["sizes"][:2])
    proportions, sizes, _ = update_latent_states(**two)

    def energy(x):
        z, s = proportions.copy(), sizes.copy()
        s[0], z[0] = x.sum(), x / x.sum()
        return states_energy(**dict(two, proportions=z, sizes=s))

    ours = sizes[0] * proportions[0]
    best = scipy.optimize.minimize(energy, ours, bounds=[(1e-12, None)] * ours.size, method="L-BFGS-B")
    assert energy(ours) <= best.fun + 1e-8 * (1.0 + abs(best.fun))


@pytest.mark.parametrize("seed", range(3))
def test_states_are_converged_when_the_step_ends(seed):
    problem = random_state_problem(seed, strength=0.3)
    first = dict(zip(("proportions", "sizes"), update_latent_states(**problem)[:2], strict=True))
    again, sizes, n_sweeps = update_latent_states(**problem | first)
    assert n_sweeps <= 2 and abs(again - first["proportions"]).max() < 10 * SWEEP_TOL
    gained = states_energy(**problem | first) - states_energy(**problem | dict(proportions=again, sizes=sizes))
    assert 0.0 <= gained < 1e-4 * (states_energy(**problem) - states_energy(**problem | first))


def test_a_cell_that_the_data_do_not_support_follows_the_field_alone():
    problem = random_state_problem(4, strength=0.5)
    problem["linear"][7] = 0.5  # below the penalty: no size pays
    proportions, sizes, _ = update_latent_states(**problem)
    field = (problem["graph"] @ proportions)[7] @ problem["affinity"]
    assert sizes[7] == 0.0 and proportions[7, np.argmin(field)] == 1.0


def test_a_cell_without_size_gets_one_where_the_field_and_the_data_agree():
    """Where the mixture does not pay, the corner that the field prefers may."""
    gram = np.diag([1.0, 1.0])
    graph = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    affinity = np.array([[2.0, 0.0], [0.0, -2.0]])  # against metagene 0, for metagene 1
    problem = dict(gram=gram, linear=np.array([[0.0, 1.5], [0.0, 1.5]]), affinity=affinity, graph=graph,
                   proportions=np.array([[0.9, 0.1], [0.0, 1.0]]), sizes=np.array([0.0, 0.5]), state_penalty=1.0)
    proportions, sizes, _ = update_latent_states(**problem)
    np.testing.assert_allclose(proportions, [[0.0, 1.0], [0.0, 1.0]])
    np.testing.assert_allclose(sizes, 0.5)


def test_colors_decide_only_the_order_of_the_visits():
    problem = random_state_problem(5, strength=0.0)
    order = [np.array([i]) for i in reversed(range(len(problem["sizes"])))]
    for one, other in zip(update_latent_states(**problem), update_latent_states(**problem, colors=order), strict=True):
        np.testing.assert_array_equal(one, other)


def random_metagene_problem(seed, n_cells=60, G=12, K=4):
    rng = np.random.default_rng(seed)
    states = rng.gamma(0.5, size=(n_cells, K))
    expression = states @ rng.dirichlet(np.full(G, 0.3), size=K) + 0.05 * rng.normal(size=(n_cells, G))
    start = rng.dirichlet(np.ones(G), size=K).T
    return start, states, expression


@pytest.mark.parametrize("seed", range(4))
def test_metagene_step_reaches_the_optimum(seed):
    start, states, expression = random_metagene_problem(seed)
    gram, cross, norm = states.T @ states, expression.T @ states, (expression**2).sum()
    metagenes = update_metagenes(start, gram, cross, sum_of_squares=norm, tol=1e-12)
    residual = squared_residual(metagenes, gram, cross, norm)
    assert residual == pytest.approx(((expression - states @ metagenes.T) ** 2).sum(), rel=1e-9)
    assert residual <= squared_residual(start, gram, cross, norm)
    assert duality_gap(metagenes, gram, cross) <= 1e-10 * residual

    K, G = states.shape[1], expression.shape[1]
    sums = scipy.optimize.LinearConstraint(np.kron(np.eye(K), np.ones(G)), 1.0, 1.0)
    independent = scipy.optimize.minimize(
        lambda m: 0.5 * ((expression - states @ m.reshape(K, G)) ** 2).sum(), start.T.ravel(),
        jac=lambda m: (gram @ m.reshape(K, G) - cross.T).ravel(), bounds=[(0, 1)] * (K * G), constraints=sums,
        method="SLSQP", options={"ftol": 1e-15, "maxiter": 1000},
    )
    np.testing.assert_allclose(metagenes.T.ravel(), independent.x, atol=1e-6)


def test_an_unused_metagene_is_not_changed():
    start, states, expression = random_metagene_problem(9)
    states[:, 2] = 0.0
    sums = dict(sum_of_squares=(expression**2).sum())
    metagenes = update_metagenes(start, states.T @ states, expression.T @ states, **sums)
    np.testing.assert_array_equal(metagenes[:, 2], start[:, 2])


def test_noise_is_the_root_mean_square_residual():
    start, states, expression = random_metagene_problem(5)
    noise = update_noise(start, states.T @ states, expression.T @ states, sum_of_squares=(expression**2).sum(),
                         n_entries=expression.size)
    assert noise == pytest.approx(np.sqrt(((expression - states @ start.T) ** 2).mean()), rel=1e-10)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [1e-4, 1e-2])
def test_affinity_step_agrees_with_scipy(seed, penalty):
    start, *rest = random_affinity_problem(seed)
    affinity = update_affinity(start, *rest, affinity_penalty=penalty, tol=1e-14)
    objective = affinity_objective(affinity, *rest, penalty)
    rows, columns = np.triu_indices(len(start))

    def unpack(p):
        S = np.zeros_like(start)
        S[rows, columns] = S[columns, rows] = p
        return S

    def gradient(p):
        z, nu, n_edges = rest
        full = (z - simplex_moments(nu @ unpack(p))[1]).T @ nu / n_edges + penalty * unpack(p)
        return ((full + full.T) * np.where(np.eye(len(start)), 0.5, 1.0))[rows, columns]

    independent = scipy.optimize.minimize(
        lambda p: affinity_objective(unpack(p), *rest, penalty), np.zeros(rows.size), method="BFGS", jac=gradient,
        options={"gtol": 1e-12},
    )
    assert objective <= affinity_objective(start, *rest, penalty)
    assert objective <= independent.fun + 1e-12
    np.testing.assert_allclose(affinity, affinity.T)
    np.testing.assert_allclose(affinity, unpack(independent.x), atol=1e-6)
    assert objective == pytest.approx(independent.fun, abs=1e-9)


def test_affinity_step_ends_at_the_same_optimum_from_anywhere():
    _, *rest = random_affinity_problem(7)
    rng = np.random.default_rng(0)
    ends = []
    for scale in (0.0, 1.0, 30.0):
        start = scale * rng.normal(size=(4, 4))
        ends.append(update_affinity(start + start.T, *rest, affinity_penalty=1e-3, tol=1e-14))
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-5)
    np.testing.assert_allclose(ends[2], ends[0], atol=1e-5)


@pytest.mark.parametrize("penalty", [1e-4, 1e-2])
def test_affinity_step_of_many_cells_ends_where_that_of_few_does(monkeypatch, penalty):
    """With more cells than ``SUBSET`` the Hessian is that of a subset: the steps differ, the optimum does not."""
    start, *rest = random_affinity_problem(9, n_cells=400)
    exact = update_affinity(start, *rest, affinity_penalty=penalty, tol=1e-14)
    monkeypatch.setattr(affinity_module, "SUBSET", 60)
    np.testing.assert_allclose(update_affinity(start, *rest, affinity_penalty=penalty, tol=1e-14), exact, atol=1e-5)


def test_affinity_objective_is_convex_along_lines():
    _, *rest = random_affinity_problem(8)
    rng = np.random.default_rng(1)
    for _ in range(10):
        a, b = (m + m.T for m in rng.normal(size=(2, 4, 4)) * 10.0)
        middle = affinity_objective(0.5 * (a + b), *rest, 1e-4)
        assert middle <= 0.5 * (affinity_objective(a, *rest, 1e-4) + affinity_objective(b, *rest, 1e-4)) + 1e-12
