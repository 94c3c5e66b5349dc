r"""The fit: Algorithm 1 of the paper, each line one call into the module that bears its name.

``cells`` is what visits cells, a :class:`spicemix_core.cells.Part` or several on a cluster. It holds their states, is
called with parameters and gives back sums; the parameters are worked out here from these sums. ``model`` is the
estimator, whose parameters say how.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from spicemix_core.affinity import minimize
from spicemix_core.initialization import initialize
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.numerics.progress import progress
from spicemix_core.objective import energy, objective


@dataclass(frozen=True)
class Theta:
    """The parameters that a fit estimates: M (G, K), S (K, K) and sigma_y, of the scaled expression."""

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float


def fit(model, cells, checkpoint):
    """Algorithm 1. Returns :class:`Theta` and one row of numbers per iteration; ``cells`` keep the states.

    ``checkpoint`` is a :class:`spicemix_core.files.checkpoint.Checkpoint`; what it holds is where the fit starts.
    """
    last = model.max_iter if model.affinity_iterations is None else model.affinity_iterations
    theta, rows = _start(model, cells, checkpoint)
    for iteration in progress(range(len(rows), model.max_iter), "SpiceMix"):
        theta, row = iterate(model, cells, theta, estimate_affinity=iteration < last)
        rows.append(row)
        if has_converged(rows, model.tol):
            break
        checkpoint.save(theta, cells, rows, now=iteration + 1 == last)
    return theta, rows


def _start(model, cells, checkpoint):
    """Lines 1 to 8, or where the checkpoint was left: the parameters, and the rows of the iterations so far."""
    if (left := checkpoint.read()) is not None:
        cells.set_states(left.proportions, left.sizes)
        return Theta(left.metagenes, left.affinity, left.noise), left.rows
    metagenes, noise = initialize(cells, model.n_metagenes, np.random.default_rng(model.random_state))
    theta = Theta(metagenes, np.zeros((model.n_metagenes, model.n_metagenes)), noise)
    checkpoint.save(theta, cells, [], now=True)
    return theta, []


def iterate(model, cells, theta, *, estimate_affinity=True):
    """Lines 10 and 11: the states given the parameters, then the parameters given the states."""
    samples, before = cells.samples, theta
    sums = {"sum_of_squares": samples.sum_of_squares}
    clock = [time.perf_counter()]

    states = cells.update_states(theta.metagenes, theta.affinity, theta.noise, model.state_penalty)
    clock.append(time.perf_counter())

    gram, cross = cells.state_products()
    metagenes = update_metagenes(theta.metagenes, gram, cross, **sums)
    noise = update_noise(metagenes, gram, cross, n_entries=samples.n_entries, **sums)
    theta = replace(theta, metagenes=metagenes, noise=noise)
    energy_now = energy(theta, states.pairs, states.sizes, samples, state_penalty=model.state_penalty)
    clock.append(time.perf_counter())

    if estimate_affinity and samples.n_directed_edges:
        theta = replace(theta, affinity=minimize(
            theta.affinity, cells.affinity_sums, cells.affinity_curvature, samples.n_cells, samples.n_directed_edges,
            penalty=model.affinity_penalty))
    clock.append(time.perf_counter())

    row = objective(theta, cells.affinity_value(theta.affinity), states.sizes, samples,
                    state_penalty=model.state_penalty, affinity_penalty=model.affinity_penalty)
    row |= {"energy": energy_now, "n_sweeps": states.n_sweeps}
    row |= zip(("seconds_states", "seconds_metagenes", "seconds_affinity"), np.diff(clock).tolist(), strict=True)
    return theta, row | {"change_states": 0.5 * (states.moved / samples.n_cells)} | _changes(before, theta)


def has_converged(rows, tol):
    """Whether in the last iteration no block changed by ``tol`` or more."""
    return max(change for name, change in rows[-1].items() if name.startswith("change_")) < tol


def _changes(before, after):
    """How far each block of parameters moved in one iteration, as named in the estimator's documentation of ``tol``."""
    return {
        "change_metagenes": float(0.5 * np.abs(after.metagenes - before.metagenes).sum(axis=0).mean()),
        "change_affinity": float(np.abs(after.affinity - before.affinity).max()
                                 / max(1.0, np.abs(after.affinity).max())),
        "change_noise": float(abs(after.noise - before.noise) / after.noise),
    }
