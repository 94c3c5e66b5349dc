"""The steps of Algorithm 1 on plain arrays, for readers who want to look inside the model or build on it.

Where each line of Algorithm 1 and each equation of the book's method chapter is in the code (``file:function``); the
last one is computed after a fit, by ``tl.type_affinity``:

====  =====  =====================  ================================================
Line  Paper  Book                   Code
====  =====  =====================  ================================================
1     -      -                      initialization.py:initial_metagenes
2-7   -      -                      initialization.py:initialize
3     -      -                      numerics/active_set.py:nonnegative_least_squares
4     -      eq-metagenes           metagenes.py:update_metagenes
7     -      eq-metagenes           metagenes.py:update_noise
8     -      -                      algorithm.py:initial_theta
9-12  -      -                      algorithm.py:iterate
10    8, 9   eq-states              latent_states.py:update_latent_states
11    1, 11  eq-factorisation       metagenes.py:update_metagenes
11    12     eq-affinity            affinity.py:AffinityProblem.minimize
-     -      eq-scaling             inputs/arrays.py:check_samples
-     2      eq-likelihood          objective.py:energy
-     3, 4   eq-energies            objective.py:emission_energy
-     5      eq-state-prior         objective.py:objective
-     6      eq-affinity-prior      affinity.py:AffinityProblem.value
-     7      eq-pseudo-likelihood   affinity.py:pseudo_likelihood_sums
-     12     eq-simplex-integral    partition_function.py:simplex_moments
-     10     eq-objective           objective.py:objective
-     A.8    eq-cell-type-affinity  tl/contacts.py:cell_type_affinity
-     -      eq-separation          tl/separation.py:separation_curve
====  =====  =====================  ================================================
"""

from spicemix_core.algorithm import Options, iterate
from spicemix_core.history import History
from spicemix_core.initialization import initial_metagenes, initialize
from spicemix_core.latent_states import split_states, update_latent_states
from spicemix_core.local_cells import LocalCells
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.numerics.active_set import nonnegative_least_squares
from spicemix_core.numerics.simplex import project_to_simplex
from spicemix_core.objective import Theta
from spicemix_core.partition_function import log_simplex_integral, simplex_moments
from spicemix_core.steps.on_arrays import (
    affinity_objective,
    duality_gap,
    squared_residual,
    states_energy,
    update_affinity,
)

__all__ = ["History", "LocalCells", "Options", "Theta", "affinity_objective", "duality_gap", "initial_metagenes",
           "initialize", "iterate", "log_simplex_integral", "nonnegative_least_squares", "project_to_simplex",
           "simplex_moments", "split_states", "squared_residual", "states_energy", "update_affinity",
           "update_latent_states", "update_metagenes", "update_noise"]


def __dir__() -> list[str]:
    return __all__
