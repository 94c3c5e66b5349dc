"""One sample fitted with several penalties of the affinity, for a figure with a slider."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from paper.shared.recovery import SIGNAL, match_states
from spicemix_core import SpiceMix
from spicemix_core.tl import adjusted_rand_index, cluster_states, match_labels


def penalty_frames(adata: AnnData, penalties: Sequence[float], colors: Mapping[str, str], *, n_metagenes: int,
                   seeds: Sequence[int] = (0,), no_type: str = "no type") -> list[dict]:
    """One sample fitted at each penalty of the affinity with each seed, for `paper.explore.model_path`: list of dict.

    Clusters (Ward on z-scored proportions) are shown as the types to which they are matched one to one. Metagenes have
    the names and the order of the true metagenes to which they are matched; one without a match is called "other".

    Parameters
    ----------
    adata : AnnData
        One simulated sample with ``obs["cell_type"]`` and ``obsm["true_latent_states"]``.
    penalties : sequence of float
    colors : dict
        Colour of each type, and of ``no_type`` for clusters without a matching type.
    n_metagenes : int
    seeds : sequence of int
        They are named by their places, from "seed 1" on.
    """
    types, frames = adata.obs["cell_type"].to_numpy(dtype=str), []
    for penalty in penalties:
        own = [_frame(adata, types, SpiceMix(n_metagenes, affinity_penalty=penalty, random_state=seed), colors, no_type)
               | {"at": f"{penalty:g}", "run": f"seed {number}"} for number, seed in enumerate(seeds, 1)]
        indices = ", ".join(frame["numbers"]["adjusted Rand index"] for frame in own)
        for frame in own if len(own) > 1 else []:
            frame["numbers"]["the index of all seeds"] = indices
        frames += own
    return frames


def _frame(adata, types, model, colors, no_type):
    states = np.concatenate(model.fit(adata.copy(), sample_key="sample").latent_states_)
    order, names = _named_metagenes(adata.obsm["true_latent_states"], states)
    found = cluster_states(states)
    matched = match_labels(found.labels, types)[found.labels].to_numpy(dtype=object)
    return {"labels": np.where(pd.isna(matched), no_type, matched), "colors": colors,
            "affinity": model.affinity_[np.ix_(order, order)], "metagenes": names,
            "numbers": {"clusters": str(found.n_clusters),
                        "adjusted Rand index": f"{adjusted_rand_index(found.labels, types):.2f}",
                        "range of S": f"{np.ptp(model.affinity_):.2g}", "iterations": str(model.n_iter_)}}


def _named_metagenes(true_states, states):
    """The learned metagenes in the order of the true ones that they are matched to, and their names."""
    learned = match_states(true_states, states).permutation
    named = {int(k): name for name, k in zip(SIGNAL, learned, strict=True) if k >= 0}
    order = [*named, *(k for k in range(states.shape[1]) if k not in named)]
    return order, [named.get(k, "other") for k in order]
