r"""The simplex :math:`\{z \ge 0, \sum_k z_k = 1\}`: projection onto it, and small quadratic programs over it.

The quadratic programs of the state step (paper eq. 9) are solved exactly by a primal active-set method: minimise on
the free coordinates, stop at the first bound that blocks, release the coordinate with the most negative multiplier.
A warm start at the previous solution usually costs one Cholesky factorisation. The same routine without the sum
constraint is non-negative least squares.

Deviation from the paper's code: that calls Gurobi's barrier method (accurate to about 1e-4 in z) for each cell.
"""

import numpy as np
from numba import njit

_RELEASE = 1e-11  # multipliers above minus this, relative to the scale of the gradient, count as zero


@njit(cache=True)
def _solve_free(Q, c, free, n_free, on_simplex, L, u, v):
    """Minimise over the coordinates ``free[:n_free]`` without bounds; the solution is left in ``u``.

    A pivot that rounding has made too small (linearly dependent metagenes) is lifted, which picks one of the ties.
    """
    top = 0.0
    for i in range(n_free):
        top = max(top, Q[free[i], free[i]])
    for i in range(n_free):
        for j in range(i + 1):
            t = Q[free[i], free[j]]
            for k in range(j):
                t -= L[i, k] * L[j, k]
            L[i, j] = np.sqrt(max(t, 1e-12 * top + 1e-300)) if i == j else t / L[j, j]
    for i in range(n_free):
        s, t = c[free[i]], 1.0
        for k in range(i):
            s -= L[i, k] * u[k]
            t -= L[i, k] * v[k]
        u[i] = s / L[i, i]
        v[i] = t / L[i, i]
    for i in range(n_free - 1, -1, -1):
        s, t = u[i], v[i]
        for k in range(i + 1, n_free):
            s -= L[k, i] * u[k]
            t -= L[k, i] * v[k]
        u[i] = s / L[i, i]
        v[i] = t / L[i, i]
    if on_simplex:
        multiplier = (u[:n_free].sum() - 1.0) / v[:n_free].sum()
        for i in range(n_free):
            u[i] -= multiplier * v[i]


@njit(cache=True)
def _active_set(Q, c, z, on_simplex, free, L, u, v, gradient):
    """Minimise ``z'Qz/2 - c'z`` over z >= 0, and sum(z) = 1 if ``on_simplex``, starting from the feasible ``z``.

    Works in place; the last five arguments are work space. Returns the number of factorisations.
    """
    K = c.size
    n_free = 0
    for k in range(K):
        if z[k] > 0.0:
            free[n_free] = k
            n_free += 1
    count = 0
    while count < 20 * K + 20:
        if n_free > 0:
            _solve_free(Q, c, free, n_free, on_simplex, L, u, v)
            count += 1
            step = 1.0
            for i in range(n_free):
                if u[i] < 0.0:
                    step = min(step, z[free[i]] / (z[free[i]] - u[i]))
            kept = 0
            for i in range(n_free):
                k = free[i]
                moved = z[k] + step * (u[i] - z[k]) if step < 1.0 else u[i]
                if step < 1.0 and u[i] < 0.0 and moved <= 1e-15:
                    z[k] = 0.0
                    continue
                z[k] = max(moved, 0.0)
                free[kept] = k
                kept += 1
            blocked = kept < n_free
            n_free = kept
            if blocked:
                continue
        scale = 0.0
        level = 0.0
        for k in range(K):
            g = -c[k]
            for j in range(n_free):
                g += Q[k, free[j]] * z[free[j]]
            gradient[k] = g
            scale = max(scale, abs(c[k]))
        if on_simplex:
            for j in range(n_free):
                level += gradient[free[j]] * z[free[j]]
        worst, entering = -_RELEASE * (scale + abs(level)), -1
        for k in range(K):
            if z[k] == 0.0 and gradient[k] - level < worst:
                is_free = False
                for j in range(n_free):
                    is_free = is_free or free[j] == k
                if not is_free:
                    worst, entering = gradient[k] - level, k
        if entering < 0:
            break
        free[n_free] = entering
        n_free += 1
    return count


@njit(cache=True)
def _work_space(K):
    return np.empty(K, np.int64), np.empty((K, K)), np.empty(K), np.empty(K), np.empty(K)


@njit(cache=True)
def _solve_rows(Q, C, Z, on_simplex):
    free, L, u, v, gradient = _work_space(Q.shape[0])
    for i in range(C.shape[0]):
        _active_set(Q, C[i], Z[i], on_simplex, free, L, u, v, gradient)


def solve_simplex_qp(Q, C, start=None):
    r"""Minimise :math:`\tfrac12 z^\top Q z - c^\top z` over the simplex, for each row c of ``C``.

    Parameters
    ----------
    Q : array, shape (K, K)
        Symmetric positive semi-definite, shared by all rows.
    C : array, shape (N, K)
    start : array, shape (N, K), optional
        Feasible starting points; the uniform distribution by default.

    Returns
    -------
    array, shape (N, K)
        Exact minimisers up to rounding; zeros are exact.
    """
    C = np.ascontiguousarray(C, dtype=float)
    Z = np.full(C.shape, 1.0 / C.shape[1]) if start is None else np.array(start, dtype=float, order="C")
    _solve_rows(np.ascontiguousarray(Q, dtype=float), C, Z, True)
    return Z


def nonnegative_least_squares(Q, C, start=None):
    r"""Minimise :math:`\tfrac12 x^\top Q x - c^\top x` over :math:`x \ge 0`, for each row c of ``C``.

    With :math:`Q = M^\top M` and :math:`c = M^\top y` this is non-negative least squares (line 3 of Algorithm 1).
    Parameters and result as in :func:`solve_simplex_qp`; the default start is zero.
    """
    C = np.ascontiguousarray(C, dtype=float)
    X = np.zeros(C.shape) if start is None else np.array(start, dtype=float, order="C")
    _solve_rows(np.ascontiguousarray(Q, dtype=float), C, X, False)
    return X


@njit(cache=True)
def _project(v):
    """Project ``v`` onto the simplex in place: Newton's method on the threshold, finite and free of sorting.

    The threshold t solves sum(max(v - t, 0)) = 1; each step is exact on the current support, which only shrinks. The
    largest entry is moved to zero first, so that wide spreads lose no digits.
    Source: C. Michelot, J. Optim. Theory Appl. 50, 195-200 (1986).
    """
    v -= v.max()
    threshold = -1.0
    count = v.size + 1
    while True:
        total, support = 0.0, 0
        for x in v:
            if x > threshold:
                total += x
                support += 1
        if support >= count:
            break
        count = support
        threshold = (total - 1.0) / support
    for i in range(v.size):
        v[i] = max(v[i] - threshold, 0.0)


def project_to_simplex(v):
    """Nearest point of the simplex to each row of ``v``, shape (N, K) or (K,), in Euclidean distance."""
    rows = np.array(np.atleast_2d(v), dtype=float, order="C")
    if not np.isfinite(rows).all():
        raise ValueError("v has NaN or infinite entries, which have no nearest point on the simplex; remove them")
    for row in rows:
        _project(row)
    return rows.reshape(np.shape(v))
