"""Projection onto the simplex and the active-set solver, against independent solvers."""

import gurobipy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from spicemix_core.numerics.simplex import nonnegative_least_squares, project_to_simplex, solve_simplex_qp


def random_program(rng, K, n=20, rank=None):
    factor = rng.gamma(0.7, size=(rank or 3 * K, K))
    return factor.T @ factor, rng.normal(size=(n, K)) * rng.gamma(1.0, size=(n, 1)) * 5.0


def simplex_gap(Q, C, Z):
    """Frank-Wolfe gap of each row: a bound on the distance of its objective to the optimum."""
    gradient = Z @ Q - C
    return (gradient * Z).sum(axis=1) - gradient.min(axis=1)


@pytest.mark.parametrize("K", [1, 2, 5, 20, 40])
def test_solution_has_no_duality_gap(K):
    Q, C = random_program(np.random.default_rng(K), K)
    Z = solve_simplex_qp(Q, C)
    assert (Z >= 0).all() and Z.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert simplex_gap(Q, C, Z).max() < 1e-9 * (1.0 + abs(C).max())


def test_solution_agrees_with_gurobi():
    rng = np.random.default_rng(0)
    Q, C = random_program(rng, 12, n=10)
    ours = solve_simplex_qp(Q, C)
    with gurobipy.Env(params={"OutputFlag": 0}) as environment:
        for c, z in zip(C, ours, strict=True):
            with gurobipy.Model(env=environment) as model:
                model.Params.Method = 0  # the default, barrier, is only accurate to 1e-4
                variable = model.addMVar(12, lb=0.0)
                model.addConstr(variable.sum() == 1.0)
                model.setObjective(0.5 * (variable @ Q @ variable) - c @ variable)
                model.optimize()
                np.testing.assert_allclose(z, variable.X, atol=1e-6)


def test_warm_start_changes_nothing():
    rng = np.random.default_rng(1)
    Q, C = random_program(rng, 15)
    starts = rng.dirichlet(np.full(15, 0.2), size=len(C))
    np.testing.assert_allclose(solve_simplex_qp(Q, C, starts), solve_simplex_qp(Q, C), atol=1e-8)


def test_dependent_metagenes_still_reach_the_optimum():
    rng = np.random.default_rng(2)
    Q, C = random_program(rng, 10, rank=4)
    Q[:, 1], Q[1] = Q[:, 0], Q[0]
    Q[1, 1], C[:, 1] = Q[0, 0], C[:, 0]
    assert simplex_gap(Q, C, solve_simplex_qp(Q, C)).max() < 1e-6 * abs(C).max()


def test_least_squares_agrees_with_scipy():
    rng = np.random.default_rng(3)
    design, targets = rng.gamma(0.5, size=(40, 9)), rng.normal(size=(25, 40)) + 0.5
    ours = nonnegative_least_squares(design.T @ design, targets @ design)
    np.testing.assert_allclose(ours, [nnls(design, y)[0] for y in targets], atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_projection_is_the_nearest_point(values):
    v = np.array(values)
    p = project_to_simplex(v)
    scale = 1.0 + abs(v).max()
    assert (p >= 0).all() and p.sum() == pytest.approx(1.0, abs=1e-12)
    # optimal iff (v - p)'(q - p) <= 0 for every corner q
    assert ((v - p) - (v - p) @ p).max() <= 1e-9 * scale**2


def test_projection_of_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        project_to_simplex([0.0, np.nan])


def test_projection_ends_where_rounding_hides_the_threshold():
    v = np.array([999999.9999999998, 1e6, 0.1000000000791308, 9.999981679082842e-06, 999999.5])
    assert project_to_simplex(v).sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(project_to_simplex(np.array([0.0, 1e20, -3.0])), [0.0, 1.0, 0.0])
