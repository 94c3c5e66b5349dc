"""The active-set kernel: non-negative least squares and the state of a cell, against independent solvers."""

import gurobipy
import numpy as np
import pytest
from scipy.optimize import nnls

from spicemix_core.latent_states import cell_energy
from spicemix_core.numerics.active_set import active_set, nonnegative_least_squares, work_space


def random_program(rng, K, n=20, rank=None):
    factor = rng.gamma(0.7, size=(rank or 3 * K, K))
    return factor.T @ factor, rng.normal(size=(n, K)) * rng.gamma(1.0, size=(n, 1)) * 5.0


def best_states(A, B, fields, starts, state_penalty=1.0):
    """Proportions and sizes of cells in fields, from the kernel."""
    proportions = np.array(starts)
    sizes = [active_set(A, b, field, state_penalty, z, True, *work_space(len(A)))
             for b, field, z in zip(B, fields, proportions, strict=True)]
    return proportions, np.array(sizes)


def random_cells(seed, K, rank=None):
    """Cells that the data support, so that each has a size."""
    rng = np.random.default_rng(seed)
    A, _ = random_program(rng, K, rank=rank)
    B = rng.gamma(2.0, size=(20, K)) @ A + 5.0
    return A, B, 0.1 * rng.normal(size=B.shape) * abs(B).mean(), rng.dirichlet(np.ones(K), size=20)


def simplex_gap(A, B, fields, Z, sizes):
    """Frank-Wolfe gap of the proportions given the sizes: a bound on the distance of the energy to its optimum."""
    gradient = sizes[:, None] ** 2 * (Z @ A) - sizes[:, None] * B + fields
    return (gradient * Z).sum(axis=1) - gradient.min(axis=1)


@pytest.mark.parametrize("K", [2, 5, 20, 40])
def test_proportions_of_a_cell_have_no_duality_gap(K):
    A, B, fields, starts = random_cells(K, K)
    Z, sizes = best_states(A, B, fields, starts)
    assert (Z >= 0).all() and (sizes > 0).all() and Z.sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    scale = 1.0 + abs(sizes[:, None] * B).max(axis=1)
    assert (simplex_gap(A, B, fields, Z, sizes) < 1e-5 * scale).all()  # sizes are exact to 1e-6
    np.testing.assert_allclose(sizes, ((Z * B).sum(axis=1) - 1.0) / np.einsum("nk,kl,nl->n", Z, A, Z), rtol=1e-5)


def test_proportions_of_a_cell_agree_with_gurobi():
    A, B, fields, starts = random_cells(0, 12)
    Z, sizes = best_states(A, B, fields, starts)
    with gurobipy.Env(params={"OutputFlag": 0}) as environment:
        for b, field, z, s in zip(B, fields, Z, sizes, strict=True):
            with gurobipy.Model(env=environment) as model:
                model.Params.Method = 0  # the default, barrier, is only accurate to 1e-4
                variable = model.addMVar(12, lb=0.0)
                model.addConstr(variable.sum() == 1.0)
                model.setObjective(0.5 * (variable @ A @ variable) - (b / s - field / s**2) @ variable)
                model.optimize()
                np.testing.assert_allclose(z, variable.X, atol=1e-5)


def test_a_cell_that_starts_at_its_solution_is_unchanged():
    A, B, fields, starts = random_cells(1, 15)
    Z, sizes = best_states(A, B, fields, starts)
    again, again_sizes = best_states(A, B, fields, Z)
    np.testing.assert_allclose(again, Z, atol=1e-5)
    np.testing.assert_allclose(again_sizes, sizes, rtol=1e-5)


def test_dependent_metagenes_still_lower_the_energy_to_an_optimum():
    A, B, fields, starts = random_cells(2, 10, rank=4)
    for array in (A, A.T, B.T, fields.T):
        array[1] = array[0]
    Z, sizes = best_states(A, B, fields, starts)
    for i in range(len(B)):
        before = cell_energy(A, B[i], fields[i], 1.0, starts[i], 1.0)
        assert cell_energy(A, B[i], fields[i], 1.0, Z[i], sizes[i]) <= before
    assert (simplex_gap(A, B, fields, Z, sizes) < 1e-5 * (1.0 + abs(sizes[:, None] * B).max(axis=1))).all()


@pytest.mark.parametrize("K", [1, 2, 5, 20, 40])
def test_least_squares_satisfies_the_conditions_of_an_optimum(K):
    Q, C = random_program(np.random.default_rng(K), K)
    X = nonnegative_least_squares(Q, C)
    gradient = X @ Q - C
    assert (X >= 0).all() and gradient.min() > -1e-9 * (1.0 + abs(C).max())
    assert abs(gradient * X).max() < 1e-9 * (1.0 + abs(C).max()) * (1.0 + X.max())


def test_the_start_of_least_squares_does_not_change_its_result():
    rng = np.random.default_rng(1)
    Q, C = random_program(rng, 15)
    starts = rng.dirichlet(np.full(15, 0.2), size=len(C))
    np.testing.assert_allclose(nonnegative_least_squares(Q, C, starts), nonnegative_least_squares(Q, C), atol=1e-8)


def test_least_squares_agrees_with_scipy():
    rng = np.random.default_rng(3)
    design, targets = rng.gamma(0.5, size=(40, 9)), rng.normal(size=(25, 40)) + 0.5
    ours = nonnegative_least_squares(design.T @ design, targets @ design)
    np.testing.assert_allclose(ours, [nnls(design, y)[0] for y in targets], atol=1e-9)
