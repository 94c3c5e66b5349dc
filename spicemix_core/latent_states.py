r"""The state step: line 10 of Algorithm 1, iterated conditional modes (ICM) over the cells.

With metagenes, noise and affinity fixed, the energy of all states (paper eq. 9; book ``eq-states``) is

.. math:: \sum_i \frac{\|y_i - M s_i z_i\|^2}{2 \sigma_y^2} + \lambda_x \sum_i s_i
          + \sum_{(i,j) \in E} z_i^\top S z_j , \qquad x_i = s_i z_i .

The step visits one cell after the other and minimises the energy over its state exactly, given its neighbours: with
:math:`A = M^\top M / \sigma_y^2`, :math:`b_i = M^\top y_i / \sigma_y^2` and the field :math:`\eta_i = S \sum_{j \in
N(i)} z_j`, this is the problem of :mod:`spicemix_core.numerics.active_set`. A cell without a field (:math:`\eta = 0`)
is a non-negative least-squares problem.

Cells of one colour are not neighbours of each other. They are updated at the same time, and the result does not depend
on the number of threads. A cell is visited again only if a neighbour has moved since its last visit.

References
----------
J. Besag, J. R. Stat. Soc. B 48, 259-302 (1986).
"""

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics.active_set import active_set, work_space
from spicemix_core.numerics.coloring import color_classes
from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.threads import over_blocks

MAX_SWEEPS = 100
SWEEP_TOL = 1e-3  # a cell is visited again if a proportion of a neighbour has changed by more
_BLOCK = 512


@njit(nogil=True, error_model="numpy")
def cell_energy(A, b, field, state_penalty, z, s):
    """Energy of one cell given its neighbours, up to a constant."""
    quadratic, linear = 0.0, 0.0
    for k in range(z.size):
        if z[k] > 0.0:
            linear += z[k] * (field[k] + s * (state_penalty - b[k]))
            for l in range(z.size):
                quadratic += z[k] * A[k, l] * z[l]
    return 0.5 * s * s * quadratic + linear


@njit(nogil=True, error_model="numpy")
def _free_cell(A, b, field, state_penalty, z, s, target, work):
    """Best state of a cell without a field: non-negative least squares. Returns s, with z in place."""
    for k in range(z.size):
        target[k] = b[k] - state_penalty
        z[k] *= s
    active_set(A, target, field, 0.0, z, False, *work)
    size = z.sum()
    if size > 0.0:
        z /= size
    else:
        z[:] = 1.0 / z.size
    return size


@njit(nogil=True, error_model="numpy")
def _visit(cells, A, B, affinity, indptr, indices, state_penalty, proportions, sizes, waiting):
    """Update the waiting ones of ``cells`` in place, and mark the neighbours of each cell that moved as waiting."""
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
        for k in range(K):
            z[k] = proportions[i, k]
        if np.any(field):
            size = active_set(A, B[i], field, state_penalty, z, True, *work)
        else:
            size = _free_cell(A, B[i], field, state_penalty, z, sizes[i], target, work)
        if cell_energy(A, B[i], field, state_penalty, z, size) <= cell_energy(
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


def update_latent_states(gram: np.ndarray, linear: np.ndarray, affinity: np.ndarray, graph: sp.csr_array,
                         proportions: np.ndarray, sizes: np.ndarray, *, state_penalty: float,
                         colors: list[np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray, int]:
    r"""Lower the energy of the states by sweeps over the cells (Algorithm 1, line 10; paper eq. 8 and 9).

    The sweeps end when no neighbour of any cell has moved since the cell's last visit. A cell has moved if one of its
    proportions has changed by more than ``SWEEP_TOL``.

    Parameters
    ----------
    gram : array, shape (K, K)
        :math:`A = M^\top M / \sigma_y^2`.
    linear : array, shape (N, K)
        Rows :math:`b_i = M^\top y_i / \sigma_y^2`.
    affinity : array, shape (K, K)
        S, symmetric.
    graph : sparse CSR array, shape (N, N)
        Symmetric neighbour graph of all samples; entries are one.
    proportions, sizes : arrays, shapes (N, K) and (N,)
        Start.
    state_penalty : float
        :math:`\lambda_x` of the exponential prior.
    colors : list of int arrays, optional
        Cells of each colour, in the order of the visits; computed from the graph by default.

    Returns
    -------
    proportions, sizes : arrays, shapes (N, K) and (N,)
        Their energy is never above that of the start.
    n_sweeps : int
        Number of sweeps over the waiting cells.

    Examples
    --------
    Two neighbours with the same data, and metagenes that repel themselves:

    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spicemix_core import steps
    >>> graph = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> start = np.array([[0.6, 0.4], [0.4, 0.6]])
    >>> problem = np.eye(2), np.full((2, 2), 3.0), 20 * np.eye(2), graph, start, np.ones(2)
    >>> proportions, sizes, n_sweeps = steps.update_latent_states(*problem, state_penalty=1.0)
    >>> proportions.round(2)
    array([[1., 0.],
           [0., 1.]])
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


def split_states(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split states x = s z into proportions z on the simplex and sizes s.

    Parameters
    ----------
    states : array, shape (N, K)
        Non-negative.

    Returns
    -------
    proportions : array, shape (N, K)
        Equal proportions where all entries of a state are zero.
    sizes : array, shape (N,)

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> proportions, sizes = steps.split_states(np.array([[1.0, 3.0], [0.0, 0.0]]))
    >>> proportions
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    >>> sizes
    array([4., 0.])
    """
    sizes = states.sum(axis=1)
    safe = np.where(sizes > 0.0, sizes, 1.0)[:, None]
    proportions = np.where(sizes[:, None] > 0.0, states / safe, 1.0 / states.shape[1])
    return proportions, sizes
