"""SpiceMix: spatially informed metagenes from single-cell spatial transcriptomics.

Lines of Algorithm 1, equations of the paper, labels of the book's method chapter, and the code (``file:function``):

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

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers and type checkers
    from spicemix_core.model import SpiceMix as SpiceMix

_MODULES = {"Consensus": "spicemix_core.runs.consensus",
            "PublishedResult": "spicemix_core.runs.published_procedure",
            "Selection": "spicemix_core.runs.selection",
            "SpiceMix": "spicemix_core.model",
            "baselines": "spicemix_core.baselines",
            "convert": "spicemix_core.exchange.conversion",
            "convert_result": "spicemix_core.exchange.conversion",
            "datasets": "spicemix_core.datasets",
            "fit_consensus": "spicemix_core.runs.consensus",
            "inputs": "spicemix_core.inputs",
            "pl": "spicemix_core.pl",
            "prepare": "spicemix_core.inputs.prepare",
            "published_procedure": "spicemix_core.runs.published_procedure",
            "read_data": "spicemix_core.exchange.readers",
            "select": "spicemix_core.runs.selection",
            "steps": "spicemix_core.steps",
            "tl": "spicemix_core.tl",
            "write_report": "spicemix_core.report"}
__all__ = sorted(_MODULES)


def __dir__():
    return __all__


def __getattr__(name):
    """Import a public name on first use: numba, pandas and scikit-learn take seconds to import."""
    if name == "__version__":
        return _version()
    if name not in _MODULES:
        raise AttributeError(f"Module {__name__!r} has no public name {name!r}.")
    module = importlib.import_module(_MODULES[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)


def _version():
    """Version of the installed package; its only source is pyproject.toml."""
    from importlib import metadata

    try:
        return metadata.version("spicemix-core")
    except metadata.PackageNotFoundError:  # a source folder on the path, without an installation
        return "0+unknown"
