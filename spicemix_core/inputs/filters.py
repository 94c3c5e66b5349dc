"""Which genes and cells are prepared for a fit: no control probes, chosen or variable genes, cells with counts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.inputs.anndata import RAW, labels_of
from spicemix_core.inputs.blocks import in_blocks, is_in_blocks
from spicemix_core.inputs.errors import ArgumentError, InputWarning, MissingDataError
from spicemix_core.inputs.loading import loaded
from spicemix_core.inputs.parameters import check_integer, check_number
from spicemix_core.numerics.blocks import Blocks, pieces

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.inputs.anndata import Matrix

TYPES = ("feature_types", "feature_type", "CodeClass", "code_class")  # columns of var: of 10x Genomics, of CosMx
GENE = "Gene Expression"  # the type of genes in files of 10x Genomics
CONTROL_TYPE = r"control|codeword|blank|negative|unassigned|deprecated"
CONTROL_NAME = (r"blank[-_ ]?\d+|neg(?:ative)?[-_ ]?(?:control|ctrl|probe|prb)(?:probe|codeword)?[-_ ]?\w*"
                r"|negative[-_]?\d+|(?:unassigned|deprecated)codeword[-_]?\w*|deprecated[-_].+|systemcontrol[-_]?\d*|falsecode[-_]?\d*"
                r"|genomiccontrol[-_]?\w*|antisense_.+|intergenic_region_.+|ercc-\d{5}")
OVERDISPERSION = 100.0  # theta of the negative binomial distribution


@dataclass(frozen=True)
class Filters:
    """What is left out; the fields are parameters of :func:`spicemix_core.prepare`."""

    min_counts: float | None
    min_cells: int | None
    genes: str | Sequence[str] | None
    n_top_genes: int | None
    keep_controls: bool

    def select(self, adata: AnnData, expression: Matrix, layer: str | None, sample_key: str | None, normalize: bool,
               stacklevel: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which cells and genes are kept, and the total of each cell over all genes except controls.

        Raises ValueError or KeyError if nothing is left, or if empty cells would be normalised. Warns if controls are
        left out.
        """
        if self.min_counts is not None:
            check_number("min_counts", self.min_counts, positive=True)
        if self.min_cells is not None:
            check_integer("min_cells", self.min_cells, 1)
        controls = np.zeros(adata.n_vars, dtype=bool) if self.keep_controls else control_features(adata.var)
        genes = ~controls
        totals = self._totals(adata, expression, layer, genes)
        cells = np.ones(adata.n_obs, dtype=bool) if self.min_counts is None else totals >= self.min_counts
        if not cells.any():
            raise ArgumentError(f"No cell has a total of at least {self.min_counts:g}; the largest total is "
                                f"{totals.max():g}.", "Lower {min_counts}.")
        empty = np.flatnonzero(cells & (totals <= 0)) if normalize else []
        if len(empty):
            raise ArgumentError(f"There are cells without counts: {len(empty)} of {adata.n_obs}, the first is "
                                f"{adata.obs_names[empty[0]]!r}.", "Leave them out with {min_counts=1}.")
        if self.genes is not None:
            genes &= chosen_genes(adata.var, self.genes)
        if self.min_cells is not None:
            genes &= sum(_n_expressed(block[cells[first : first + block.shape[0]]], axis=0)
                         for first, block in pieces(expression)) >= self.min_cells
        if self.n_top_genes is not None:
            if not normalize:
                raise ArgumentError("n_top_genes needs counts.", "Pass {normalize=True}, or name a column of var that "
                                    "marks the genes with {genes}.", "n_top_genes")
            if isinstance(expression, Blocks):
                raise ArgumentError("n_top_genes needs the counts in memory, but they are read in blocks.",
                                    "Choose the genes beforehand, and name them with {genes}.", "n_top_genes")
            genes[genes] = variable_genes(expression[cells][:, genes], self.n_top_genes,
                                          _rows_by_sample(adata, sample_key, cells))
        if not genes.any():
            raise ArgumentError("No gene is left.", "Check {genes} and {min_cells}.")
        if self.min_counts is not None and not genes.all():
            cells &= np.concatenate([_n_expressed(block[:, genes], axis=1) for _, block in pieces(expression)]) > 0
        if controls.any():
            _warn_of_controls(adata.var_names[controls], stacklevel + 1)
        return cells, genes, totals

    def _totals(self, adata, expression, layer, genes):
        if layer == RAW and layer not in adata.layers:
            raw = adata.raw.X
            expression = in_blocks(raw, "raw.X") if is_in_blocks(raw) else loaded(raw)
            genes = np.ones(expression.shape[1], dtype=bool) if self.keep_controls else ~control_features(adata.raw.var)
        parts = (block if genes.all() else block[:, genes] for _, block in pieces(expression))
        return np.concatenate([np.asarray(part.sum(axis=1), dtype=float).ravel() for part in parts])


def _n_expressed(expression, axis):
    return np.asarray((expression != 0).sum(axis=axis)).ravel()


def _rows_by_sample(adata, sample_key, cells):
    if sample_key is None:
        return None
    samples = pd.factorize(labels_of(adata, sample_key))[0][cells]
    return [np.flatnonzero(samples == i) for i in np.unique(samples)]


def _warn_of_controls(names, stacklevel):
    listed = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    warnings.warn(InputWarning(f"Features that are controls of the platform or other than genes are left out: "
                               f"{len(names)} ({listed}).", "Pass {keep_controls=True} to keep them."),
                  stacklevel=stacklevel)


def control_features(var: pd.DataFrame) -> np.ndarray:
    """Which features are controls of the platform, or other than genes, by their names or their type.

    Parameters
    ----------
    var : pandas.DataFrame
        As ``var`` of AnnData: the index names the features; a column such as ``"feature_types"`` can have their types.

    Returns
    -------
    array of bool
        True for the blank and negative control probes, unassigned codewords and so on of Xenium, CosMx, MERSCOPE and
        Visium, for the spike-ins of the ERCC, and, in data of 10x Genomics, for antibodies and others.

    Examples
    --------
    >>> import pandas as pd
    >>> control_features(pd.DataFrame(index=["Negr1", "Blank-12", "NegPrb3", "NegControlCodeword_0500"])).tolist()
    [False, True, True, True]
    """
    controls = var.index.astype(str).str.fullmatch(CONTROL_NAME, case=False)
    controls = np.asarray(controls, dtype=bool)
    for types in (var[key].astype(str) for key in TYPES if key in var):
        controls |= types.str.contains(CONTROL_TYPE, case=False).to_numpy(dtype=bool)
        if (types == GENE).any():
            controls |= (types != GENE).to_numpy()
    return controls


def chosen_genes(var: pd.DataFrame, genes: str | Sequence[str]) -> np.ndarray:
    """Which genes are named in a list, or are true in a column of ``var``.

    Raises KeyError if there is no such column or gene, and ValueError if the column is not of true and false.

    Examples
    --------
    >>> import pandas as pd
    >>> var = pd.DataFrame({"highly_variable": [True, False, True]}, index=["Sst", "Gfap", "Vip"])
    >>> chosen_genes(var, "highly_variable").tolist(), chosen_genes(var, ["Gfap", "Sst"]).tolist()
    ([True, False, True], [True, True, False])
    """
    if isinstance(genes, str):
        if genes not in var:
            names = ", ".join(repr(key) for key, kind in var.dtypes.items() if pd.api.types.is_bool_dtype(kind))
            raise MissingDataError(f"There is no column {genes!r} in var that marks genes.",
                                   f"Choose one of {names} with {{genes}}, or give a list of genes." if names else
                                   "Give a list of genes with {genes}.")
        if not pd.api.types.is_bool_dtype(var[genes]):
            raise ArgumentError(f"The column {genes!r} of var must hold true or false for each gene.", parameter=None)
        return var[genes].fillna(False).to_numpy(dtype=bool)
    missing = [gene for gene in dict.fromkeys(genes) if gene not in var.index]
    if len(missing) == len(dict.fromkeys(genes)):
        raise ArgumentError(f"None of the {len(missing)} genes in the list is in the data, whose genes have names such "
                            f"as {var.index[0]!r}.", "Use the same kind of gene names in {genes}.")
    if missing:
        listed = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise ArgumentError(f"The data lack {len(missing)} of the genes in the list: {listed}.",
                            "Correct them, or leave them out of {genes}.")
    return var.index.isin(list(genes))


def variable_genes(counts: np.ndarray | sparse.csr_matrix, n_top_genes: int, rows: Sequence[np.ndarray] | None = None,
                   ) -> np.ndarray:
    """Which genes vary most between cells, by the variance of their analytic Pearson residuals.

    Parameters
    ----------
    counts : array or sparse matrix, (N, G)
        Raw counts.
    n_top_genes : int
        Number of genes.
    rows : list of integer arrays, optional
        The rows of each sample. Residuals are computed within each sample, so that differences between samples do not
        count. By default, all cells are one sample.

    Returns
    -------
    array of bool, (G,)

    Raises
    ------
    ValueError
        If ``n_top_genes`` is not between 1 and the number of genes.

    Notes
    -----
    The residual of count y with the expectation m = total of the cell x total of the gene / total is
    ``(y - m) / sqrt(m + m ** 2 / 100)``, clipped to the square root of the number of cells.

    References
    ----------
    Lause, Berens and Kobak, Genome Biology 22, 258 (2021). ``scanpy.experimental.pp.highly_variable_genes`` gives the
    same ranks.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.random.default_rng(0).poisson([[9, 1, 3, 3]] * 20 + [[1, 9, 3, 3]] * 20)
    >>> variable_genes(counts, 2).tolist()
    [True, True, False, False]
    """
    check_integer("n_top_genes", n_top_genes, 1)
    if n_top_genes > counts.shape[1]:
        raise ArgumentError(f"n_top_genes is {n_top_genes}, but there are {counts.shape[1]} genes to choose from.",
                            "Lower it, or leave it out.", "n_top_genes")
    rows = [np.arange(counts.shape[0])] if rows is None else rows
    variances = sum(len(r) * _residual_variance(counts[r]) for r in rows)
    chosen = np.zeros(counts.shape[1], dtype=bool)
    chosen[np.argsort(-variances, kind="stable")[:n_top_genes]] = True
    return chosen


def _residual_variance(counts):
    """Variance of the Pearson residuals of each gene, in blocks of genes that fit into memory."""
    counts = sparse.csc_array(counts, dtype=float)
    n = counts.shape[0]
    cells, genes = counts.sum(axis=1), counts.sum(axis=0)
    variances = np.zeros(counts.shape[1])
    step = max(1, 10_000_000 // n)
    for start in range(0, counts.shape[1], step):
        block = slice(start, start + step)
        expected = np.outer(cells, genes[block]) / max(cells.sum(), 1.0)
        spread = np.sqrt(expected + expected**2 / OVERDISPERSION)
        residuals = (counts[:, block].toarray() - expected) / np.where(spread > 0, spread, 1.0)
        variances[block] = np.clip(residuals, -np.sqrt(n), np.sqrt(n)).var(axis=0)
    return variances
