"""The record of a fit: one row of numbers per iteration."""

import time
from typing import Any

import numpy as np

from spicemix_core.cells import StateSums
from spicemix_core.objective import Theta, energy, objective
from spicemix_core.samples import Samples


class History:
    """Objective, energy, changes and times of each iteration; see ``history_`` of :class:`spicemix_core.SpiceMix`.

    Parameters
    ----------
    options : spicemix_core.algorithm.Options
        Its ``state_penalty`` is part of the objective.
    samples : Samples
    rows : list of dict, optional
        Rows of earlier iterations. The attribute ``rows`` grows by one row per iteration.

    Examples
    --------
    >>> from spicemix_core import inputs, steps
    >>> samples = inputs.check_samples([[[1.0, 2.0], [2.0, 1.0]]], None, 2)
    >>> steps.History(steps.Options(n_metagenes=2), samples).rows
    []
    """

    def __init__(self, options: Any, samples: Samples, rows: list[dict] | None = None) -> None:
        self.rows = [] if rows is None else rows
        self._samples, self._state_penalty = samples, options.state_penalty

    def start(self) -> None:
        """Start the clock of an iteration."""
        self._last, self._seconds = time.perf_counter(), {}

    def lap(self, step: str) -> None:
        """Record the time since the last call as that of ``step``."""
        now = time.perf_counter()
        self._last, self._seconds[f"seconds_{step}"] = now, now - self._last

    def add(self, before: Theta, after: Theta, sums: StateSums, pseudo_likelihood: float) -> None:
        """Append the row of an iteration.

        Parameters
        ----------
        before, after : Theta
            Parameters at the start and at the end of the iteration.
        sums : StateSums
        pseudo_likelihood : float
            :meth:`spicemix_core.affinity.AffinityProblem.value` of the new affinity.
        """
        samples = self._samples
        row = objective(after, sums, pseudo_likelihood, samples, self._state_penalty) | {
            "noise": after.noise,
            "energy": energy(after, before.affinity, sums, samples, self._state_penalty),
            "n_sweeps": sums.n_sweeps,
        }
        self.rows.append(row | self._seconds | {
            "change_states": 0.5 * (sums.moved / samples.n_cells),
            "change_metagenes": float(0.5 * np.abs(after.metagenes - before.metagenes).sum(axis=0).mean()),
            "change_affinity": float(np.abs(after.affinity - before.affinity).max()
                                     / max(1.0, np.abs(after.affinity).max())),
            "change_noise": float(abs(after.noise - before.noise) / after.noise),
        })

    def has_converged(self, tol: float) -> bool:
        """Whether every change of the last iteration is below ``tol``."""
        return max(change for name, change in self.rows[-1].items() if name.startswith("change_")) < tol
