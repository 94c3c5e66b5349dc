"""Effect sizes with bootstrap intervals for the difference of two groups of cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spicemix_core.tl.rank_tests import separate_groups
from spicemix_core.tl.resampling import bootstrap_interval


@dataclass(frozen=True)
class MeanDifference:
    """Difference of the means of two groups of cells.

    Attributes
    ----------
    difference : float
        Mean of the first group minus mean of the second, in the units of the values.
    low, high : float
        Ends of the 95 % percentile bootstrap interval; each group is resampled on its own.
    standardized : float
        Cohen's d: the difference divided by the pooled standard deviation (0 if both groups are constant and equal).
    n_first, n_second : int
        Cells of each group.
    """

    difference: float
    low: float
    high: float
    standardized: float
    n_first: int
    n_second: int

    @property
    def above(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0


def mean_difference(values: ArrayLike, first: ArrayLike, second: ArrayLike, *, n_bootstrap: int = 2000,
                    random_state: int | np.random.Generator | None = None) -> MeanDifference:
    """Mean of ``values`` over the cells ``first`` minus that over the cells ``second``.

    Parameters
    ----------
    values : (N,) array_like
    first, second : (N,) arrays of bool
        Two groups without a common cell, at least two cells each.
    n_bootstrap : int
    random_state : int, numpy Generator or None

    Raises
    ------
    ValueError
        If a group has fewer than two cells or a cell is in both.
    """
    values, (first, second) = np.asarray(values, dtype=float), separate_groups(first, second)
    rng = np.random.default_rng(random_state)
    a, b = values[first], values[second]
    means = [group[rng.integers(len(group), size=(n_bootstrap, len(group)))].mean(axis=1) for group in (a, b)]
    low, high = bootstrap_interval(means[0] - means[1])
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / (len(a) + len(b) - 2))
    difference = a.mean() - b.mean()
    standardized = 0.0 if difference == 0 else difference / pooled if pooled > 0 else np.copysign(np.inf, difference)
    return MeanDifference(float(difference), low, high, float(standardized), len(a), len(b))


def separation(values: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Area under the ROC curve: the probability that a cell of ``first`` has the higher value; ties count half.

    The groups are as for :func:`mean_difference`, with at least one cell each.
    """
    values = np.asarray(values, dtype=float)
    a, b = values[np.asarray(first, bool)], values[np.asarray(second, bool)]
    if not len(a) or not len(b):
        raise ValueError(f"The groups have {len(a)} and {len(b)} cells: pass groups that are not empty.")
    b = np.sort(b)
    below, not_above = np.searchsorted(b, a, side="left"), np.searchsorted(b, a, side="right")
    return float((below + not_above).mean() / (2 * len(b)))
