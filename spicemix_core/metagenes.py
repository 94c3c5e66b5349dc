r"""The metagene and noise steps: lines 4 and 11 of Algorithm 1 for :math:`M` and :math:`\sigma_y`.

Given the latent states, the metagenes solve (paper eq. 10-12; book ``eq-metagenes``)

.. math:: \min_M \|Y - X M^\top\|_F^2 \quad\text{with every column of } M \text{ on the simplex},

which needs the data only through :math:`X^\top X` (K, K) and :math:`Y^\top X` (G, K), sums over cells. With the other
columns fixed, the best column is a projection onto the simplex. The sweeps over the columns stop when the duality gap,
a bound on the distance to the optimum, is small. The gap costs almost as much as a sweep, and a sweep reduces it less
than tenfold, so it is not computed after every sweep.

Deviation from the paper's code: the paper's code passes the whole G x K program to Gurobi.
"""

import math

import numpy as np

from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.simplex import project_in_place

MAX_SWEEPS = 1000
TOL = 1e-5
LEAST_NOISE = 1e-4  # times the root mean square of Y; a smaller residual would be mostly rounding


@njit(nogil=True, error_model="numpy")
def _sweep(metagenes, gram, cross):
    """Minimise exactly over one metagene (a row here) after the other, in place."""
    K, G = metagenes.shape
    target = np.empty(G)
    for k in range(K):
        if gram[k, k] <= 0.0:  # no cell uses this metagene: the objective does not depend on it
            continue
        for g in range(G):
            target[g] = cross[k, g]
        for l in range(K):
            if l != k and gram[k, l] != 0.0:
                weight = gram[k, l]
                for g in range(G):
                    target[g] -= weight * metagenes[l, g]
        for g in range(G):
            target[g] /= gram[k, k]
        project_in_place(target)
        for g in range(G):
            metagenes[k, g] = target[g]


@njit(nogil=True, error_model="numpy")
def _gap_and_residual(metagenes, gram, cross, sum_of_squares):
    """Frank-Wolfe gap and squared residual of metagenes in rows, in one pass without a temporary array."""
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


def _in_rows(metagenes):
    return np.ascontiguousarray(metagenes.T)


def update_metagenes(metagenes: np.ndarray, gram: np.ndarray, cross: np.ndarray, *, sum_of_squares: float,
                     tol: float = TOL) -> np.ndarray:
    r"""Minimise :math:`\tfrac12\|Y - X M^\top\|_F^2` over metagenes on the simplex (book ``eq-metagenes``).

    Parameters
    ----------
    metagenes : array, shape (G, K)
        Start; columns sum to one.
    gram : array, shape (K, K)
        :math:`X^\top X`.
    cross : array, shape (G, K)
        :math:`Y^\top X`.
    sum_of_squares : float
        :math:`\|Y\|_F^2`, which sets the scale of the residual.
    tol : float
        The sweeps stop when the duality gap is below ``tol`` times half the squared residual.

    Returns
    -------
    array, shape (G, K)

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> Y, X, start = np.array([[1.0, 0.0], [0.0, 2.0]]), np.diag([1.0, 2.0]), np.full((2, 2), 0.5)
    >>> steps.update_metagenes(start, X.T @ X, Y.T @ X, sum_of_squares=(Y**2).sum())
    array([[1., 0.],
           [0., 1.]])
    """
    rows, target = np.array(metagenes.T, order="C"), _in_rows(cross)
    n_sweeps, ahead = 0, 1
    while ahead and n_sweeps < MAX_SWEEPS:
        for _ in range(ahead):
            _sweep(rows, gram, target)
        n_sweeps += ahead
        gap, residual = _gap_and_residual(rows, gram, target, sum_of_squares)
        limit = 0.5 * tol * _resolved(residual, sum_of_squares)
        ahead = math.ceil(math.log10(gap / limit)) if gap > limit else 0
    return _in_rows(rows)


def gap_and_residual(metagenes: np.ndarray, gram: np.ndarray, cross: np.ndarray,
                     sum_of_squares: float) -> tuple[float, float]:
    r"""Duality gap of the metagenes, and :math:`\|Y - X M^\top\|_F^2`, never below what rounding can resolve."""
    gap, residual = _gap_and_residual(_in_rows(metagenes), gram, _in_rows(cross), sum_of_squares)
    return gap, _resolved(residual, sum_of_squares)


def _resolved(residual, sum_of_squares):
    return max(residual, np.finfo(float).eps * sum_of_squares, np.finfo(float).tiny)


def update_noise(metagenes: np.ndarray, gram: np.ndarray, cross: np.ndarray, *, sum_of_squares: float,
                 n_entries: int) -> float:
    r"""Maximum-likelihood noise :math:`\sigma_y = \|Y - X M^\top\|_F / \sqrt{n}` (book ``eq-metagenes``).

    Parameters
    ----------
    metagenes, gram, cross, sum_of_squares
        As for :func:`update_metagenes`.
    n_entries : int
        n, the number of entries of Y.

    Returns
    -------
    float
        At least :func:`least_noise`.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> Y, X, M = np.array([[1.0, 3.0]]), np.array([[2.0]]), np.array([[0.5], [0.5]])
    >>> print(round(steps.update_noise(M, X.T @ X, Y.T @ X, sum_of_squares=(Y**2).sum(), n_entries=2), 4))
    1.4142
    """
    residual = gap_and_residual(metagenes, gram, cross, sum_of_squares)[1]
    return max(np.sqrt(residual / n_entries), least_noise(sum_of_squares, n_entries))


def least_noise(sum_of_squares: float, n_entries: int) -> float:
    """Lower limit of the noise, for expression that the model reproduces exactly."""
    return LEAST_NOISE * np.sqrt(sum_of_squares / n_entries)
