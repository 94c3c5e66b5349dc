r"""Regression of genes on a trajectory, a number for each cell such as the difference of two metagenes' proportions.

For each gene, expression is regressed on the trajectory t and optionally on covariates c of the cells,

.. math:: y_i = \alpha + \beta t_i + \gamma^\top c_i + \epsilon_i ,

by least squares (statsmodels). The p-values of :math:`\beta = 0` are corrected for the number of genes by the two-step
procedure of Benjamini, Krieger and Yekutieli, Biometrika 93, 491 (2006), as in the paper.

Least squares assumes that cells are independent. Neighbours are not: any two quantities that vary slowly over the
tissue are correlated. :func:`rotated` trajectories keep this property and :func:`permuted` ones do not;
:func:`null_test` compares the trajectory with either.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests

from spicemix_core.inputs.parameters import check_integer
from spicemix_core.tl.resampling import permutation_p_value

LEVEL = 0.05
COLUMNS = ["intercept", "slope", "low", "high", "effect", "p_value", "spearman", "spearman_p"]


@dataclass(frozen=True)
class NullTest:
    """Comparison of a trajectory with null trajectories, which do not depend on the genes.

    Attributes
    ----------
    p_values : Series
        By gene: share of the null trajectories, the observed one counted among them, with a correlation as strong.
    observed : int
        Number of genes that are significant along the trajectory, after correction.
    counts : (R,) array of int
        The same along each null trajectory.
    p_value : float
        Share of them with as many, the observed one counted among them.
    """

    p_values: pd.Series
    observed: int
    counts: np.ndarray
    p_value: float


def corrected(p_values: ArrayLike) -> np.ndarray:
    """p-values after the two-step correction; NaN remains NaN and does not count as a test."""
    p_values = np.array(p_values, dtype=float)
    tested = ~np.isnan(p_values)
    if tested.any():
        p_values[tested] = multipletests(p_values[tested], alpha=LEVEL, method="fdr_tsbky")[1]
    return p_values


def regress(expression: pd.DataFrame, trajectory: ArrayLike, covariates: pd.DataFrame | None = None) -> pd.DataFrame:
    """Linear regression of every gene on the trajectory, and Spearman's rank correlation with it.

    Parameters
    ----------
    expression : DataFrame, cells x genes
    trajectory : (N,) array_like
    covariates : DataFrame, cells x covariates, optional
        Without constant columns. They enter the regression, not the rank correlation.

    Returns
    -------
    DataFrame
        By gene: ``intercept`` (at covariates of zero), ``slope`` with its 95 % interval ``low`` to ``high``, ``effect``
        (the slope in standard deviations of gene and trajectory: without covariates, Pearson's correlation),
        ``p_value``, ``p_corrected``, ``spearman``, ``spearman_p``, ``spearman_p_corrected``. NaN for a gene without
        variation.

    Raises
    ------
    ValueError
        If a value is missing, numbers of cells differ, the trajectory and the covariates are linearly dependent, or
        there are too few cells.
    """
    t, design = _design(expression, trajectory, covariates)
    rows = {}
    for gene in expression:
        y = expression[gene].to_numpy(dtype=float)
        if np.ptp(y) == 0:
            rows[gene] = dict.fromkeys(COLUMNS, np.nan)
            continue
        fit, rank = OLS(y, design).fit(), stats.spearmanr(t, y)
        slope = fit.params[1]
        rows[gene] = dict(zip(COLUMNS, (fit.params[0], slope, *fit.conf_int()[1], slope * t.std() / y.std(),
                                        fit.pvalues[1], rank.statistic, rank.pvalue), strict=True))
    return correct(pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS))


def correct(table: pd.DataFrame) -> pd.DataFrame:
    """A table of :func:`regress` with its p-values corrected for the number of its genes."""
    both = {"p_corrected": corrected(table["p_value"]), "spearman_p_corrected": corrected(table["spearman_p"])}
    return table.assign(**both)[[*COLUMNS[:6], "p_corrected", *COLUMNS[6:], "spearman_p_corrected"]]


def band(trajectory: ArrayLike, values: ArrayLike, at: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Regression line of ``values`` (N,) on the trajectory with its 95 % confidence band: mean, low, high."""
    fit = OLS(np.asarray(values, dtype=float), _with_constant(np.asarray(trajectory, dtype=float))).fit()
    line = fit.get_prediction(_with_constant(np.asarray(at, dtype=float)))
    return line.predicted_mean, *line.conf_int().T


def permuted(trajectory: ArrayLike, n: int, *, random_state: int | np.random.Generator | None = None) -> np.ndarray:
    """The values of the trajectory in ``n`` random orders, (n, N)."""
    check_integer("n", n, 1)
    rng = np.random.default_rng(random_state)
    return rng.permuted(np.tile(np.asarray(trajectory, dtype=float), (n, 1)), axis=1)


def rotated(trajectory: ArrayLike, order: ArrayLike) -> np.ndarray:
    """The trajectory shifted along the cells, sorted by ``order``, by 1 to N - 1 places, in a circle: (N - 1, N).

    Neighbours along ``order``, for example depth, keep similar values, except where the end meets the start. A trend
    from one end to the other is cut there, so the null is too easy to exceed for trends.
    """
    t, place = np.asarray(trajectory, dtype=float), np.argsort(np.asarray(order), kind="stable")
    turned = np.empty((len(t) - 1, len(t)))
    for shift in range(1, len(t)):
        turned[shift - 1, place] = np.roll(t[place], shift)
    return turned


def null_test(expression: pd.DataFrame, trajectory: ArrayLike, nulls: np.ndarray) -> NullTest:
    """Compare the genes' correlations with the trajectory to those with null trajectories.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Genes without variation are left out.
    trajectory : (N,) array_like
    nulls : (R, N) array
        From :func:`permuted` or :func:`rotated`.
    """
    t, _ = _design(expression, trajectory, None)
    varying = expression.loc[:, expression.nunique() > 1]
    y = stats.zscore(varying.to_numpy(dtype=float), axis=0)
    r = stats.zscore(np.vstack([t, nulls]), axis=1) @ y / len(t)
    freedom = len(t) - 2
    p = 2 * stats.t.sf(np.abs(r) * np.sqrt(freedom / np.maximum(1 - r**2, 1e-300)), freedom)
    counts = np.array([(corrected(row) < LEVEL).sum() for row in p])
    as_strong = (np.abs(r[1:]) >= np.abs(r[0]) * (1 - 1e-12)).sum(axis=0)
    as_many = (counts[1:] >= counts[0]).sum()
    return NullTest(pd.Series(permutation_p_value(as_strong, len(nulls)), varying.columns), int(counts[0]), counts[1:],
                    float(permutation_p_value(as_many, len(nulls))))


def _with_constant(*columns):
    return np.column_stack([np.ones(len(columns[0])), *columns])


def _design(expression, trajectory, covariates):
    """The trajectory and the matrix of regressors, checked."""
    t = np.asarray(trajectory, dtype=float)
    columns = [t] if covariates is None else [t, *covariates.to_numpy(dtype=float).T]
    if {len(column) for column in columns} != {len(expression)}:
        raise ValueError(f"There are {len(expression)} cells with expression but {len(t)} on the trajectory: pass the "
                         "same cells, also for covariates.")
    if not all(np.isfinite(values).all() for values in (expression.to_numpy(dtype=float), *columns)):
        raise ValueError("Expression, trajectory or a covariate has missing or infinite values: leave these cells out.")
    design = _with_constant(*columns)
    if len(t) <= design.shape[1] + 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(f"The {len(t)} cells do not determine a slope with {len(columns) - 1} covariates: pass more "
                         "cells, and leave out what is constant or follows from the others.")
    return t, design
