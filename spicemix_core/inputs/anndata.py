"""AnnData, the field's container: reading the input of a fit from it and writing the results back."""


import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy import sparse


def read_samples(adata, sample_key, graph_key, layer):
    """Split an AnnData object into samples.

    Parameters
    ----------
    adata : AnnData
    sample_key : str or None
        Column of ``obs``; ``None`` means one sample.
    graph_key : str or None
        Key of ``obsp``; ``None`` means no space.
    layer : str or None

    Returns
    -------
    expressions, graphs : lists
        As :func:`spicemix_core.inputs.check_samples` takes them.
    rows : list of integer arrays
        The rows of ``adata`` of each sample.

    Raises
    ------
    KeyError
        Unknown sample, graph or layer key.
    ValueError
        No cells or genes, names that occur twice, expression that is not of numbers, cells without a sample, or edges
        between samples.
    """
    check_names(adata)
    expression, _ = expression_of(adata, layer)
    rows = [np.arange(adata.n_obs)] if sample_key is None else _rows_by_sample(adata, sample_key)
    expressions = [expression[r] for r in rows] if len(rows) > 1 else [expression]
    if graph_key is None:
        return expressions, None, rows
    if graph_key not in adata.obsp:
        place = " (coordinates are in obsm['spatial'])" if "spatial" in adata.obsm else ""
        raise KeyError(f"obsp has no neighbour graph {graph_key!r}{place}; build one with spicemix_core.prepare, "
                       "or pass graph_key=None to take the cells as dissociated")
    graph = sp.csr_array(adata.obsp[graph_key])
    _check_no_edge_between(graph, rows)
    return expressions, [graph[r][:, r] for r in rows], rows


def expression_of(adata, layer):
    """Expression of ``X`` or of a layer, checked by :func:`check_values`, and how messages name its place."""
    place = "adata.X" if layer is None else f"layers[{layer!r}]"
    expression = adata.X if layer is None else _lookup(adata.layers, layer, "layers")
    check_values(expression, place)
    return expression, place


def check_names(adata):
    """Refuse an AnnData object without cells or genes, or in which a cell or a gene is not named or named twice."""
    for names, kind, place in ((adata.obs_names, "cell", "obs_names"), (adata.var_names, "gene", "var_names")):
        if not len(names):
            raise ValueError(f"adata has no {kind}s; check how it was filtered or read")
        if pd.isna(names).any() or (names == "").any():
            raise ValueError(f"a {kind} has no name; name all in adata.{place}")
        twice = names[names.duplicated()]
        if len(twice):
            raise ValueError(f"{kind} names must differ, but {twice[0]!r} occurs again ({len(twice)} such {kind}s); "
                             f"drop them or rename them with adata.{place}_make_unique()")


def check_values(expression, place):
    """Refuse expression that is missing or whose entries are not real numbers."""
    if expression is None:
        raise ValueError(f"{place} is empty; put normalised expression there or name a layer")
    if np.dtype(expression.dtype).kind not in "fiub":
        raise ValueError(f"{place} holds entries of type {expression.dtype}, expected real numbers; convert it, for "
                         "instance with astype(float)")


def read_names(adata, sample_key, rows):
    """Names of the genes (array), of the samples (list) and of each sample's cells (list of arrays), all texts.

    ``rows`` as :func:`read_samples` returns them. Without a ``sample_key`` the only sample is named "0".
    """
    samples = ["0"] if sample_key is None else [str(adata.obs[sample_key].iloc[r[0]]) for r in rows]
    names = np.array(adata.obs_names, dtype=object)
    return np.array(adata.var_names, dtype=object), samples, [names[r] for r in rows]


def _lookup(mapping, key, name):
    if key not in mapping:
        raise KeyError(f"{name} has no {key!r}; it has {', '.join(map(repr, mapping)) or 'nothing'}")
    return mapping[key]


def _rows_by_sample(adata, sample_key):
    samples = _lookup(adata.obs, sample_key, "obs")
    if samples.isna().any():
        raise ValueError(f"obs[{sample_key!r}] is missing for {samples.isna().sum()} cells, the first is "
                         f"{adata.obs_names[samples.isna()][0]!r}; name a sample for each cell or drop them")
    labels = samples.to_numpy()
    return [np.flatnonzero(labels == name) for name in samples.unique()]


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
        raise ValueError(f"the graph has {pairs.shape[1]} edges between cells of different samples; build it one "
                         "sample at a time with spicemix_core.inputs.graphs.graph_by_sample")


def write_results(adata, model, rows):
    """Write states, metagenes, affinity and history of a fitted model into ``adata``."""
    states = np.empty((adata.n_obs, model.metagenes_.shape[1]))
    for r, x in zip(rows, model.latent_states_, strict=True):
        states[r] = x
    adata.obsm["X_spicemix"] = states
    adata.varm["metagenes"] = model.metagenes_
    adata.uns["spicemix"] = {
        "affinity": model.affinity_,
        "noise": model.noise_,
        "scaling": model.scaling_,
        "history": model.history_.reset_index(),
        "converged": model.converged_,
        "parameters": {k: _plain(v) for k, v in model.get_params().items()},
    }


def _plain(value):
    """A parameter as a file can hold it: numbers and truth values as they are, anything else as its text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def expression_frame(adata, genes) -> pd.DataFrame:
    """Expression of those of ``genes`` that were measured, cells x genes, in the order asked for."""
    measured = [gene for gene in dict.fromkeys(genes) if gene in adata.var_names]
    values = adata[:, measured].X
    return pd.DataFrame(values.toarray() if sparse.issparse(values) else values, adata.obs_names, measured)
