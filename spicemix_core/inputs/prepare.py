"""Preparing an AnnData object for a fit: checks, normalisation and a neighbour graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from spicemix_core.inputs.anndata import check_names, expression_of, expression_place, read_samples, split_graph
from spicemix_core.inputs.building import GraphOptions, obtain_graph
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.memory import GRAPH_KEY, record_preparation
from spicemix_core.inputs.normalize import are_counts, log_normalize, refuse_counts
from spicemix_core.inputs.sections import warn_of_sections

if TYPE_CHECKING:
    from anndata import AnnData


@overload
def prepare(adata: AnnData, *, copy: Literal[True] = ..., **options: Any) -> AnnData: ...
@overload
def prepare(adata: AnnData, *, copy: Literal[False], **options: Any) -> None: ...


def prepare(adata: AnnData, *, sample_key: str | None = None, graph: str | None = "auto",
            max_length: float | str | None = None, n_neighbors: int | None = None, radius: float | None = None,
            normalize: bool = False, layer: str | None = None, graph_key: str = GRAPH_KEY, symmetrize: bool = False,
            rebuild_graph: bool = False, copy: bool = True) -> AnnData | None:
    """Log-normalised expression and a neighbour graph, ready for :meth:`SpiceMix.fit`.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
    sample_key : str, optional
        Column of ``obs`` that names the sample of each cell; no edge joins two samples. By default all cells are one
        sample.
    graph : {"auto", "lattice", "delaunay", "knn", "radius", None}
        How to find the neighbours from the coordinates in ``obsm["spatial"]`` (N x 2 or 3) if there is no
        ``obsp[graph_key]``. ``"auto"`` takes the neighbours on the lattice if the positions lie on a square or
        hexagonal one, and otherwise Delaunay neighbours within each piece of tissue
        (:func:`spicemix_core.inputs.neighbor_graph`); ``"delaunay"`` takes all Delaunay neighbours. A graph that
        exists, such as that of ``squidpy.gr.spatial_neighbors``, is checked and used unchanged. A sample whose
        coordinates are all NaN consists of dissociated cells and gets no edges. ``None`` builds no graph.
    max_length : float or str, optional
        Longest side of the Delaunay graph, in the unit of the coordinates, or as a multiple of the median length of all
        sides of the sample: ``"3x"`` is three times the median.
    n_neighbors : int, optional
        Number of nearest neighbours of each cell in the ``"knn"`` graph, by default 6; an edge in either direction
        counts.
    radius : float, optional
        Largest distance of neighbours in the ``"radius"`` graph, which needs it.
    normalize : bool
        Whether the expression consists of counts to be normalised: ``X`` becomes log(1 + 10^4 count / cell total), and
        the counts in ``X`` move to ``layers["counts"]``.
    layer : str, optional
        Layer with the expression. It becomes ``X``, and the previous ``X`` moves to ``layers["X"]``.
    graph_key : str
        Key of ``obsp`` with the neighbour graph. Under a name other than the default, a graph is built only with
        ``rebuild_graph``.
    symmetrize : bool
        Whether to make an existing graph symmetric and unweighted: two cells are joined if either direction has an
        entry other than zero.
    rebuild_graph : bool
        Whether to build a graph even if ``obsp[graph_key]`` exists, which is then replaced.
    copy : bool
        Whether to return a prepared copy and leave ``adata`` as it is. ``False`` changes ``adata`` itself and returns
        None, as the functions of ``scanpy.pp`` do by default.

    Returns
    -------
    AnnData or None
        ``uns["spicemix"]["preparation"]`` holds the parameters that differ from their defaults, and the kind of a graph
        that was built.

    Raises
    ------
    KeyError
        If a column, a layer, the coordinates, or a graph under a name other than the default do not exist.
    ValueError
        If the expression consists of counts but ``normalize`` is False, or the reverse; if coordinates are not finite;
        if a parameter would have no effect, such as a radius with a Delaunay graph or with a graph in the data;
        or if the graph, the normalisation (:func:`spicemix_core.inputs.log_normalize`) or :meth:`SpiceMix.fit` refuses
        the data.

    Warns
    -----
    UserWarning
        Without a ``sample_key``, if the cells seem to be of several sections: many of them share a position, or many
        edges join cells that differ in a column of ``obs`` such as ``"slide"``. Also if edges between pieces of tissue
        are left out.

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
    check_names(adata)
    expression = expression_of(adata, layer)
    _check_kind(expression, expression_place(layer), normalize)
    options = GraphOptions(graph, graph_key, max_length, n_neighbors, radius, symmetrize, rebuild_graph)
    neighbors, built = obtain_graph(adata, options, sample_key, layer)
    if neighbors is not None:
        _, _, rows = read_samples(adata, sample_key, None, layer, counts=True)
        for part in split_graph(neighbors, rows):
            check_graph(part, part.shape[0], f"obsp[{graph_key!r}]", "Pass {symmetrize=True}.")
        if sample_key is None:
            warn_of_sections(adata, neighbors, stacklevel=3)
    normalised = expression
    if normalize:
        normalised = log_normalize(expression, cell_names=adata.obs_names, gene_names=adata.var_names)
    # Nothing is written before everything has been checked.
    prepared = adata.copy() if copy else adata
    if neighbors is not None:
        prepared.obsp[graph_key] = neighbors
    if layer is not None and adata.X is not None:
        prepared.layers["X"] = prepared.X
    elif layer is None and normalize:
        prepared.layers["counts"] = expression.copy()
    if normalised is not adata.X:
        prepared.X = normalised if normalize else normalised.copy()
    record_preparation(prepared, built, sample_key=sample_key, graph=graph, max_length=max_length,
                       n_neighbors=n_neighbors, radius=radius, normalize=normalize, layer=layer, graph_key=graph_key,
                       symmetrize=symmetrize)
    return prepared if copy else None


def _check_kind(expression, place, normalize):
    """Refuse counts that are not to be normalised, and values to be normalised that are not counts."""
    if not normalize:
        refuse_counts(expression, place, "Pass {normalize=True}, or put log-normalised expression there.")
    elif not are_counts(expression):
        raise ArgumentError(f"{place} is to be normalised but does not hold whole numbers only.",
                            "Put raw counts there, or leave out {normalize}.")
