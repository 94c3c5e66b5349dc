"""From an AnnData object to the arrays of a fit: expression, neighbour graphs, dissociated cells."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spicemix_core.inputs.anndata import expression_frame
    from spicemix_core.inputs.arrays import check_samples
    from spicemix_core.inputs.dissociated import join_dissociated
    from spicemix_core.inputs.edges import graph_from_edges
    from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample, knn_graph, radius_graph
    from spicemix_core.inputs.lattices import lattice_graph
    from spicemix_core.inputs.neighbors import neighbor_graph
    from spicemix_core.inputs.normalize import log_normalize

_MODULES = {"check_samples": "spicemix_core.inputs.arrays",
            "delaunay_graph": "spicemix_core.inputs.graphs",
            "expression_frame": "spicemix_core.inputs.anndata",
            "graph_by_sample": "spicemix_core.inputs.graphs",
            "graph_from_edges": "spicemix_core.inputs.edges",
            "join_dissociated": "spicemix_core.inputs.dissociated",
            "knn_graph": "spicemix_core.inputs.graphs",
            "lattice_graph": "spicemix_core.inputs.lattices",
            "log_normalize": "spicemix_core.inputs.normalize",
            "neighbor_graph": "spicemix_core.inputs.neighbors",
            "radius_graph": "spicemix_core.inputs.graphs"}
__all__ = ["check_samples", "delaunay_graph", "expression_frame", "graph_by_sample", "graph_from_edges",
           "join_dissociated", "knn_graph", "lattice_graph", "log_normalize", "neighbor_graph", "radius_graph"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name):
    """Import a function when it is first used: pandas and SciPy take seconds to import."""
    if name not in _MODULES:
        raise AttributeError(f"Module {__name__!r} has no public name {name!r}.")
    return getattr(importlib.import_module(_MODULES[name]), name)
