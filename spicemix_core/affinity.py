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

from spicemix_core.partition import log_simplex_integral, simplex_moments

MAX_NEWTON_STEPS = 100
SUBSET = 8192  # cells of the warm-up, and of the Hessian


def affinity_objective(affinity, proportions, neighbor_sums, n_directed_edges, penalty):
    """Value of f(S); see the module's docstring for the symbols."""
    fields = neighbor_sums @ affinity
    pair = (proportions * fields).sum()
    return (pair + log_simplex_integral(fields).sum()) / n_directed_edges + 0.5 * penalty * (affinity**2).sum()


def _value_and_gradient(affinity, proportions, neighbor_sums, n_directed_edges, penalty):
    """f and its gradient in the P = K(K+1)/2 entries of the upper triangle."""
    fields = neighbor_sums @ affinity
    log_integral, mean = simplex_moments(fields)
    value = ((proportions * fields).sum() + log_integral.sum()) / n_directed_edges
    excess = (proportions - mean).T @ neighbor_sums / n_directed_edges
    return add_penalty(value, excess, affinity, penalty)


def add_penalty(value, excess, affinity, penalty):
    """f and its gradient in the upper triangle, from their parts without the penalty; ``excess`` is df/dS."""
    gradient = excess + excess.T + 2.0 * penalty * affinity
    gradient[np.diag_indices_from(gradient)] *= 0.5
    return value + 0.5 * penalty * (affinity**2).sum(), gradient[np.triu_indices(len(affinity))]


def _hessian(affinity, neighbor_sums, n_directed_edges, penalty):
    """Second derivatives of f, (P, P): sums over cells of Cov(z)[a, c] nu[b] nu[d], symmetrised over both pairs."""
    K = len(affinity)
    rows, columns = np.triu_indices(K)
    _, mean, second = simplex_moments(neighbor_sums @ affinity, order=2)
    covariance = second[:, rows, columns] - mean[:, rows] * mean[:, columns]
    packed = covariance.T @ (neighbor_sums[:, rows] * neighbor_sums[:, columns])
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

    With more than twice ``SUBSET`` cells, the minimum over evenly spaced ``SUBSET`` of them is the start, and their
    Hessian stands for that of all: it decides how many steps are taken, not where they end. Value and gradient are
    always those of all cells.

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
    spacing = max(1, len(proportions) // SUBSET)
    subset = proportions[::spacing], neighbor_sums[::spacing], n_directed_edges / spacing, penalty
    if spacing > 1:
        affinity = newton(affinity, lambda S: _value_and_gradient(S, *subset), subset, tol=1e-6)
    all_cells = proportions, neighbor_sums, n_directed_edges, penalty
    return newton(affinity, lambda S: _value_and_gradient(S, *all_cells), subset, tol=tol)


def newton(affinity, value_and_gradient, subset, *, tol):
    """Newton's method on f, given by ``value_and_gradient(S)``, with the Hessian of the cells of ``subset``.

    The Hessian costs several times a gradient and hardly changes near the optimum: it is made anew only when a step
    with the old one has reduced the Newton decrement less than tenfold. ``subset`` holds the arguments of
    :func:`affinity_objective` after the first.
    """
    rows, columns = np.triu_indices(len(affinity))
    objective, gradient = value_and_gradient(affinity)
    factor, previous = None, np.inf
    for _ in range(MAX_NEWTON_STEPS):
        if factor is None:
            factor = scipy.linalg.cho_factor(_hessian(affinity, *subset[1:]))
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
