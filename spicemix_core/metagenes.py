r"""The metagene and noise steps: lines 4 and 11 of Algorithm 1 for :math:`M` and :math:`\sigma_y`.

Given the latent states, the metagenes solve (paper eq. 10-12; book ``eq-metagenes``)

.. math:: \min_M \|Y - X M^\top\|_F^2 \quad\text{with every column of } M \text{ on the simplex},

which needs the data only through :math:`X^\top X` (K, K) and :math:`Y^\top X` (G, K), sums over samples. With the
other columns fixed, the best column is exactly a projection onto the simplex; the sweeps over columns stop on the
duality gap, a bound on the distance to the optimum.

Deviation from the paper's code: that hands the whole G x K program to Gurobi.
"""

import numpy as np
from numba import njit

from spicemix_core.numerics.simplex import project_in_place

MAX_SWEEPS = 1000


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(metagenes, gram, cross):
    """Minimise exactly over one metagene (a row here) after the other, in place."""
    K, G = metagenes.shape
    target = np.empty(G)
    for k in range(K):
        if gram[k, k] <= 0.0:  # no cell uses this metagene: the objective does not depend on it
            continue
        target[:] = cross[k]
        for l in range(K):
            if l != k and gram[k, l] != 0.0:
                weight = gram[k, l]
                for g in range(G):
                    target[g] -= weight * metagenes[l, g]
        target /= gram[k, k]
        project_in_place(target)
        metagenes[k] = target


@njit(cache=True, nogil=True, error_model="numpy")
def _gap_and_residual(metagenes, gram, cross, sum_of_squares):
    """:func:`duality_gap` and :func:`squared_residual` of metagenes in rows, in one pass without a temporary array."""
    K, G = metagenes.shape
    gradient = np.empty(G)
    descent, linear, lowest = 0.0, 0.0, 0.0
    for k in range(K):
        for g in range(G):
            gradient[g] = -cross[k, g]
        for l in range(K):
            weight = gram[k, l]
            for g in range(G):
                gradient[g] += weight * metagenes[l, g]
        lowest += gradient.min()
        descent += np.dot(gradient, metagenes[k])
        linear += np.dot(cross[k], metagenes[k])
    return descent - lowest, sum_of_squares + descent - linear


def duality_gap(metagenes, gram, cross):
    """How much :math:`\\tfrac12\\|Y - X M^\\top\\|^2` can still fall, at most (Frank-Wolfe gap)."""
    return _gap_and_residual(_in_rows(metagenes), gram, _in_rows(cross), 0.0)[0]


def _in_rows(metagenes):
    return np.ascontiguousarray(metagenes.T)


def update_metagenes(metagenes, gram, cross, *, sum_of_squares, tol=1e-7):
    r"""Minimise :math:`\tfrac12\|Y - X M^\top\|_F^2` over metagenes on the simplex.

    Parameters
    ----------
    metagenes : array, shape (G, K)
        Start; columns sum to one.
    gram : array, shape (K, K)
        :math:`X^\top X`.
    cross : array, shape (G, K)
        :math:`Y^\top X`.
    sum_of_squares : float
        :math:`\|Y\|_F^2`, sets the scale of the residual.
    tol : float
        Stop when the duality gap is below ``tol`` times half the squared residual.

    Returns
    -------
    array, shape (G, K)
    """
    rows, target = _in_rows(metagenes), _in_rows(cross)
    for _ in range(MAX_SWEEPS):
        _sweep(rows, gram, target)
        gap, residual = _gap_and_residual(rows, gram, target, sum_of_squares)
        if gap <= 0.5 * tol * _resolved(residual, sum_of_squares):
            break
    return _in_rows(rows)


def squared_residual(metagenes, gram, cross, sum_of_squares):
    r""":math:`\|Y - X M^\top\|_F^2` from sums alone, never below what rounding can resolve."""
    residual = _gap_and_residual(_in_rows(metagenes), gram, _in_rows(cross), sum_of_squares)[1]
    return _resolved(residual, sum_of_squares)


def _resolved(residual, sum_of_squares):
    return max(residual, np.finfo(float).eps * sum_of_squares)


def update_noise(metagenes, gram, cross, *, sum_of_squares, n_entries):
    r"""Maximum-likelihood noise :math:`\sigma_y = \|Y - X M^\top\|_F / \sqrt{n}`, n entries (Algorithm 1, line 7)."""
    return np.sqrt(squared_residual(metagenes, gram, cross, sum_of_squares) / n_entries)
