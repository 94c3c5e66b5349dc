"""One sample fitted with several penalties of the affinity, for a figure with a slider."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from spicemix_core import SpiceMix
from spicemix_core.tl import adjusted_rand_index, cluster_states, match_labels, match_metagenes, normalize_states


def penalty_frames(adata: AnnData, penalties: Sequence[float], colors: Mapping[str, str], *, n_metagenes: int,
                   random_state: int = 0, no_type: str = "no type") -> list[dict]:
    """One sample fitted at each penalty of the affinity, for `paper.explore.model_path`: list of dict.

    Clusters (Ward on z-scored proportions) are shown as the types to which they are matched one to one. Metagenes are
    in the order of the first fit, matched by their proportions over the cells.

    Parameters
    ----------
    adata : AnnData
        One sample with ``obs["cell_type"]``.
    penalties : sequence of float
    colors : dict
        Colour of each type, and of ``no_type`` for clusters without a matching type.
    n_metagenes, random_state : int
    """
    types, frames, first = adata.obs["cell_type"].to_numpy(dtype=str), [], None
    for penalty in penalties:
        model = SpiceMix(n_metagenes, affinity_penalty=penalty, random_state=random_state)
        states = np.concatenate(model.fit(adata.copy(), sample_key="sample").latent_states_)
        first = states if first is None else first
        order = match_metagenes(*(normalize_states(x, "proportions") for x in (first, states))).permutation
        found = cluster_states(states)
        matched = match_labels(found.labels, types)[found.labels].to_numpy(dtype=object)
        frames.append({
            "at": f"{penalty:.0e}", "labels": np.where(pd.isna(matched), no_type, matched), "colors": colors,
            "affinity": model.affinity_[np.ix_(order, order)],
            "numbers": {"clusters": str(found.n_clusters),
                        "adjusted Rand index": f"{adjusted_rand_index(found.labels, types):.2f}",
                        "range of S": f"{np.ptp(model.affinity_):.2g}",
                        "iterations": str(model.n_iter_)}})
    return frames
