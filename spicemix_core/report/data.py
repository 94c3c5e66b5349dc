"""Data of a report: everything that the page shows, computed with the model where the data do not hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spicemix_core.inputs.anndata import STATES, column_of, expression_of, states_of
from spicemix_core.inputs.memory import AS_FITTED, GRAPH_KEY, key_of_fit, preparation_as_fitted
from spicemix_core.inputs.positions import SPATIAL_KEY, has_positions
from spicemix_core.inputs.prepare import prepare

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.model import SpiceMix


def complete(adata: AnnData, model: SpiceMix, sample_key: str | None, normalize: bool = False, *,
             layer: str | None = None, graph_key: str | None = None, spatial_key: str | None = None,
             ) -> tuple[AnnData, str | None, str]:
    """Data with the states of all cells and with the metagenes, affinity and history of the model.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
        States in ``obsm["X_spicemix"]`` are kept; without them, the states are estimated with the model.
    model : SpiceMix
        A fitted model.
    sample_key, normalize, layer, graph_key, spatial_key
        As for :func:`write_report`.

    Returns
    -------
    adata : AnnData
        The genes of ``adata`` that the model knows.
    sample_key, graph_key : str or None, str
        Those given, or those of the fit.

    Raises
    ------
    ValueError
        The states are those of another model, or the data and the model share no gene.
    KeyError
        ``obs`` has no column ``sample_key``.
    """
    if STATES not in adata.obsm:
        options = preparation_as_fitted(model, adata, sample_key=sample_key or AS_FITTED, graph="auto",
                                        normalize=normalize or None, graph_key=graph_key,
                                        spatial_key=spatial_key, layer=layer or AS_FITTED)
        sample_key, graph_key = options["sample_key"], options["graph_key"]
        if not any(has_positions(adata, key) for key in (SPATIAL_KEY, options.get("spatial_key", SPATIAL_KEY))):
            options["graph"] = None
        adata = prepare(adata, **options)
        model.transform(adata, sample_key, graph_key if graph_key in adata.obsp else None, None)
    else:
        sample_key = sample_key or key_of_fit(adata, "sample_key")
        graph_key = graph_key or key_of_fit(adata, "graph_key", GRAPH_KEY)
        layer = layer or key_of_fit(adata, "layer")
        if layer is not None:
            adata.X = expression_of(adata, layer)
    K, K_data = model.metagenes_.shape[1], states_of(adata).shape[1]
    if K_data != K:
        raise ValueError(f"The data hold states of {K_data} metagenes, but the model has {K}. Use the data "
                         "that the model was fitted to, or data without states.")
    if sample_key is not None:
        column_of(adata, sample_key)
    genes = {name: row for row, name in enumerate(getattr(model, "feature_names_in_", adata.var_names))}
    known = adata.var_names.isin(list(genes))
    if not known.any() or (len(genes) != adata.n_vars and not hasattr(model, "feature_names_in_")):
        raise ValueError("The data and the model have no gene in common. Use the data that the model was fitted to.")
    adata = adata[:, known].copy()
    adata.varm["metagenes"] = model.metagenes_[[genes[name] for name in adata.var_names]]
    adata.uns.setdefault("spicemix", {}).update(affinity=model.affinity_, history=model.history_.reset_index(),
                                                parameters={"tol": model.tol})
    return adata, sample_key, graph_key
