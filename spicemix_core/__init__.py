"""SpiceMix: spatially informed metagenes from single-cell spatial transcriptomics."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers and type checkers
    from spicemix_core.model import SpiceMix

__version__ = "0.1.0"
__all__ = ["SpiceMix", "convert", "convert_result", "fit_consensus", "pl", "prepare", "read_data", "select", "tl"]

_MODULES = {"SpiceMix": "spicemix_core.model",
            "convert": "spicemix_core.exchange.conversion",
            "convert_result": "spicemix_core.exchange.conversion",
            "fit_consensus": "spicemix_core.runs.consensus",
            "pl": "spicemix_core.pl",
            "prepare": "spicemix_core.inputs.prepare",
            "read_data": "spicemix_core.exchange.readers",
            "select": "spicemix_core.runs.selection",
            "tl": "spicemix_core.tl"}


def __getattr__(name):
    """Import what is asked for: numba, pandas and scikit-learn take seconds, and not every module needs them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_MODULES[name])
    return module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
