"""Methods that SpiceMix is compared with."""

from spicemix_core.baselines.hmrf import HMRF, fit_hmrf_grid, log_gaussian

__all__ = ["HMRF", "fit_hmrf_grid", "log_gaussian"]


def __dir__():
    return __all__
