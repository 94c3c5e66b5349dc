r"""The simplex :math:`\{z \ge 0, \sum_k z_k = 1\}`: projection onto it, and small quadratic programs over it.

The quadratic programs of the state step (paper eq. 9) are solved exactly by a primal active-set method: minimise on
the free coordinates, stop at the first bound that blocks, release the coordinate with the most negative multiplier.
A warm start at the previous solution usually costs one elimination. The same routine without the sum
constraint is non-negative least squares.

Deviation from the paper's code: that calls Gurobi's barrier method (accurate to about 1e-4 in z) for each cell.
"""

import numpy as np
from numba import njit

from spicemix_core.numerics.threads import over_blocks

_RELEASE = 1e-11  # multipliers above minus this, relative to the scale of the gradient, count as zero


@njit(cache=True, nogil=True, error_model="numpy")
def solve_free(Q, free, n_free, system, n_sides, shift=0.0):
    """Solve ``(Q + shift) x = c`` on the coordinates ``free[:n_free]``, without bounds; all entries are shifted.

    The ``n_sides`` right sides c stand in the columns of ``system`` from ``n_free`` on; the solutions take their place.
    Elimination without pivoting (Q is positive semi-definite) along rows, which a processor does several entries at a
    time. A pivot that rounding has made too small (linearly dependent metagenes) is lifted: it picks one of the ties.
    """
    top = 0.0
    for i in range(n_free):
        for j in range(i, n_free):
            system[i, j] = Q[free[i], free[j]] + shift
        top = max(top, system[i, i])
    last = n_free + n_sides
    for i in range(n_free):
        system[i, i] = max(system[i, i], 1e-12 * top + 1e-300)
        inverse = 1.0 / system[i, i]
        for j in range(i + 1, n_free):
            factor = system[i, j] * inverse
            for k in range(j, last):
                system[j, k] -= factor * system[i, k]
    for i in range(n_free - 1, -1, -1):
        inverse = 1.0 / system[i, i]
        for side in range(n_free, last):
            x = system[i, side] * inverse
            system[i, side] = x
            for j in range(i):
                system[j, side] -= system[j, i] * x


@njit(cache=True, nogil=True, error_model="numpy")
def free_coordinates(z, free):
    """List the positive coordinates of ``z`` in ``free`` and return their number."""
    n_free = 0
    for k in range(z.size):
        if z[k] > 0.0:
            free[n_free] = k
            n_free += 1
    return n_free


@njit(cache=True, nogil=True, error_model="numpy")
def step_to_bound(z, free, n_free, target):
    """Move ``z`` towards ``target`` (on the free coordinates) until the first of them is zero, and free it no more.

    Returns the number of free coordinates that are left.
    """
    step = 1.0
    for i in range(n_free):
        if target[i] < 0.0:
            step = min(step, z[free[i]] / (z[free[i]] - target[i]))
    kept = 0
    for i in range(n_free):
        k = free[i]
        moved = z[k] + step * (target[i] - z[k])
        if target[i] < 0.0 and moved <= 1e-15:
            z[k] = 0.0
            continue
        z[k] = max(moved, 0.0)
        free[kept] = k
        kept += 1
    return kept


@njit(cache=True, nogil=True, error_model="numpy")
def entering_coordinate(z, free, n_free, gradient, scale, on_simplex):
    """The coordinate at zero with the most negative multiplier, or -1 at the optimum; ``scale`` is that of c."""
    level = 0.0
    if on_simplex:
        for i in range(n_free):
            level += gradient[free[i]] * z[free[i]]
    worst, entering = -_RELEASE * (scale + abs(level)), -1
    for k in range(z.size):
        if z[k] == 0.0 and gradient[k] - level < worst:
            is_free = False
            for j in range(n_free):
                is_free = is_free or free[j] == k
            if not is_free:
                worst, entering = gradient[k] - level, k
    return entering


@njit(cache=True, nogil=True, error_model="numpy")
def active_set(Q, c, z, on_simplex, free, system, target, gradient):
    """Minimise ``z'Qz/2 - c'z`` over z >= 0, and sum(z) = 1 if ``on_simplex``, starting from the feasible ``z``.

    Works in place; the last four arguments are work space. On the simplex, ``z'(Q + r 11')z = z'Qz + r``: adding r to
    all entries changes no solution, but makes a matrix regular that is singular only across the simplex.
    """
    K = c.size
    shift = np.trace(Q) / K if on_simplex else 0.0
    n_free = free_coordinates(z, free)
    for _ in range(20 * K + 20):
        if n_free > 0:
            for i in range(n_free):
                system[i, n_free] = c[free[i]]
                system[i, n_free + 1] = 1.0
            solve_free(Q, free, n_free, system, 2 if on_simplex else 1, shift)
            multiplier, feasible = 0.0, True
            if on_simplex:
                multiplier = (system[:n_free, n_free].sum() - 1.0) / system[:n_free, n_free + 1].sum()
            for i in range(n_free):
                target[i] = system[i, n_free] - (multiplier * system[i, n_free + 1] if on_simplex else 0.0)
            if on_simplex:  # rounding, large where Q is nearly singular, must not move the sum
                target[:n_free] += (1.0 - target[:n_free].sum()) / n_free
            for i in range(n_free):
                feasible = feasible and target[i] >= 0.0
            if not feasible:
                n_free = step_to_bound(z, free, n_free, target)
                continue
            for i in range(n_free):
                z[free[i]] = target[i]
        scale = 0.0
        for k in range(K):
            gradient[k] = -c[k]
            scale = max(scale, abs(c[k]))
        for i in range(n_free):
            for k in range(K):
                gradient[k] += z[free[i]] * Q[free[i], k]
        entering = entering_coordinate(z, free, n_free, gradient, scale, on_simplex)
        if entering < 0:
            break
        free[n_free] = entering
        n_free += 1


@njit(cache=True, nogil=True)
def work_space(K):
    """Free coordinates, linear system with up to three right sides, a point, and a gradient."""
    return np.empty(K, np.int64), np.empty((K, K + 3)), np.empty(K), np.empty(K)


@njit(cache=True, nogil=True)
def _solve_rows(Q, C, Z, on_simplex):
    free, system, target, gradient = work_space(Q.shape[0])
    for i in range(C.shape[0]):
        active_set(Q, C[i], Z[i], on_simplex, free, system, target, gradient)


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
    return _solve_in_blocks(Q, C, Z, True)


def nonnegative_least_squares(Q, C, start=None):
    r"""Minimise :math:`\tfrac12 x^\top Q x - c^\top x` over :math:`x \ge 0`, for each row c of ``C``.

    With :math:`Q = M^\top M` and :math:`c = M^\top y` this is non-negative least squares (line 3 of Algorithm 1).
    Parameters and result as in :func:`solve_simplex_qp`; the default start is zero.
    """
    C = np.ascontiguousarray(C, dtype=float)
    X = np.zeros(C.shape) if start is None else np.array(start, dtype=float, order="C")
    return _solve_in_blocks(Q, C, X, False)


def _solve_in_blocks(Q, C, Z, on_simplex):
    Q = np.ascontiguousarray(Q, dtype=float)
    over_blocks(lambda start, stop: _solve_rows(Q, C[start:stop], Z[start:stop], on_simplex), len(C))
    return Z


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def project_in_place(v):
    """Project ``v`` onto the simplex in place: Newton's method on the threshold, finite and free of sorting.

    The threshold t solves sum(max(v - t, 0)) = 1; each step is exact on the current support, which only shrinks. The
    largest entry is moved to zero first, so that wide spreads lose no digits. Sums may be reordered, and are written
    without a branch, so that a processor takes several entries at a time.
    Source: C. Michelot, J. Optim. Theory Appl. 50, 195-200 (1986).
    """
    v -= v.max()
    threshold = -1.0
    count = v.size + 1.0
    while True:
        total, support = 0.0, 0.0
        for i in range(v.size):
            above = 1.0 if v[i] > threshold else 0.0
            total += above * v[i]
            support += above
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
        project_in_place(row)
    return rows.reshape(np.shape(v))
