"""Scores of a fit that several chapters use: coherence in space, affinity of known states, cells in their own type."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from spicemix_core.steps import update_affinity
from spicemix_core.tl import match_labels, normalize_states


def morans_i(values: ArrayLike, graph: sp.sparray) -> np.ndarray:
    r"""Moran's I of each column: :math:`(N / m) \sum_{ij} a_{ij} u_i u_j / \sum_i u_i^2`.

    Here :math:`u` are the centred values and m is the number of directed edges.

    Parameters
    ----------
    values : (N, P) array_like
    graph : (N, N) sparse array
        Symmetric adjacency matrix of zeros and ones.

    Returns
    -------
    (P,) array
        About 0 without spatial structure and close to 1 where neighbours are similar; NaN for a constant column.
    """
    centred = np.asarray(values, dtype=float) - np.mean(values, axis=0)
    constant = np.ptp(values, axis=0) == 0
    square = np.where(constant, np.nan, (centred**2).sum(axis=0))
    return len(centred) / graph.sum() * (centred * (graph @ centred)).sum(axis=0) / square


def affinity_of_states(states: ArrayLike, graph: sp.sparray, penalty: float) -> np.ndarray:
    """S that the affinity step finds for given states (N, K), which is what a fit that knew them would learn."""
    proportions = normalize_states(states, "proportions")
    graph = sp.csr_array(graph)
    start = np.zeros((proportions.shape[1],) * 2)
    return update_affinity(start, proportions, graph @ proportions, graph.nnz, affinity_penalty=penalty)


def share_in_own_type(labels: ArrayLike, types: ArrayLike, chosen: Sequence[str]) -> float:
    """Share of the cells of the types ``chosen`` whose cluster is matched to their own type (Fig. 2e).

    :func:`spicemix_core.tl.match_labels` matches clusters to all types one to one. Cells of a cluster without a match
    do not count as in their own type.
    """
    types = np.asarray(types)
    assigned = match_labels(labels, types)[np.asarray(labels)].to_numpy()
    of_interest = np.isin(types, chosen)
    return float((assigned == types)[of_interest].mean())
