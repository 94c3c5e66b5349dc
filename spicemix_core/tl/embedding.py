"""Two-dimensional embeddings of latent states."""

import warnings

import numpy as np

from spicemix_core.tl._adata import states_of
from spicemix_core.tl.clustering import normalize_states


def umap_embedding(latent_states, *, random_state=0, n_neighbors=10, min_dist=0.2):
    """UMAP of z-scored states, (N, 2), with the paper's settings; the seed fixes it on one machine.

    Source: L. McInnes, J. Healy and J. Melville, arXiv:1802.03426 (2018), by umap-learn.
    """
    from umap import UMAP

    states = normalize_states(latent_states, "zscore")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        return UMAP(n_neighbors=n_neighbors, min_dist=min_dist, random_state=random_state).fit_transform(states)


def umap(adata, random_state=0) -> np.ndarray:
    """UMAP of the states with the paper's settings, (N, 2), into ``obsm["X_spicemix_umap"]``.

    As :func:`spicemix_core.tl.embedding.umap_embedding`; distances between far groups mean nothing.
    """
    from spicemix_core.tl.embedding import umap_embedding  # takes seconds, with all that draws

    states = states_of(adata)
    if adata.n_obs < 12:
        raise ValueError(f"UMAP joins each cell to 10 neighbours, and there are {adata.n_obs} cells: plot the states.")
    adata.obsm["X_spicemix_umap"] = umap_embedding(states, random_state=random_state).astype(float)
    return adata.obsm["X_spicemix_umap"]
