"""Ward's tree of the cells, its cuts, and the Calinski-Harabasz index of these."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.cluster.hierarchy import linkage
from scipy.spatial import cKDTree

MAX_TREE_CELLS = 10_000  # a tree needs the distances between all pairs of cells: 0.4 GB for this number


def ward_tree(states: ArrayLike) -> np.ndarray:
    """Ward's minimum-variance tree of the rows of ``states`` (N, K): N - 1 merges in SciPy's layout."""
    states = np.asarray(states, dtype=float)
    if states.ndim != 2 or len(states) < 2:
        raise ValueError(f"states has shape {states.shape}. A tree needs a matrix with at least two cells.")
    return linkage(states, method="ward")


def cut_tree(tree: np.ndarray, n_clusters: int) -> np.ndarray:
    """Labels of the subtrees that remain when the last ``n_clusters - 1`` merges are undone.

    Unlike a cut by height (:func:`scipy.cluster.hierarchy.fcluster`), this cut returns the requested number of clusters
    even where merges tie, as merges of cells with equal states do.

    Parameters
    ----------
    tree : (N - 1, 4) array
        Merges in SciPy's layout.
    n_clusters : int
        From 1 to N.

    Returns
    -------
    (N,) array of int
        Labels in the order of size; the largest cluster is 0.

    Raises
    ------
    ValueError
        If the number of clusters is out of range.

    Examples
    --------
    >>> from scipy.cluster.hierarchy import linkage
    >>> from spicemix_core import tl
    >>> tl.cut_tree(linkage([[1.0], [1.1], [1.2], [5.0], [5.1]], "ward"), 3)
    array([2, 0, 0, 1, 1])
    """
    n_cells = len(tree) + 1
    _numbers_of_clusters([n_clusters], n_cells, 1, n_cells)
    kept = n_cells - n_clusters
    parents = np.repeat(n_cells + np.arange(kept), 2)
    children = tree[:kept, :2].astype(int).ravel()
    forest = sparse.coo_array((np.ones(2 * kept), (parents, children)), shape=(2 * n_cells - 1,) * 2)
    _, root = sparse.csgraph.connected_components(forest, directed=False)
    return order_by_size(np.unique(root[:n_cells], return_inverse=True)[1], n_clusters)


def cells_of_tree(n_cells: int) -> np.ndarray:
    """Indices of the cells of a tree: all, or a random subset (always the same) if they are too many for one."""
    if n_cells <= MAX_TREE_CELLS:
        return np.arange(n_cells)
    return np.sort(np.random.default_rng(0).choice(n_cells, MAX_TREE_CELLS, replace=False))


def nearest_cluster(rows: np.ndarray, chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cluster with the nearest mean for each of the rows, given the labels of the ``chosen`` ones."""
    means = [rows[chosen[labels == label]].mean(axis=0) for label in range(labels.max() + 1)]
    return cKDTree(means).query(rows)[1]


def order_by_size(labels: np.ndarray, n_clusters: int) -> np.ndarray:
    """Labels renumbered by size: 0 is the largest; equal sizes are in the order of their first cell."""
    found, first, size = np.unique(labels, return_index=True, return_counts=True)
    rank = np.empty(n_clusters, dtype=int)
    rank[found[np.lexsort((first, -size))]] = np.arange(len(found))
    return rank[labels]


def calinski_harabasz_curve(tree: np.ndarray, n_clusters: Iterable[int]) -> pd.Series:
    """Calinski-Harabasz index of the cuts of a Ward tree.

    ``CH(k) = [B_k / (k - 1)] / [W_k / (N - k)]``, where W_k is the sum of squares within the clusters and B_k that
    between them. A Ward merge at height h adds exactly ``h^2 / 2`` to W. Therefore W_k is the sum over the first N - k
    merges and B_k the sum over the others, and the index equals :func:`sklearn.metrics.calinski_harabasz_score`.

    Parameters
    ----------
    tree : (N - 1, 4) array
        From :func:`ward_tree`.
    n_clusters : iterable of int
        Numbers of clusters, each from 2 to N - 1.

    Returns
    -------
    Series
        The index by number of clusters. It is infinite where all cells of each cluster are equal.

    Raises
    ------
    ValueError
        If a number of clusters is out of range, or all cells have the same state.
    """
    n_cells = len(tree) + 1
    k = np.array(_numbers_of_clusters(n_clusters, n_cells, 2, n_cells - 1))
    gain = tree[:, 2] ** 2 / 2
    if not gain.any():
        raise ValueError("All cells have the same state, so they cannot be clustered. Check the fit or the input.")
    within = np.concatenate([[0.0], np.cumsum(gain)])[n_cells - k]
    between = np.concatenate([[0.0], np.cumsum(gain[::-1])])[k - 1]
    with np.errstate(divide="ignore"):
        values = (between / (k - 1)) / (within / (n_cells - k))
    return pd.Series(values, index=pd.Index(k, name="n_clusters"), name="calinski_harabasz")


def _numbers_of_clusters(n_clusters, n_cells, smallest, largest):
    numbers = [int(k) for k in n_clusters]
    wrong = [k for k in numbers if not smallest <= k <= largest]
    if wrong or not numbers:
        fault = (f"A clustering of {n_cells} cells into {wrong[0]} clusters is impossible" if wrong
                 else "The list of numbers of clusters is empty")
        raise ValueError(f"{fault}. Choose from {smallest} to {largest} clusters.")
    return numbers
