"""What expression holds: counts, expected counts, log-normalised or scaled values; and where the counts are."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from spicemix_core.inputs.anndata import RAW, expression_place, readable_expression_of
from spicemix_core.inputs.errors import ArgumentError, InputWarning
from spicemix_core.inputs.normalize import are_counts, refuse_counts
from spicemix_core.numerics.blocks import pieces, rows_of, stored_values

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.inputs.anndata import Matrix

SCALED = 0.2  # share of negative entries from which values are taken as centred
LARGEST_LOG = 20.0  # more than log(1 + x) of any total to which cells are usually scaled
CELLS, ENTRIES = 500, 50  # looked at to recognise log-normalised values, and needed for it


def check_kind(adata: AnnData, expression: Matrix, layer: str | None, normalize: bool, stacklevel: int = 3) -> None:
    """Refuse expression that is not what ``normalize`` says, and name the place of the counts.

    Parameters
    ----------
    adata : AnnData
    expression : array, sparse matrix or Blocks
        Of :func:`spicemix_core.inputs.anndata.readable_expression_of`.
    layer : str or None
        The layer that holds it.
    normalize : bool
        Whether it is to be normalised.
    stacklevel : int
        As for ``warnings.warn``.

    Raises
    ------
    ValueError
        If entries are missing, most of all genes that some samples lack; if counts are not to be normalised; or if
        values that are no counts, because they are centred or log-normalised, are to be normalised.

    Warns
    -----
    UserWarning
        If numbers that are not whole are normalised as expected counts, or if values that are not to be normalised are
        larger than logarithms.
    """
    place = expression_place(layer)
    _refuse_missing(adata, expression, place)
    kind = np.dtype(expression.dtype).kind
    negative, largest = _signs(expression)
    if not normalize:
        refuse_counts(expression, place, "Pass {normalize=True}, or put log-normalised expression there.")
        if negative > SCALED:
            raise ArgumentError(f"{negative:.0%} of the entries of {place} are negative, as in centred or z-scored "
                                "expression, which has no metagenes.",
                                _places_of_counts(adata, layer)
                                or "Use the log-normalised values from before the scaling.")
        if largest > LARGEST_LOG:
            warnings.warn(InputWarning(
                f"{place} holds values up to {largest:.4g}, which log-normalised expression does not reach.",
                "If they are counts or expected counts, pass {normalize=True}."), stacklevel=stacklevel)
        return
    if are_counts(expression):
        return
    if negative or kind == "b":
        found = "true and false, which are no counts" if kind == "b" else "negative numbers, so no counts"
        raise ArgumentError(f"{place} is to be normalised but holds {found}.",
                            _places_of_counts(adata, layer) or "Put raw counts there, or leave out {normalize}.")
    if _is_log_normalised(expression):
        raise ArgumentError(f"{place} is to be normalised but holds log-normalised values already.",
                            _places_of_counts(adata, layer) or "Put raw counts there, or leave out {normalize}.")
    warnings.warn(InputWarning(
        f"{place} holds numbers that are not whole. They are taken as expected counts, as probabilistic methods give "
        "them, and normalised as counts are.", "If they are normalised already, leave out {normalize}."),
        stacklevel=stacklevel)


def _signs(expression):
    """Share of negative entries, and the largest value that is stored."""
    negative, largest = 0, -np.inf
    for _, block in pieces(expression):
        values = stored_values(block)
        negative += np.count_nonzero(values < 0)
        largest = max(largest, float(values.max())) if values.size else largest
    return negative / max(1, np.prod(expression.shape)), largest


def _refuse_missing(adata, expression, place):
    """Raise an error that names cells and genes without a number."""
    if np.dtype(expression.dtype).kind != "f":
        return
    cells, genes, values = (np.concatenate(parts) for parts in zip(
        *(_not_finite(first, block) for first, block in pieces(expression)), strict=True))
    if not len(cells):
        return
    kind = "no value (NaN)" if np.isnan(values).any() else "an infinite value"
    raise ArgumentError(
        f"{place} has {kind} for {len(np.unique(genes))} of the {adata.n_vars} genes in {len(np.unique(cells))} of the "
        f"{adata.n_obs} cells, the first is gene {adata.var_names[genes[0]]!r} in cell {adata.obs_names[cells[0]]!r}.",
        "An outer join of data with different genes leaves such gaps; keep the genes that were measured in all cells.")


def _not_finite(first, block):
    """Cells, genes and values of the entries without a number of a block that begins at the cell ``first``."""
    if np.isfinite(stored_values(block).sum(dtype=float)):
        return np.empty(0, dtype=int), np.empty(0, dtype=int), np.empty(0)
    entries = sparse.coo_array(block)
    bad = ~np.isfinite(entries.data)
    return entries.row[bad] + first, entries.col[bad], entries.data[bad]


def _places_of_counts(adata, layer):
    """Where else the counts are, as a sentence; an empty text if they are nowhere."""
    places = [name for name in [*adata.layers, *([RAW] if adata.raw is not None else []), None] if name != layer]
    found = [name for name in places if (adata.X is not None or name is not None) and are_counts(
        readable_expression_of(adata, name))]
    if not found:
        return ""
    if found[0] is None:
        return "The counts are in X: leave out {layer}, and pass {normalize=True}."
    where = "raw" if found[0] == RAW and RAW not in adata.layers else f"the layer {found[0]!r}"
    return f"The counts are in {where}: choose {found[0]!r} with {{layer}}, and pass {{normalize=True}}."


def _is_log_normalised(expression):
    """Whether log(1 + x), of base e, 2 or 10, was taken of counts that were scaled per cell.

    Then x has the same total in all cells, or the entries of a cell are multiples of its smallest entry.
    """
    top = rows_of(expression, np.arange(min(CELLS, expression.shape[0])))
    rows = sparse.csr_array(top) if sparse.issparse(top) else sparse.csr_array(np.asarray(top, dtype=float))
    if not rows.nnz or rows.data.max() > LARGEST_LOG:
        return False
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    smallest = np.full(rows.shape[0], np.inf)
    for base in (np.e, 2.0, 10.0):
        values = base ** rows.data.astype(float) - 1.0
        totals = np.bincount(row, values, minlength=rows.shape[0])
        if (totals > 0).sum() > 1 and totals[totals > 0].std() < 1e-3 * totals.max():
            return True
        smallest[:] = np.inf
        np.minimum.at(smallest, row, np.where(values > 0, values, np.inf))
        ratios = values / smallest[row]
        ratios = ratios[ratios > 1.5]
        if len(ratios) >= ENTRIES and (abs(ratios - np.round(ratios)) < 1e-3 * ratios).mean() > 0.9:
            return True
    return False
