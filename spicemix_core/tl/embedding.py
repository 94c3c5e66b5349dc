"""Two-dimensional embeddings of latent states."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from spicemix_core.inputs.anndata import states_of
from spicemix_core.numerics.compiled import cached
from spicemix_core.tl.normalization import normalize_states

if TYPE_CHECKING:
    from anndata import AnnData


def umap_embedding(latent_states: ArrayLike, *, random_state: int | None = 0, n_neighbors: int = 10,
                   min_dist: float = 0.2) -> np.ndarray:
    """UMAP of the z-scored states. The defaults are the paper's settings.

    Parameters
    ----------
    latent_states : (N, K) array_like
    random_state : int or None, default=0
        A seed makes the result reproducible on one machine.
    n_neighbors : int, default=10
    min_dist : float, default=0.2

    Returns
    -------
    (N, 2) array

    References
    ----------
    L. McInnes, J. Healy and J. Melville, arXiv:1802.03426 (2018), by umap-learn.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=50, random_state=0)
    >>> places = tl.umap_embedding(adata.obsm["true_latent_states"])  # doctest: +SKIP
    """
    from umap import UMAP  # takes seconds to import

    _keep_compiled()
    states = normalize_states(latent_states, "zscore")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        return UMAP(n_neighbors=n_neighbors, min_dist=min_dist, random_state=random_state).fit_transform(states)


def _keep_compiled():
    """Cache the functions whose compilation takes most of the time of an embedding; umap-learn compiles them in every
    process anew."""
    from umap import umap_, utils

    for function in (utils.fast_knn_indices, umap_.smooth_knn_dist, umap_.compute_membership_strengths):
        cached(function)


def umap(adata: AnnData, random_state: int | None = 0) -> np.ndarray:
    """UMAP of the states of a fitted AnnData object, with the paper's settings.

    Distances between groups that lie far from each other have no meaning.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]`` and at least 12 cells.
    random_state : int or None, default=0

    Returns
    -------
    (N, 2) array
        The function also writes it to ``obsm["X_spicemix_umap"]``.

    Raises
    ------
    KeyError
        If the object has no states.
    ValueError
        If there are fewer than 12 cells.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=50, random_state=0)
    >>> adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]  # in place of a fit
    >>> tl.umap(adata).shape  # doctest: +SKIP
    (50, 2)
    """
    states = states_of(adata)
    if adata.n_obs < 12:
        raise ValueError(f"UMAP joins each cell to 10 neighbours, but there are {adata.n_obs} cells. Plot the states "
                         "themselves.")
    adata.obsm["X_spicemix_umap"] = umap_embedding(states, random_state=random_state).astype(float)
    return adata.obsm["X_spicemix_umap"]
