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

from spicemix_core.simplex import _project

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
        _project(target)
        metagenes[k] = target


def duality_gap(metagenes, gram, cross):
    """How much :math:`\\tfrac12\\|Y - X M^\\top\\|^2` can still fall, at most (Frank-Wolfe gap)."""
    gradient = gram @ metagenes.T - cross.T
    return float((gradient * metagenes.T).sum() - gradient.min(axis=1).sum())


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
    rows, target = np.ascontiguousarray(metagenes.T), np.ascontiguousarray(cross.T)
    for _ in range(MAX_SWEEPS):
        _sweep(rows, gram, target)
        residual = squared_residual(rows.T, gram, target.T, sum_of_squares)
        if duality_gap(rows.T, gram, target.T) <= 0.5 * tol * residual:
            break
    return np.ascontiguousarray(rows.T)


def squared_residual(metagenes, gram, cross, sum_of_squares):
    r""":math:`\|Y - X M^\top\|_F^2` from sums alone, never below what rounding can resolve."""
    residual = sum_of_squares - 2.0 * (metagenes * cross).sum() + ((metagenes.T @ metagenes) * gram).sum()
    return max(float(residual), np.finfo(float).eps * sum_of_squares)


def update_noise(metagenes, gram, cross, *, sum_of_squares, n_entries):
    r"""Maximum-likelihood noise :math:`\sigma_y = \|Y - X M^\top\|_F / \sqrt{n}`, n entries (Algorithm 1, line 7)."""
    return np.sqrt(squared_residual(metagenes, gram, cross, sum_of_squares) / n_entries)
