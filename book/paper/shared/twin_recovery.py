"""How much of the truth of a synthetic twin (:mod:`spicemix_core.datasets.twin`) a fit finds."""

import numpy as np
import pandas as pd

from paper.shared.typed_cells import states_in_order
from paper.simulation.recovery import affinity_of_states
from spicemix_core.tl import (
    DEFAULT_NORMALIZATION,
    adjusted_rand_index,
    cluster_states,
    match_metagenes,
    normalize_states,
)

FOUND = 0.8


def score_twin(adata, labels, model) -> dict:
    """Recovery of the truth of a synthetic twin: types, metagenes, states and affinity.

    Each true metagene is paired with the learned one that is in the same cells, one to one; it counts as found if their
    proportions correlate over the cells by at least ``FOUND``.

    Parameters
    ----------
    adata : AnnData
        From `spicemix_core.datasets.twin.sample_twin`.
    labels : (N,) array_like
        Clusters found.
    model : SpiceMix
        Fitted to ``adata``, its samples in ``obs["sample"]``.

    Returns
    -------
    dict of str to number
        ``types`` and ``clusters``, how many there are; ``ARI`` of clusters and true types, and ``ARI, true states``, of
        the clusters of the true states, which says how far the states determine the types; ``metagenes found``, and
        their mean correlations over cells (``states``) and over genes (``metagenes``); ``affinity``, correlation of S
        with that of the true states (by `paper.simulation.recovery.affinity_of_states`) over the pairs of found
        metagenes, NaN for NMF.
    """
    types, true_states = adata.obs["true_type"].astype(str), adata.obsm["true_latent_states"]
    states = states_in_order(model, adata.obs["sample"])
    match = match_metagenes(normalize_states(true_states, "proportions"), normalize_states(states, "proportions"))
    true = np.flatnonzero(match.correlations >= FOUND)
    learned = match.permutation[true]
    over_genes = [np.corrcoef(adata.varm["true_metagenes"][:, a], model.metagenes_[:, b])[0, 1]
                  for a, b in zip(true, learned, strict=True)]
    best = cluster_states(true_states, normalization=DEFAULT_NORMALIZATION).labels
    affinity = np.nan
    if np.any(model.affinity_) and true.size > 1:
        pairs = np.triu_indices(len(true))
        true_affinity = affinity_of_states(true_states, adata.obsp["spatial_connectivities"], model.affinity_penalty)
        affinity = np.corrcoef(model.affinity_[np.ix_(learned, learned)][pairs],
                               true_affinity[np.ix_(true, true)][pairs])[0, 1]
    return {"types": types.nunique(), "clusters": len(np.unique(labels)), "ARI": adjusted_rand_index(labels, types),
            "ARI, true states": adjusted_rand_index(best, types), "metagenes found": len(true),
            "states": float(match.correlations[true].mean()) if true.size else np.nan,
            "metagenes": float(np.mean(over_genes)) if true.size else np.nan, "affinity": float(affinity)}


def twin_table(adata, results) -> pd.DataFrame:
    """`score_twin` of results of `fit_consensus` by title, one column each, as text."""
    scores = {title: score_twin(adata, result.labels, result.model) for title, result in results.items()}
    return pd.DataFrame({title: {name: _text(value) for name, value in each.items()} for title, each in scores.items()})


def _text(value):
    if isinstance(value, int):
        return f"{value}"
    return "" if np.isnan(value) else f"{value:.2f}"
