"""What is remembered of the input of a fit, in the model and in ``uns["spicemix"]`` of the data.

``preparation`` holds the parameters of :func:`spicemix_core.prepare`, and ``input`` the keys of :meth:`SpiceMix.fit`.
Both hold only what differs from a default, because files do not store None everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spicemix_core.inputs.anndata import RAW, RESULTS
from spicemix_core.inputs.errors import MissingDataError

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.model import SpiceMix

AS_FITTED = "as fitted"  # stands for the key of the fit
GRAPH_KEY = "spatial_connectivities"  # where squidpy keeps the graph
DEFAULTS = {"graph": "auto", "graph_key": GRAPH_KEY, "target_sum": 1e4, "spatial_key": "spatial",
            "n_cells_left_out": 0, "n_genes_left_out": 0}  # of other parameters: None or False
PLACES = {"sample_key": "obs", "graph_key": "obsp", "layer": "layers"}
EXPRESSION = ("layer", "normalize", "target_sum")  # parameters that make the expression
GRAPH = ("graph", "max_length", "n_neighbors", "radius")
PARAMETERS = (*EXPRESSION, *GRAPH, "graph_key", "symmetrize", "spatial_key", "keep_controls", "min_counts")


def record_preparation(adata: AnnData, built: str | None, **parameters: Any) -> None:
    """Record how data were prepared; ``built`` is the kind of the graph if one was built.

    What an earlier preparation recorded about the expression stays if it is used again.
    """
    record = preparation_of(adata)
    if parameters["layer"] is not None:  # the expression is another one
        record = {}
    record = {name: value for name, value in record.items() if name in EXPRESSION}
    record |= {} if built is None else {"graph_built": built}
    record |= {name: value for name, value in parameters.items()
               if value is not None and value is not False and value != DEFAULTS.get(name)}
    adata.uns[RESULTS] = {**adata.uns.get(RESULTS, {}), "preparation": record}


def preparation_of(adata: AnnData) -> dict[str, Any]:
    """The parameters with which data were prepared; none if they were not."""
    return _plain(adata.uns.get(RESULTS, {}).get("preparation", {}))


def input_of(adata: AnnData, sample_key: str | None, graph_key: str | None, layer: str | None) -> dict[str, Any]:
    """What a model remembers of the data of its fit."""
    keys = {"sample_key": sample_key, "graph_key": graph_key, "layer": layer}
    return {name: key for name, key in keys.items() if key is not None} | {"preparation": preparation_of(adata)}


def key_of_fit(adata: AnnData, name: str, default: str | None = None) -> str | None:
    """The ``sample_key``, ``graph_key`` or ``layer`` of the fit whose results the data hold, if they still have it."""
    key = _plain(adata.uns.get(RESULTS, {}).get("input", {})).get(name)
    return key if key is not None and _has(adata, name, key) else default


def _has(adata, name, key):
    return key in getattr(adata, PLACES[name]) or (name == "layer" and key == RAW and adata.raw is not None)


def keys_as_fitted(model: SpiceMix, adata: AnnData, **keys: str | None) -> list[str | None]:
    """The keys of :meth:`SpiceMix.transform`, each of which is that of the fit if it is ``AS_FITTED``.

    MissingDataError if the data lack a sample key or layer of the fit.
    """
    fitted = {"graph_key": GRAPH_KEY} | getattr(model, "input_", {})
    found = {name: fitted.get(name) if key == AS_FITTED else key for name, key in keys.items()}
    _check_present(adata, **{name: found[name] for name, key in keys.items() if key == AS_FITTED})
    return list(found.values())


def _check_present(adata, sample_key=None, layer=None, graph_key=None):
    """Refuse data without a sample key or layer of the fit; a lacking graph has an error of its own."""
    if sample_key is not None and sample_key not in adata.obs:
        raise MissingDataError(f"The model was fitted with the samples in obs[{sample_key!r}], which these data lack.",
                               "Name the column of their samples with {sample_key}, or pass {sample_key=None} if all "
                               "cells are of one sample.")
    if layer is not None and not _has(adata, "layer", layer):
        raise MissingDataError(f"The model was fitted with the expression in layers[{layer!r}], which these data lack.",
                               "Name the layer with their expression with {layer}, or pass {layer=None} if it is in X.")


def preparation_as_fitted(model: SpiceMix, adata: AnnData, *, sample_key: str | None = AS_FITTED,
                          layer: str | None = AS_FITTED, **given: Any) -> dict[str, Any]:
    """Parameters of :func:`spicemix_core.prepare` for data that are to be prepared like those of a fit.

    Parameters
    ----------
    model : SpiceMix
    adata : AnnData
        If they were prepared already, their expression in ``X`` is used as it is.
    sample_key, layer : str or None
    **given : dict
        Other parameters of ``prepare``. Those that are left out or None, and a ``graph`` that is ``"auto"``, are those
        of the fit; the parameters of the graph only where a graph must be built.
    """
    fitted = getattr(model, "input_", {})
    prepared = {"layer": fitted.get("layer")} | _plain(fitted.get("preparation", {}))
    if "preparation" in adata.uns.get(RESULTS, {}):
        prepared = {name: value for name, value in prepared.items() if name not in EXPRESSION}
    graph_key = given.get("graph_key") or fitted.get("graph_key", GRAPH_KEY)
    chosen = any(given.get(name) not in (None, "auto") for name in GRAPH)
    if chosen or (graph_key in adata.obsp and not given.get("rebuild_graph")):
        prepared = {name: value for name, value in prepared.items() if name not in GRAPH}
    used = {"graph": "auto"} | {name: value for name, value in prepared.items() if name in PARAMETERS} | {
        name: value for name, value in given.items() if value not in (None, "auto")}
    if not used.get("normalize") and given.get("target_sum") is None:
        used.pop("target_sum", None)
    if layer == AS_FITTED:
        layer = prepared.get("layer")
        _check_present(adata, layer=layer)
    [sample_key] = keys_as_fitted(model, adata, sample_key=sample_key)
    return used | {"sample_key": sample_key, "graph_key": graph_key, "layer": layer}


def _plain(record):
    """Values of Python, which a file gives back as those of NumPy."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in record.items()}
