r"""The affinity step: line 11 of Algorithm 1 for :math:`S = \Sigma_x^{-1}`.

With the proportions z fixed, :math:`\nu_i = \sum_{j \in N(i)} z_j` and m directed edges, the pseudo-likelihood with
the mean-field partition function (paper eq. 6, 7 and 12; book ``eq-affinity``) gives the convex objective

.. math:: f(S) = \frac1m \sum_i \bigl[ z_i^\top S \nu_i + \log I(S \nu_i) \bigr]
          + \frac{\lambda_\Sigma}{2} \|S\|_F^2

over symmetric S, minimised here by Newton's method: the gradient holds the difference between the observed
proportions and their mean under the model, the Hessian the model's covariances, both exact. A negative entry of S is
an attraction.

Deviation from the paper's code: that takes stochastic Adam steps and stops early, which leaves S small; here S is
the optimum, and :math:`\lambda_\Sigma` alone sets its size.
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


def _derivatives(affinity, proportions, neighbor_sums, n_directed_edges, penalty):
    """Gradient (P,) and Hessian (P, P) of f in the P = K(K+1)/2 entries of the upper triangle."""
    K = len(affinity)
    rows, columns = np.triu_indices(K)
    gradient = np.zeros((K, K))
    outer = np.zeros((rows.size, rows.size))  # sum over cells of Cov[a, c] nu[b] nu[d], pairs packed
    for start in range(0, len(neighbor_sums), _CHUNK):
        nu = neighbor_sums[start : start + _CHUNK]
        _, mean, second = simplex_moments(nu @ affinity, order=2)
        gradient += (proportions[start : start + _CHUNK] - mean).T @ nu
        covariance = second[:, rows, columns] - mean[:, rows] * mean[:, columns]
        outer += covariance.T @ (nu[:, rows] * nu[:, columns])
    gradient = (gradient + gradient.T) / n_directed_edges + 2.0 * penalty * affinity
    off_diagonal = rows != columns
    multiplicity = np.where(off_diagonal, 1.0, 0.5)

    packed = np.empty((K, K), dtype=int)
    packed[rows, columns] = packed[columns, rows] = np.arange(rows.size)
    a, b, c, d = rows[:, None], columns[:, None], rows[None, :], columns[None, :]
    hessian = (
        outer[packed[a, c], packed[b, d]]
        + outer[packed[a, d], packed[b, c]]
        + outer[packed[b, c], packed[a, d]]
        + outer[packed[b, d], packed[a, c]]
    )
    hessian *= multiplicity[:, None] * multiplicity[None, :] / n_directed_edges
    hessian[np.diag_indices(rows.size)] += penalty * np.where(off_diagonal, 2.0, 1.0)
    return gradient[rows, columns] * multiplicity, hessian


def update_affinity(affinity, proportions, neighbor_sums, n_directed_edges, *, penalty, tol=1e-10):
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
    affinity : array, shape (K, K)
    objective : float
        f at the result.
    """
    rows, columns = np.triu_indices(len(affinity))
    arguments = proportions, neighbor_sums, n_directed_edges, penalty
    objective = affinity_objective(affinity, *arguments)
    for _ in range(MAX_NEWTON_STEPS):
        gradient, hessian = _derivatives(affinity, *arguments)
        step = -scipy.linalg.solve(hessian, gradient, assume_a="pos")
        decrement = -gradient @ step
        direction = np.zeros_like(affinity)
        direction[rows, columns] = direction[columns, rows] = step
        size = 1.0
        while True:
            candidate = affinity + size * direction
            value = affinity_objective(candidate, *arguments)
            if value <= objective - 0.1 * size * decrement or size < 1e-8:
                break
            size *= 0.5
        if value > objective:  # rounding, not the step, now decides: this is the optimum
            break
        affinity, objective = candidate, value
        if 0.5 * decrement <= tol:
            break
    return affinity, objective
