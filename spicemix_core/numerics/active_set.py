r"""The state of one cell: quadratic programs with non-negative variables, solved by an active-set method.

With the neighbours of a cell fixed, its size s and its proportions z minimise (paper eq. 9; book ``eq-states``)

.. math:: \tfrac12 s^2 z^\top A z - s\, b^\top z + \lambda_x s + \eta^\top z

over :math:`s \ge 0` and z on the simplex. Two exact minimisations alternate:

.. math:: s \leftarrow \max\Bigl(0, \frac{z^\top b - \lambda_x}{z^\top A z}\Bigr), \qquad
          z \leftarrow \arg\min_{z \in \mathrm{simplex}} \tfrac12 z^\top A z - (b / s - \eta / s^2)^\top z .

While the same proportions are positive, the second is quadratic in :math:`1/s`,

.. math:: z = z_0 + z_1 / s - z_2 / s^2, \quad z_0 = \frac{v}{1^\top v},\; z_1 = p - (1^\top p) z_0,\;
          z_2 = q - (1^\top q) z_0 \quad\text{with}\quad A v = 1,\; A p = b,\; A q = \eta ,

so that one elimination serves all alternations, and the iteration is over the size alone. Without the simplex and the
size this is non-negative least squares, which the same routine solves.

The active-set method minimises on the free coordinates, stops at the first bound that blocks, and releases the
coordinate with the most negative multiplier. From the previous solution, one elimination is usually enough.

Deviation from the paper's code: the paper's code calls Gurobi's barrier method for each cell, accurate to about 1e-4 in
z. Here the program in z is divided by :math:`s^2`, so that its matrix is the same for all cells, and solved exactly.
"""

import numpy as np

from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.threads import over_blocks

MAX_ALTERNATIONS = 100
CELL_TOL = 1e-6  # the alternation ends when the relative change of the size is smaller
RELEASE = 1e-11  # a multiplier above minus this, relative to the scale of the gradient, counts as zero


@njit(nogil=True, error_model="numpy")
def _solve_free(Q, free, n_free, system, n_sides):
    """Solve ``Q x = c`` on the coordinates ``free[:n_free]``, without bounds.

    The ``n_sides`` right-hand sides c are the columns of ``system`` from ``n_free`` on; the solutions replace them.
    Elimination without pivoting (Q is positive semi-definite) works along rows, which a processor can vectorise. A
    pivot that rounding has made too small (linearly dependent metagenes) is raised: one of the tied solutions results.
    """
    top = 0.0
    for i in range(n_free):
        for j in range(i, n_free):
            system[i, j] = Q[free[i], free[j]]
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


@njit(nogil=True, error_model="numpy")
def _free_coordinates(z, free):
    """List the positive coordinates of ``z`` in ``free`` and return their number."""
    n_free = 0
    for k in range(z.size):
        if z[k] > 0.0:
            free[n_free] = k
            n_free += 1
    return n_free


@njit(nogil=True, error_model="numpy")
def _step_to_bound(z, free, n_free, target):
    """Move ``z`` towards ``target`` on the free coordinates until one reaches zero, which is then free no longer.

    Returns the number of free coordinates that remain.
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


@njit(nogil=True, error_model="numpy")
def _entering_coordinate(z, free, n_free, gradient, scale, on_simplex):
    """The coordinate at zero with the most negative multiplier, or -1 at the optimum; ``scale`` is that of c."""
    level = 0.0
    if on_simplex:
        for i in range(n_free):
            level += gradient[free[i]] * z[free[i]]
    worst, entering = -RELEASE * (scale + abs(level)), -1
    for k in range(z.size):
        if z[k] == 0.0 and gradient[k] - level < worst:
            is_free = False
            for j in range(n_free):
                is_free = is_free or free[j] == k
            if not is_free:
                worst, entering = gradient[k] - level, k
    return entering


@njit(nogil=True, error_model="numpy")
def _best_size(A, b, state_penalty, z):
    """Best size of a cell given its proportions."""
    numerator, curvature = -state_penalty, 0.0
    for k in range(z.size):
        if z[k] > 0.0:
            numerator += z[k] * b[k]
            for l in range(z.size):
                curvature += z[k] * A[k, l] * z[l]
    return max(0.0, numerator / curvature)


@njit(nogil=True, error_model="numpy")
def _alternate(b, field, state_penalty, z, s, free, n_free, system, target):
    """Alternate size and proportions of a cell on a fixed set of free coordinates, with z in place.

    The columns of ``system`` from ``n_free`` on hold p, q and v of the module's docstring. Returns s (0 if the best
    size is 0) and whether z holds its best proportions; if not, ``target`` holds them, and one of them is negative.
    """
    total = system[:n_free, n_free : n_free + 3]
    sum_p, sum_q, sum_v = total[:, 0].sum(), total[:, 1].sum(), total[:, 2].sum()
    b0, b1, b2, f0, f1, f2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n_free):
        z0 = total[i, 2] / sum_v
        z1, z2 = total[i, 0] - sum_p * z0, total[i, 1] - sum_q * z0
        total[i, 0], total[i, 1], total[i, 2] = z1, z2, z0
        k = free[i]
        b0, b1, b2 = b0 + b[k] * z0, b1 + b[k] * z1, b2 + b[k] * z2
        f0, f1, f2 = f0 + field[k] * z0, f1 + field[k] * z1, f2 + field[k] * z2
    for _ in range(MAX_ALTERNATIONS):
        t = 1.0 / s
        feasible = True
        for i in range(n_free):
            target[i] = total[i, 2] + t * (total[i, 0] - t * total[i, 1])
            feasible = feasible and target[i] >= 0.0
        if not feasible:
            return s, False
        for i in range(n_free):
            z[free[i]] = target[i]
        z_b, z_field = b0 + t * (b1 - t * b2), f0 + t * (f1 - t * f2)
        multiplier = (t * (sum_p - t * sum_q) - 1.0) / sum_v
        size = (z_b - state_penalty) / (t * (z_b - t * z_field) - multiplier)  # the divisor is z'Az
        if not size > 0.0:
            return 0.0, True
        if abs(size - s) < CELL_TOL * s:
            break
        s = size
    return s, True


@njit(nogil=True, error_model="numpy")
def _take_if_feasible(z, free, n_free, system, target):
    """Copy the solution in ``system`` to ``target`` and, if it has no negative entry, to z; whether it has none."""
    feasible = True
    for i in range(n_free):
        target[i] = system[i, n_free]
        feasible = feasible and target[i] >= 0.0
    if feasible:
        for i in range(n_free):
            z[free[i]] = target[i]
    return feasible


@njit(nogil=True, error_model="numpy")
def active_set(A, b, field, state_penalty, z, on_simplex, free, system, target, gradient):
    """Best state of one cell, starting from z; the last four arguments are work space (:func:`work_space`).

    On the simplex, z are the proportions of a cell in a field: they are replaced by the best ones, and the best size
    is returned. Otherwise z is the minimiser of ``z'Az/2 - b'z`` over z >= 0, where ``field`` must be zero and the
    penalty is not used, and 1 is returned.
    """
    K = z.size
    s = _best_size(A, b, state_penalty, z) if on_simplex else 1.0
    n_free = _free_coordinates(z, free)
    for _ in range(20 * K + 20):
        if s == 0.0:  # only the field is left: the best proportions are a corner
            z[:] = 0.0
            free[0], n_free = np.argmin(field), 1
            z[free[0]] = 1.0
            s = _best_size(A, b, state_penalty, z)
            if s == 0.0:
                break
        for i in range(n_free):
            k = free[i]
            system[i, n_free], system[i, n_free + 1], system[i, n_free + 2] = b[k], field[k], 1.0
        _solve_free(A, free, n_free, system, 3 if on_simplex else 1)
        if on_simplex:
            s, feasible = _alternate(b, field, state_penalty, z, s, free, n_free, system, target)
        else:
            feasible = _take_if_feasible(z, free, n_free, system, target)
        if not feasible:
            n_free = _step_to_bound(z, free, n_free, target)
        if not feasible or s == 0.0:
            continue
        scale = 0.0
        for k in range(K):
            gradient[k] = field[k] / (s * s) - b[k] / s
            scale = max(scale, abs(gradient[k]))
        for i in range(n_free):
            for k in range(K):
                gradient[k] += z[free[i]] * A[free[i], k]
        entering = _entering_coordinate(z, free, n_free, gradient, scale, on_simplex)
        if entering < 0:
            break
        free[n_free] = entering
        n_free += 1
    return s


@njit(nogil=True)
def work_space(K):
    """Free coordinates, a linear system with up to three right-hand sides, a point, and a gradient."""
    return np.empty(K, np.int64), np.empty((K, K + 3)), np.empty(K), np.empty(K)


@njit(nogil=True)
def _solve_rows(Q, C, X):
    free, system, target, gradient = work_space(Q.shape[0])
    field = np.zeros(Q.shape[0])
    for i in range(C.shape[0]):
        active_set(Q, C[i], field, 0.0, X[i], False, free, system, target, gradient)


def nonnegative_least_squares(Q: np.ndarray, C: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    r"""Minimise :math:`\tfrac12 x^\top Q x - c^\top x` over :math:`x \ge 0`, for each row c of ``C``.

    With :math:`Q = M^\top M` and :math:`c = M^\top y` this is non-negative least squares (Algorithm 1, line 3).

    Parameters
    ----------
    Q : array, shape (K, K)
        Symmetric positive semi-definite; the same for all rows.
    C : array, shape (N, K)
    start : array, shape (N, K), optional
        Non-negative starting points; zero by default.

    Returns
    -------
    array, shape (N, K)
        The minimisers, exact up to rounding; zeros are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> steps.nonnegative_least_squares(np.eye(2), np.array([[3.0, -1.0]]))
    array([[3., 0.]])
    """
    Q, C = np.ascontiguousarray(Q, dtype=float), np.ascontiguousarray(C, dtype=float)
    X = np.zeros(C.shape) if start is None else np.array(start, dtype=float, order="C")
    over_blocks(lambda first, last: _solve_rows(Q, C[first:last], X[first:last]), len(C))
    return X
