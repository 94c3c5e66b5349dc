"""SpiceMix: spatially informed metagenes from single-cell spatial transcriptomics."""

import importlib
from typing import TYPE_CHECKING

from spicemix_core.version import __version__ as __version__

if TYPE_CHECKING:  # for readers and type checkers
    from spicemix_core.model import SpiceMix as SpiceMix


_MODULES = {"Consensus": "spicemix_core.runs.consensus",
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
            "read_data": "spicemix_core.exchange.readers",
            "select": "spicemix_core.runs.selection",
            "steps": "spicemix_core.steps",
            "tl": "spicemix_core.tl",
            "write_report": "spicemix_core.report"}
__all__ = sorted(_MODULES)


def __dir__():
    return __all__


def __getattr__(name):
    """Import what is asked for: numba, pandas and scikit-learn take seconds, and not every module needs them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_MODULES[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
