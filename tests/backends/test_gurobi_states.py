"""The state step with Gurobi gives the result of the active-set method."""

import sys
import warnings

import gurobipy
import numpy as np
import pytest
from models import random_state_problem, small_samples
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix
from spicemix_core.backends import gurobi_states as gurobi_solver
from spicemix_core.latent_states import SWEEP_TOL
from spicemix_core.steps import states_energy, update_latent_states


@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0])
def test_states_are_those_of_the_active_set_method(strength):
    problem = random_state_problem(1, strength=strength)
    names = "proportions", "sizes"
    gurobi = dict(zip(names, gurobi_solver.update_latent_states(**problem)[:2], strict=True))
    ours = dict(zip(names, update_latent_states(**problem)[:2], strict=True))
    assert states_energy(**problem | gurobi) == pytest.approx(states_energy(**problem | ours), rel=1e-7)
    np.testing.assert_allclose(gurobi["proportions"], ours["proportions"], atol=5 * SWEEP_TOL)
    np.testing.assert_allclose(gurobi["sizes"], ours["sizes"], rtol=1e-2)


def test_fit_reaches_the_objective_of_the_active_set_method():
    expressions, graphs = small_samples(0, n_cells=(40, 30))
    fits = {}
    for solver in ("gurobi", "active-set"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = SpiceMix(3, random_state=0, max_iter=4, tol=0.0, solver=solver)
            fits[solver] = model.fit_arrays(expressions, graphs).history_
    np.testing.assert_allclose(fits["gurobi"][["Q", "energy"]], fits["active-set"][["Q", "energy"]], rtol=1e-6)


def test_missing_gurobipy_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "gurobipy", None)
    with pytest.raises(RuntimeError, match="needs gurobipy: install gurobipy") as error:
        SpiceMix(4, solver="gurobi").fit_arrays(*small_samples(0))
    assert "\n" not in str(error.value)


def test_a_licence_that_is_too_small_is_refused():
    """The free licence allows 200 variables with a quadratic objective."""
    with pytest.raises(RuntimeError, match="check its licence") as error, \
            gurobi_solver.quadratic_program(np.eye(201), on_simplex=True) as solve:
        solve(np.ones(201))
    assert "\n" not in str(error.value)


def test_a_missing_licence_is_refused(monkeypatch):
    def refuse(*arguments, **options):
        raise gurobipy.GurobiError(10009, "No Gurobi license found")

    monkeypatch.setattr(gurobipy, "Env", refuse)
    with pytest.raises(RuntimeError, match=r"No Gurobi license found.*check its licence"):
        SpiceMix(4, solver="gurobi").fit_arrays(*small_samples(0))
