"""Objectives of the single steps, and the affinity step, for states that are given as arrays."""

import numpy as np
import scipy.sparse as sp

from spicemix_core.affinity import AffinityProblem, pseudo_likelihood_sums
from spicemix_core.metagenes import gap_and_residual


def duality_gap(metagenes: np.ndarray, gram: np.ndarray, cross: np.ndarray) -> float:
    r"""Upper bound on how much :math:`\tfrac12\|Y - X M^\top\|^2` can still decrease (Frank-Wolfe gap).

    Parameters
    ----------
    metagenes, gram, cross : arrays, shapes (G, K), (K, K) and (G, K)
        As for :func:`spicemix_core.steps.update_metagenes`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> best = np.array([[0.5], [0.5]])
    >>> steps.duality_gap(best, np.array([[2.0]]), 2.0 * best)
    0.0
    """
    return gap_and_residual(metagenes, gram, cross, 0.0)[0]


def squared_residual(metagenes: np.ndarray, gram: np.ndarray, cross: np.ndarray, sum_of_squares: float) -> float:
    r""":math:`\|Y - X M^\top\|_F^2` from sums over cells, never below what rounding can resolve.

    Parameters
    ----------
    metagenes, gram, cross : arrays, shapes (G, K), (K, K) and (G, K)
        As for :func:`spicemix_core.steps.update_metagenes`.
    sum_of_squares : float
        :math:`\|Y\|_F^2`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> Y, X, M = np.array([[1.0, 3.0]]), np.array([[2.0]]), np.array([[0.5], [0.5]])
    >>> float(steps.squared_residual(M, X.T @ X, Y.T @ X, (Y**2).sum()))
    4.0
    """
    return gap_and_residual(metagenes, gram, cross, sum_of_squares)[1]


def states_energy(gram: np.ndarray, linear: np.ndarray, affinity: np.ndarray, graph: sp.csr_array,
                  proportions: np.ndarray, sizes: np.ndarray, *, state_penalty: float) -> float:
    """Energy of all states, up to the constant that does not depend on them (paper eq. 9; book ``eq-states``).

    Parameters
    ----------
    gram, linear, affinity, graph, proportions, sizes, state_penalty
        As for :func:`spicemix_core.steps.update_latent_states`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spicemix_core import steps
    >>> graph = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> steps.states_energy(np.eye(2), np.eye(2), np.eye(2), graph, np.eye(2), np.ones(2), state_penalty=1.0)
    1.0
    """
    states = sizes[:, None] * proportions
    reconstruction = 0.5 * ((states @ gram) * states).sum() - (linear * states).sum()
    pairs = 0.5 * ((graph @ proportions) * (proportions @ affinity)).sum()
    return float(reconstruction + state_penalty * sizes.sum() + pairs)


def affinity_objective(affinity: np.ndarray, proportions: np.ndarray, neighbor_sums: np.ndarray,
                       n_directed_edges: int, affinity_penalty: float) -> float:
    r"""Objective f(S) of the affinity step (paper eq. 12; book ``eq-affinity``).

    Parameters
    ----------
    affinity, proportions, neighbor_sums, n_directed_edges, affinity_penalty
        As for :func:`update_affinity`.

    Returns
    -------
    float

    Examples
    --------
    Without neighbours only the volume of the simplex is left, :math:`\log I(0) = -\log (K - 1)!`:

    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> proportions = np.full((5, 3), 1 / 3)
    >>> print(round(steps.affinity_objective(np.eye(3), proportions, 0 * proportions, 5, 1.0), 4))
    0.8069
    """
    return _problem(proportions, neighbor_sums, n_directed_edges, affinity_penalty).value(affinity)


def update_affinity(affinity: np.ndarray, proportions: np.ndarray, neighbor_sums: np.ndarray, n_directed_edges: int, *,
                    affinity_penalty: float, tol: float = 1e-12) -> np.ndarray:
    r"""Minimise the convex affinity objective over symmetric matrices (paper eq. 12; book ``eq-affinity``).

    Parameters
    ----------
    affinity : array, shape (K, K)
        Start, for instance the affinity of the previous iteration.
    proportions : array, shape (N, K)
        :math:`z_i` of all cells.
    neighbor_sums : array, shape (N, K)
        :math:`\nu_i = \sum_{j \in N(i)} z_j`.
    n_directed_edges : int
        Sum of the degrees of all cells.
    affinity_penalty : float
        :math:`\lambda_\Sigma > 0`.
    tol : float
        Newton's method stops when the expected decrease of f is below ``tol``.

    Returns
    -------
    array, shape (K, K)

    Examples
    --------
    If neighbouring cells have similar proportions, each metagene attracts itself:

    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spicemix_core import steps
    >>> proportions = np.repeat([[0.9, 0.1], [0.1, 0.9]], 50, axis=0)
    >>> graph = sp.diags_array([np.ones(99), np.ones(99)], offsets=[-1, 1]).tocsr()
    >>> S = steps.update_affinity(np.zeros((2, 2)), proportions, graph @ proportions, graph.nnz, affinity_penalty=1e-3)
    >>> bool(S[0, 0] < S[0, 1])
    True
    """
    return _problem(proportions, neighbor_sums, n_directed_edges, affinity_penalty).minimize(affinity, tol)


def _problem(proportions, neighbor_sums, n_directed_edges, affinity_penalty):
    """The problem of cells that are given by arrays."""

    def sums(affinity, order, spacing):
        return pseudo_likelihood_sums(affinity, proportions[::spacing], neighbor_sums[::spacing], order)

    return AffinityProblem(sums, len(proportions), n_directed_edges, affinity_penalty)
