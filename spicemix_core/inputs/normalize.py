"""Normalisation of counts."""

import numpy as np
from scipy import sparse


def log_normalize(counts, target_sum: float = 1e4, totals=None):
    """Log-normalised expression ``log(1 + target_sum * count / total of the cell)`` (natural logarithm).

    Parameters
    ----------
    counts : dense or sparse array of shape (n_cells, n_genes)
        Raw counts, finite and not negative.
    target_sum : float
        Total to which each cell is scaled.
    totals : array of shape (n_cells,), optional
        Cell totals to divide by; by default the row sums of ``counts``. Needed where ``counts`` holds
        only some of the measured genes.

    Returns
    -------
    float64 array, or scipy.sparse.csr_matrix if ``counts`` is sparse

    Raises
    ------
    ValueError
        If a count is negative or not finite, or a cell's total is not positive.
    """
    counts = check_counts(counts)
    totals = np.asarray(counts.sum(axis=1) if totals is None else totals, dtype=float).ravel()
    if totals.shape != (counts.shape[0],):
        raise ValueError(f"totals has {totals.size} entries, but there are {counts.shape[0]} cells.")
    empty = np.flatnonzero(~(np.isfinite(totals) & (totals > 0)))
    if empty.size:
        raise ValueError(f"Cell {empty[0]} has the total {totals[empty[0]]:g} ({empty.size} such cells): remove cells "
                         "without counts before normalising.")
    if sparse.issparse(counts):
        normalised = sparse.csr_matrix(counts, dtype=float, copy=True)
        normalised.data *= np.repeat(target_sum / totals, np.diff(normalised.indptr))
        np.log1p(normalised.data, out=normalised.data)
        return normalised
    return np.log1p(counts * (target_sum / totals)[:, None])


def check_counts(counts):
    """Return counts as CSR or as a dense array; refuse negative and non-finite entries, naming the first."""
    counts = counts.tocsr() if sparse.issparse(counts) else np.asarray(counts)
    if counts.ndim != 2:
        raise ValueError(f"Counts must be a matrix of cells x genes, not an array of shape {counts.shape}.")
    values = counts.data if sparse.issparse(counts) else counts
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        if sparse.issparse(counts):
            where = np.flatnonzero(bad)[0]
            cell, gene = np.searchsorted(counts.indptr, where, side="right") - 1, counts.indices[where]
        else:
            cell, gene = np.argwhere(bad)[0]
        raise ValueError(f"The count of cell {cell}, gene {gene} (from 0) is {counts[cell, gene]:g} ({bad.sum()} such "
                         "entries): raw counts must be finite and not negative.")
    return counts
