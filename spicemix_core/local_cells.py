"""Cells in the memory of this process: the state step and all sums over cells, in compiled code."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spicemix_core.affinity import pseudo_likelihood_sums
from spicemix_core.cells import Cells, StateSums
from spicemix_core.latent_states import split_states, update_latent_states
from spicemix_core.numerics import products
from spicemix_core.numerics.active_set import nonnegative_least_squares
from spicemix_core.samples import Samples


class LocalCells(Cells):
    """Cells in the memory of this process.

    Parameters
    ----------
    samples : Samples
    first_cells : sequence of int, optional
        Index of the first cell of each sample among all cells of the fit, ascending. By default these samples are all
        samples of the fit.
    states : tuple of arrays, shapes (N, K) and (N,), optional
        Proportions and sizes to start from. By default there are no states before :meth:`solve_states`.
    update : callable
        The state step: :func:`spicemix_core.latent_states.update_latent_states`, or a function with the same
        parameters and results.

    Examples
    --------
    >>> from spicemix_core import datasets, inputs, steps
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
    >>> samples = inputs.check_samples([adata.X], [adata.obsp["spatial_connectivities"]], 3)
    >>> cells = steps.LocalCells(samples)
    >>> gram, cross = cells.solve_states(adata.varm["true_metagenes"][:, :3])
    >>> proportions, sizes = cells.states
    >>> proportions.shape, sizes.shape
    ((100, 3), (100,))
    """

    def __init__(self, samples: Samples, first_cells: Sequence[int] | None = None, *,
                 states: tuple[np.ndarray, np.ndarray] | None = None, update: Callable = update_latent_states) -> None:
        first_cells = samples.offsets[:-1] if first_cells is None else first_cells
        self.samples = samples
        self.data: Any = samples  # the data in the form that the iterations use
        self.cell_ids = np.concatenate([first + np.arange(y.shape[0])
                                        for first, y in zip(first_cells, samples.expressions, strict=True)])
        self.proportions, self.sizes = (None, None) if states is None else states
        self._neighbor_sums = None
        self._update = update

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """Proportions (N, K) and sizes (N,)."""
        return self.proportions, self.sizes

    def gram_times(self, columns: np.ndarray) -> np.ndarray:
        return self.samples.gram_times(columns)

    def profiles(self, directions: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # cells of other parts of the fit are left out
        places = np.flatnonzero(np.isin(chosen, self.cell_ids))
        rows = np.searchsorted(self.cell_ids, chosen[places])
        order = np.argsort(rows, kind="stable")
        found = []
        for first, coordinates, sizes in self._profiles(directions):
            here = rows[order[slice(*np.searchsorted(rows[order], [first, first + len(sizes)]))]] - first
            found.append((coordinates[here], sizes[here, 0]))
        coordinates, sizes = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return places[order], coordinates, sizes

    def expression_of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.flatnonzero(np.isin(chosen, self.cell_ids))
        return places, self.samples.rows(np.searchsorted(self.cell_ids, chosen[places]))

    def _profiles(self, directions):
        """First cell, coordinates and sizes of consecutive parts of the cells."""
        for first, y, c in self.samples.pieces():
            sizes = np.maximum(products.times_metagenes(y, c * np.ones((self.samples.n_genes, 1))), 0.0)
            yield first, products.times_metagenes(y, c * directions) / np.where(sizes > 0.0, sizes, 1.0), sizes

    def cluster_sums(self, directions: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        from sklearn.metrics import pairwise_distances_argmin

        states = np.zeros((self.samples.n_cells, len(centroids)))
        for first, coordinates, sizes in self._profiles(directions):
            labels = pairwise_distances_argmin(coordinates, centroids)
            states[first + np.arange(len(labels)), labels] = sizes[:, 0]
        return self.samples.times_states(states)

    def solve_states(self, metagenes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # starts from the current states, if there are any
        start = None if self.sizes is None else self.sizes[:, None] * self.proportions
        linear = self.samples.times_metagenes(metagenes)
        states = nonnegative_least_squares(metagenes.T @ metagenes, linear, start)
        self.proportions, self.sizes = split_states(states)
        return states.T @ states, self.samples.times_states(states)

    def update_states(self, metagenes: np.ndarray, affinity: np.ndarray, noise: float,
                      state_penalty: float) -> StateSums:
        before, variance = self.proportions, noise**2
        self._neighbor_sums = None  # frees its memory during the step
        self.proportions, self.sizes, n_sweeps = self._update(
            metagenes.T @ metagenes / variance, self.data.times_metagenes(metagenes) / variance, affinity,
            self.data.graph, before, self.sizes, state_penalty=state_penalty, colors=self.data.colors)
        self._neighbor_sums = self.data.neighbor_sums(self.proportions)
        states = self.sizes[:, None] * self.proportions
        return StateSums(gram=self.data.gram(states), cross=self.data.times_states(states),
                         sizes=float(self.sizes.sum()),
                         pairs=self.data.pair_sums(self.proportions, self._neighbor_sums),
                         moved=float(abs(self.proportions - before).sum(1).sum()), n_sweeps=n_sweeps)

    def affinity_sums(self, affinity: np.ndarray, order: int, spacing: int = 1) -> tuple:
        proportions, neighbor_sums = self._every(spacing)
        return pseudo_likelihood_sums(affinity, proportions, neighbor_sums, order)

    def _every(self, spacing):
        """Proportions and neighbour sums of the cells whose index in the fit is a multiple of ``spacing``."""
        rows = slice(None) if spacing == 1 else np.flatnonzero(self.cell_ids % spacing == 0)
        return self.proportions[rows], self._neighbor_sums[rows]
