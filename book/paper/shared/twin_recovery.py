"""Recovery of the truth of a synthetic twin (:mod:`spicemix_core.datasets.twin`) by a fit."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike

from paper.shared.scores import affinity_of_states
from paper.shared.typed_cells import states_in_order
from spicemix_core import Consensus, SpiceMix
from spicemix_core.tl import (
    adjusted_rand_index,
    cluster_states,
    match_metagenes,
    normalize_states,
)

FOUND = 0.8  # correlation at which a metagene counts as found
EXPLANATION = (  # of `twin_table`, for the pages
    "**Recovery of the twin's truth.** `ARI` is the adjusted Rand index of the consensus with the true types; `ARI, "
    "true states` is that of clusters of the true states. A true metagene is *found* if the proportions of a learned "
    "one correlate with its own over the cells by at least 0.8. The last three rows are mean correlations of the "
    "metagenes that were found: of their states over cells, of the metagenes over genes, and of the affinities between "
    "them.")


def score_twin(adata: AnnData, labels: ArrayLike, model: SpiceMix) -> dict:
    """Recovery of the types, metagenes, states and affinity of a synthetic twin.

    True and learned metagenes are matched one to one by the correlation of their proportions over the cells. A true
    metagene counts as found if this correlation is at least ``FOUND``.

    Parameters
    ----------
    adata : AnnData
        From `spicemix_core.datasets.twin.sample_twin`.
    labels : (N,) array_like
        Clusters found.
    model : SpiceMix
        Fitted to ``adata`` with the samples of ``obs["sample"]``.

    Returns
    -------
    dict of str to number
        Numbers of ``types`` and ``clusters``; ``ARI`` of clusters and true types, and ``ARI, true states`` of the
        clusters of the true states, which shows how far the states determine the types; number of ``metagenes found``,
        and their mean correlations over cells (``states``) and over genes (``metagenes``); ``affinity``, the
        correlation of S with that of the true states (:func:`paper.shared.scores.affinity_of_states`) over the pairs of
        metagenes found, NaN for NMF.
    """
    types, true_states = adata.obs["true_type"].astype(str), adata.obsm["true_latent_states"]
    states = states_in_order(model, adata.obs["sample"])
    match = match_metagenes(normalize_states(true_states, "proportions"), normalize_states(states, "proportions"))
    true = np.flatnonzero(match.correlations >= FOUND)
    learned = match.permutation[true]
    over_genes = [np.corrcoef(adata.varm["true_metagenes"][:, a], model.metagenes_[:, b])[0, 1]
                  for a, b in zip(true, learned, strict=True)]
    best = cluster_states(true_states).labels
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


def twin_table(adata: AnnData, results: Mapping[str, Consensus]) -> pd.DataFrame:
    """`score_twin` of several results of `fit_consensus` (by title), one column of texts each."""
    scores = {title: score_twin(adata, result.labels, result.model) for title, result in results.items()}
    return pd.DataFrame({title: {name: _text(value) for name, value in each.items()} for title, each in scores.items()})


def _text(value):
    if isinstance(value, int):
        return f"{value}"
    return "" if np.isnan(value) else f"{value:.2f}"
