"""Preparing an AnnData object for a fit: checks, normalisation and a neighbour graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs import graphs
from spicemix_core.inputs.anndata import (
    check_names,
    coordinates_of,
    expression_of,
    expression_place,
    graph_of,
    read_samples,
)
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.normalize import are_counts, log_normalize, refuse_counts
from spicemix_core.inputs.sections import warn_of_sections

if TYPE_CHECKING:
    from anndata import AnnData

GRAPHS = ("delaunay", "knn", "radius", None)


def prepare(adata: AnnData, *, sample_key: str | None = None, graph: str | None = "delaunay",
            max_length: float | None = None, n_neighbors: int = 6, radius: float | None = None, normalize: bool = False,
            layer: str | None = None, graph_key: str = "spatial_connectivities", symmetrize: bool = False) -> AnnData:
    """A copy of the data with log-normalised expression and a neighbour graph, ready for :meth:`SpiceMix.fit`.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
        It is not changed.
    sample_key : str, optional
        Column of ``obs`` that names the sample of each cell; no edge joins two samples. By default all cells are one
        sample.
    graph : {"delaunay", "knn", "radius", None}
        How to find the neighbours from the coordinates in ``obsm["spatial"]`` (N x 2 or 3) if there is no
        ``obsp[graph_key]``. A graph that exists, such as that of ``squidpy.gr.spatial_neighbors``, is checked and used
        unchanged. A sample whose coordinates are all NaN consists of dissociated cells and gets no edges. ``None``
        builds no graph.
    max_length : float, optional
        Longest side of the Delaunay graph, in the unit of the coordinates.
    n_neighbors : int
        Number of nearest neighbours of each cell in the ``"knn"`` graph; an edge in either direction counts.
    radius : float, optional
        Largest distance of neighbours in the ``"radius"`` graph, which needs it.
    normalize : bool
        Whether the expression consists of counts to be normalised: ``X`` becomes log(1 + 10^4 count / cell total), and
        the counts in ``X`` move to ``layers["counts"]``.
    layer : str, optional
        Layer with the expression. It becomes ``X``, and the previous ``X`` moves to ``layers["X"]``.
    graph_key : str
        Key of ``obsp`` with the neighbour graph.
    symmetrize : bool
        Whether to make an existing graph symmetric and unweighted: two cells are joined if either direction has an
        entry other than zero.

    Returns
    -------
    AnnData

    Raises
    ------
    KeyError
        If a column, a layer or the coordinates do not exist.
    ValueError
        If the expression consists of counts but ``normalize`` is False, or the reverse; if coordinates are not finite;
        or if the graph, the normalisation (:func:`spicemix_core.inputs.log_normalize`) or :meth:`SpiceMix.fit` refuses
        the data.

    Warns
    -----
    UserWarning
        Without a ``sample_key``, if the cells seem to be of several sections: many of them share a position, or many
        edges join cells that differ in a column of ``obs`` such as ``"slide"``.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import datasets, prepare
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> del adata.obsp["spatial_connectivities"]
    >>> adata.X = np.random.default_rng(0).poisson(100 * np.maximum(adata.X, 0))
    >>> ready = prepare(adata, sample_key="sample", normalize=True)
    >>> list(ready.layers), list(ready.obsp)
    (['counts'], ['spatial_connectivities'])
    """
    if graph not in GRAPHS:
        raise ArgumentError(f"graph must be one of {', '.join(map(repr, GRAPHS))}, not {graph!r}.", parameter="graph")
    check_names(adata)
    expression = expression_of(adata, layer)
    _check_kind(expression, expression_place(layer), normalize)
    existing = graph_of(adata, graph_key) if graph_key in adata.obsp else None
    prepared = adata.copy()
    if existing is not None and symmetrize:
        prepared.obsp[graph_key] = _symmetric(existing)
    elif existing is None and graph is not None:
        prepared.obsp[graph_key] = _build(adata, sample_key, layer, _builder(graph, max_length, n_neighbors, radius))
    key = graph_key if graph_key in prepared.obsp else None
    _, parts, _ = read_samples(prepared, sample_key, key, layer, counts=True)
    if parts is not None and sample_key is None:
        warn_of_sections(prepared, graph_key, stacklevel=3)
    for part in parts or []:
        check_graph(part, part.shape[0], f"obsp[{graph_key!r}]", "Pass {symmetrize=True}.")
    if layer is not None and adata.X is not None:
        prepared.layers["X"] = prepared.X
    elif layer is None and normalize:
        prepared.layers["counts"] = expression.copy()
    if normalize:
        prepared.X = log_normalize(expression)
    elif expression is not adata.X:
        prepared.X = expression.copy()
    return prepared


def _check_kind(expression, place, normalize):
    """Refuse counts that are not to be normalised, and values to be normalised that are not counts."""
    if not normalize:
        refuse_counts(expression, place, "Pass {normalize=True}, or put log-normalised expression there.")
    elif not are_counts(expression):
        raise ArgumentError(f"{place} is to be normalised but does not hold whole numbers only.",
                            "Put raw counts there, or leave out {normalize}.")


def _symmetric(graph):
    graph = sp.csr_array(graph)
    either = sp.csr_matrix(((graph != 0) + (graph != 0).T).astype(float))
    either.setdiag(0.0)
    either.eliminate_zeros()
    return either


def _builder(graph, max_length, n_neighbors, radius) -> Callable:
    if graph == "knn":
        return partial(graphs.knn_graph, n_neighbors=n_neighbors)
    if graph == "radius":
        if radius is None:
            raise ArgumentError("A radius graph needs a radius.", "Set {radius}, in the unit of the coordinates.")
        return partial(graphs.radius_graph, radius=radius)
    return partial(graphs.delaunay_graph, max_length=max_length)


def _build(adata, sample_key, layer, build):
    """The graph of the cells that have coordinates; a sample without any coordinates has no edges."""
    points = coordinates_of(adata, remedy="put the positions of the cells there, or pass {graph=None}")
    _, _, rows = read_samples(adata, sample_key, None, layer, counts=True)
    placed = np.ones(len(points), dtype=bool)
    samples = np.empty(len(points), dtype=int)
    for i, r in enumerate(rows):
        samples[r] = i
        placed[r] = not np.isnan(points[r]).all()
    if not placed.any():
        raise ArgumentError("All coordinates in obsm['spatial'] are NaN.", "Pass {graph=None}.")
    cells = np.flatnonzero(placed)
    edges = sp.coo_array(graphs.graph_by_sample(points[cells], samples[cells], build))
    if not edges.nnz and len(cells) > 1:
        raise ArgumentError("The graph of the coordinates in obsm['spatial'] has no edges.",
                            "Check the samples, and {max_length} or {radius}, which are in the unit of the "
                            "coordinates, or pass {graph=None}.")
    return sp.csr_matrix((edges.data, (cells[edges.row], cells[edges.col])), shape=(len(points), len(points)))
