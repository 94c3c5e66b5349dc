"""The input of a fit: expression and neighbour graph of each sample, checked once, and the products a fit needs.

Expression, in single or double precision, is never copied or made dense. The scaling of each sample, K / (mean total
per cell), which makes the mean total of a cell K (book ``eq-scaling``), is applied to the products with the K columns
of metagenes and states.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics import products
from spicemix_core.numerics.coloring import color_classes


@dataclass(frozen=True)
class Samples:
    """The input of a fit; see :func:`check_samples`.

    Parameters
    ----------
    expressions : list of arrays or CSR arrays, each (N_i, G)
    scaling : array, shape (n_samples,)
        Factor by which the expression of each sample is multiplied.
    graph : sparse CSR array, shape (N, N)
        Block-diagonal neighbour graph of all cells.
    """

    expressions: list
    scaling: np.ndarray
    graph: sp.csr_array

    @property
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

    @cached_property
    def colors(self) -> list[np.ndarray]:
        """Cells of each colour of the graph, see :func:`spicemix_core.numerics.coloring.color_classes`."""
        return color_classes(self.graph)

    @cached_property
    def sum_of_squares(self) -> float:
        """Squared Frobenius norm of all scaled expression."""
        norms = (products.row_summary(y)[:, 1].sum() for y in self.expressions)
        return float(sum(c**2 * norm for c, norm in zip(self.scaling, norms, strict=True)))

    def times_metagenes(self, metagenes: np.ndarray) -> np.ndarray:
        """Scaled Y M of all cells, shape (N, K)."""
        scaled = zip(self.expressions, self.scaling, strict=True)
        return np.concatenate([products.times_metagenes(y, c * metagenes) for y, c in scaled])

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


def check_samples(expressions: Sequence, graphs: Sequence | None, n_metagenes: int,
                  names: tuple | None = None) -> Samples:
    """Check the input of a fit.

    Parameters
    ----------
    expressions : list of arrays or CSR matrices, each (N_i, G)
        Normalised expression, finite; negative values are allowed with a warning. Single precision is kept, and summed
        in double precision; other types are converted to double precision.
    graphs : list of sparse matrices (N_i, N_i) or None, or None
        Neighbour graphs: symmetric, without self-loops, entries one. ``None`` for a non-spatial sample.
    n_metagenes : int
        K.
    names : tuple, optional
        Names for messages, of the genes, of the samples and of the cells of each sample; by default their indices.

    Returns
    -------
    Samples

    Raises
    ------
    ValueError
        One or two sentences that say what is wrong, in which sample, and what to do.

    Examples
    --------
    >>> from spicemix_core import datasets, steps
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
    >>> samples = steps.check_samples([adata.X], [adata.obsp["spatial_connectivities"]], 5)
    >>> samples.n_cells, samples.n_genes
    (100, 100)
    """
    if isinstance(expressions, np.ndarray) or sp.issparse(expressions):
        raise ValueError("expressions must be a list with one cells x genes array per sample: put a single array into "
                         "a list.")
    expressions = list(expressions)
    if not expressions:
        raise ValueError("expressions is empty: pass at least one cells x genes array.")
    graphs = [None] * len(expressions) if graphs is None else list(graphs)
    if len(graphs) != len(expressions):
        raise ValueError(f"There are {len(expressions)} expression arrays but {len(graphs)} graphs: pass one graph "
                         "per sample, or None for a non-spatial sample.")
    _, sample_names, cell_names = names or (None, range(len(expressions)), None)
    names = [f"sample {name!r}" for name in sample_names]
    expressions = [_as_rows(y, name) for y, name in zip(expressions, names, strict=True)]
    cell_names = cell_names or [range(y.shape[0]) for y in expressions]
    summaries = [_check_expression(*sample) for sample in zip(expressions, names, cell_names, strict=True)]
    _check_sizes(expressions, names, n_metagenes)
    if any(summary[:, 2].min() < 0 for summary in summaries):
        warnings.warn("Expression has negative values, which are kept: make sure that it is normalised expression and "
                      "not centred.", stacklevel=4)
    blocks = [
        sp.csr_array((y.shape[0],) * 2) if g is None else check_graph(g, y.shape[0], f"the graph of {name}", cells)
        for g, y, name, cells in zip(graphs, expressions, names, cell_names, strict=True)
    ]
    graph = sp.csr_array(sp.block_diag(blocks, format="csr"))
    totals = np.array([summary[:, 0].mean() for summary in summaries])
    sizes = np.array([np.sqrt(summary[:, 1].mean()) for summary in summaries])  # at most the total if none is negative
    if (totals <= 1e-6 * sizes).any():  # the total of centred data is rounding
        i = int(np.argmax(totals <= 1e-6 * sizes))
        raise ValueError(f"The mean total expression per cell of {names[i]} is {totals[i]:.3g}, but must be positive: "
                         "pass log-normalised expression that is not centred.")
    return Samples(expressions, n_metagenes / totals, graph)


def check_graph(graph, n_cells: int, where: str = "the graph", cell_names: Sequence[str] | None = None) -> sp.csr_array:
    """Check a neighbour graph and return it as a CSR array of ones with sorted indices.

    Parameters
    ----------
    graph : sparse or dense matrix, shape (N, N)
        Symmetric adjacency, every edge 1 in both directions. Several samples are one block-diagonal graph
        (``scipy.sparse.block_diag``).
    n_cells : int
        N, the number of cells that the graph must have.
    where : str
        Name of the graph in messages.
    cell_names : sequence of str, optional
        Names of the cells in messages; by default their indices.

    Returns
    -------
    scipy.sparse.csr_array

    Raises
    ------
    ValueError
        Wrong size, NaN or weights other than 0 and 1, a self-loop, or an edge in one direction only.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core.samples import check_graph
    >>> check_graph(np.array([[0, 1], [1, 0]]), 2).nnz
    2
    """
    where = where[:1].upper() + where[1:]
    cells = range(n_cells) if cell_names is None else cell_names
    graph = sp.csr_array(graph, dtype=float, copy=True)
    if graph.shape != (n_cells, n_cells):
        raise ValueError(f"{where} has shape {graph.shape} for {n_cells} cells: build it from the same cells.")
    graph.sum_duplicates()
    graph.eliminate_zeros()
    if (graph.data != 1).any():
        raise ValueError(f"{where} has entries other than 0 and 1: pass adjacency without weights.")
    if graph.diagonal().any():
        cell = cells[int(np.flatnonzero(graph.diagonal())[0])]
        raise ValueError(f"{where} has self-loops, the first at cell {cell!r}: set its diagonal to zero.")
    one_way = (graph - graph.T).tocoo()
    one_way.eliminate_zeros()
    if one_way.nnz:
        i, j = cells[int(one_way.row[0])], cells[int(one_way.col[0])]
        raise ValueError(f"{where} is not symmetric; cells {i!r} and {j!r} are joined in one direction only: use "
                         "graph.maximum(graph.T).")
    graph.sort_indices()
    return graph


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


def _as_rows(y, name):
    """CSR without duplicate entries, or a C-ordered array, :func:`aligned`, in its own floating-point precision."""
    y = y if sp.issparse(y) else np.asarray(y)
    precision = np.float32 if y.dtype == np.float32 else float
    if sp.issparse(y):
        y = sp.csr_array(y, dtype=precision)
        if not y.has_canonical_format:
            y = y.copy()
            y.sum_duplicates()
    else:
        y = np.ascontiguousarray(y, dtype=precision)
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(f"The expression of {name} has shape {y.shape}: pass a non-empty cells x genes matrix.")
    return aligned(y)


def _check_expression(y, name, cells):
    """The :func:`spicemix_core.numerics.products.row_summary` of expression that a model can use."""
    summary = products.row_summary(y)
    bad = np.flatnonzero(~np.isfinite(summary[:, 0]))
    if bad.size:
        count = sum((~np.isfinite(y[i].data if sp.issparse(y) else y[i])).sum() for i in bad)
        raise ValueError(f"The expression of {name} has {count} NaN or infinite values, the first in cell "
                         f"{cells[bad[0]]!r}: remove or impute them.")
    empty = np.flatnonzero((summary[:, 2:] == 0).all(axis=1))
    if empty.size == len(summary):
        raise ValueError(f"Every cell of {name} is zero: drop the sample, or check its layer.")
    if empty.size:
        raise ValueError(f"{empty.size} cells of {name} have no expression, the first is cell {cells[empty[0]]!r}: "
                         "remove empty cells.")
    return summary


def _check_sizes(expressions, names, n_metagenes):
    genes = [y.shape[1] for y in expressions]
    other = next((i for i, n in enumerate(genes) if n != genes[0]), None)
    if other is not None:
        raise ValueError(f"The samples have different numbers of genes, {genes[0]} in {names[0]} and {genes[other]} in "
                         f"{names[other]}: restrict all to the same genes in the same order.")
    n_cells = sum(y.shape[0] for y in expressions)
    for count, what in ((n_cells, "cells"), (genes[0], "genes")):
        if count < n_metagenes:
            raise ValueError(f"There are {count} {what} but n_metagenes={n_metagenes}: lower n_metagenes to at most "
                             f"{count}.")
