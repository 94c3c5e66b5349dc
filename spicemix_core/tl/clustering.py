"""Cell types from latent states: Ward's tree of the normalised states, cut at a number of clusters that a rule chooses.

A :class:`CellTypeRule` holds all that defines the cell types: the normalisation, the numbers of clusters considered,
and the function that chooses one of them from the Calinski-Harabasz curve. The four rules in use are the constants
below. All defaults of the package come from them, so a rule is exchanged here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from spicemix_core.inputs.anndata import states_of
from spicemix_core.tl._adata import store
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.trees import (
    calinski_harabasz_curve,
    cut_tree,
    first_peak,
    highest_index,
    order_by_size,
    ward_tree,
)

if TYPE_CHECKING:
    from anndata import AnnData

CLUSTERS, CONFIDENCE = "spicemix_cluster", "spicemix_confidence"  # columns of obs
DEFAULT_NORMALIZATION = "zscore_proportions"
MIN_CELLS = 5  # smallest mean size of a cluster; about 1 % of the cells of seqFISH+
MAX_TREE_CELLS = 10_000  # a tree needs the distances between all pairs of cells: 0.4 GB for this number


@dataclass(frozen=True)
class CellTypeRule:
    """How latent states become cell types.

    Attributes
    ----------
    normalization : str
        Method of :func:`normalize_states`.
    n_clusters_range : (int, int)
        Smallest and largest number of clusters considered, both included.
    choose : callable
        Chooses the number of clusters from the Calinski-Harabasz curve.
    """

    normalization: str = DEFAULT_NORMALIZATION
    n_clusters_range: tuple[int, int] = (5, 40)
    choose: Callable[[pd.Series], int] = highest_index


PAPER = CellTypeRule(normalization="zscore")  # the authors' tutorial; default of `cluster_states`
ONE_FIT = CellTypeRule()  # default of `cluster`
CONSENSUS = CellTypeRule(choose=first_peak)  # default of `fit_consensus`
GRID = CellTypeRule(n_clusters_range=(2, 40))  # every setting of `select`


@dataclass(frozen=True)
class Clustering:
    """Clusters of the cells, with the tree that they were cut from.

    Attributes
    ----------
    labels : (N,) array of int
        Cluster of each cell. Cluster 0 is the largest; equal sizes are in the order of their first cell.
    n_clusters : int
        Number of clusters.
    calinski_harabasz : pandas.Series
        Calinski-Harabasz index by number of clusters, over all numbers considered.
    linkage : (N - 1, 4) array
        Ward's tree in SciPy's layout. With more than 10,000 cells, the tree of the random subset that was clustered.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> states = np.repeat(np.eye(3), 20, axis=0) + 0.01 * np.random.default_rng(0).random((60, 3))
    >>> tl.cluster_states(states, n_clusters=3).n_clusters
    3
    """

    labels: np.ndarray
    n_clusters: int
    calinski_harabasz: pd.Series
    linkage: np.ndarray


def cluster_by_rule(states: Sequence[ArrayLike], rule: CellTypeRule, n_clusters: int | None = None) -> Clustering:
    """Cluster the cells by a rule; all functions of the package that return cell types call this one.

    Parameters
    ----------
    states : sequence of (N, K) array_like
        States of one or more fits of the same cells. The normalised states of all fits are joined into one matrix.
    rule : CellTypeRule
    n_clusters : int, optional
        Number of clusters, instead of the number that the rule chooses.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        See :func:`normalize_states` and :func:`calinski_harabasz_curve`.

    Notes
    -----
    Numbers of clusters above N - 1 are not considered. Of more than 10,000 cells, a random subset of this size (always
    the same) is clustered, and every cell is assigned to the cluster with the nearest mean, which is the criterion of
    Ward's merges.
    """
    parts = [normalize_states(x, rule.normalization) for x in states]
    rows = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    if len(rows) <= MAX_TREE_CELLS:
        return _cluster_all(rows, rule, n_clusters)
    subset = rows[np.sort(np.random.default_rng(0).choice(len(rows), MAX_TREE_CELLS, replace=False))]
    found = _cluster_all(subset, rule, n_clusters)
    means = np.array([subset[found.labels == k].mean(axis=0) for k in range(found.n_clusters)])
    nearest = cKDTree(means).query(rows)[1]
    return replace(found, labels=order_by_size(nearest, found.n_clusters))


def _cluster_all(rows, rule, n_clusters):
    tree = ward_tree(rows)
    smallest, largest = rule.n_clusters_range
    numbers = range(smallest, min(largest, len(tree)) + 1) if n_clusters is None else [n_clusters]
    curve = calinski_harabasz_curve(tree, numbers)
    best = rule.choose(curve)
    return Clustering(labels=cut_tree(tree, best), n_clusters=best, calinski_harabasz=curve, linkage=tree)


def cluster_states(latent_states: ArrayLike, *, n_clusters: int | None = None,
                   normalization: str = PAPER.normalization,
                   n_clusters_range: tuple[int, int] = PAPER.n_clusters_range) -> Clustering:
    """Cell types from latent states, as in the paper.

    The states are normalised, clustered by Ward's method and cut where the Calinski-Harabasz index is highest.

    Parameters
    ----------
    latent_states : (N, K) array_like
        States of the cells of all samples, each sample divided by its input scaling.
    n_clusters : int, optional
        Number of clusters. By default, the index chooses it from ``n_clusters_range``.
    normalization : str, default="zscore"
        Method of :func:`normalize_states`.
    n_clusters_range : (int, int), default=(5, 40)
        Smallest and largest number of clusters considered, both included.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If the states are not a finite matrix, all cells are equal, or a number of clusters is impossible.

    References
    ----------
    The authors' tutorial (branch NatureGenetics-2022 of their repository), which uses the z-score.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> found = tl.cluster_states(adata.obsm["true_latent_states"], n_clusters_range=(2, 20))
    >>> found.n_clusters == int(found.calinski_harabasz.idxmax())
    True
    """
    return cluster_by_rule([latent_states], replace(PAPER, normalization=normalization,
                                                    n_clusters_range=n_clusters_range), n_clusters)


def cluster(adata: AnnData, *, n_clusters: int | None = None,
            n_clusters_range: tuple[int, int] = ONE_FIT.n_clusters_range, normalization: str = ONE_FIT.normalization,
            key_added: str = CLUSTERS) -> Clustering:
    """Cell types of a fitted AnnData object.

    The states are normalised, clustered by Ward's method and cut where the Calinski-Harabasz index is highest.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]``.
    n_clusters : int, optional
        Number of clusters. By default, the index chooses it from ``n_clusters_range``.
    n_clusters_range : (int, int), default=(5, 40)
        Smallest and largest number of clusters considered, both included. Numbers that leave fewer than 5 cells per
        cluster on average are not considered, because the index favours them where there are few cells.
    normalization : str, default="zscore_proportions"
        Method of :func:`normalize_states`. The paper uses ``"zscore"``.
    key_added : str, default="spicemix_cluster"
        Column of ``obs`` for the labels, with categories "0" (the largest cluster), "1", ...

    Returns
    -------
    Clustering
        The function also writes the labels to ``obs[key_added]`` and the Calinski-Harabasz curve to
        ``uns["spicemix"]["cluster"]``. If it replaces the clusters of :func:`fit_consensus`, it removes
        ``obs["spicemix_confidence"]``, which belongs to them.

    Raises
    ------
    KeyError
        If the object has no states.
    ValueError
        See :func:`cluster_states`.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]  # in place of a fit
    >>> tl.cluster(adata, n_clusters=8).n_clusters
    8
    >>> adata.obs["spicemix_cluster"].cat.categories.tolist()
    ['0', '1', '2', '3', '4', '5', '6', '7']
    """
    smallest, largest = n_clusters_range
    largest = min(largest, max(smallest, adata.n_obs // MIN_CELLS))
    rule = replace(ONE_FIT, normalization=normalization, n_clusters_range=(smallest, largest))
    found = cluster_by_rule([states_of(adata)], rule, n_clusters)
    write_labels(adata, found.labels, key=key_added)
    store(adata, "cluster", found.calinski_harabasz.reset_index(), key=key_added, normalization=normalization,
          n_clusters=found.n_clusters)
    return found


def write_labels(adata: AnnData, labels: np.ndarray, confidence: np.ndarray | None = None, key: str = CLUSTERS) -> None:
    """Write labels to ``obs[key]`` as categories in numerical order, and their confidence if it is given."""
    adata.obs[key] = pd.Categorical([str(label) for label in labels], [str(label) for label in np.unique(labels)])
    if confidence is not None:
        adata.obs[CONFIDENCE] = confidence
    elif key == CLUSTERS and CONFIDENCE in adata.obs:
        del adata.obs[CONFIDENCE]
