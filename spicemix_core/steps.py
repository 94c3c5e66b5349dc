"""The steps of Algorithm 1 on plain arrays, for those who want to look inside the model or build on it."""

from spicemix_core.affinity import affinity_objective, update_affinity
from spicemix_core.algorithm import iterate
from spicemix_core.initialization import initial_metagenes, initialize, split_states
from spicemix_core.latent_states import states_energy, update_latent_states
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.numerics.simplex import nonnegative_least_squares, project_to_simplex
from spicemix_core.partition_function import log_simplex_integral, simplex_moments
from spicemix_core.samples import check_samples

__all__ = ["affinity_objective", "check_samples", "initial_metagenes", "initialize", "iterate", "log_simplex_integral",
           "nonnegative_least_squares", "project_to_simplex", "simplex_moments", "split_states", "states_energy",
           "update_affinity", "update_latent_states", "update_metagenes", "update_noise"]


def __dir__():
    return __all__
