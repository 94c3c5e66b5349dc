"""The input of a fit: expression and neighbour graph of each sample, checked once, and the sums the fit needs.

Expression, in single or double precision, is never copied or made dense: each sample's scaling K / (mean total per
cell), which makes the mean total of a cell K (book ``eq-scaling``), is applied to the products with the K columns of
metagenes and states.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs.checks import check_graph
from spicemix_core.numerics import products
from spicemix_core.numerics.coloring import color_classes
from spicemix_core.numerics.errors import ArgumentError


@dataclass(frozen=True)
class Samples:
    """Expressions (list of N_i x G, dense or CSR), their scalings, and one block-diagonal graph of all N cells."""

    expressions: list
    scaling: np.ndarray
    graph: sp.csr_array

    @property
    def offsets(self):
        return np.cumsum([0] + [y.shape[0] for y in self.expressions])

    @property
    def n_cells(self):
        return int(self.offsets[-1])

    @property
    def n_genes(self):
        return self.expressions[0].shape[1]

    @property
    def n_directed_edges(self):
        return int(self.graph.nnz)

    @property
    def n_entries(self):
        return self.n_cells * self.n_genes

    def numbers(self, share):
        """Numbers, among all cells, of the cells of the samples in the list ``share``."""
        return np.concatenate([np.arange(*self.offsets[i : i + 2]) for i in share])

    def take(self, share):
        """Only the samples in the list ``share``, in its order."""
        cells = self.numbers(share)
        graph = sp.csr_array(self.graph[cells][:, cells])
        return Samples([self.expressions[i] for i in share], self.scaling[share], graph)

    @cached_property
    def colors(self):
        """Cells of the graph by colour, see :func:`spicemix_core.numerics.coloring.color_classes`."""
        return color_classes(self.graph)

    @cached_property
    def sum_of_squares(self):
        """Squared Frobenius norm of all scaled expression."""
        norms = (products.row_summary(y)[:, 1].sum() for y in self.expressions)
        return float(sum(c**2 * norm for c, norm in zip(self.scaling, norms, strict=True)))

    def times_metagenes(self, metagenes):
        """Scaled Y M of all cells, (N, K)."""
        scaled = zip(self.expressions, self.scaling, strict=True)
        return np.concatenate([products.times_metagenes(y, c * metagenes) for y, c in scaled])

    def times_states(self, states):
        """Scaled Y'X summed over samples, (G, K)."""
        parts = self.split(states)
        return sum(c * products.times_states(y, x)
                   for y, c, x in zip(self.expressions, self.scaling, parts, strict=True))

    @staticmethod
    def gram(states):
        """X'X, (K, K)."""
        return states.T @ states

    @staticmethod
    def pair_sums(proportions, neighbor_sums):
        r""":math:`\sum_i z_i \nu_i^\top`, (K, K): the sum of :math:`z_i^\top S \nu_i` is its product with S."""
        return proportions.T @ neighbor_sums

    def neighbor_sums(self, proportions):
        r""":math:`\nu_i = \sum_{j \in N(i)} z_j`, (N, K)."""
        return products.times_metagenes(self.graph, proportions)

    def split(self, rows):
        """The rows of each sample, as a list."""
        return np.split(rows, self.offsets[1:-1])


def check_samples(expressions, graphs, n_metagenes):
    """Check the input of a fit and return it as :class:`Samples`.

    Parameters
    ----------
    expressions : list of arrays or CSR matrices, each (N_i, G)
        Normalised expression, finite; negative values are allowed with a warning. Single precision is kept and summed
        in double precision; other types are converted to double.
    graphs : list of sparse matrices (N_i, N_i) or None, or None
        Neighbour graphs: symmetric, no self-loops. ``None`` for a sample without space.
    n_metagenes : int
        K.

    Raises
    ------
    ValueError
        One sentence that says which sample is wrong, how, and what to do.
    """
    if isinstance(expressions, np.ndarray) or sp.issparse(expressions):
        raise ValueError("expressions must be a list with one cells x genes array per sample; wrap a single one in "
                         "[...]")
    expressions = list(expressions)
    if not expressions:
        raise ValueError("expressions is empty; pass at least one cells x genes array")
    graphs = [None] * len(expressions) if graphs is None else list(graphs)
    if len(graphs) != len(expressions):
        raise ValueError(f"there are {len(expressions)} expression arrays but {len(graphs)} graphs; pass one graph "
                         "per sample, or None for a sample without space")
    expressions = [_as_rows(y, f"sample {i}") for i, y in enumerate(expressions)]
    summaries = [_check_expression(y, f"sample {i}") for i, y in enumerate(expressions)]
    _check_sizes(expressions, n_metagenes)
    if any(summary[:, 2].min() < 0 for summary in summaries):
        warnings.warn("expression has negative values; they are kept as they are, but make sure that it is normalised "
                      "expression and not centred", stacklevel=3)
    cells = [y.shape[0] for y in expressions]
    blocks = [
        sp.csr_array((n, n)) if g is None else check_graph(g, n, f"The graph of sample {i}")
        for i, (g, n) in enumerate(zip(graphs, cells, strict=True))
    ]
    graph = sp.csr_array(sp.block_diag(blocks, format="csr"))
    totals = np.array([summary[:, 0].mean() for summary in summaries])
    sizes = np.array([np.sqrt(summary[:, 1].mean()) for summary in summaries])  # at most the total if none is negative
    if (totals <= 1e-6 * sizes).any():  # of centred data the total is rounding
        i = int(np.argmax(totals <= 1e-6 * sizes))
        raise ValueError(f"sample {i} has a mean total expression of {totals[i]:.3g} per cell; it must be positive, so "
                         "pass log-normalised expression that is not centred")
    return Samples(expressions, n_metagenes / totals, graph)


def _as_rows(y, where):
    """CSR without duplicate entries, or a C-ordered array, :func:`aligned`; in the precision it has, if it is a
    floating-point one."""
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
        raise ValueError(f"{where}: expression must be a non-empty cells x genes matrix, not of shape {y.shape}")
    return aligned(y)


def aligned(array, requirements="A"):
    """A dense or CSR array, or anything else as it is, at addresses that are multiples of its numbers' size.

    Messages between processes leave arrays at odd addresses, where products take three times as long and round in
    another way. ``requirements`` are those of ``numpy.require``; what meets them is not copied.
    """
    if sp.issparse(array):
        pieces = array.data, array.indices, array.indptr
        met = tuple(np.require(piece, requirements=requirements) for piece in pieces)
        same = all(new is old for new, old in zip(met, pieces, strict=True))
        return array if same else sp.csr_array(met, shape=array.shape)
    return np.require(array, requirements=requirements) if isinstance(array, np.ndarray) else array


def _check_expression(y, where):
    """The rows' sums and extremes (:func:`products.row_summary`) of expression that a model can use."""
    summary = products.row_summary(y)
    bad = np.flatnonzero(~np.isfinite(summary[:, 0]))
    if bad.size:
        count = sum((~np.isfinite(y[i].data if sp.issparse(y) else y[i])).sum() for i in bad)
        raise ValueError(f"{where}: expression has {count} NaN or infinite values, the first in cell {bad[0]}; remove "
                         "or impute them")
    empty = np.flatnonzero((summary[:, 2:] == 0).all(axis=1))
    if empty.size == len(summary):
        raise ValueError(f"{where}: every cell is zero; drop the sample or check its layer")
    if empty.size:
        raise ValueError(f"{where}: {empty.size} cells have no expression at all, the first is cell {empty[0]}; filter "
                         "empty cells out")
    return summary


def _check_sizes(expressions, n_metagenes):
    genes = [y.shape[1] for y in expressions]
    if len(set(genes)) > 1:
        raise ValueError(f"samples have different numbers of genes ({', '.join(map(str, genes))}); restrict all to the "
                         "same genes in the same order")
    cells = sum(y.shape[0] for y in expressions)
    for count, name in ((cells, "cells"), (genes[0], "genes")):
        if count < n_metagenes:
            raise ArgumentError(f"There are {n_metagenes} metagenes but only {count} {name}.",
                                f"Lower {{n_metagenes}} to at most {count}.")

