r"""Which genes differ between two groups of cells: Mann-Whitney tests with a false discovery rate over the genes.

For gene g the test compares the ranks of its expression in the two groups; the area under the ROC curve,
:math:`U / (n_1 n_2)`, is its effect size: the probability that a cell of the first group has the higher value, 0.5
without a difference. The p-values are corrected over all genes given, those that a claim does not name included
(Benjamini and Hochberg 1995, by SciPy).
"""


import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import false_discovery_control, mannwhitneyu, norm, rankdata

from spicemix_core.numerics.progress import progress
from spicemix_core.tl._adata import labels_of, store

_BLOCK = 2**23  # values that are ranked at a time


def differential_expression(expression, first, second) -> pd.DataFrame:
    """Compare every gene between the cells ``first`` and the cells ``second``.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised.
    first, second : (N,) arrays of bool
        Two groups without a common cell, at least two cells each.

    Returns
    -------
    DataFrame
        By gene: ``mean_first``, ``mean_second``, ``difference`` (first minus second), ``share_first``, ``share_second``
        (of the cells with any expression), ``auc``, ``p_value`` (two-sided, with the normal approximation corrected for
        ties) and ``p_adjusted``. A gene that is constant over both groups has p = 1.

    Raises
    ------
    ValueError
        If a group has fewer than two cells or a cell is in both.
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


def each_against_rest(expression, genes, labels) -> pd.DataFrame:
    r"""Compare every gene between the cells of each group and all other cells.

    The test of :func:`differential_expression`, with each gene ranked once for all groups: with r the ranks (means
    where values tie), R_1 their sum over the :math:`n_1` cells of a group, :math:`U = R_1 - n_1 (n_1 + 1) / 2`,

    .. math:: \mathrm{Var}(U) = \frac{n_1 n_2}{N (N - 1)} \sum_i (r_i - \bar r)^2 ,

    which is the variance over all permutations, ties included.

    Parameters
    ----------
    expression : (N, G) array or sparse matrix
        Log-normalised.
    genes : (G,) sequence of str
    labels : (N,) array_like
        Group of each cell, none missing, at least two groups.

    Returns
    -------
    DataFrame
        By ``group`` (in sorted order, or the order of the categories) and ``gene`` the columns of
        :func:`differential_expression`, the group first and the rest second, the genes of highest ``auc`` first.
        ``p_adjusted`` is corrected over the genes of a group.
    """
    labels = pd.Categorical(labels).remove_unused_categories()
    n_cells, sizes = len(labels), np.bincount(labels.codes[labels.codes >= 0], minlength=len(labels.categories))
    if (labels.codes < 0).any() or len(sizes) < 2:
        raise ValueError(f"There are {len(sizes)} groups and {(labels.codes < 0).sum()} cells without one: compare at "
                         "least two groups, and leave such cells out.")
    member = sp.csr_array((np.ones(n_cells), (labels.codes, np.arange(n_cells))))
    expression = sp.csc_array(expression) if sp.issparse(expression) else np.asarray(expression)
    step = max(1, _BLOCK // n_cells)
    blocks = []
    for start in progress(range(0, expression.shape[1], step), "genes compared"):
        block = expression[:, start : start + step]
        values = np.asarray(block.toarray() if sp.issparse(block) else block, dtype=float)
        blocks.append(_sums_of_groups(member, values))
    rank_sums, spread, sums, positive = (np.concatenate(parts, axis=-1) for parts in zip(*blocks, strict=True))
    n_1 = sizes[:, None]
    n_2 = n_cells - n_1
    auc = (rank_sums / n_1 - (n_1 + 1) / 2) / n_2
    sd = np.sqrt(spread / (n_1 * n_2 * n_cells * (n_cells - 1.0)))  # of auc
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (np.abs(auc - 0.5) - 0.5 / (n_1 * n_2)) / sd  # continuity correction: half a step of U
    p_values = np.where(spread > 0, np.minimum(1.0, 2.0 * norm.sf(z)), 1.0)
    tables = []
    for g, name in enumerate(labels.categories):
        first, second = sums[g] / n_1[g], (sums.sum(axis=0) - sums[g]) / n_2[g]
        table = pd.DataFrame({
            "group": str(name), "gene": np.asarray(genes, dtype=object), "mean_first": first, "mean_second": second,
            "difference": first - second, "share_first": positive[g] / n_1[g],
            "share_second": (positive.sum(axis=0) - positive[g]) / n_2[g], "auc": auc[g], "p_value": p_values[g],
            "p_adjusted": false_discovery_control(p_values[g])})
        tables.append(table.sort_values("auc", ascending=False, kind="stable"))
    return pd.concat(tables, ignore_index=True)


def _sums_of_groups(member, values):
    """By group and gene: sum of ranks, of expression and of cells with any; by gene: squared spread of the ranks."""
    ranks = rankdata(values, axis=0)
    spread = ((ranks - (len(ranks) + 1) / 2) ** 2).sum(axis=0)
    return member @ ranks, spread, member @ values, member @ (values > 0).astype(float)


def significant(table, *, level=0.05) -> pd.Series:
    """+1 for genes significantly higher in the first group, -1 for lower, 0 for neither, by ``p_adjusted``."""
    return np.sign(table["auc"] - 0.5).where(table["p_adjusted"] < level, 0.0).astype(int)


def separate_groups(first, second):
    """Two groups as arrays of bool; ValueError if one has fewer than two cells or a cell is in both."""
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.sum() < 2 or second.sum() < 2 or (first & second).any():
        raise ValueError(f"The groups have {first.sum()} and {second.sum()} cells, {(first & second).sum()} in common: "
                         "compare two separate groups of at least two cells.")
    return first, second


def markers(adata, groupby="spicemix_cluster", *, n_genes=100, layer=None) -> pd.DataFrame:
    """Genes of each group of cells: Mann-Whitney tests against all other cells, false discovery rate over the genes.

    The clusters were found in the same expression that is tested here, so the p-values are too small (the groups
    differ by construction); use ``auc`` and ``difference`` to rank genes.

    Parameters
    ----------
    adata : AnnData
        Log-normalised expression in ``X`` or ``layers[layer]``.
    groupby : str
        Column of ``obs``.
    n_genes : int
        Genes of highest area under the ROC curve that are kept of each group.
    layer : str, optional

    Returns
    -------
    DataFrame
        As :func:`spicemix_core.tl.differential_expression.each_against_rest`.

    Raises
    ------
    KeyError, ValueError
        An unknown column or layer, cells without a group, or a single group.
    """
    labels = labels_of(adata, groupby)
    if not isinstance(n_genes, (int, np.integer)) or n_genes < 1:
        raise ValueError(f"n_genes must be an integer of at least 1, not {n_genes!r}.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layers has no {layer!r}; it has {', '.join(map(repr, adata.layers)) or 'nothing'}")
    if labels.nunique() < 2:
        raise ValueError(f"obs[{groupby!r}] has a single group: there is nothing to compare it with.")
    table = each_against_rest(adata.X if layer is None else adata.layers[layer], adata.var_names, labels.array)
    table = table.groupby("group", sort=False).head(n_genes).reset_index(drop=True)
    store(adata, "markers", table, groupby=groupby)
    return table
