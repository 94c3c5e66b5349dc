r"""Counts of which the log-normalised expression has a given mean.

Negative binomial counts c of rate :math:`\lambda` have the variance :math:`\lambda + \phi \lambda^2`. The mean of
:math:`\log(1 + 10^4 c / T)` is far below the logarithm of the mean where counts are low, and grows with
:math:`\lambda` in a way that depends on the cell's total T: a table of both inverts it.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nbinom

TARGET_SUM = 1e4
RATES = np.geomspace(1e-4, 300.0, 150)
MAX_COUNT = 2000


def log_moments(totals, dispersion):
    """Mean and second moment of ``log(1 + 1e4 c / T)``, each (R, N): counts c of each rate in RATES, totals T (N,)."""
    counts = np.arange(MAX_COUNT)
    probabilities = nbinom.pmf(counts, 1 / dispersion, 1 / (1 + dispersion * RATES[:, None]))
    values = np.log1p(np.outer(counts, TARGET_SUM / totals))
    return probabilities @ values, probabilities @ values**2


def size_and_rates(profile, means, total):
    """Size of a cell and the rates (G,) of its counts, which add up to ``total``.

    ``profile`` (G,) is the mean expression of a cell of size one, ``means`` that of a count at each of RATES.
    """
    def rates(size):
        return np.interp(size * profile, means, RATES)
    size = brentq(lambda size: rates(size).sum() - total, 0.0, 1e6, xtol=1e-6)
    return size, rates(size)
