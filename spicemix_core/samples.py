"""The data of a fit: expression and neighbour graph of each sample, and the products a fit needs of them.

Expression, in single or double precision, is never copied or made dense, and need not be in memory. The scaling of each
sample, K / (mean total per cell), which makes the mean total of a cell K (book ``eq-scaling``), is applied to the
products with the K columns of metagenes and states.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics import products
from spicemix_core.numerics.blocks import Blocks, pieces, rows_of
from spicemix_core.numerics.coloring import color_classes
from spicemix_core.numerics.compressed import check_compressed


@dataclass(frozen=True)
class Samples:
    """The input of a fit; see :func:`spicemix_core.inputs.check_samples`.

    Parameters
    ----------
    expressions : list of arrays, CSR arrays or Blocks, each (N_i, G)
    scaling : array, shape (n_samples,)
        Factor by which the expression of each sample is multiplied.
    graph : sparse CSR array, shape (N, N)
        Block-diagonal neighbour graph of all cells.
    """

    expressions: list
    scaling: np.ndarray
    graph: sp.csr_array

    def __post_init__(self):
        for matrix in filter(sp.issparse, (*self.expressions, self.graph)):
            check_compressed(matrix, "A sparse matrix of the samples")

    @cached_property
    def offsets(self) -> np.ndarray:
        """Index of the first cell of each sample among all cells, and the number of all cells."""
        return np.cumsum([0] + [y.shape[0] for y in self.expressions])

    @property
    def n_cells(self) -> int:
        """N."""
        return int(self.offsets[-1])

    @property
    def n_genes(self) -> int:
        """G."""
        return self.expressions[0].shape[1]

    @property
    def n_directed_edges(self) -> int:
        """Sum of the degrees of all cells."""
        return int(self.graph.nnz)

    @property
    def n_entries(self) -> int:
        """Number of entries of Y."""
        return self.n_cells * self.n_genes

    def cells_of(self, indices: Sequence[int]) -> np.ndarray:
        """Indices, among all cells, of the cells of the samples with the given indices."""
        return np.concatenate([np.arange(*self.offsets[i : i + 2]) for i in indices])

    def take(self, indices: Sequence[int]) -> "Samples":
        """The samples with the given indices, in that order."""
        cells = self.cells_of(indices)
        graph = sp.csr_array(self.graph[cells][:, cells])
        return Samples([self.expressions[i] for i in indices], self.scaling[indices], graph)

    def in_memory(self) -> "Samples":
        """The same samples, with all of their expression in memory."""
        loaded = [y.loaded() if isinstance(y, Blocks) else y for y in self.expressions]
        same = all(new is old for new, old in zip(loaded, self.expressions, strict=True))
        return self if same else replace(self, expressions=loaded)

    def pieces(self) -> Iterator[tuple[int, Any, float]]:
        """Index of the first cell, expression in memory, and scaling of consecutive parts of the cells."""
        for start, y, c in zip(self.offsets, self.expressions, self.scaling, strict=False):
            for first, block in pieces(y):
                yield int(start) + first, block, c

    @cached_property
    def colors(self) -> list[np.ndarray]:
        """Cells of each colour of the graph, see :func:`spicemix_core.numerics.coloring.color_classes`."""
        return color_classes(self.graph)

    @cached_property
    def sum_of_squares(self) -> float:
        """Squared Frobenius norm of all scaled expression."""
        norms = (products.row_summary(y)[:, 1].sum() for y in self.expressions)
        return float(sum(c**2 * norm for c, norm in zip(self.scaling, norms, strict=True)))

    def rows(self, cells: np.ndarray) -> np.ndarray:
        """Scaled expression of the cells with these indices, as a dense array in double precision."""
        found = np.empty((len(cells), self.n_genes))
        for start, y, c in zip(self.offsets, self.expressions, self.scaling, strict=False):
            here = (cells >= start) & (cells < start + y.shape[0])
            part = rows_of(y, cells[here] - start)
            found[here] = c * (part.toarray() if sp.issparse(part) else part).astype(float)
        return found

    def times_metagenes(self, metagenes: np.ndarray) -> np.ndarray:
        """Scaled Y M of all cells, shape (N, K)."""
        metagenes = np.asfortranarray(metagenes)  # as the product with dense expression needs them
        found = [products.times_metagenes(y, metagenes) for y in self.expressions]
        for product, c in zip(found, self.scaling, strict=True):
            product *= c
        return np.concatenate(found)

    def gram_times(self, columns: np.ndarray) -> np.ndarray:
        """Scaled Y'Y B, shape (G, n), for the columns B (G, n)."""
        return sum(products.gram_times(y, columns, c) for y, c in zip(self.expressions, self.scaling, strict=True))

    def times_states(self, states: np.ndarray) -> np.ndarray:
        """Scaled Y'X summed over samples, shape (G, K)."""
        parts = self.split(states)
        return sum(c * products.times_states(y, x)
                   for y, c, x in zip(self.expressions, self.scaling, parts, strict=True))

    @staticmethod
    def gram(states: np.ndarray) -> np.ndarray:
        """X'X, shape (K, K)."""
        return states.T @ states

    @staticmethod
    def pair_sums(proportions: np.ndarray, neighbor_sums: np.ndarray) -> np.ndarray:
        r""":math:`\sum_i z_i \nu_i^\top`, shape (K, K)."""
        return proportions.T @ neighbor_sums

    def neighbor_sums(self, proportions: np.ndarray) -> np.ndarray:
        r""":math:`\nu_i = \sum_{j \in N(i)} z_j`, shape (N, K)."""
        return products.times_metagenes(self.graph, proportions)

    def unscaled(self, proportions: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        """The latent states of each sample in the units of the data."""
        parts = self.split(sizes[:, None] * proportions)
        return [x / c for x, c in zip(parts, self.scaling, strict=True)]

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows of each sample."""
        return np.split(rows, self.offsets[1:-1])


def aligned(array, requirements: str = "A"):
    """A dense or CSR array at addresses that are multiples of its item size; other objects as they are.

    Messages between processes leave arrays at odd addresses, where products take three times as long and round
    differently. ``requirements`` are those of ``numpy.require``; an array that meets them is not copied.
    """
    if sp.issparse(array):
        pieces = array.data, array.indices, array.indptr
        met = tuple(np.require(piece, requirements=requirements) for piece in pieces)
        same = all(new is old for new, old in zip(met, pieces, strict=True))
        return array if same else sp.csr_array(met, shape=array.shape)
    return np.require(array, requirements=requirements) if isinstance(array, np.ndarray) else array
