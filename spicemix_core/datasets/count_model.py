r"""Counts whose log-normalised expression has a given mean.

Negative binomial counts c with rate :math:`\lambda` have the variance :math:`\lambda + \phi \lambda^2`. For low counts
the mean of :math:`\log(1 + 10^4 c / T)` is far below the logarithm of the mean, and its increase with :math:`\lambda`
depends on the cell's total T. A table of both is used to invert it.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nbinom

TARGET_SUM = 1e4
RATES = np.geomspace(1e-4, 300.0, 150)
MAX_COUNT = 2000


def log_moments(totals: np.ndarray, dispersion: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and second moment (R, N) of ``log(1 + 1e4 c / T)`` for counts c of each rate in RATES and totals T (N,)."""
    counts = np.arange(MAX_COUNT)
    probabilities = nbinom.pmf(counts, 1 / dispersion, 1 / (1 + dispersion * RATES[:, None]))
    values = np.log1p(np.outer(counts, TARGET_SUM / totals))
    return probabilities @ values, probabilities @ values**2


def size_and_rates(profile: np.ndarray, means: np.ndarray, total: float) -> tuple[float, np.ndarray]:
    """Size of a cell and the rates (G,) of its counts, which add up to ``total``.

    ``profile`` (G,) is the mean expression of a cell of size one; ``means`` (R,) is the mean expression at each rate in
    RATES.
    """
    def rates(size):
        return np.interp(size * profile, means, RATES)
    size = brentq(lambda size: rates(size).sum() - total, 0.0, 1e6, xtol=1e-6)
    return size, rates(size)
