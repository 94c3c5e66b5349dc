"""AnnData, the field's container: look-ups with their errors, the samples of a fit, and its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.inputs.blocks import in_blocks, is_in_blocks
from spicemix_core.inputs.checks import check_sparse, without_duplicates
from spicemix_core.inputs.errors import ArgumentError, MissingDataError
from spicemix_core.inputs.loading import loaded, loaded_column
from spicemix_core.inputs.normalize import refuse_counts
from spicemix_core.inputs.sections import warn_of_sections
from spicemix_core.numerics.blocks import Blocks

if TYPE_CHECKING:  # importing anndata takes a second
    from anndata import AnnData

    Matrix: TypeAlias = np.ndarray | sparse.spmatrix | sparse.sparray

RAW = "raw"  # as the name of a layer
STATES, EMBEDDING, METAGENES, RESULTS = "X_spicemix", "X_spicemix_umap", "metagenes", "spicemix"  # keys


def column_of(adata: AnnData, key: str) -> pd.Series:
    """The column ``key`` of ``obs``, in which values may be missing; KeyError if there is none."""
    return loaded_column(_look_up(adata.obs, key, f"There is no column {key!r} in obs"))


def labels_of(adata: AnnData, key: str) -> pd.Series:
    """The column ``key`` of ``obs``, in which every cell must have a value; KeyError or ValueError otherwise."""
    labels = column_of(adata, key)
    missing = labels.isna()
    if missing.any():
        raise ValueError(f"The column {key!r} of obs is missing for {missing.sum()} cells, the first is "
                         f"{adata.obs_names[missing][0]!r}; give each cell a value, or leave these cells out.")
    return labels


def expression_of(adata: AnnData, layer: str | None = None) -> Matrix:
    """Expression in ``X``, in a layer, or in ``raw``, in memory, with sparse entries summed if stored in several parts.

    Without a layer of the name "raw", this name stands for ``adata.raw`` and the genes of ``adata``. KeyError if there
    is no such layer, ValueError as :func:`check_values`.
    """
    return _usable(loaded(_stored_expression(adata, layer)), expression_place(layer))


def readable_expression_of(adata: AnnData, layer: str | None = None) -> Matrix | Blocks:
    """As :func:`expression_of`, but expression that is not in memory is read in blocks of cells if that is possible."""
    expression, place = _stored_expression(adata, layer), expression_place(layer)
    if not is_in_blocks(expression):
        return _usable(loaded(expression), place)
    _check_numbers(expression.dtype, place)
    return in_blocks(expression, place).map(lambda block: _usable(block, place),
                                            np.promote_types(expression.dtype, np.float32)
                                            if expression.dtype == np.float16 else expression.dtype)


def _stored_expression(adata, layer):
    if layer == RAW and layer not in adata.layers and adata.raw is not None:
        return _raw_of(adata)
    if layer is None and adata.X is None and len(adata.layers):
        raise ArgumentError("There is no expression in X.",
                            f"Choose one of the layers {', '.join(map(repr, adata.layers))} with {{layer}}.")
    return adata.X if layer is None else _look_up(adata.layers, layer, f"There is no layer {layer!r} in layers")


def _usable(expression, place):
    check_values(expression, place)
    if expression.dtype == np.float16:  # sums of half precision overflow at 65,504
        expression = expression.astype(np.float32)
    return without_duplicates(expression)


def _raw_of(adata):
    missing = adata.var_names[~adata.var_names.isin(adata.raw.var_names)]
    if len(missing):
        raise MissingDataError(f"The expression in raw lacks {len(missing)} of the genes, the first is {missing[0]!r}.",
                               "Name a {layer} that has all genes.")
    return loaded(adata.raw.X)[:, adata.raw.var_names.get_indexer(adata.var_names)]


def expression_place(layer: str | None) -> str:
    """How messages name the place of the expression."""
    return {None: "X", RAW: RAW}.get(layer, f"layers[{layer!r}]")


def expression_frame(adata: AnnData, genes: Iterable[str]) -> pd.DataFrame:
    """Expression of some genes as a table, cells x genes.

    Parameters
    ----------
    adata : AnnData
    genes : iterable of str
        Names of genes. Those that ``adata`` does not have, and repetitions, are left out.

    Returns
    -------
    pandas.DataFrame
        Values of ``adata.X``; index cell names, columns gene names in the order given.

    Examples
    --------
    >>> from spicemix_core import datasets, inputs
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> inputs.expression_frame(adata, ["gene3", "gene0", "unknown"]).shape
    (50, 2)
    """
    measured = [gene for gene in dict.fromkeys(genes) if gene in adata.var_names]
    check_sparse(adata.X, "adata.X")
    values = adata[:, measured].X
    return pd.DataFrame(values.toarray() if sparse.issparse(values) else values, adata.obs_names, measured)


def graph_of(adata: AnnData, graph_key: str, remedy: str = "build one, or name another with {graph_key}") -> Matrix:
    """The neighbour graph ``obsp[graph_key]`` as it is stored; KeyError if there is none, ValueError if corrupt."""
    graph = loaded(_look_up(adata.obsp, graph_key, f"There is no neighbour graph {graph_key!r} in obsp", remedy))
    check_sparse(graph, f"obsp[{graph_key!r}]")
    return graph


def coordinates_of(adata: AnnData, key: str = "spatial", remedy: str = "put the positions of the cells there",
                   ) -> np.ndarray:
    """Coordinates in ``obsm[key]``, (N, 2) or (N, 3), NaN for dissociated cells; KeyError or ValueError otherwise."""
    points = np.asarray(loaded(_look_up(adata.obsm, key, f"There are no coordinates {key!r} in obsm", remedy)))
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"obsm[{key!r}] has the shape {points.shape}, but positions have two or three coordinates for "
                         "each cell; keep these columns only.")
    try:
        return points.astype(float)  # also numbers that are stored as text
    except (TypeError, ValueError) as error:
        raise ValueError(f"obsm[{key!r}] holds entries that are no numbers, but coordinates are numbers; correct "
                         "them.") from error


def states_of(adata: AnnData) -> np.ndarray:
    """Latent states (N, K) that a fit or :meth:`spicemix_core.SpiceMix.transform` wrote; KeyError without them."""
    return np.asarray(_look_up(adata.obsm, STATES, "There are no latent states 'X_spicemix' in obsm",
                               "fit SpiceMix to the data, or transform them, first"))


def embedding_of(adata: AnnData) -> np.ndarray:
    """Two-dimensional embedding (N, 2) that :func:`spicemix_core.tl.umap` wrote; KeyError without it."""
    return np.asarray(_look_up(adata.obsm, EMBEDDING, "There is no embedding 'X_spicemix_umap' in obsm",
                               "call tl.umap first"))


def metagenes_of(adata: AnnData) -> np.ndarray:
    """Metagenes (G, K) that a fit wrote; KeyError without them."""
    return np.asarray(_look_up(adata.varm, METAGENES, "There are no metagenes 'metagenes' in varm",
                               "fit SpiceMix to the data first"))


def result_of(adata: AnnData, name: str, remedy: str = "fit SpiceMix to the data first"):
    """A result in ``uns["spicemix"]``; KeyError without it, which names the ``remedy``."""
    return _look_up(adata.uns.get(RESULTS, {}), name, f"There is no result {name!r} in uns['spicemix']", remedy)


def _look_up(mapping: Mapping, key: str, missing: str, remedy: str | None = None):
    if key in mapping:
        return mapping[key]
    names = ", ".join(map(repr, mapping))
    if remedy is None:
        raise MissingDataError(f"{missing}; {f'choose one of {names}' if names else 'nothing is stored there'}.")
    raise MissingDataError(f"{missing}.", f"{remedy[0].upper()}{remedy[1:]}.")


def check_names(adata: AnnData) -> None:
    """Refuse an AnnData object without cells or genes, or with a cell or gene whose name is missing or not unique."""
    for names, kind, place in ((adata.obs_names, "cell", "obs_names"), (adata.var_names, "gene", "var_names")):
        if not len(names):
            raise ValueError(f"The data have no {kind}s; check how they were filtered or read.")
        if pd.isna(names).any() or (names == "").any():
            raise ValueError(f"A {kind} has no name; give each {kind} a name in {place}.")
        repeated = names[names.duplicated()]
        if len(repeated):
            raise ValueError(f"The {kind} names are not unique: {repeated[0]!r} occurs again ({len(repeated)} such "
                             f"{kind}s). Drop the repeated {kind}s, or rename them.")


def check_values(expression: Matrix | None, place: str) -> None:
    """Refuse expression that is missing, whose entries are not real numbers, or whose indices do not fit its shape."""
    if expression is None:
        raise ValueError(f"There is no expression in {place}; put normalised expression there, or name a layer.")
    _check_numbers(expression.dtype, place)
    check_sparse(expression, place)


def _check_numbers(dtype, place):
    if np.dtype(dtype).kind not in "fiub":
        raise ValueError(f"The entries of {place} are of type {dtype}, but expression must be real numbers; store "
                         "numbers there.")


def read_samples(adata: AnnData, sample_key: str | None, graph_key: str | None, layer: str | None, *,
                 counts: bool = False, blocks: bool = False,
                 ) -> tuple[list[Matrix | Blocks], list[sparse.csr_array] | None, list[np.ndarray]]:
    """Split an AnnData object into samples.

    Parameters
    ----------
    adata : AnnData
    sample_key : str or None
        Column of ``obs``; ``None`` means one sample.
    graph_key : str or None
        Key of ``obsp``; ``None`` means that no cell has neighbours.
    layer : str or None
        Layer with the expression; ``None`` means ``X``.
    counts : bool
        Whether the expression may be raw counts, which the model is not for.
    blocks : bool
        Whether expression that is not in memory is read in blocks of cells when it is used, and not loaded.

    Returns
    -------
    expressions, graphs : lists
        As :func:`spicemix_core.inputs.check_samples` takes them; ``graphs`` is None without a ``graph_key``.
    rows : list of integer arrays
        The rows of ``adata`` of each sample.

    Raises
    ------
    KeyError
        If a column, graph or layer does not exist.
    ValueError
        If there are no cells or genes, names are not unique, the expression does not consist of real numbers or looks
        like raw counts, a cell has no sample, or an edge joins two samples.

    Warns
    -----
    UserWarning
        As :func:`spicemix_core.prepare`, if the data were not prepared and seem to be of several sections.
    """
    check_names(adata)
    expression = readable_expression_of(adata, layer) if blocks else expression_of(adata, layer)
    if not counts:
        refuse_counts(expression, expression_place(layer), "Normalise them with spicemix_core.prepare(adata, "
                      "normalize=True), or name a layer with normalised expression.")
    rows = rows_by_sample(adata, sample_key)
    part = expression.take if isinstance(expression, Blocks) else expression.__getitem__
    expressions = [part(r) for r in rows] if len(rows) > 1 else [expression]
    if graph_key is None:
        return expressions, None, rows
    graph = graph_of(adata, graph_key, "build one with spicemix_core.prepare, or pass {graph_key=None} to take the "
                                       "cells as dissociated")
    if sample_key is None and not counts and "preparation" not in adata.uns.get(RESULTS, {}):
        warn_of_sections(adata, graph, adata.obsm.get("spatial"), stacklevel=4)  # prepared data were checked
    return expressions, split_graph(graph, rows), rows


def split_graph(graph: Matrix, rows: list[np.ndarray]) -> list[sparse.csr_array]:
    """The graph of each sample; ValueError if an edge joins two samples."""
    whole = sparse.csr_array(graph)
    _check_no_edge_between(whole, rows)
    return [whole[r][:, r] for r in rows]


def read_names(adata: AnnData, sample_key: str | None, rows: list[np.ndarray],
               ) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    """Names of the genes, of the samples, and of each sample's cells.

    ``rows`` are those of :func:`read_samples`. Without a ``sample_key`` the only sample is called "0".
    """
    samples = ["0"] if sample_key is None else [str(column_of(adata, sample_key).iloc[r[0]]) for r in rows]
    names = np.array(adata.obs_names, dtype=object)
    return np.array(adata.var_names, dtype=object), samples, [names[r] for r in rows]


def rows_by_sample(adata: AnnData, sample_key: str | None) -> list[np.ndarray]:
    """The rows of each sample, in the order in which the samples appear; all rows without a ``sample_key``."""
    if sample_key is None:
        return [np.arange(adata.n_obs)]
    samples = labels_of(adata, sample_key)
    values = samples.to_numpy()
    return [np.flatnonzero(values == name) for name in samples.unique()]


def _check_no_edge_between(graph, rows):
    if len(rows) == 1:
        return
    sample_of = np.empty(graph.shape[0], dtype=int)
    for i, r in enumerate(rows):
        sample_of[r] = i
    edges = graph.tocoo()
    crossing = (sample_of[edges.row] != sample_of[edges.col]) & (edges.data != 0)
    if crossing.any():
        pairs = np.unique(np.sort(np.stack([edges.row, edges.col])[:, crossing], axis=0), axis=1)
        raise ArgumentError(f"The graph has {pairs.shape[1]} edges between cells of different samples.",
                            "Build the graph of each sample separately, or prepare the data with {rebuild_graph=True}.")
