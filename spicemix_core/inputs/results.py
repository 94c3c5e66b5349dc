"""Results of a model in an AnnData object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spicemix_core.inputs.anndata import METAGENES, RESULTS, STATES
from spicemix_core.inputs.memory import input_of
from spicemix_core.inputs.summary import summarize_input

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.model import SpiceMix


def write_fit(adata: AnnData, model: SpiceMix, rows: list[np.ndarray], sample_key: str | None, graph_key: str | None,
              layer: str | None) -> None:
    """Write states, metagenes, affinity and history of a fit into ``adata``, and what both remember of the input.

    Other results of an earlier fit are removed from ``uns["spicemix"]``. ``rows`` are the rows of ``adata`` of each
    sample; the keys are those of :meth:`SpiceMix.fit`.
    """
    earlier = adata.uns.pop(RESULTS, {})
    adata.uns[RESULTS] = {name: earlier[name] for name in ("preparation",) if name in earlier}
    model.input_ = input_of(adata, sample_key, graph_key, layer)
    _write_states(adata, model.latent_states_, rows)
    genes = np.arange(adata.n_vars)
    _write_parameters(adata, model, genes, genes)
    adata.uns[RESULTS] |= {"scaling": model.scaling_, "input": summarize_input(
        adata, sample_key, graph_key if model.spatial else None, layer)}


def write_transform(adata: AnnData, model: SpiceMix, parts: Sequence[np.ndarray], rows: list[np.ndarray],
                    columns: np.ndarray, genes: np.ndarray, keys: Sequence[str | None]) -> np.ndarray:
    """Write states of the samples, and the parameters of the model that they belong to; return the states (N, K).

    The column ``columns[i]`` of ``adata`` is the gene ``genes[i]`` of the model. The metagenes of genes that the model
    does not know are NaN. ``keys`` are those of samples, graph and expression.
    """
    _write_parameters(adata, model, columns, genes)
    adata.uns[RESULTS] |= {"input": summarize_input(adata, *keys)}
    return _write_states(adata, parts, rows)


def _write_states(adata, parts, rows):
    states = np.empty((adata.n_obs, parts[0].shape[1]))
    for r, x in zip(rows, parts, strict=True):
        states[r] = x
    adata.obsm[STATES] = states
    return states


def _write_parameters(adata, model, columns, genes):
    metagenes = np.full((adata.n_vars, model.metagenes_.shape[1]), np.nan)
    metagenes[columns] = model.metagenes_[genes]
    adata.varm[METAGENES] = metagenes
    adata.uns[RESULTS] = {
        **adata.uns.get(RESULTS, {}),
        "affinity": model.affinity_,
        "noise": model.noise_,
        "history": model.history_.reset_index(),
        "converged": model.converged_,
        "parameters": {k: _plain(v) for k, v in model.get_params().items()},
    }


def _plain(value):
    """A parameter as a file can store it: numbers and booleans as they are, anything else as text."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)
