"""From an AnnData object to the arrays of a fit: graphs of neighbours, normalisation, look-ups."""

from spicemix_core.inputs.anndata import expression_frame
from spicemix_core.inputs.dissociated import join_dissociated
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample, graph_from_edges, knn_graph, radius_graph
from spicemix_core.inputs.normalize import log_normalize

__all__ = ["delaunay_graph", "expression_frame", "graph_by_sample", "graph_from_edges", "join_dissociated", "knn_graph",
           "log_normalize", "radius_graph"]


def __dir__():
    return __all__
