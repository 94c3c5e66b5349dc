r"""A part of the cells: some samples and the states of their cells. All that visits cells is here.

A fit calls parts with parameters, the metagenes M, the affinity S and the noise, and gets back sums over their cells:
K x K and G x K arrays and numbers, nothing of the size of the cells. So Algorithm 1 is the same for one part that holds
everything, for a part on a device of PyTorch (:mod:`spicemix_core.backends.torch_cells`), and for parts on several
machines (:mod:`spicemix_core.backends.dask_cells`), whose sums are added.
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances_argmin

from spicemix_core.affinity import curvature_sum, objective_sum, objective_sums
from spicemix_core.initialization import split_states
from spicemix_core.latent_states import update_latent_states
from spicemix_core.numerics.simplex import nonnegative_least_squares


class StateSums(NamedTuple):
    """What the state step gives back."""

    sizes: float  # sum of s_i
    pairs: np.ndarray  # sum of z_i nu_i', (K, K), with nu_i the sum of the neighbours' proportions
    moved: float  # sum over cells of the absolute changes of their proportions
    n_sweeps: int


class Part:
    """Samples with the proportions (N, K) and sizes (N,) of their cells.

    Parameters
    ----------
    samples : spicemix_core.samples.Samples
    first_cells : list of int, optional
        Number of each sample's first cell among the cells of all parts, ascending; by default there is no other part.
    update : function
        The state step, :func:`spicemix_core.latent_states.update_latent_states` or another of its kind.
    """

    def __init__(self, samples, first_cells=None, *, update=update_latent_states):
        first_cells = samples.offsets[:-1] if first_cells is None else first_cells
        self.samples, self.data, self._update = samples, samples, update  # data: where the iterations find them
        self.numbers = np.concatenate([first + np.arange(y.shape[0])
                                       for first, y in zip(first_cells, samples.expressions, strict=True)])
        self.proportions = self.sizes = self._neighbor_sums = None

    def twice_times(self, columns):
        """Y'Y B, (G, n), for the ``columns`` B (G, n)."""
        return self.samples.times_states(self.samples.times_metagenes(columns))

    def profiles(self, directions, drawn):
        """Of the cells numbered ``drawn`` that are here: their places in ``drawn``, profiles along the directions (see
        :mod:`spicemix_core.initialization`), and sizes."""
        coordinates, sizes = self._profiles(directions)
        places = np.flatnonzero(np.isin(drawn, self.numbers))
        rows = np.searchsorted(self.numbers, drawn[places])
        return places, coordinates[rows], sizes[rows, 0]

    def _profiles(self, directions):
        totals = self.samples.times_metagenes(np.ones((self.samples.n_genes, 1)))
        sizes = np.maximum(totals, 0.0)
        return self.samples.times_metagenes(directions) / np.where(sizes > 0.0, sizes, 1.0), sizes

    def cluster_sums(self, directions, centroids):
        """Y'X, (G, K), if every cell is pure, of the metagene whose centroid is nearest to its profile."""
        coordinates, sizes = self._profiles(directions)
        labels = pairwise_distances_argmin(coordinates, centroids)
        return self.samples.times_states(sizes * (labels[:, None] == np.arange(len(centroids))))

    def solve_states(self, metagenes):
        """States by non-negative least squares, without neighbours (line 3 of Algorithm 1). Returns X'X and Y'X."""
        start = None if self.sizes is None else self.sizes[:, None] * self.proportions
        linear = self.samples.times_metagenes(metagenes)
        states = nonnegative_least_squares(metagenes.T @ metagenes, linear, start)
        self.proportions, self.sizes = split_states(states)
        return states.T @ states, self.samples.times_states(states)

    def update_states(self, metagenes, affinity, noise, state_penalty):
        """The state step (line 10 of Algorithm 1). Returns :class:`StateSums`."""
        before, variance = self.proportions, noise**2
        self._neighbor_sums = None
        self.proportions, self.sizes, n_sweeps = self._update(
            metagenes.T @ metagenes / variance, self.data.times_metagenes(metagenes) / variance, affinity,
            self.data.graph, before, self.sizes, state_penalty=state_penalty, colors=self.data.colors)
        self._neighbor_sums = self.data.neighbor_sums(self.proportions)
        pairs = self.data.pair_sums(self.proportions, self._neighbor_sums)
        moved = abs(self.proportions - before).sum(1).sum()
        return StateSums(float(self.sizes.sum()), pairs, float(moved), n_sweeps)

    def state_products(self):
        """X'X, (K, K), and Y'X, (G, K): all that metagenes and noise need of the states."""
        states = self.sizes[:, None] * self.proportions
        return self.data.gram(states), self.data.times_states(states)

    def affinity_value(self, affinity):
        """:func:`spicemix_core.affinity.objective_sum` of the states of the last step."""
        return objective_sum(affinity, self.proportions, self._neighbor_sums)

    def affinity_sums(self, affinity, spacing):
        """:func:`spicemix_core.affinity.objective_sums` over every ``spacing``-th of all cells."""
        return objective_sums(affinity, *self._every(spacing))

    def affinity_curvature(self, affinity, spacing):
        """:func:`spicemix_core.affinity.curvature_sum` over every ``spacing``-th of all cells."""
        return curvature_sum(affinity, self._every(spacing)[1])

    def _every(self, spacing):
        rows = slice(None) if spacing == 1 else np.flatnonzero(self.numbers % spacing == 0)
        return self.proportions[rows], self._neighbor_sums[rows]

    def get_states(self):
        """Proportions and sizes, as arrays."""
        return self.proportions, self.sizes

    def set_states(self, proportions, sizes):
        self.proportions, self.sizes = proportions, sizes
