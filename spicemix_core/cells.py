r"""What a fit asks of the cells: the interface between Algorithm 1 and the place where the cells are.

A fit holds the parameters :math:`\Theta`: the metagenes M, the affinity S and the noise. Everything that loops over
cells is behind the methods of :class:`Cells`. Those of the iterations take parameters and return sums over the cells:
K x K and G x K arrays and numbers, nothing that grows with the number of cells. So Algorithm 1 is the same for cells in
this process (:mod:`spicemix_core.local_cells`), for cells on a PyTorch device
(:mod:`spicemix_core.backends.torch_cells`), and for cells on the workers of a cluster
(:mod:`spicemix_core.backends.dask_cells`), whose sums are added.
"""

from typing import NamedTuple, Protocol

import numpy as np

from spicemix_core.samples import Samples


class StateSums(NamedTuple):
    r"""Sums over the cells after a state step: all that the parameters need of the states.

    Attributes
    ----------
    gram, cross : arrays, shapes (K, K) and (G, K)
        :math:`X^\top X` and :math:`Y^\top X`.
    sizes : float
        :math:`\sum_i s_i`.
    pairs : array, shape (K, K)
        :math:`\sum_i z_i \nu_i^\top`, with :math:`\nu_i` the sum of the proportions of the neighbours of cell i.
    moved : float
        Sum of the absolute changes of all proportions in this step.
    n_sweeps : int
        Sweeps over the cells that the step took.
    """

    gram: np.ndarray
    cross: np.ndarray
    sizes: float
    pairs: np.ndarray
    moved: float
    n_sweeps: int


class Cells(Protocol):
    """Cells of one or more samples, and their states.

    Attributes
    ----------
    samples : Samples
        The input of the fit.
    states : tuple of arrays, shapes (N, K) and (N,)
        Proportions and sizes of all cells.
    """

    samples: Samples

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]: ...

    def gram_times(self, columns: np.ndarray) -> np.ndarray:
        r""":math:`Y^\top Y B`, shape (G, n), for the columns B (G, n)."""
        ...

    def profiles(self, directions: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Profiles along the directions (G, n) of the cells with the C indices ``chosen``, in any order.

        Returns
        -------
        places : array of int, shape (C,)
            Position in ``chosen`` of each row of the other two.
        coordinates, sizes : arrays, shapes (C, n) and (C,)
            Profiles (:mod:`spicemix_core.initialization`) and total expression.
        """
        ...

    def expression_of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scaled expression of the cells with the C indices ``chosen``, in any order: ``places`` and rows (C, G)."""
        ...

    def cluster_sums(self, directions: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        r""":math:`Y^\top X`, shape (G, K), if each cell consisted of the metagene with the nearest centroid only."""
        ...

    def solve_states(self, metagenes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Set the states by non-spatial least squares (Algorithm 1, line 3); returns :math:`X^\top X, Y^\top X`."""
        ...

    def update_states(self, metagenes: np.ndarray, affinity: np.ndarray, noise: float,
                      state_penalty: float) -> StateSums:
        """Update the states given the parameters (Algorithm 1, line 10) and return the sums over them."""
        ...

    def affinity_sums(self, affinity: np.ndarray, order: int, spacing: int = 1) -> tuple:
        """:func:`spicemix_core.affinity.pseudo_likelihood_sums` of the current states, over every ``spacing``-th cell.

        It may be called after :meth:`update_states` only.
        """
        ...
