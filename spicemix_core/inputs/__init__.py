"""From an AnnData object to the arrays of a fit: graphs of neighbours, normalisation, look-ups."""

import importlib

_MODULES = {"check_samples": "arrays",
            "delaunay_graph": "graphs",
            "graph_by_sample": "graphs",
            "graph_from_edges": "graphs",
            "join_dissociated": "dissociated",
            "knn_graph": "graphs",
            "log_normalize": "normalize",
            "radius_graph": "graphs"}
__all__ = sorted(_MODULES)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    """Import a function when it is first used: AnnData and the graphs take time that a fit to arrays does not need."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
