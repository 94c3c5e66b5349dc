"""The input of a fit as arrays: every sample is checked once, with messages that name samples and cells."""

import warnings
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs.blocks import in_blocks, is_in_blocks
from spicemix_core.inputs.checks import check_graph, check_sparse, without_duplicates
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.numerics import products
from spicemix_core.numerics.blocks import Blocks, pieces, stored_values
from spicemix_core.samples import Samples, aligned

SMALLEST = 1e-25  # of the largest entry of a sample; the model squares the entries
NOISE = 0.01  # share of the positive total; noise around zero is below, centred data are near 1


def check_samples(expressions: Sequence, graphs: Sequence | None, n_metagenes: int,
                  names: tuple | None = None, *, stacklevel: int = 2) -> Samples:
    """Check the input of a fit.

    Parameters
    ----------
    expressions : list of arrays, CSR matrices, Dask arrays or datasets in a file, each (N_i, G)
        Normalised expression, finite; negative values are allowed, with a warning if they are more than noise. Single
        precision is kept, and summed in double precision; other types are converted to double precision.
    graphs : list of sparse matrices (N_i, N_i) or None, or None
        Neighbour graphs: symmetric, without self-loops, entries one. ``None`` for a non-spatial sample.
    n_metagenes : int
        K.
    names : tuple, optional
        Names for messages, of the genes, of the samples and of the cells of each sample; by default their indices.
    stacklevel : int
        As for ``warnings.warn``.

    Returns
    -------
    Samples

    Raises
    ------
    ValueError
        One or two sentences that say what is wrong, in which sample, and what to do.

    Examples
    --------
    >>> from spicemix_core import datasets, inputs
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
    >>> samples = inputs.check_samples([adata.X], [adata.obsp["spatial_connectivities"]], 5)
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
    titles = [f"sample {name!r}" for name in sample_names]
    expressions = [_as_rows(y, name) for y, name in zip(expressions, titles, strict=True)]
    cell_names = cell_names or [range(y.shape[0]) for y in expressions]
    summaries = [_check_expression(*sample) for sample in zip(expressions, titles, cell_names, strict=True)]
    _check_sizes(expressions, titles, n_metagenes)
    signed = [y for y, summary in zip(expressions, summaries, strict=True) if summary[:, 2].min() < 0]
    if any(map(_is_more_than_noise, signed)):
        warnings.warn("Expression has negative values, which are kept: make sure that it is normalised expression and "
                      "not centred.", stacklevel=stacklevel)
    blocks = [
        sp.csr_array((y.shape[0],) * 2) if g is None
        else check_graph(g, y.shape[0], f"The graph of {name}", cell_names=cells)
        for g, y, name, cells in zip(graphs, expressions, titles, cell_names, strict=True)
    ]
    graph = sp.csr_array(sp.block_diag(blocks, format="csr"))
    totals = np.array([summary[:, 0].mean() for summary in summaries])
    sizes = np.array([np.sqrt(summary[:, 1].mean()) for summary in summaries])  # at most the total if none is negative
    if (totals <= 1e-6 * sizes).any():  # the total of centred data is rounding
        i = int(np.argmax(totals <= 1e-6 * sizes))
        raise ValueError(f"The mean total expression per cell of {titles[i]} is {totals[i]:.3g}, but must be positive: "
                         "pass log-normalised expression that is not centred.")
    return Samples(expressions, n_metagenes / totals, graph)


def _as_rows(y, name):
    """CSR without duplicate entries, or a C-ordered array, :func:`aligned`, in its own floating-point precision.

    Expression that is not in memory becomes Blocks of these.
    """
    if is_in_blocks(y):
        y = in_blocks(y, f"the expression of {name}")
    if isinstance(y, Blocks):
        return y.map(lambda block: _as_rows(block, name), np.float32 if y.dtype == np.float32 else float)
    check_sparse(y, f"The expression of {name}")
    y = y if sp.issparse(y) else np.asarray(y)
    precision = np.float32 if y.dtype == np.float32 else float
    if sp.issparse(y):
        y = without_duplicates(sp.csr_array(y, dtype=precision))
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
        count = sum((~np.isfinite(stored_values(block))).sum() for _, block in pieces(y))
        raise ValueError(f"The expression of {name} has {count} NaN or infinite values, the first in cell "
                         f"{cells[bad[0]]!r}: remove or impute them.")
    largest = np.abs(summary[:, 2:]).max()
    if largest and not SMALLEST <= largest <= 1 / SMALLEST:
        raise ValueError(f"The largest entry of the expression of {name} is {largest:.3g}, but its square must fit "
                         "into a floating-point number: multiply the expression by a constant, so that the largest "
                         f"entry is between {SMALLEST} and {1 / SMALLEST}.")
    empty = np.flatnonzero((summary[:, 2:] == 0).all(axis=1))
    if empty.size == len(summary):
        raise ValueError(f"Every cell of {name} is zero: drop the sample, or check its layer.")
    if empty.size:
        raise ValueError(f"{empty.size} cells of {name} have no expression, the first is cell {cells[empty[0]]!r}: "
                         "remove empty cells.")
    return summary


def _is_more_than_noise(y):
    """Whether the negative values of expression weigh more than ``NOISE`` of the positive ones."""
    negative = total = 0.0
    for _, block in pieces(y):
        values = stored_values(block)
        negative -= values.sum(where=values < 0, dtype=float)
        total += values.sum(dtype=float)
    return negative > NOISE * (total + negative)


def _check_sizes(expressions, names, n_metagenes):
    genes = [y.shape[1] for y in expressions]
    other = next((i for i, n in enumerate(genes) if n != genes[0]), None)
    if other is not None:
        raise ValueError(f"The samples have different numbers of genes, {genes[0]} in {names[0]} and {genes[other]} in "
                         f"{names[other]}: restrict all to the same genes in the same order.")
    n_cells = sum(y.shape[0] for y in expressions)
    for count, what in ((n_cells, "cells"), (genes[0], "genes")):
        if count < n_metagenes:
            raise ArgumentError(f"There are {n_metagenes} metagenes but only {count} {what}.",
                                f"Lower {{n_metagenes}} to at most {count}.")
