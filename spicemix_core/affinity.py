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
_CHUNK = 8192  # cells whose second moments are held at one time


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
    gradient = (proportions - mean).T @ neighbor_sums / n_directed_edges
    gradient = gradient + gradient.T + 2.0 * penalty * affinity
    gradient[np.diag_indices_from(gradient)] *= 0.5
    return value + 0.5 * penalty * (affinity**2).sum(), gradient[np.triu_indices(len(affinity))]


def _hessian(affinity, neighbor_sums, n_directed_edges, penalty):
    """Second derivatives of f, (P, P): sums over cells of Cov(z)[a, c] nu[b] nu[d], symmetrised over both pairs."""
    K = len(affinity)
    rows, columns = np.triu_indices(K)
    packed = np.zeros((rows.size, rows.size))
    for start in range(0, len(neighbor_sums), _CHUNK):
        nu = neighbor_sums[start : start + _CHUNK]
        _, mean, second = simplex_moments(nu @ affinity, order=2)
        covariance = second[:, rows, columns] - mean[:, rows] * mean[:, columns]
        packed += covariance.T @ (nu[:, rows] * nu[:, columns])
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

    The Hessian costs several times a gradient and hardly changes near the optimum: it is made anew only when a step
    with the old one has reduced the Newton decrement less than tenfold.

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
    rows, columns = np.triu_indices(len(affinity))
    arguments = proportions, neighbor_sums, n_directed_edges, penalty
    objective, gradient = _value_and_gradient(affinity, *arguments)
    factor, previous = None, np.inf
    for _ in range(MAX_NEWTON_STEPS):
        if factor is None:
            factor = scipy.linalg.cho_factor(_hessian(affinity, *arguments[1:]))
        step = -scipy.linalg.cho_solve(factor, gradient)
        decrement = -gradient @ step
        if 0.5 * decrement <= tol:
            break
        direction = np.zeros_like(affinity)
        direction[rows, columns] = direction[columns, rows] = step
        size, value = 1.0, np.inf
        while value > objective - 0.1 * size * decrement and size > 1e-8:
            candidate = affinity + size * direction
            value, candidate_gradient = _value_and_gradient(candidate, *arguments)
            size *= 0.5
        if value > objective:  # rounding, not the step, now decides: this is the optimum
            break
        affinity, objective, gradient = candidate, value, candidate_gradient
        if decrement > 0.1 * previous or size < 0.5:
            factor = None
        previous = decrement
    return affinity
