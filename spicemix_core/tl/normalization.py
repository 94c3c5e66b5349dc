"""The scale on which latent states are clustered."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spicemix_core.inputs.parameters import check_choice

NORMALIZATIONS = ("zscore", "clipped_zscore", "proportions", "zscore_proportions", "none")
MAX_DEVIATION = 5.0  # standard deviations


def normalize_states(latent_states: ArrayLike, method: str = "zscore") -> np.ndarray:
    """Put latent states on the scale on which they are clustered.

    Parameters
    ----------
    latent_states : (N, K) array_like
        States of the cells of all samples, each sample divided by its input scaling.
    method : {"zscore", "clipped_zscore", "proportions", "zscore_proportions", "none"}, default="zscore"
        - ``"zscore"``: ``(x_ik - mean_k) / sd_k`` over all cells, as in the paper.
        - ``"clipped_zscore"``: the same, clipped at 5 standard deviations, as in :func:`cluster_states`.
        - ``"proportions"``: ``z_i = x_i / sum_k x_ik``.
        - ``"zscore_proportions"``: the z-score of z, clipped at 5 standard deviations.
        - ``"none"``: a copy of the states.

    Returns
    -------
    (N, K) array
        A constant column has the z-score 0. The proportions of a cell whose states are all zero are 0.

    Raises
    ------
    ValueError
        If the method is unknown, the states are not a finite matrix, or negative states have no proportions.

    Notes
    -----
    The choice of the method changes the adjusted Rand index as much as the choice of the model does, so report it with
    every result. The clipping limits the weight of metagenes that few cells use: without it, the Calinski-Harabasz
    index would separate such cells from all others one by one.

    Examples
    --------
    >>> from spicemix_core import tl
    >>> tl.normalize_states([[1.0, 3.0], [2.0, 2.0]], "proportions")
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    check_choice("method", method, NORMALIZATIONS)
    states = np.array(latent_states, dtype=float)
    if states.ndim != 2 or 0 in states.shape:
        raise ValueError(f"latent_states has shape {states.shape}. Pass a matrix of cells x metagenes.")
    if not np.isfinite(states).all():
        cell = int(np.flatnonzero(~np.isfinite(states).all(axis=1))[0])
        raise ValueError(f"latent_states has a NaN or infinite entry in row {cell}. Leave such cells out.")
    if "proportions" in method:
        if (states < 0).any():
            raise ValueError("latent_states has negative entries, which have no proportions. Use 'zscore'.")
        states = _proportions(states)
    scores = _zscore(states) if "zscore" in method else states
    clipped = method in ("clipped_zscore", "zscore_proportions")
    return np.clip(scores, -MAX_DEVIATION, MAX_DEVIATION) if clipped else scores


def _zscore(states):
    spread = states.std(axis=0)
    constant = np.ptp(states, axis=0) == 0
    spread[constant] = 1.0  # because of rounding, the spread of a constant column is not always 0
    scores = (states - states.mean(axis=0)) / spread
    scores[:, constant] = 0.0
    return scores


def _proportions(states):
    totals = states.sum(axis=1, keepdims=True)
    return states / np.where(totals > 0, totals, 1.0)
