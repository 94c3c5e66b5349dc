"""Normalisation of counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.blocks import as_dask, is_dask
from spicemix_core.inputs.checks import check_sparse, without_duplicates
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.numerics.blocks import Blocks, pieces, stored_values

if TYPE_CHECKING:
    from dask.array import Array


def log_normalize(counts: ArrayLike | sparse.spmatrix | sparse.sparray, target_sum: float = 1e4,
                  totals: ArrayLike | None = None, *, cell_names: Sequence | None = None,
                  gene_names: Sequence | None = None) -> np.ndarray | sparse.csr_matrix | Array:
    """Log-normalised expression ``log(1 + target_sum * count / total of the cell)``, with the natural logarithm.

    Parameters
    ----------
    counts : dense, sparse or Dask array of shape (n_cells, n_genes)
        Raw counts, finite and not negative. Entries that a sparse matrix stores in several parts, for instance one per
        transcript, are summed first.
    target_sum : float
        Total to which each cell is scaled.
    totals : array of shape (n_cells,), optional
        Total count of each cell; by default the row sums of ``counts``. Give them if ``counts`` holds only some of the
        measured genes.
    cell_names, gene_names : sequence, optional
        Names of cells and genes for the messages of errors, by default their numbers from 0.

    Returns
    -------
    numpy.ndarray or scipy.sparse.csr_matrix of float64
        A CSR matrix if ``counts`` is sparse, and a Dask array of such blocks if it is one; errors of a Dask array are
        raised when it is computed.

    Raises
    ------
    ValueError
        If a count is negative or not finite, or the total of a cell is not positive.

    Examples
    --------
    >>> from spicemix_core.inputs import log_normalize
    >>> log_normalize([[1, 3], [0, 2]], target_sum=4).round(2)
    array([[0.69, 1.39],
           [0.  , 1.61]])
    """
    if is_dask(counts):
        return _lazily_normalized(counts, target_sum, totals)
    counts = _check_counts(counts, cell_names, gene_names)
    totals = np.asarray(counts.sum(axis=1) if totals is None else totals, dtype=float).ravel()
    if totals.shape != (counts.shape[0],):
        raise ValueError(f"totals has {totals.size} entries, but there are {counts.shape[0]} cells; give one total for "
                         "each cell.")
    empty = np.flatnonzero(~(np.isfinite(totals) & (totals > 0)))
    if empty.size:
        raise ValueError(f"{_called('Cell', empty[0], cell_names)} has the total {totals[empty[0]]:g} ({empty.size} "
                         "such cells); remove cells without counts before normalising.")
    if sparse.issparse(counts):
        normalised = sparse.csr_matrix(counts, dtype=float, copy=True)
        normalised.data *= np.repeat(target_sum / totals, np.diff(normalised.indptr))
        np.log1p(normalised.data, out=normalised.data)
        return normalised
    return np.log1p(counts * (target_sum / totals)[:, None])


def _lazily_normalized(counts, target_sum, totals):
    import dask.array as da

    counts = as_dask(counts)
    column = None if totals is None else da.from_array(np.asarray(totals)[:, None], chunks=(counts.chunks[0], 1))

    def normalized(block, totals=None):
        return log_normalize(block, target_sum, totals)

    empty = counts._meta.astype(float)
    return da.map_blocks(normalized, *((counts,) if column is None else (counts, column)), dtype=float, meta=empty)


def are_counts(expression: np.ndarray | sparse.spmatrix | sparse.sparray | Blocks) -> bool:
    """Whether expression consists of whole numbers only, and not of booleans."""
    n_values = 0
    with np.errstate(invalid="ignore"):  # infinite values, which are not whole
        for _, block in pieces(expression):
            values = stored_values(block)
            n_values += values.size
            parts = values[:1000], values  # most expression is recognised by its first values
            if values.dtype.kind == "b" or not all((np.mod(part, 1) == 0).all() for part in parts):
                return False
    return n_values > 0


def refuse_counts(expression: np.ndarray | sparse.spmatrix | sparse.sparray | Blocks, place: str, remedy: str) -> None:
    """Raise a ValueError if expression looks like raw counts."""
    if are_counts(expression):
        raise ArgumentError(f"{place} holds whole numbers only, which look like raw counts.", remedy)


def _called(kind, number, names):
    return f"{kind} {number}" if names is None else f"{kind} {names[number]!r}"


def _check_counts(counts, cell_names, gene_names):
    """Return counts as CSR without duplicate entries or as a dense array; refuse negative and non-finite entries."""
    check_sparse(counts, "The count matrix")
    counts = without_duplicates(counts.tocsr()) if sparse.issparse(counts) else np.asarray(counts)
    if counts.ndim != 2:
        raise ValueError(f"Counts must be a matrix of cells x genes, not an array of shape {counts.shape}.")
    counts = counts.astype(float) if counts.dtype == np.float16 else counts  # its sums overflow at 65,504
    values = counts.data if sparse.issparse(counts) else counts
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        if sparse.issparse(counts):
            where = np.flatnonzero(bad)[0]
            cell, gene = np.searchsorted(counts.indptr, where, side="right") - 1, counts.indices[where]
        else:
            cell, gene = np.argwhere(bad)[0]
        raise ValueError(f"The count of {_called('cell', cell, cell_names)}, {_called('gene', gene, gene_names)} is "
                         f"{counts[cell, gene]:g} ({bad.sum()} such entries); raw counts must be finite and not "
                         "negative.")
    return counts
