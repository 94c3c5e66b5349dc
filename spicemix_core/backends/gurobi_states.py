"""The state step with Gurobi's quadratic programs, as in the paper's code: a check of the active-set method.

Each cell is one program of K variables; the free licence of gurobipy allows up to K = 200. The simplex method
(``Method=0``) solves it to machine precision. Gurobi's default, the barrier method, leaves errors of 1e-4 in the
proportions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp

from spicemix_core.latent_states import MAX_SWEEPS, SWEEP_TOL, cell_energy
from spicemix_core.numerics.active_set import CELL_TOL, MAX_ALTERNATIONS
from spicemix_core.numerics.coloring import color_classes


def update_latent_states(gram: np.ndarray, linear: np.ndarray, affinity: np.ndarray, graph: sp.csr_array,
                         proportions: np.ndarray, sizes: np.ndarray, *, state_penalty: float,
                         colors: list[np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    """:func:`spicemix_core.latent_states.update_latent_states`, one cell after the other.

    Raises
    ------
    RuntimeError
        If gurobipy or its licence is missing, or the licence is too small.
    """
    proportions, sizes = proportions.copy(), sizes.copy()
    cells = np.concatenate(color_classes(graph) if colors is None else colors)
    waiting = np.ones(len(sizes), dtype=bool)
    n_sweeps = 0
    with quadratic_program(gram, on_simplex=True) as best_proportions, quadratic_program(gram) as best_state:
        while waiting.any() and n_sweeps < MAX_SWEEPS:
            n_sweeps += 1
            for i in cells[waiting[cells]]:
                waiting[i] = False
                neighbors = graph.indices[graph.indptr[i] : graph.indptr[i + 1]]
                field = affinity @ proportions[neighbors].sum(axis=0)
                start = proportions[i], sizes[i]
                if field.any():
                    z, s = _in_field(gram, linear[i], field, state_penalty, proportions[i], best_proportions)
                else:
                    z, s = _split(best_state(linear[i] - state_penalty))
                problem = gram, linear[i], field, float(state_penalty)
                if cell_energy(*problem, z, s) <= cell_energy(*problem, *start):
                    waiting[neighbors] |= np.abs(z - start[0]).max() > SWEEP_TOL
                    proportions[i], sizes[i] = z, s
            if not affinity.any():
                break
    return proportions, sizes, n_sweeps


def _in_field(gram, b, field, state_penalty, z, best_proportions):
    s = _best_size(gram, b, state_penalty, z)
    for _ in range(MAX_ALTERNATIONS):
        corner = np.eye(len(b))[np.argmin(field)]  # the best proportions where only the field is left
        z = best_proportions(b / s - field / s**2) if s > 0.0 else corner
        size = _best_size(gram, b, state_penalty, z)
        if abs(size - s) <= CELL_TOL * s:
            break
        s = size
    return z, s


def _best_size(gram, b, state_penalty, z):
    return max(0.0, (z @ b - state_penalty) / (z @ gram @ z))


def _split(x):
    size = x.sum()
    return (x / size, size) if size > 0.0 else (np.full(len(x), 1.0 / len(x)), 0.0)


@contextmanager
def quadratic_program(Q: np.ndarray, on_simplex: bool = False) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Context manager for a function of c that minimises ``z'Qz/2 - c'z`` over z >= 0.

    The model is built once; only the linear part of its objective changes.

    Parameters
    ----------
    Q : array, shape (K, K)
    on_simplex : bool
        Whether z sums to one.

    Raises
    ------
    RuntimeError
        If gurobipy or its licence is missing, or the licence is too small.
    """
    try:
        import gurobipy
    except ImportError as error:
        raise RuntimeError("The solver 'gurobi' needs gurobipy: install gurobipy, or use the solver 'active-set', "
                           "which gives the same result.") from error
    try:
        with (gurobipy.Env(params={"OutputFlag": 0, "Method": 0, "Threads": 1}) as environment,
              gurobipy.Model(env=environment) as model):
            variable = model.addMVar(len(Q), lb=0.0)
            if on_simplex:
                model.addConstr(variable.sum() == 1.0)
            model.setObjective(0.5 * (variable @ Q @ variable))

            def solve(c):
                variable.Obj = -c
                model.optimize()
                z = np.maximum(variable.X, 0.0)
                return z / z.sum() if on_simplex else z

            yield solve
    except gurobipy.GurobiError as error:
        raise RuntimeError(f"Gurobi does not solve the program ({str(error).rstrip('.')}): check its licence (the free "
                           "licence of gurobipy allows 200 metagenes and expires with its version), or use the solver "
                           "'active-set'.") from error
