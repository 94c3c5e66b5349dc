"""Permutation p-values and bootstrap intervals: the only definition of each."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def permutation_p_value(n_as_extreme: int | np.ndarray, n_permutations: int) -> Any:
    r"""P-value of a permutation test, :math:`(1 + b) / (1 + n)`.

    The observed value counts as one of the permutations. The p-value is therefore never 0, and the test keeps its
    level for any number of permutations.

    Parameters
    ----------
    n_as_extreme : int or array of int
        Number b of the permutations that are as extreme as the observation, or more so.
    n_permutations : int
        Number n of random permutations.

    Returns
    -------
    float or array
        In the shape of ``n_as_extreme``.

    References
    ----------
    B. Phipson and G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9, 39 (2010).

    Examples
    --------
    >>> permutation_p_value(0, 999)
    0.001
    """
    return (1 + n_as_extreme) / (1 + n_permutations)


def two_sided_p_value(n_as_high: int | np.ndarray, n_as_low: int | np.ndarray, n_permutations: int) -> Any:
    """Twice the smaller of the two one-sided permutation p-values, at most 1.

    Parameters
    ----------
    n_as_high, n_as_low : int or array of int
        Numbers of the permutations that are at least as high, and at least as low, as the observation.
    n_permutations : int

    Returns
    -------
    float or array

    Examples
    --------
    >>> float(two_sided_p_value(0, 99, 99))
    0.02
    """
    high, low = (permutation_p_value(count, n_permutations) for count in (n_as_high, n_as_low))
    return np.minimum(1.0, 2 * np.minimum(high, low))


def bootstrap_interval(statistics: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """95 % percentile bootstrap interval.

    Parameters
    ----------
    statistics : (B,) sequence of float
        The statistic in each of the resamples.

    Returns
    -------
    low, high : float
        The 2.5th and the 97.5th percentile.

    Examples
    --------
    >>> bootstrap_interval(range(201))
    (5.0, 195.0)
    """
    low, high = np.percentile(statistics, [2.5, 97.5])
    return float(low), float(high)
