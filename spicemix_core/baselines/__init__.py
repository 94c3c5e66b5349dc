"""Methods for comparison with SpiceMix, and the clustering of the paper."""

from spicemix_core.baselines.gaussians import log_gaussian
from spicemix_core.baselines.hmrf import HMRF, fit_hmrf_grid
from spicemix_core.baselines.index_clustering import IndexClustering, cluster_by_index

__all__ = ["HMRF", "IndexClustering", "cluster_by_index", "fit_hmrf_grid", "log_gaussian"]


def __dir__():
    return __all__
