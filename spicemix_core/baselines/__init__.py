"""Methods for comparison with SpiceMix."""

from spicemix_core.baselines.gaussians import log_gaussian
from spicemix_core.baselines.hmrf import HMRF, fit_hmrf_grid

__all__ = ["HMRF", "fit_hmrf_grid", "log_gaussian"]


def __dir__():
    return __all__
