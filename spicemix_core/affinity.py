r"""The affinity step: line 11 of Algorithm 1 for :math:`S = \Sigma_x^{-1}`.

With the proportions :math:`z_i` fixed, :math:`\nu_i = \sum_{j \in N(i)} z_j` and :math:`|\vec E|` directed edges, the
pseudo-likelihood with the mean-field partition function (paper eq. 6, 7 and 12; book ``eq-affinity-prior``,
``eq-pseudo-likelihood`` and ``eq-affinity``) gives the convex objective

.. math:: f(S) = \frac{1}{|\vec E|} \sum_i \bigl[ z_i^\top S \nu_i + \log I(S \nu_i) \bigr]
          + \frac{\lambda_\Sigma}{2} \|S\|_F^2

over symmetric S. Newton's method minimises it: the gradient contains the difference between the observed proportions
and their mean under the model, the Hessian the covariances under the model; both are exact. A negative entry of S is an
attraction.

Deviation from the paper's code: the paper's code takes stochastic Adam steps and stops early, which leaves S small.
Here S is the optimum. Its size is set by :math:`\lambda_\Sigma` and by the number of iterations in which it is
estimated (``affinity_iterations`` of the estimator).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from spicemix_core.cells import Cells
from spicemix_core.partition_function import log_simplex_integral, simplex_moments

MAX_NEWTON_STEPS = 100
LEAST, SUBSET = 2048, 8192  # bounds of the number of cells of the warm-up and of the Hessian, an eighth of all cells


def center(affinity):
    """Affinity (array or DataFrame) without its mean, which has no effect on proportions that sum to one."""
    return affinity - np.asarray(affinity).mean()


def pseudo_likelihood_sums(affinity: np.ndarray, proportions: np.ndarray, neighbor_sums: np.ndarray,
                           order: int) -> tuple:
    r"""Negative log pseudo-likelihood of the proportions, summed over cells, and its derivatives in S.

    Parameters
    ----------
    affinity : array, shape (K, K)
    proportions, neighbor_sums : arrays, shape (N, K)
        :math:`z_i` and :math:`\nu_i` of the cells to sum over.
    order : {0, 1, 2}
        Highest derivative.

    Returns
    -------
    value : float
        :math:`\sum_i z_i^\top S \nu_i + \log I(S \nu_i)`.
    excess : array, shape (K, K)
        :math:`\sum_i (z_i - E[z_i]) \nu_i^\top`, the first derivative in the entries of S; if ``order >= 1``.
    curvature : array, shape (P, P)
        :math:`\sum_i \mathrm{Cov}(z_i)_{ac}\, \nu_{ib} \nu_{id}` for the P = K (K + 1) / 2 pairs a <= c and b <= d; if
        ``order == 2``.
    """
    if order == 0 and not affinity.any():  # without a field, all cells have the same integral
        return (len(proportions) * log_simplex_integral(affinity[0]),)
    fields = neighbor_sums @ affinity
    if order == 0:
        return (float((proportions * fields).sum() + log_simplex_integral(fields).sum()),)
    log_integral, mean, *second = simplex_moments(fields, order=order)
    value = float((proportions * fields).sum() + log_integral.sum())
    excess = (proportions - mean).T @ neighbor_sums
    if order == 1:
        return value, excess
    rows, columns = np.triu_indices(len(affinity))
    covariance = second[0][:, rows, columns] - mean[:, rows] * mean[:, columns]
    return value, excess, covariance.T @ (neighbor_sums[:, rows] * neighbor_sums[:, columns])


@dataclass(frozen=True)
class AffinityProblem:
    """The objective f(S) of the affinity step, with its derivatives in the upper triangle of S.

    Parameters
    ----------
    sums : callable
        Function of (S, order, spacing): :func:`pseudo_likelihood_sums` over every ``spacing``-th cell.
    n_cells, n_directed_edges : int
    affinity_penalty : float
        :math:`\\lambda_\\Sigma > 0`.
    spacing : int
        1 for all cells; n estimates f from every n-th cell.
    """

    sums: Callable[..., tuple]
    n_cells: int
    n_directed_edges: int
    affinity_penalty: float
    spacing: int = 1

    @classmethod
    def of_cells(cls, cells: Cells, affinity_penalty: float) -> "AffinityProblem":
        """The problem of the current states of the cells of a fit."""
        samples = cells.samples
        return cls(cells.affinity_sums, samples.n_cells, max(samples.n_directed_edges, 1), affinity_penalty)

    def value(self, affinity: np.ndarray) -> float:
        """f(S)."""
        return self._value(self.sums(affinity, 0, self.spacing)[0], affinity)

    def value_and_gradient(self, affinity: np.ndarray) -> tuple[float, np.ndarray]:
        """f(S) and its gradient, shape (P,)."""
        value, excess = self.sums(affinity, 1, self.spacing)
        excess = excess / self._n_edges
        gradient = excess + excess.T + 2.0 * self.affinity_penalty * affinity
        gradient[np.diag_indices_from(gradient)] *= 0.5
        return self._value(value, affinity), gradient[np.triu_indices(len(affinity))]

    def hessian(self, affinity: np.ndarray) -> np.ndarray:
        """Second derivatives of f, shape (P, P): the curvature, symmetrised over both pairs, and the penalty."""
        curvature = self.sums(affinity, 2, self.spacing)[2]
        K = len(affinity)
        rows, columns = np.triu_indices(K)
        pair = np.empty((K, K), dtype=int)
        pair[rows, columns] = pair[columns, rows] = np.arange(rows.size)
        a, b, c, d = rows[:, None], columns[:, None], rows[None, :], columns[None, :]
        hessian = (
            curvature[pair[a, c], pair[b, d]]
            + curvature[pair[a, d], pair[b, c]]
            + curvature[pair[b, c], pair[a, d]]
            + curvature[pair[b, d], pair[a, c]]
        )
        multiplicity = np.where(rows == columns, 0.5, 1.0)
        hessian *= np.outer(multiplicity, multiplicity) / self._n_edges
        hessian[np.diag_indices(rows.size)] += 2.0 * self.affinity_penalty * multiplicity
        return hessian

    def minimize(self, start: np.ndarray, tol: float = 1e-12) -> np.ndarray:
        """The S that minimises f, from ``start``; ``tol`` is the decrease of f at which to stop.

        With at least twice ``LEAST`` cells, the search starts at the minimum over an eighth of the cells, evenly
        spaced, at least ``LEAST`` and at most ``SUBSET``, and uses the Hessian of these cells. The Hessian affects the
        number of steps, not where they end: value and gradient are those of all cells.
        """
        spacing = max(1, self.n_cells // min(max(self.n_cells // 8, LEAST), SUBSET))
        subset = replace(self, spacing=spacing)
        if spacing > 1:
            start = _newton(subset, subset, start, tol=1e-6)
        return _newton(self, subset, start, tol=tol)

    @property
    def _n_edges(self):
        return self.n_directed_edges / self.spacing

    def _value(self, total, affinity):
        return total / self._n_edges + 0.5 * self.affinity_penalty * (affinity**2).sum()


def _newton(problem, subset, affinity, *, tol):
    """Newton's method on ``problem`` with the Hessian of ``subset`` and backtracking.

    The Hessian costs several times a gradient and hardly changes near the optimum. It is recomputed only when a step
    with the old one has reduced the Newton decrement less than tenfold.
    """
    rows, columns = np.triu_indices(len(affinity))
    value, gradient = problem.value_and_gradient(affinity)
    factor, previous = None, np.inf
    for _ in range(MAX_NEWTON_STEPS):
        if factor is None:
            factor = scipy.linalg.cho_factor(subset.hessian(affinity))
        step = -scipy.linalg.cho_solve(factor, gradient)
        decrement = -gradient @ step
        if 0.5 * decrement <= tol:
            break
        direction = np.zeros_like(affinity)
        direction[rows, columns] = direction[columns, rows] = step
        size, candidate_value = 1.0, np.inf
        while candidate_value > value - 0.1 * size * decrement and size > 1e-8:
            candidate = affinity + size * direction
            candidate_value, candidate_gradient = problem.value_and_gradient(candidate)
            size *= 0.5
        if candidate_value > value:  # the difference is rounding: this is the optimum
            break
        affinity, value, gradient = candidate, candidate_value, candidate_gradient
        if decrement > 0.1 * previous or size < 0.5:
            factor = None
        previous = decrement
    return affinity
