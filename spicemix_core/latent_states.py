r"""The state step: line 10 of Algorithm 1, iterated conditional modes (ICM) over the cells.

With metagenes, noise and affinity fixed, the energy of all states (paper eq. 9; book ``eq-states``) is

.. math:: \sum_i \frac{\|y_i - M s_i z_i\|^2}{2 \sigma_y^2} + \lambda_x \sum_i s_i
          + \sum_{(i,j) \in E} z_i^\top S z_j , \qquad x_i = s_i z_i .

Cell by cell, given its neighbours, with :math:`A = M^\top M / \sigma_y^2`, :math:`b_i = M^\top y_i / \sigma_y^2` and
:math:`\eta_i = S \sum_{j \in N(i)} z_j`, two exact minimisations alternate:

.. math:: s \leftarrow \max\Bigl(0, \frac{z^\top b - \lambda_x}{z^\top A z}\Bigr), \qquad
          z \leftarrow \arg\min_{z \in \mathrm{simplex}} \tfrac12 z^\top A z - (b / s - \eta / s^2)^\top z .

While the same proportions are positive, the second is quadratic in :math:`1/s`,

.. math:: z = z_0 + z_1 / s - z_2 / s^2, \quad z_0 = \frac{v}{1^\top v},\; z_1 = p - (1^\top p) z_0,\;
          z_2 = q - (1^\top q) z_0 \quad\text{with}\quad A v = 1,\; A p = b,\; A q = \eta ,

so that one elimination serves all alternations of a cell and the size alone is iterated. A cell that feels no field
(:math:`\eta = 0`) is a non-negative least-squares problem and is solved as one.

Cells of one colour are no neighbours of each other: they are updated at the same time, with the same result for any
number of threads. A cell is visited again only if a neighbour has moved since.
Source: J. Besag, J. R. Stat. Soc. B 48, 259-302 (1986).

Deviation from the paper's code: the program in z is divided by s squared, so that its matrix is the same for all
cells, and solved exactly.
"""

import numpy as np
from numba import njit

from spicemix_core.numerics.coloring import color_classes
from spicemix_core.numerics.simplex import (
    active_set,
    entering_coordinate,
    free_coordinates,
    solve_free,
    step_to_bound,
    work_space,
)
from spicemix_core.numerics.threads import over_blocks

MAX_SWEEPS = 100
SWEEP_TOL = 1e-3  # a cell is visited again when a neighbour's proportion has moved more
MAX_ALTERNATIONS = 100
CELL_TOL = 1e-6  # alternations end when the size moves less, relatively
_BLOCK = 512


@njit(cache=True, nogil=True, error_model="numpy")
def _cell_energy(A, b, field, state_penalty, z, s):
    quadratic, linear = 0.0, 0.0
    for k in range(z.size):
        if z[k] > 0.0:
            linear += z[k] * (field[k] + s * (state_penalty - b[k]))
            for l in range(z.size):
                quadratic += z[k] * A[k, l] * z[l]
    return 0.5 * s * s * quadratic + linear


@njit(cache=True, nogil=True, error_model="numpy")
def _free_cell(A, b, state_penalty, z, s, target, work):
    """Best state of a cell without a field: non-negative least squares. Returns s, with z in place."""
    for k in range(z.size):
        target[k] = b[k] - state_penalty
        z[k] *= s
    active_set(A, target, z, False, *work)
    size = z.sum()
    if size > 0.0:
        z /= size
    else:
        z[:] = 1.0 / z.size
    return size


@njit(cache=True, nogil=True, error_model="numpy")
def _best_size(A, b, state_penalty, z):
    numerator, curvature = -state_penalty, 0.0
    for k in range(z.size):
        if z[k] > 0.0:
            numerator += z[k] * b[k]
            for l in range(z.size):
                curvature += z[k] * A[k, l] * z[l]
    return max(0.0, numerator / curvature)


@njit(cache=True, nogil=True, error_model="numpy")
def _alternate(b, field, state_penalty, z, s, free, n_free, system, target):
    """Alternate size and proportions of a cell while the same proportions are positive, with z in place.

    Columns ``n_free`` on of ``system`` hold p, q and v of the module's docstring. Returns s (0 where no size is left)
    and whether its best proportions are in z; if not, they are in ``target``, and one of them is negative.
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


@njit(cache=True, nogil=True, error_model="numpy")
def _cell_in_field(A, b, field, state_penalty, z, free, system, target, gradient):
    """Best size and proportions of one cell, from z on. Returns s, with z in place."""
    K = z.size
    s = _best_size(A, b, state_penalty, z)
    n_free = free_coordinates(z, free)
    for _ in range(20 * K + 20):
        if s == 0.0:  # nothing is left but the field: the best proportions are a corner
            z[:] = 0.0
            free[0], n_free = np.argmin(field), 1
            z[free[0]] = 1.0
            s = _best_size(A, b, state_penalty, z)
            if s == 0.0:
                break
        for i in range(n_free):
            k = free[i]
            system[i, n_free], system[i, n_free + 1], system[i, n_free + 2] = b[k], field[k], 1.0
        solve_free(A, free, n_free, system, 3)
        s, feasible = _alternate(b, field, state_penalty, z, s, free, n_free, system, target)
        if not feasible:
            n_free = step_to_bound(z, free, n_free, target)
        if not feasible or s == 0.0:
            continue
        scale = 0.0
        for k in range(K):
            gradient[k] = field[k] / (s * s) - b[k] / s
            scale = max(scale, abs(gradient[k]))
        for i in range(n_free):
            for k in range(K):
                gradient[k] += z[free[i]] * A[free[i], k]
        entering = entering_coordinate(z, free, n_free, gradient, scale, True)
        if entering < 0:
            break
        free[n_free] = entering
        n_free += 1
    return s


@njit(cache=True, nogil=True, error_model="numpy")
def _visit(cells, A, B, affinity, indptr, indices, state_penalty, proportions, sizes, waiting):
    """Update those of ``cells`` that are waiting, in place, and let the neighbours of all that moved wait."""
    K = B.shape[1]
    work = work_space(K)
    field, neighbors, target, z = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    for i in cells:
        if not waiting[i]:
            continue
        waiting[i] = False
        neighbors[:] = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            for k in range(K):
                neighbors[k] += proportions[indices[e], k]
        field[:] = 0.0
        for l in range(K):
            for k in range(K):
                field[k] += affinity[l, k] * neighbors[l]
        z[:] = proportions[i]
        if np.any(field):
            size = _cell_in_field(A, B[i], field, state_penalty, z, *work)
        else:
            size = _free_cell(A, B[i], state_penalty, z, sizes[i], target, work)
        if _cell_energy(A, B[i], field, state_penalty, z, size) <= _cell_energy(
            A, B[i], field, state_penalty, proportions[i], sizes[i]
        ):
            moved = 0.0
            for k in range(K):
                moved = max(moved, abs(z[k] - proportions[i, k]))
                proportions[i, k] = z[k]
            sizes[i] = size
            if moved > SWEEP_TOL:
                for e in range(indptr[i], indptr[i + 1]):
                    waiting[indices[e]] = True


def states_energy(gram, linear, affinity, graph, proportions, sizes, *, state_penalty):
    """Energy of all states, up to the constant that does not depend on them; symbols as in the module's docstring.

    Parameters are those of :func:`update_latent_states`.
    """
    states = sizes[:, None] * proportions
    reconstruction = 0.5 * ((states @ gram) * states).sum() - (linear * states).sum()
    pairs = 0.5 * ((graph @ proportions) * (proportions @ affinity)).sum()
    return float(reconstruction + state_penalty * sizes.sum() + pairs)


def update_latent_states(gram, linear, affinity, graph, proportions, sizes, *, state_penalty, colors=None):
    """Lower the energy of the states by ICM sweeps until no neighbour of any cell has moved since its last visit.

    Parameters
    ----------
    gram : array, shape (K, K)
        A = M'M / sigma_y^2.
    linear : array, shape (N, K)
        Rows b_i = M'y_i / sigma_y^2.
    affinity : array, shape (K, K)
        S, symmetric.
    graph : sparse CSR array, shape (N, N)
        Symmetric neighbour graph of all samples; entries one.
    proportions, sizes : arrays, shapes (N, K) and (N,)
        Start.
    state_penalty : float
        lambda_x of the exponential prior.
    colors : list of int arrays, optional
        :func:`spicemix_core.numerics.coloring.color_classes` of the graph, if at hand. The order of the visits.

    Returns
    -------
    proportions, sizes : arrays
        The energy is never above that of the start. To move means that a proportion changes by more than ``SWEEP_TOL``.
    n_sweeps : int
        Times that all waiting cells were visited.
    """
    proportions, sizes = proportions.copy(), sizes.copy()
    colors = color_classes(graph) if colors is None else colors
    waiting = np.ones(len(sizes), dtype=bool)
    arguments = gram, linear, affinity, graph.indptr, graph.indices, float(state_penalty), proportions, sizes, waiting
    n_sweeps = 0
    while waiting.any() and n_sweeps < MAX_SWEEPS:
        n_sweeps += 1
        for cells in colors:
            over_blocks(lambda start, stop, cells=cells: _visit(cells[start:stop], *arguments), len(cells), _BLOCK)
        if not affinity.any():
            break
    return proportions, sizes, n_sweeps
