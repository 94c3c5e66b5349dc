"""Preparing an AnnData object for a fit: checks, normalisation and a neighbour graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from spicemix_core.inputs.anndata import check_names, readable_expression_of, rows_by_sample, split_graph
from spicemix_core.inputs.blocks import with_dask
from spicemix_core.inputs.building import GraphOptions, obtain_graph
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.filters import Filters
from spicemix_core.inputs.kinds import check_kind
from spicemix_core.inputs.loading import copied
from spicemix_core.inputs.memory import DEFAULTS, GRAPH_KEY, record_preparation
from spicemix_core.inputs.normalize import log_normalize
from spicemix_core.inputs.parameters import check_number
from spicemix_core.inputs.positions import SPATIAL_KEY, has_positions, positions_of, spatial_key_of
from spicemix_core.inputs.sections import warn_of_sections
from spicemix_core.numerics.blocks import Blocks

if TYPE_CHECKING:
    from anndata import AnnData


@overload
def prepare(adata: AnnData, *, copy: Literal[True] = ..., **options: Any) -> AnnData: ...
@overload
def prepare(adata: AnnData, *, copy: Literal[False], **options: Any) -> None: ...


def prepare(adata: AnnData, *, sample_key: str | None = None, graph: str | None = "auto",
            max_length: float | str | None = None, n_neighbors: int | None = None, radius: float | None = None,
            normalize: bool = False, target_sum: float = 1e4, layer: str | None = None, graph_key: str = GRAPH_KEY,
            symmetrize: bool = False, rebuild_graph: bool = False, spatial_key: str | Sequence[str] | None = None,
            genes: str | Sequence[str] | None = None, n_top_genes: int | None = None, keep_controls: bool = False,
            min_counts: float | None = None, min_cells: int | None = None, copy: bool = True) -> AnnData | None:
    """Log-normalised expression and a neighbour graph, ready for :meth:`SpiceMix.fit`.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
        Expression that is not in memory, as in a backed object, stays where it is and becomes a Dask array, which is
        normalised block by block whenever it is used.
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
        Whether the expression consists of counts to be normalised: ``X`` becomes log(1 + target_sum * count / cell
        total), and the counts in ``X`` move to ``layers["counts"]``. Expected counts, which are not whole, are
        normalised in the same way. The total of a cell is that of all genes, also if only some are kept.
    target_sum : float
        Total to which the counts of each cell are scaled.
    layer : str, optional
        Layer with the expression, or ``"raw"`` for ``adata.raw``. It becomes ``X``, and the previous ``X`` moves to
        ``layers["X"]``.
    graph_key : str
        Key of ``obsp`` with the neighbour graph. Under a name other than the default, a graph is built only with
        ``rebuild_graph``.
    symmetrize : bool
        Whether to make an existing graph symmetric and unweighted: two cells are joined if either direction has an
        entry other than zero.
    spatial_key : str or sequence of str, optional
        Where the positions are: a key of ``obsm``, or two or three columns of ``obs`` (one text may separate them by
        commas). By default ``"spatial"``, or what an earlier preparation of the data used. The key is remembered for
        figures and other functions. If the data have no ``obsm["spatial"]``, the result has these positions there.
    genes : str or sequence of str, optional
        Genes to keep: a list of names, or a column of ``var`` that is true for them, such as ``"highly_variable"``.
    n_top_genes : int, optional
        Number of genes to keep: those whose counts vary most between the cells of a sample (by the variance of
        analytic Pearson residuals), among ``genes`` if given.
    keep_controls : bool
        Whether to keep blank and negative control probes, unassigned codewords, and features that are no genes, such as
        antibodies. They are recognised by the names and types that the platforms give them.
    min_counts : float, optional
        Least total of a cell. Other cells, such as empty bins, are left out, and so are cells without expression of the
        genes that are kept.
    min_cells : int, optional
        Least number of cells that express a gene. Other genes are left out.
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
        or control probes are left out, if expected counts are normalised, or if values that are not normalised here
        are too large for logarithms.

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
    check_number("target_sum", target_sum, positive=True)
    if target_sum != DEFAULTS["target_sum"] and not normalize:
        raise ArgumentError("target_sum has no effect without a normalisation.",
                            "Pass {normalize=True}, or leave it out.", "target_sum")
    given, adata = adata, with_dask(adata)
    if not copy and adata is not given:
        raise ArgumentError("The data are not in memory, so they cannot be changed in place.",
                            "Leave out {copy=False}.")
    expression = readable_expression_of(adata, layer)
    check_kind(adata, expression, layer, normalize)
    filters = Filters(min_counts, min_cells, genes, n_top_genes, keep_controls)
    cells, kept, totals = filters.select(adata, expression, layer, sample_key, normalize)
    key = spatial_key_of(adata) if spatial_key is None else spatial_key
    key = key if isinstance(key, str) else ",".join(key)
    data, expression = _narrowed(adata, expression, layer, cells, kept, key)
    options = GraphOptions(graph, graph_key, max_length, n_neighbors, radius, symmetrize, rebuild_graph, key)
    neighbors, built = obtain_graph(data, options, sample_key)
    if neighbors is not None:
        for part in split_graph(neighbors, rows_by_sample(data, sample_key)):
            check_graph(part, part.shape[0], f"obsp[{graph_key!r}]", "Pass {symmetrize=True}.")
        if sample_key is None:
            points = positions_of(data, key) if has_positions(data, key) else None
            warn_of_sections(data, neighbors, points, stacklevel=3)
    if isinstance(expression, Blocks):
        expression = data.X if layer is None else data.layers[layer]  # of Dask
    normalised = expression
    if normalize:
        normalised = log_normalize(expression, target_sum, totals[cells], cell_names=data.obs_names,
                                   gene_names=data.var_names)
    # Nothing is written before everything has been checked.
    prepared = copied(data) if copy and data is given else data
    if neighbors is not None:
        prepared.obsp[graph_key] = neighbors
    if layer is not None and adata.X is not None:
        prepared.layers["X"] = prepared.X
    elif layer is None and normalize:
        prepared.layers["counts"] = expression.copy()
    if normalised is not adata.X:
        prepared.X = normalised if normalize else normalised.copy()
    record_preparation(
        prepared, built, sample_key=sample_key, graph=graph, max_length=max_length, n_neighbors=n_neighbors,
        radius=radius, normalize=normalize, target_sum=target_sum, layer=layer, graph_key=graph_key,
        symmetrize=symmetrize, spatial_key=key, keep_controls=keep_controls, min_counts=min_counts,
        n_cells_left_out=int((~cells).sum()), n_genes_left_out=int((~kept).sum()))
    if copy:
        return prepared
    if data is not given:
        given._init_as_actual(prepared)  # as the functions of scanpy.pp that leave out cells do
    return None


def _narrowed(adata, expression, layer, cells, genes, spatial_key):
    """The data themselves, or a copy with some of their cells and genes and with positions in the usual place."""
    points = None if spatial_key == SPATIAL_KEY else positions_of(adata, spatial_key)
    placed = points is None or SPATIAL_KEY in adata.obsm
    if cells.all() and genes.all() and placed:
        return adata, expression
    data = copied(adata[cells][:, genes])
    if not placed:
        data.obsm[SPATIAL_KEY] = points[cells]
    return data, readable_expression_of(data, layer) if isinstance(expression, Blocks) else expression[cells][:, genes]
