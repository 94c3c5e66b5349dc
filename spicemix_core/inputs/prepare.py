"""Files of expression in, an AnnData object that a fit takes out: reading, checking, normalising, joining neighbours.

Nothing is executed that a file says: HDF5 and text hold none, and zarr metadata that ask for pickles are refused.
"""

from functools import partial

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs import graphs
from spicemix_core.inputs.anndata import check_names, coordinates_of, expression_of, expression_place, read_samples
from spicemix_core.inputs.normalize import log_normalize

GRAPHS = ("delaunay", "knn", "radius", None)


def prepare(adata, *, sample_key=None, graph="delaunay", max_length=None, n_neighbors=6, radius=None, normalize=False,
            layer=None, graph_key="spatial_connectivities", symmetrize=False):
    """A copy of ``adata`` with log-normalised expression and a neighbour graph, as :meth:`SpiceMix.fit` takes it.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
    sample_key : str, optional
        Column of ``obs``: neighbours are looked up within each sample.
    graph : {"delaunay", "knn", "radius", None}
        How neighbours are found in ``obsm["spatial"]`` (N x 2 or 3) if ``obsp[graph_key]`` is not there yet; a graph
        that is there, such as that of ``squidpy.gr.spatial_neighbors``, is checked and taken as it is. A sample whose
        coordinates are all NaN is one of dissociated cells and gets no edges. ``None`` builds no graph.
    max_length : float, optional
        Longest side of the Delaunay graph, in the unit of the coordinates.
    n_neighbors : int
        Of the graph of nearest neighbours; an edge in either direction counts.
    radius : float
        Largest distance of neighbours; ``"radius"`` needs it.
    normalize : bool
        Take the expression for counts: ``X`` becomes log(1 + 10^4 count / cell total), and counts that were there move
        to ``layers["counts"]``.
    layer : str, optional
        Layer that holds the expression: it becomes ``X``, and the ``X`` that was there moves to ``layers["X"]``.
    graph_key : str
    symmetrize : bool
        Make a graph that is there symmetric and without weights: an edge wherever either direction has an entry other
        than zero.

    Returns
    -------
    AnnData

    Raises
    ------
    ValueError, KeyError
        Counts without ``normalize``, or the reverse; no coordinates, or some that are not finite; or anything that
        :mod:`spicemix_core.inputs.graphs`, :func:`spicemix_core.inputs.normalize.log_normalize` or
        :meth:`SpiceMix.fit` refuse.
    """
    if graph not in GRAPHS:
        raise ValueError(f"graph must be one of {', '.join(map(repr, GRAPHS))}, not {graph!r}")
    check_names(adata)
    expression, place = expression_of(adata, layer), expression_place(layer)
    counts = _are_counts(expression)
    if counts and not normalize:
        raise ValueError(f"{place} holds whole numbers only, which look like raw counts; pass normalize=True, or put "
                         "log-normalised expression there")
    if normalize and not counts:
        raise ValueError(f"{place} is to be normalised but does not hold whole numbers only; put raw counts there, or "
                         "leave out normalize")
    build = graph_key not in adata.obsp and graph is not None
    built = _build(adata, sample_key, layer, _builder(graph, max_length, n_neighbors, radius)) if build else None
    adata = adata.copy()
    if built is not None:
        adata.obsp[graph_key] = built
    elif symmetrize and graph_key in adata.obsp:
        adata.obsp[graph_key] = _symmetric(adata.obsp[graph_key])
    there = graph_key if graph_key in adata.obsp else None
    _, parts, _ = read_samples(adata, sample_key, there, layer)
    for part in parts or []:
        _check_joined(part, f"obsp[{graph_key!r}]")
    if layer is not None:
        previous, adata.X = adata.X, adata.layers[layer].copy()
        if previous is not None:
            adata.layers["X"] = previous
    if normalize:
        if layer is None:
            adata.layers["counts"] = adata.X
        adata.X = log_normalize(adata.X)
    return adata


def _check_joined(graph, place):
    try:
        graphs.check_graph(graph, graph.shape[0], place)
    except ValueError as error:
        raise ValueError(f"{error}; or pass symmetrize=True to prepare") from error


def _symmetric(graph):
    graph = sp.csr_array(graph)
    either = sp.csr_matrix(((graph != 0) + (graph != 0).T).astype(float))
    either.setdiag(0.0)
    either.eliminate_zeros()
    return either


def _builder(graph, max_length, n_neighbors, radius):
    if graph == "knn":
        return partial(graphs.knn_graph, n_neighbors=n_neighbors)
    if graph == "radius":
        if radius is None:
            raise ValueError('graph="radius" needs a radius, in the unit of the coordinates')
        return partial(graphs.radius_graph, radius=radius)
    return partial(graphs.delaunay_graph, max_length=max_length)


def _build(adata, sample_key, layer, build):
    """The graph of the cells that have a place; a sample without any place has no edges."""
    points = coordinates_of(adata, remedy="put the positions of the cells there, or pass graph=None")
    _, _, rows = read_samples(adata, sample_key, None, layer)
    placed = np.ones(len(points), dtype=bool)
    samples = np.empty(len(points), dtype=int)
    for i, r in enumerate(rows):
        samples[r] = i
        placed[r] = not np.isnan(points[r]).all()
    if not placed.any():
        raise ValueError("obsm['spatial'] has no coordinates but NaN; pass graph=None")
    cells = np.flatnonzero(placed)
    edges = sp.coo_array(graphs.graph_by_sample(points[cells], samples[cells], build))
    if not edges.nnz and len(cells) > 1:
        raise ValueError("the graph of obsm['spatial'] joins no cells; check the samples, and max_length or radius, "
                         "which are in the unit of the coordinates, or pass graph=None")
    return sp.csr_matrix((edges.data, (cells[edges.row], cells[edges.col])), shape=(len(points), len(points)))


def _are_counts(expression):
    values = expression.data if sp.issparse(expression) else np.asarray(expression)
    return bool(values.size) and values.dtype.kind != "b" and bool((np.mod(values, 1) == 0).all())
