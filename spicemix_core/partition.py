r"""The partition function of one cell: an exponential integrated over the simplex, exactly.

Given its neighbours, the proportions of a cell have density proportional to :math:`\exp(-\eta^\top z)` on the
simplex (pseudo-likelihood with mean field, paper eq. 7 and 12; book ``eq-simplex-integral``):

.. math:: I(\eta) = \int_{\{z \ge 0,\; \sum_k z_k = 1\}} e^{-\eta^\top z}\,dz .

The textbook sum :math:`\sum_k e^{-\eta_k} / \prod_{j \ne k} (\eta_j - \eta_k)` cancels catastrophically. With
:math:`a_k = \max(\eta) - \eta_k \ge 0` and :math:`h_n` the complete homogeneous symmetric polynomials,

.. math:: I(\eta) = e^{-\max \eta} \sum_{n \ge 0} \frac{h_n(a)}{(n + K - 1)!}

has no negative term, so nothing cancels and ties need no care. Moments of the density are the same series with
repeated nodes, since :math:`\partial h_{n+1}(a) / \partial a_k = h_n(a, a_k)`.

Deviation from the paper's code: that truncates a Taylor series in the log domain, and its successor clips the
textbook sum at 1e-15; this module does neither.
"""

import math

import numpy as np
from numba import njit

_BIG = 1e200


@njit(cache=True)
def _simplex_series(eta, order, mean, second):
    """Return ``log I(eta)``; fill ``mean`` (K,) when ``order >= 1``, ``second`` (K, K) when ``order == 2``.

    With r = max(a), the term of degree n is at most r / (n + 1) times the one before: beyond n = r the remainder is
    bounded by a geometric series, which gives the stopping rule.
    """
    K = eta.size
    top = eta.max()
    r = top - eta.min()
    a = (top - eta) / r if r > 0.0 else np.zeros(K)
    partial = np.zeros(K)  # h_n(a_1..a_k), divided by r^n
    once = np.zeros(K)  # h_n(a, a_k)
    twice = np.zeros((K, K))  # h_n(a, a_k, a_l)
    mean[:] = 0.0
    second[:] = 0.0
    total = 0.0
    weight = 1.0  # r^n (K - 1)! / (n + K - 1)!
    log_scale = -math.lgamma(K)
    n = 0
    while True:
        h = 1.0 if n == 0 else 0.0
        for k in range(K):
            h += a[k] * partial[k]
            partial[k] = h
        term = weight * h
        total += term
        if order >= 1:
            w1 = weight / (n + K)
            for k in range(K):
                once[k] = h + a[k] * once[k]
                mean[k] += w1 * once[k]
        if order == 2:
            w2 = weight / ((n + K) * (n + K + 1.0))
            for k in range(K):
                for l in range(k, K):
                    twice[k, l] = once[k] + a[l] * twice[k, l]
                    second[k, l] += w2 * twice[k, l]
        ratio = r / (n + 1.0)
        if ratio < 0.9 and term * ratio <= 1e-17 * (1.0 - ratio) * total:
            break
        if total > _BIG:
            total /= _BIG
            mean /= _BIG
            second /= _BIG
            weight /= _BIG
            log_scale += math.log(_BIG)
        weight *= r / (n + K)
        n += 1
    if order >= 1:
        mean /= total
    if order == 2:
        second /= total
        for k in range(K):
            second[k, k] *= 2.0
            for l in range(k):
                second[k, l] = second[l, k]
    return math.log(total) + log_scale - top


@njit(cache=True)
def _batch(eta, order):
    N, K = eta.shape
    log_integral = np.empty(N)
    mean = np.zeros((N if order >= 1 else 1, K))
    second = np.zeros((N if order == 2 else 1, K, K))
    for i in range(N):
        log_integral[i] = _simplex_series(
            eta[i], order, mean[i if order >= 1 else 0], second[i if order == 2 else 0]
        )
    return log_integral, mean, second


def _as_rows(eta):
    eta = np.asarray(eta, dtype=float)
    if eta.ndim not in (1, 2) or eta.shape[-1] == 0:
        raise ValueError(f"eta must have shape (K,) or (N, K) with K >= 1, not {eta.shape}; pass one row per cell")
    if not np.isfinite(eta).all():
        raise ValueError("eta has NaN or infinite entries; the integral is defined for finite eta only")
    return np.ascontiguousarray(np.atleast_2d(eta))


def log_simplex_integral(eta):
    r"""Logarithm of :math:`I(\eta) = \int_{\mathrm{simplex}} e^{-\eta^\top z} dz`.

    Parameters
    ----------
    eta : array, shape (K,) or (N, K)
        Fields :math:`\eta_i = S \sum_{j \in N(i)} z_j`, dimensionless.

    Returns
    -------
    float or array, shape (N,)
        Measured over the first K - 1 coordinates, so that :math:`I(0) = 1 / (K - 1)!`. The relative error of the
        integral is below 1e-12 for K up to 60 and spreads of eta up to 1,000.

    Raises
    ------
    ValueError
        If ``eta`` is not one or two dimensional, is empty, or is not finite.
    """
    log_integral = _batch(_as_rows(eta), 0)[0]
    return log_integral if np.ndim(eta) == 2 else float(log_integral[0])


def simplex_moments(eta, order=1):
    r"""Moments of the density proportional to :math:`e^{-\eta^\top z}` on the simplex.

    They are the derivatives of the integral: :math:`\partial \log I / \partial \eta = -E[z]` and
    :math:`\partial^2 \log I / \partial \eta\, \partial \eta^\top = \mathrm{Cov}(z)`.

    Parameters
    ----------
    eta : array, shape (N, K)
    order : {1, 2}

    Returns
    -------
    log_integral : array, shape (N,)
    mean : array, shape (N, K)
        :math:`E[z_k]`.
    second : array, shape (N, K, K)
        :math:`E[z_k z_l]`; only when ``order`` is 2.

    Raises
    ------
    ValueError
        As :func:`log_simplex_integral`, or if ``order`` is neither 1 nor 2.
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, not {order!r}")
    log_integral, mean, second = _batch(_as_rows(eta), order)
    return (log_integral, mean) if order == 1 else (log_integral, mean, second)
