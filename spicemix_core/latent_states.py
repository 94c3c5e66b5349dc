r"""The state step: line 10 of Algorithm 1, iterated conditional modes (ICM) over the cells.

With metagenes, noise and affinity fixed, the energy of all states (paper eq. 9; book ``eq-states``) is

.. math:: \sum_i \frac{\|y_i - M s_i z_i\|^2}{2 \sigma_y^2} + \lambda_x \sum_i s_i
          + \sum_{(i,j) \in E} z_i^\top S z_j , \qquad x_i = s_i z_i .

Cell by cell, given its neighbours, with :math:`A = M^\top M / \sigma_y^2`, :math:`b_i = M^\top y_i / \sigma_y^2` and
:math:`\eta_i = S \sum_{j \in N(i)} z_j`, two exact minimisations alternate:

.. math:: s \leftarrow \max\Bigl(0, \frac{z^\top b - \lambda_x}{z^\top A z}\Bigr), \qquad
          z \leftarrow \arg\min_{z \in \mathrm{simplex}} \tfrac12 z^\top A z - (b / s - \eta / s^2)^\top z .

A cell that feels no field (:math:`\eta = 0`) is a non-negative least-squares problem and is solved as one.
Source: J. Besag, J. R. Stat. Soc. B 48, 259-302 (1986).

Deviation from the paper's code: the program in z is divided by s squared, so that its matrix is the same for all
cells, and solved exactly.
"""

import numpy as np
from numba import njit

from spicemix_core.simplex import _active_set, _work_space

MAX_SWEEPS = 100
SWEEP_TOL = 1e-2  # sweeps end when no proportion moves more
MAX_ALTERNATIONS = 100
CELL_TOL = 1e-3  # alternations end when size (relative) and proportions move less


@njit(cache=True)
def _cell_energy(A, b, field, state_penalty, z, s):
    quadratic, linear = 0.0, 0.0
    for k in range(z.size):
        if z[k] > 0.0:
            linear += z[k] * (field[k] + s * (state_penalty - b[k]))
            for l in range(z.size):
                quadratic += z[k] * A[k, l] * z[l]
    return 0.5 * s * s * quadratic + linear


@njit(cache=True)
def _free_cell(A, b, state_penalty, z, s, target, work):
    """Best state of a cell without a field: non-negative least squares. Returns s, with z in place."""
    for k in range(z.size):
        target[k] = b[k] - state_penalty
        z[k] *= s
    _active_set(A, target, z, False, *work)
    size = z.sum()
    if size > 0.0:
        z /= size
    else:
        z[:] = 1.0 / z.size
    return size


@njit(cache=True)
def _cell_in_field(A, b, field, state_penalty, z, s, target, before, work):
    """Alternate the exact size and the exact proportions of one cell. Returns s, with z in place."""
    K = z.size
    for _ in range(MAX_ALTERNATIONS):
        before[:] = z
        numerator, curvature = -state_penalty, 0.0
        for k in range(K):
            if z[k] > 0.0:
                numerator += z[k] * b[k]
                for l in range(K):
                    curvature += z[k] * A[k, l] * z[l]
        size = max(0.0, numerator / curvature)
        if size > 0.0:
            for k in range(K):
                target[k] = b[k] / size - field[k] / (size * size)
            _active_set(A, target, z, True, *work)
        else:  # nothing is left but the field: the best proportions are a corner
            z[:] = 0.0
            z[np.argmin(field)] = 1.0
        moved = abs(size - s) / max(size, 1e-12)
        s = size
        for k in range(K):
            moved = max(moved, abs(z[k] - before[k]))
        if moved < CELL_TOL:
            break
    return s


@njit(cache=True)
def _icm_sweep(A, B, affinity, indptr, indices, state_penalty, proportions, sizes):
    """Visit every cell once, in place. Returns the largest move of a proportion."""
    N, K = B.shape
    work = _work_space(K)
    field, neighbors, target, before, z = np.empty(K), np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    largest = 0.0
    for i in range(N):
        neighbors[:] = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            neighbors += proportions[indices[e]]
        strength = 0.0
        for k in range(K):
            field[k] = 0.0
            for l in range(K):
                field[k] += affinity[k, l] * neighbors[l]
            strength = max(strength, abs(field[k]))
        z[:] = proportions[i]
        if strength == 0.0:
            size = _free_cell(A, B[i], state_penalty, z, sizes[i], target, work)
        else:
            size = _cell_in_field(A, B[i], field, state_penalty, z, sizes[i], target, before, work)
        if _cell_energy(A, B[i], field, state_penalty, z, size) <= _cell_energy(
            A, B[i], field, state_penalty, proportions[i], sizes[i]
        ):
            for k in range(K):
                largest = max(largest, abs(z[k] - proportions[i, k]))
                proportions[i, k] = z[k]
            sizes[i] = size
    return largest


def states_energy(gram, linear, affinity, graph, proportions, sizes, *, state_penalty):
    """Energy of all states, up to the constant that does not depend on them; symbols as in the module's docstring.

    Parameters are those of :func:`update_latent_states`.
    """
    states = sizes[:, None] * proportions
    reconstruction = 0.5 * ((states @ gram) * states).sum() - (linear * states).sum()
    pairs = 0.5 * ((graph @ proportions) * (proportions @ affinity)).sum()
    return float(reconstruction + state_penalty * sizes.sum() + pairs)


def update_latent_states(gram, linear, affinity, graph, proportions, sizes, *, state_penalty):
    """Lower the energy of the states by ICM sweeps until no proportion moves more than ``SWEEP_TOL``.

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

    Returns
    -------
    proportions, sizes : arrays
        The energy is never above that of the start.
    n_sweeps : int
    """
    proportions, sizes = proportions.copy(), sizes.copy()
    n_sweeps = 0
    while n_sweeps < MAX_SWEEPS:
        n_sweeps += 1
        largest = _icm_sweep(
            gram, linear, affinity, graph.indptr, graph.indices, float(state_penalty), proportions, sizes
        )
        if largest <= SWEEP_TOL or not affinity.any():
            break
    return proportions, sizes, n_sweeps
