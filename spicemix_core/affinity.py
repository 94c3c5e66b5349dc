r"""The affinity step: line 11 of Algorithm 1 for :math:`S = \Sigma_x^{-1}`.

With the proportions z fixed, :math:`\nu_i = \sum_{j \in N(i)} z_j` and m directed edges, the pseudo-likelihood with
the mean-field partition function (paper eq. 6, 7 and 12; book ``eq-affinity``) gives the convex objective

.. math:: f(S) = \frac1m \sum_i \bigl[ z_i^\top S \nu_i + \log I(S \nu_i) \bigr]
          + \frac{\lambda_\Sigma}{2} \|S\|_F^2

over symmetric S, minimised here by Newton's method: the gradient holds the difference between the observed
proportions and their mean under the model, the Hessian the model's covariances, both exact. A negative entry of S is
an attraction.

Deviation from the paper's code: that takes stochastic Adam steps and stops early, which leaves S small; here S is
the optimum, whose size is set by :math:`\lambda_\Sigma` and by the iterations in which it is estimated
(``affinity_iterations`` of the estimator).
"""

import numpy as np
import scipy.linalg

from spicemix_core.partition_function import log_simplex_integral, simplex_moments

MAX_NEWTON_STEPS = 100
LEAST, SUBSET = 2048, 8192  # cells of the warm-up and of the Hessian: an eighth of all, within these bounds


def objective_sum(affinity, proportions, neighbor_sums):
    r""":math:`\sum_i z_i^\top S \nu_i + \log I(S \nu_i)` over the cells of the rows."""
    fields = neighbor_sums @ affinity
    return float((proportions * fields).sum() + log_simplex_integral(fields).sum())


def objective_sums(affinity, proportions, neighbor_sums):
    r""":func:`objective_sum` and its derivative in the entries of S, :math:`\sum_i (z_i - E[z_i]) \nu_i^\top`."""
    fields = neighbor_sums @ affinity
    log_integral, mean = simplex_moments(fields)
    return float((proportions * fields).sum() + log_integral.sum()), (proportions - mean).T @ neighbor_sums


def curvature_sum(affinity, neighbor_sums):
    r"""Sum over cells of :math:`\mathrm{Cov}(z)_{ac}\, \nu_b \nu_d`, (P, P) for the pairs a <= c and b <= d."""
    rows, columns = np.triu_indices(len(affinity))
    _, mean, second = simplex_moments(neighbor_sums @ affinity, order=2)
    covariance = second[:, rows, columns] - mean[:, rows] * mean[:, columns]
    return covariance.T @ (neighbor_sums[:, rows] * neighbor_sums[:, columns])


def affinity_objective(affinity, proportions, neighbor_sums, n_directed_edges, penalty):
    """Value of f(S); see the module's docstring for the symbols."""
    return objective_value(objective_sum(affinity, proportions, neighbor_sums), affinity, n_directed_edges, penalty)


def objective_value(total, affinity, n_directed_edges, penalty):
    """f(S) from the sum over cells."""
    return total / n_directed_edges + 0.5 * penalty * (affinity**2).sum()


def objective_gradient(excess, affinity, n_directed_edges, penalty):
    """Gradient of f in the P = K(K+1)/2 entries of the upper triangle, from the second of :func:`objective_sums`."""
    excess = excess / n_directed_edges
    gradient = excess + excess.T + 2.0 * penalty * affinity
    gradient[np.diag_indices_from(gradient)] *= 0.5
    return gradient[np.triu_indices(len(affinity))]


def _hessian(packed, K, n_directed_edges, penalty):
    """Second derivatives of f, (P, P): :func:`curvature_sum` symmetrised over both pairs, and the penalty."""
    rows, columns = np.triu_indices(K)
    pair = np.empty((K, K), dtype=int)
    pair[rows, columns] = pair[columns, rows] = np.arange(rows.size)
    a, b, c, d = rows[:, None], columns[:, None], rows[None, :], columns[None, :]
    hessian = (
        packed[pair[a, c], pair[b, d]]
        + packed[pair[a, d], pair[b, c]]
        + packed[pair[b, c], pair[a, d]]
        + packed[pair[b, d], pair[a, c]]
    )
    multiplicity = np.where(rows == columns, 0.5, 1.0)
    hessian *= np.outer(multiplicity, multiplicity) / n_directed_edges
    hessian[np.diag_indices(rows.size)] += 2.0 * penalty * multiplicity
    return hessian


def update_affinity(affinity, proportions, neighbor_sums, n_directed_edges, *, penalty, tol=1e-12):
    r"""Minimise the convex affinity objective over symmetric matrices, by Newton's method with backtracking.

    Parameters
    ----------
    affinity : array, shape (K, K)
        Start, for instance the previous iteration's.
    proportions : array, shape (N, K)
        :math:`z_i`, all samples.
    neighbor_sums : array, shape (N, K)
        :math:`\nu_i = \sum_{j \in N(i)} z_j`.
    n_directed_edges : int
        Sum of the degrees.
    penalty : float
        :math:`\lambda_\Sigma > 0`.
    tol : float
        Stop when the Newton decrement promises less than ``tol`` in f.

    Returns
    -------
    array, shape (K, K)
    """
    def sums(S, spacing):
        return objective_sums(S, proportions[::spacing], neighbor_sums[::spacing])

    def curvature(S, spacing):
        return curvature_sum(S, neighbor_sums[::spacing])

    return minimize(affinity, sums, curvature, len(proportions), n_directed_edges, penalty=penalty, tol=tol)


def minimize(affinity, sums, curvature, n_cells, n_directed_edges, *, penalty, tol=1e-12):
    """:func:`update_affinity` of cells that are known by sums only, wherever they are.

    With at least twice ``LEAST`` cells, the minimum over an eighth of them, evenly spaced, at least ``LEAST`` and at
    most ``SUBSET``, is the start, and their Hessian stands for that of all: it decides how many steps are taken, not
    where they end. Value and gradient are always those of all cells.

    Parameters
    ----------
    sums, curvature : functions of (S, spacing)
        :func:`objective_sums` and :func:`curvature_sum` over every so many-th of all cells.
    n_cells : int
    affinity, n_directed_edges, penalty, tol
        As :func:`update_affinity`.
    """
    spacing = max(1, n_cells // min(max(n_cells // 8, LEAST), SUBSET))

    def value_and_gradient(S, spacing=1):
        total, excess = sums(S, spacing)
        edges = n_directed_edges / spacing
        return objective_value(total, S, edges, penalty), objective_gradient(excess, S, edges, penalty)

    def hessian(S):
        return _hessian(curvature(S, spacing), len(S), n_directed_edges / spacing, penalty)

    if spacing > 1:
        affinity = _newton(affinity, lambda S: value_and_gradient(S, spacing), hessian, tol=1e-6)
    return _newton(affinity, value_and_gradient, hessian, tol=tol)


def _newton(affinity, value_and_gradient, hessian, *, tol):
    """Newton's method on f.

    The Hessian costs several times a gradient and hardly changes near the optimum: it is made anew only when a step
    with the old one has reduced the Newton decrement less than tenfold.
    """
    rows, columns = np.triu_indices(len(affinity))
    objective, gradient = value_and_gradient(affinity)
    factor, previous = None, np.inf
    for _ in range(MAX_NEWTON_STEPS):
        if factor is None:
            factor = scipy.linalg.cho_factor(hessian(affinity))
        step = -scipy.linalg.cho_solve(factor, gradient)
        decrement = -gradient @ step
        if 0.5 * decrement <= tol:
            break
        direction = np.zeros_like(affinity)
        direction[rows, columns] = direction[columns, rows] = step
        size, value = 1.0, np.inf
        while value > objective - 0.1 * size * decrement and size > 1e-8:
            candidate = affinity + size * direction
            value, candidate_gradient = value_and_gradient(candidate)
            size *= 0.5
        if value > objective:  # rounding, not the step, now decides: this is the optimum
            break
        affinity, objective, gradient = candidate, value, candidate_gradient
        if decrement > 0.1 * previous or size < 0.5:
            factor = None
        previous = decrement
    return affinity
