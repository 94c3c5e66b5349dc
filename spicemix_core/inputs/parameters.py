"""Checks of single parameters, each with one sentence that names the parameter."""

from __future__ import annotations

import math
import numbers
from typing import Any

from spicemix_core.inputs.errors import ArgumentError

INITS = ("weighted", "expression", "profiles")  # see :mod:`spicemix_core.initialization`


def is_integer(value: object) -> bool:
    """Whether ``value`` is a Python or NumPy integer. A bool is not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_integer(name: str, value: object, lowest: int, remedy: str = "") -> None:
    """Raise ValueError unless ``value`` is an integer of at least ``lowest``; ``remedy`` is a further sentence."""
    if not is_integer(value) or value < lowest:  # type: ignore[operator]
        raise ArgumentError(f"{name} must be an integer of at least {lowest}, not {value!r}.", remedy, name)


def check_number(name: str, value: object, *, positive: bool = False) -> None:
    """Raise ValueError unless ``value`` is a finite number of at least zero, or above zero if ``positive``."""
    if not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise ArgumentError(f"{name} must be a {'positive' if positive else 'non-negative'} number, not {value!r}.",
                            parameter=name)


def check_choice(name: str, value: object, choices: tuple) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    if value not in choices:
        *first, last = map(repr, choices)
        raise ArgumentError(f"{name} must be {', '.join(first)} or {last}, not {value!r}.", parameter=name)


def check_parameters(model: Any) -> None:
    """Raise ValueError, which names the parameter, unless all parameters of an estimator are valid."""
    check_integer("n_metagenes", model.n_metagenes, 2)
    check_integer("max_iter", model.max_iter, 1)
    if model.affinity_iterations is not None:
        check_integer("affinity_iterations", model.affinity_iterations, 0)
    check_number("affinity_penalty", model.affinity_penalty, positive=True)
    check_number("state_penalty", model.state_penalty)
    check_number("tol", model.tol)
    check_choice("init", model.init, INITS)
    check_choice("solver", model.solver, ("active-set", "gurobi"))
    if model.solver == "gurobi" and model.device is not None:
        raise ValueError(f"The solver 'gurobi' runs without a device: leave out device={model.device!r}.")
