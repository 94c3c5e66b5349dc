"""SpiceMix: spatially informed metagenes from single-cell spatial transcriptomics."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for readers of the sources, type checkers and spicemix_core.sources
    from spicemix_core.model import SpiceMix

__version__ = "0.1.0"
__all__ = ["SpiceMix", "convert", "convert_result", "prepare", "read_data"]

_MODULES = {"SpiceMix": "spicemix_core.model",
            "convert": "spicemix_core.conversion",
            "convert_result": "spicemix_core.conversion",
            "prepare": "spicemix_core.readers",
            "read_data": "spicemix_core.readers"}


def __getattr__(name):
    """Import what is asked for: numba, pandas and scikit-learn take seconds, and not every module needs them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
