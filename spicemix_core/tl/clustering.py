"""Cell types from latent states: Ward's hierarchical clustering cut by the Calinski-Harabasz index."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.cluster.hierarchy import linkage
from scipy.spatial import cKDTree

from spicemix_core.tl._adata import states_of, store

NORMALIZATIONS = ("zscore", "proportions", "zscore_proportions", "none")
MAX_DEVIATION = 5.0  # standard deviations, of z-scored proportions
MAX_TREE_CELLS = 10_000  # a tree needs the distances between all pairs: 0.4 GB at so many


@dataclass(frozen=True)
class Clustering:
    """One flat clustering of cells and the tree that it was cut from.

    Attributes
    ----------
    labels : (N,) int array
        Cluster of each cell; cluster 0 is the largest, equal sizes in the order of their first cell.
    n_clusters : int
        Number of clusters.
    calinski_harabasz : pandas.Series
        Index by number of clusters, over every number that was considered.
    linkage : (N - 1, 4) array
        Ward tree in SciPy's layout; of more than ``MAX_TREE_CELLS`` cells, that of the cells drawn for it.
    """

    labels: np.ndarray
    n_clusters: int
    calinski_harabasz: pd.Series
    linkage: np.ndarray


def _zscore(states):
    spread = states.std(axis=0)
    spread[np.ptp(states, axis=0) == 0] = 1.0  # a constant column's spread is rounding error, not always 0
    scores = (states - states.mean(axis=0)) / spread
    scores[:, np.ptp(states, axis=0) == 0] = 0.0
    return scores


def _proportions(states):
    totals = states.sum(axis=1, keepdims=True)
    return states / np.where(totals > 0, totals, 1.0)


def normalize_states(latent_states, method="zscore"):
    """Latent states put on the scale on which they are clustered.

    ``"zscore"`` is ``(x_ik - mean_k) / sd_k`` over all cells of X (what the authors do), ``"proportions"`` is
    ``z_i = x_i / sum_k x_ik``, ``"zscore_proportions"`` the z-score of z, cut at 5 standard deviations, ``"none"``
    leaves X as it is. The choice moves the adjusted Rand index as much as the model does, so it belongs beside every
    result. Without the cut, a metagene that few cells use would weigh the more the fewer they are, and the
    Calinski-Harabasz index would part such cells from all others one by one.

    Parameters
    ----------
    latent_states : (N, K) array_like
        States of all cells of all samples, each sample already divided by its input scaling.
    method : {"zscore", "proportions", "zscore_proportions", "none"}

    Returns
    -------
    (N, K) array
        A constant column becomes 0 under a z-score. A cell whose state is all zero has no proportions: its
        row stays 0 under ``"proportions"`` (and is then z-scored with the rest).

    Raises
    ------
    ValueError
        Unknown method; states that are not a finite matrix; negative states where proportions are asked for.
    """
    if method not in NORMALIZATIONS:
        raise ValueError(f"Unknown normalisation {method!r}: choose one of {', '.join(NORMALIZATIONS)}.")
    states = np.array(latent_states, dtype=float)
    if states.ndim != 2 or 0 in states.shape:
        raise ValueError(f"latent_states has shape {states.shape}: pass a matrix of cells x metagenes.")
    if not np.isfinite(states).all():
        cell = int(np.flatnonzero(~np.isfinite(states).all(axis=1))[0])
        raise ValueError(f"latent_states has a NaN or infinite entry, first in cell {cell}: remove it.")
    if "proportions" in method:
        if (states < 0).any():
            raise ValueError("latent_states has negative entries, which have no proportions: use 'zscore'.")
        states = _proportions(states)
    if method == "zscore_proportions":
        return np.clip(_zscore(states), -MAX_DEVIATION, MAX_DEVIATION)
    return _zscore(states) if method == "zscore" else states


def ward_tree(states):
    """Ward's minimum-variance tree of the rows of ``states`` (N, K): N - 1 merges in SciPy's layout."""
    states = np.asarray(states, dtype=float)
    if states.ndim != 2 or len(states) < 2:
        raise ValueError(f"states has shape {states.shape}: a tree needs a matrix with at least two cells.")
    return linkage(states, method="ward")


def _numbers_of_clusters(n_clusters, n_cells, smallest, largest):
    numbers = [int(k) for k in n_clusters]
    wrong = [k for k in numbers if not smallest <= k <= largest]
    if wrong or not numbers:
        fault = f"{wrong[0]} clusters of {n_cells} cells are impossible" if wrong else "No number was given"
        raise ValueError(f"{fault}: ask for {smallest} to {largest} clusters.")
    return numbers


def cut_tree(tree, n_clusters):
    """Labels of the ``n_clusters`` subtrees left when the last ``n_clusters - 1`` merges are undone.

    Unlike a cut by height (``scipy.cluster.hierarchy.fcluster``), this gives the number asked for even where
    merges tie, as they do between cells with equal states. Labels are ordered by size, the largest is 0.
    """
    n_cells = len(tree) + 1
    _numbers_of_clusters([n_clusters], n_cells, 1, n_cells)
    kept = n_cells - n_clusters
    parents = np.repeat(n_cells + np.arange(kept), 2)
    children = tree[:kept, :2].astype(int).ravel()
    forest = sparse.coo_array((np.ones(2 * kept), (parents, children)), shape=(2 * n_cells - 1,) * 2)
    _, root = sparse.csgraph.connected_components(forest, directed=False)
    return _by_size(np.unique(root[:n_cells], return_inverse=True)[1], n_clusters)


def calinski_harabasz_curve(states, n_clusters: Iterable[int] = range(5, 41), *, tree=None):
    """Calinski-Harabasz index of the cuts of one Ward tree, all read off the tree's heights.

    ``CH(k) = [B_k / (k - 1)] / [W_k / (N - k)]`` with W the sum of squares within the clusters and B between
    them. A Ward merge at height h adds exactly ``h^2 / 2`` to W, so W_k is the sum over the first N - k
    merges and B_k over the rest; equal to ``sklearn.metrics.calinski_harabasz_score`` of each cut.

    Parameters
    ----------
    states : (N, K) array_like
        The (normalised) states.
    n_clusters : iterable of int
        Numbers of clusters, each from 2 to N - 1.
    tree : (N - 1, 4) array, optional
        ``ward_tree(states)`` where it is already there.

    Returns
    -------
    pandas.Series
        Index by number of clusters; infinite where every cluster is a single point repeated.

    Raises
    ------
    ValueError
        A number of clusters outside 2..N - 1, or cells that all have the same state.
    """
    tree = ward_tree(states) if tree is None else tree
    n_cells = len(tree) + 1
    k = np.array(_numbers_of_clusters(n_clusters, n_cells, 2, n_cells - 1))
    gain = tree[:, 2] ** 2 / 2
    if not gain.any():
        raise ValueError("All cells have the same state: there is nothing to cluster.")
    within = np.concatenate([[0.0], np.cumsum(gain)])[n_cells - k]
    between = np.concatenate([[0.0], np.cumsum(gain[::-1])])[k - 1]
    with np.errstate(divide="ignore"):
        values = (between / (k - 1)) / (within / (n_cells - k))
    return pd.Series(values, index=pd.Index(k, name="n_clusters"), name="calinski_harabasz")


def cluster_states(latent_states, *, n_clusters=None, normalization="zscore", n_clusters_range=(5, 40)):
    """Cell types from latent states: normalise, Ward's tree, cut at the highest Calinski-Harabasz index.

    Parameters
    ----------
    latent_states : (N, K) array_like
        States of all cells of all samples together, each sample divided by its input scaling.
    n_clusters : int, optional
        Number of clusters; chosen by the index over ``n_clusters_range`` if not given.
    normalization : str
        See `normalize_states`.
    n_clusters_range : (int, int)
        Smallest and largest number considered, both included; the authors' tutorial uses 5 and 40.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        See `normalize_states` and `calinski_harabasz_curve`.

    Source: the authors' tutorial (branch NatureGenetics-2022), which uses the z-score.
    """
    return cluster_rows(normalize_states(latent_states, normalization), n_clusters, n_clusters_range)


def highest_index(curve):
    """The number of clusters at which a Calinski-Harabasz curve is highest, as in the paper."""
    return int(curve.idxmax())


def first_peak(curve):
    """The smallest number of clusters at which a Calinski-Harabasz curve stops rising.

    A type whose cells lie along a line, as where two metagenes share it in all ratios, has an index that rises again as
    the line is cut into ever more pieces: W falls with the square of their number. The highest index is then far beyond
    the number of types; the first peak is not (book, simulation chapter).
    """
    falls = np.flatnonzero(curve.to_numpy()[1:] < curve.to_numpy()[:-1])
    return int(curve.index[falls[0] if len(falls) else -1])


def cluster_rows(rows, n_clusters=None, n_clusters_range=(5, 40), choose=highest_index):
    """`cluster_states` of states that are normalised already; numbers of clusters beyond N - 1 are not considered.

    ``choose`` takes the curve and gives the number of clusters: `highest_index` or `first_peak`.

    Of more than ``MAX_TREE_CELLS`` cells, so many are drawn (always the same) and clustered; every cell then takes the
    cluster whose mean is nearest, which is the criterion of Ward's merges.
    """
    if len(rows) > MAX_TREE_CELLS:
        return _cluster_drawn(np.asarray(rows, dtype=float), n_clusters, n_clusters_range, choose)
    tree = ward_tree(rows)
    smallest, largest = n_clusters_range
    numbers = range(smallest, min(largest, len(tree)) + 1) if n_clusters is None else [n_clusters]
    curve = calinski_harabasz_curve(rows, numbers, tree=tree)
    best = choose(curve)
    return Clustering(labels=cut_tree(tree, best), n_clusters=best, calinski_harabasz=curve, linkage=tree)


def _cluster_drawn(rows, *how):
    drawn = rows[np.sort(np.random.default_rng(0).choice(len(rows), MAX_TREE_CELLS, replace=False))]
    found = cluster_rows(drawn, *how)
    means = np.array([drawn[found.labels == k].mean(axis=0) for k in range(found.n_clusters)])
    nearest = cKDTree(means).query(rows)[1]
    return replace(found, labels=_by_size(nearest, found.n_clusters))


def _by_size(cluster, n_clusters):
    """Clusters numbered anew: the largest is 0, equal sizes in the order of their first cell."""
    found, first, size = np.unique(cluster, return_index=True, return_counts=True)
    rank = np.empty(n_clusters, dtype=int)
    rank[found[np.lexsort((first, -size))]] = np.arange(len(found))
    return rank[cluster]


def label_categories(labels) -> pd.Categorical:
    """Numbers of clusters as text, in the order of the numbers: what plotting programs take for groups."""
    return pd.Categorical([str(label) for label in labels], [str(label) for label in np.unique(labels)])


MIN_CELLS = 5  # about 1 % of the cells of seqFISH+


def cluster(adata, *, n_clusters=None, n_clusters_range=(5, 40), normalization="zscore_proportions",
            key_added="spicemix_cluster") -> Clustering:
    """Cell types: Ward's tree of the normalised states, cut at the highest Calinski-Harabasz index.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]``.
    n_clusters : int, optional
        Chosen by the index over ``n_clusters_range`` if not given.
    n_clusters_range : (int, int)
        Numbers that leave a cluster fewer than 5 cells on average are not considered: the index favours them where
        cells are few.
    normalization : str
        As :func:`spicemix_core.tl.clustering.normalize_states`; the default is that of
        :func:`spicemix_core.runs.consensus.fit_consensus`, the authors use ``"zscore"``.
    key_added : str
        Column of ``obs`` for the labels, categories "0" (the largest), "1", ...

    Returns
    -------
    Clustering
        ``uns["spicemix"]["cluster"]`` gains the Calinski-Harabasz curve.

    Raises
    ------
    KeyError
        Without states.
    ValueError
        As :func:`spicemix_core.tl.clustering.cluster_states`.
    """
    smallest, largest = n_clusters_range
    largest = min(largest, max(smallest, adata.n_obs // MIN_CELLS))
    found = cluster_states(states_of(adata), n_clusters=n_clusters, normalization=normalization,
                           n_clusters_range=(smallest, largest))
    adata.obs[key_added] = label_categories(found.labels)
    store(adata, "cluster", found.calinski_harabasz.reset_index(), key=key_added, normalization=normalization,
           n_clusters=found.n_clusters)
    return found
