r"""Which genes differ between two groups of cells: Mann-Whitney tests with a false discovery rate over the genes.

For gene g, the test compares the ranks of its expression in the two groups. Its effect size is the area under the ROC
curve, :math:`U / (n_1 n_2)`: the probability that a cell of the first group has the higher value, 0.5 without a
difference. The p-values are corrected over all genes (Benjamini and Hochberg 1995, by SciPy), whether or not a claim
names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control, mannwhitneyu, norm, rankdata

from spicemix_core.inputs.anndata import expression_of, labels_of
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.numerics.progress import progress
from spicemix_core.tl._adata import store
from spicemix_core.tl.clustering import CLUSTERS

if TYPE_CHECKING:
    from anndata import AnnData

_BLOCK = 2**23  # number of values ranked at a time


def differential_expression(expression: pd.DataFrame, first: ArrayLike, second: ArrayLike) -> pd.DataFrame:
    """Compare the expression of every gene between two groups of cells.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised expression.
    first, second : (N,) array_like of bool
        Two groups without a common cell, with at least two cells each.

    Returns
    -------
    DataFrame
        By gene: ``mean_first``, ``mean_second``, ``difference`` (first minus second), ``share_first``, ``share_second``
        (shares of the cells with any expression), ``auc`` (area under the ROC curve), ``p_value`` (two-sided
        Mann-Whitney test, normal approximation with a correction for ties) and ``p_adjusted`` (Benjamini-Hochberg). A
        gene that is constant over both groups has the p-value 1.

    Raises
    ------
    ValueError
        If a group has fewer than two cells or a cell is in both.

    Examples
    --------
    >>> import pandas as pd
    >>> from spicemix_core import tl
    >>> expression = pd.DataFrame({"A": [3.0, 4.0, 5.0, 0.0, 1.0, 0.0], "B": [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]})
    >>> first = pd.Series([True, True, True, False, False, False])
    >>> tl.differential_expression(expression, first, ~first)["auc"]
    A    1.0
    B    0.5
    Name: auc, dtype: float64
    """
    first, second = separate_groups(first, second)
    a, b = expression[first].to_numpy(dtype=float), expression[second].to_numpy(dtype=float)
    test = mannwhitneyu(a, b, axis=0, method="asymptotic")
    return pd.DataFrame({
        "mean_first": a.mean(axis=0), "mean_second": b.mean(axis=0), "difference": a.mean(axis=0) - b.mean(axis=0),
        "share_first": (a > 0).mean(axis=0), "share_second": (b > 0).mean(axis=0),
        "auc": test.statistic / (len(a) * len(b)), "p_value": test.pvalue,
        "p_adjusted": false_discovery_control(test.pvalue),
    }, index=expression.columns)


def separate_groups(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Two groups as arrays of bool; ValueError if a group has fewer than two cells or a cell is in both."""
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.sum() < 2 or second.sum() < 2 or (first & second).any():
        raise ValueError(f"The groups have {first.sum()} and {second.sum()} cells, and {(first & second).sum()} cells "
                         "are in both. Compare two separate groups of at least two cells.")
    return first, second


def each_against_rest(expression: ArrayLike | sp.sparray | sp.spmatrix, genes: Sequence[str],
                      labels: ArrayLike) -> pd.DataFrame:
    r"""Compare the expression of every gene between the cells of each group and all other cells.

    The test is that of :func:`differential_expression`, but each gene is ranked once for all groups.

    Parameters
    ----------
    expression : (N, G) array or sparse matrix
        Log-normalised expression.
    genes : (G,) sequence of str
    labels : (N,) array_like
        Group of each cell, at least two groups.

    Returns
    -------
    DataFrame
        By ``group`` (in sorted order, or the order of the categories) and ``gene``, the columns of
        :func:`differential_expression`, with the group as the first and the other cells as the second. Genes are in
        decreasing order of ``auc``; ``p_adjusted`` is corrected over the genes of a group.

    Notes
    -----
    With r the ranks (means where values tie) and R_1 their sum over the :math:`n_1` cells of a group, the statistic is
    :math:`U = R_1 - n_1 (n_1 + 1) / 2`. Its variance over all permutations, ties included, is

    .. math:: \mathrm{Var}(U) = \frac{n_1 n_2}{N (N - 1)} \sum_i (r_i - \bar r)^2 .
    """
    groups = pd.Categorical(labels).remove_unused_categories()
    n_cells, sizes = len(groups), np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.categories))
    if (groups.codes < 0).any() or len(sizes) < 2:
        raise ValueError(f"There are {len(sizes)} groups and {(groups.codes < 0).sum()} cells without a group. Leave "
                         "such cells out, and compare at least two groups.")
    member = sp.csr_array((np.ones(n_cells), (groups.codes, np.arange(n_cells))))
    matrix: Any = sp.csc_array(expression) if sp.issparse(expression) else np.asarray(expression)
    step = max(1, _BLOCK // n_cells)
    blocks = []
    for start in progress(range(0, matrix.shape[1], step), "gene comparisons"):
        block = matrix[:, start : start + step]
        values = np.asarray(block.toarray() if sp.issparse(block) else block, dtype=float)
        blocks.append(_sums_of_groups(member, values))
    rank_sums, spread, sums, positive = (np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True))
    n_1 = sizes[:, None]
    n_2 = n_cells - n_1
    auc, p_values = _test(rank_sums, spread, n_1, n_2)
    tables = []
    for g, name in enumerate(groups.categories):
        first, second = sums[g] / n_1[g], (sums.sum(axis=0) - sums[g]) / n_2[g]
        table = pd.DataFrame({
            "group": str(name), "gene": np.asarray(genes, dtype=object), "mean_first": first, "mean_second": second,
            "difference": first - second, "share_first": positive[g] / n_1[g],
            "share_second": (positive.sum(axis=0) - positive[g]) / n_2[g], "auc": auc[g], "p_value": p_values[g],
            "p_adjusted": false_discovery_control(p_values[g])})
        tables.append(table.sort_values("auc", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def _sums_of_groups(member, values):
    """By group and gene: sums of the ranks, of the expression and of the cells with any; by gene: sum of squares of
    the centred ranks."""
    ranks = rankdata(values, axis=0)
    spread = ((ranks - (len(ranks) + 1) / 2) ** 2).sum(axis=0)
    return member @ ranks, spread, member @ values, member @ (values > 0).astype(float)


def _test(rank_sums, spread, n_1, n_2):
    """Area under the ROC curve and p-value by group and gene."""
    n_cells = n_1 + n_2
    auc = (rank_sums / n_1 - (n_1 + 1) / 2) / n_2
    sd = np.sqrt(spread / (n_1 * n_2 * n_cells * (n_cells - 1.0)))  # of auc
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (np.abs(auc - 0.5) - 0.5 / (n_1 * n_2)) / sd  # continuity correction: half a step of U
    return auc, np.where(spread > 0, np.minimum(1.0, 2.0 * norm.sf(z)), 1.0)


def markers(adata: AnnData, groupby: str = CLUSTERS, *, n_genes: int = 100, layer: str | None = None) -> pd.DataFrame:
    """Genes of each group of cells, by Mann-Whitney tests against all other cells.

    Parameters
    ----------
    adata : AnnData
        Log-normalised expression in ``X`` or ``layers[layer]``.
    groupby : str, default="spicemix_cluster"
        Column of ``obs`` with the groups.
    n_genes : int, default=100
        Number of genes kept per group, those with the largest area under the ROC curve.
    layer : str, optional
        Layer with the expression, by default ``X``.

    Returns
    -------
    DataFrame
        One row per ``group`` and ``gene`` with the columns of :func:`differential_expression`, the group as the first
        and all other cells as the second. The function also writes the table to ``uns["spicemix"]["markers"]``.

    Raises
    ------
    KeyError
        If the column or the layer does not exist.
    ValueError
        If a cell has no group, or there is a single group.

    Notes
    -----
    Clusters come from the same expression that is tested here, so their p-values are too small. Rank genes by ``auc``
    and ``difference``.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> table = tl.markers(adata, "cell_type", n_genes=3)
    >>> len(table) == 3 * adata.obs["cell_type"].nunique()
    True
    """
    labels = labels_of(adata, groupby)
    check_integer("n_genes", n_genes, 1)
    expression = expression_of(adata, layer)
    if labels.nunique() < 2:
        raise ValueError(f"The column {groupby!r} of obs has a single group. Markers need at least two groups.")
    table = each_against_rest(expression, adata.var_names, labels.array)
    table = table.groupby("group", sort=False).head(n_genes).reset_index(drop=True)
    store(adata, "markers", table, groupby=groupby)
    return table
