r"""Which genes differ between two groups of cells: Mann-Whitney tests with a false discovery rate over the genes.

For gene g the test compares the ranks of its expression in the two groups; the area under the ROC curve,
:math:`U / (n_1 n_2)`, is its effect size: the probability that a cell of the first group has the higher value, 0.5
without a difference. The p-values are corrected over all genes given, those that a claim does not name included
(Benjamini and Hochberg 1995, by SciPy).
"""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, mannwhitneyu

from spicemix_core.effects import separate_groups


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


def significant(table, *, level=0.05) -> pd.Series:
    """+1 for genes significantly higher in the first group, -1 for lower, 0 for neither, by ``p_adjusted``."""
    return np.sign(table["auc"] - 0.5).where(table["p_adjusted"] < level, 0.0).astype(int)
