r"""Cell types: the one definition that all entrances of the package use, for the states of one fit or of many.

The states of every fit are z-scored per metagene and limited to ``MAX_DEVIATION`` standard deviations, and those of
several fits are joined into one matrix. Its Ward tree is cut from the top. A split counts only if both of its branches
hold at least ``MIN_CELLS`` cells; a smaller branch stays with its sibling, so that a few outlying cells are not a type.

- The *fine* cell types are the largest number of clusters whose separation
  (:mod:`spicemix_core.tl.separation`, book ``eq-separation``) is within a tolerance of the highest.
- The *coarse* cell types are the finest unions of them that are branches and that the single fits confirm: the support
  of each is at least ``SURE``. The support of a branch is the mean over the fits of the highest Jaccard index
  between its cells and the cells of any branch of the fit's own tree.

Structure that the fits share adds up over the columns of the joined matrix, and structure of a single fit does not.
``benchmarks/cell_types.py`` compares this definition with others on labelled data; the paper's own is
:func:`spicemix_core.baselines.cluster_by_index`.

References
----------
Support by the Jaccard index: C. Hennig, Computational Statistics and Data Analysis 52, 258-271 (2007).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from spicemix_core.inputs.anndata import states_of
from spicemix_core.tl._adata import store
from spicemix_core.tl.branches import (
    MIN_CELLS,
    accepted_splits,
    branch_support,
    branch_table,
    coarse_labels_of,
    labels_of,
)
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.separation import ClusteringWarning, choose_number, remarks, separation_curve
from spicemix_core.tl.trees import cells_of_tree, nearest_cluster, order_by_size, ward_tree

if TYPE_CHECKING:
    from anndata import AnnData

CLUSTERS, COARSE, CONFIDENCE = "spicemix_cluster", "spicemix_cluster_coarse", "spicemix_confidence"  # columns of obs
DEFAULT_NORMALIZATION = "clipped_zscore"
RANGE = (2, 40)


@dataclass(frozen=True)
class Clustering:
    """Cell types at two levels, and the tree that they are cut from.

    Attributes
    ----------
    labels : (N,) array of int
        Fine cell type of each cell. Type 0 is the largest; equal sizes are in the order of their first cell.
    coarse_labels : (N,) array of int or None
        Coarse cell type of each cell, a union of fine ones. Of a single fit, which has no support, ``None``.
    separation : pandas.Series
        Separation by number of clusters, over all numbers considered.
    branches : DataFrame
        One row per branch of the tree down to the fine types, the root first: ``parent`` (row, -1 for the root),
        ``cells``, ``height`` (Ward's height of its split, 0 where it is not split), ``support`` (NaN for a single fit)
        and ``cluster`` (fine type where it is not split, else -1).
    remarks : list of str
        What a reader must know about the number of types: that it is the last of the range, or that the curve is flat.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> states = np.repeat(np.eye(3), 20, axis=0) + 0.01 * np.random.default_rng(0).random((60, 3))
    >>> tl.cluster_states(states).n_clusters
    3
    """

    labels: np.ndarray
    coarse_labels: np.ndarray | None
    separation: pd.Series
    branches: pd.DataFrame
    remarks: list[str]

    @property
    def n_clusters(self) -> int:
        """Number of fine types."""
        return int(self.labels.max()) + 1

    @property
    def n_coarse(self) -> int | None:
        """Number of coarse types, or ``None``."""
        return None if self.coarse_labels is None else int(self.coarse_labels.max()) + 1


def cluster_states(latent_states: ArrayLike | Sequence[ArrayLike], *, n_clusters: int | None = None,
                   n_clusters_range: tuple[int, int] = RANGE) -> Clustering:
    """Cell types from the latent states of one fit or of several fits of the same cells.

    Parameters
    ----------
    latent_states : (N, K) array_like, or list of such
        States of the cells of all samples, each sample divided by its input scaling. A list holds the states of
        several fits with the cells in the same order.
    n_clusters : int, optional
        Number of fine types. By default, it is chosen from ``n_clusters_range``.
    n_clusters_range : (int, int), default=(2, 40)
        Smallest and largest number considered, both included.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If the states are not a finite matrix, all cells are equal, or the tree does not have as many branches of at
        least five cells as clusters are required.

    Notes
    -----
    Of more than 10,000 cells, a random subset of this size (always the same) is clustered, ``branches`` describes it,
    and every cell is assigned to the fine type with the nearest mean, which is the criterion of Ward's merges.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=300, random_state=0)
    >>> found = tl.cluster_states(adata.obsm["true_latent_states"])
    >>> bool(found.separation[found.n_clusters] > found.separation.max() - 0.02)
    True
    """
    scores, run_trees = _joined([_Scores.of(x) for x in _as_fits(latent_states)])
    return _cluster(scores, run_trees, n_clusters, n_clusters_range)


def cluster_runs(states: Sequence[ArrayLike], *, n_clusters: int | None = None,
                 n_clusters_range: tuple[int, int] = RANGE) -> tuple[Clustering, list[Clustering], list[np.ndarray]]:
    """:func:`cluster_states` of several fits together and of each alone, from one tree of each.

    Returns
    -------
    Clustering
        Of all fits together.
    list of Clustering
        Of each fit, with its own number of types.
    list of (N,) arrays of int
        Of each fit, cut at the number of types of the first, or at the largest that its tree has.
    """
    fits = [_Scores.of(x) for x in states]
    scores, run_trees = _joined(fits)
    together = _cluster(scores, run_trees, n_clusters, n_clusters_range)
    alone = [_cluster(own, None, None, n_clusters_range) for own in fits]
    cut = [_cluster(own, None, min(together.n_clusters, int(found.separation.index[-1])), n_clusters_range).labels
           for own, found in zip(fits, alone, strict=True)]
    return together, alone, cut


@dataclass(frozen=True)
class _Scores:
    """Normalised states of all cells, the cells of the tree, and the tree."""

    rows: np.ndarray
    chosen: np.ndarray
    tree: np.ndarray

    @classmethod
    def of(cls, states):
        return cls.of_rows(normalize_states(states, DEFAULT_NORMALIZATION))

    @classmethod
    def of_rows(cls, rows):
        chosen = cells_of_tree(len(rows))
        return cls(rows, chosen, ward_tree(rows[chosen]))


def _joined(scores):
    """Scores of several fits as one matrix with its tree, and the trees of the fits, if there are several."""
    if len(scores) == 1:
        return scores[0], None
    return _Scores.of_rows(np.concatenate([own.rows for own in scores], axis=1)), [own.tree for own in scores]


def _as_fits(states):
    """A list of one matrix per fit."""
    several = isinstance(states, (list, tuple)) and len(states) and np.ndim(states[0]) == 2
    return list(states) if several else [states]


def _cluster(scores, run_trees, n_clusters, n_clusters_range):
    """:func:`cluster_states` of normalised states; the trees of the fits, if there are several, give the support."""
    if not scores.tree[:, 2].any():
        raise ValueError("All cells have the same state, so they cannot be clustered. Check the fit or the input.")
    smallest, largest = n_clusters_range if n_clusters is None else (n_clusters, n_clusters)
    splits = accepted_splits(scores.tree, largest)
    if not 2 <= smallest <= min(largest, len(splits) + 1):
        raise ValueError(f"A clustering of {len(scores.chosen)} cells into {smallest} clusters is impossible. Choose "
                         f"from 2 to {len(splits) + 1} clusters: the tree has this number of branches of at least "
                         f"{MIN_CELLS} cells.")
    separation = separation_curve(scores.rows[scores.chosen], splits).loc[smallest:]
    number = choose_number(separation)
    splits = splits[: number - 1]
    support = np.full(2 * len(splits) + 1, np.nan) if run_trees is None else branch_support(splits, run_trees)
    branches = branch_table(splits, support)
    labels = labels_of(branches, number)
    branches["cluster"] = [labels[members[0]] if height == 0.0 else -1
                           for members, height in zip(branches["members"], branches["height"], strict=True)]
    coarse = None if run_trees is None else coarse_labels_of(branches, labels)
    found = Clustering(labels, coarse, separation, branches.drop(columns="members"),
                       remarks(separation, largest) if n_clusters is None else [])
    return found if len(scores.chosen) == len(scores.rows) else _of_all_cells(found, scores)


def _of_all_cells(found, scores):
    """A clustering of the cells of the tree, extended to all cells."""
    nearest, coarse = nearest_cluster(scores.rows, scores.chosen, found.labels), None
    if found.coarse_labels is not None:
        of_fine = np.array([found.coarse_labels[found.labels == label][0] for label in range(found.n_clusters)])
        coarse = order_by_size(of_fine[nearest], found.n_coarse)
    return replace(found, labels=order_by_size(nearest, found.n_clusters), coarse_labels=coarse)


def cluster(adata: AnnData, *, n_clusters: int | None = None, n_clusters_range: tuple[int, int] = RANGE,
            key_added: str = CLUSTERS) -> Clustering:
    """Cell types of a fitted AnnData object, see :func:`cluster_states`.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]``.
    n_clusters : int, optional
        Number of cell types. By default, it is chosen from ``n_clusters_range``.
    n_clusters_range : (int, int), default=(2, 40)
        Smallest and largest number considered, both included.
    key_added : str, default="spicemix_cluster"
        Column of ``obs`` for the labels, with categories "0" (the largest cluster), "1", ...

    Returns
    -------
    Clustering
        The function also writes the labels to ``obs[key_added]``, and the separation and the branches to
        ``uns["spicemix"]["cluster"]``. If it replaces the clusters of :func:`fit_consensus`, it removes their columns
        ``obs["spicemix_cluster_coarse"]`` and ``obs["spicemix_confidence"]``. A warning states what a reader must know
        about the number of types.

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
    found = cluster_states(states_of(adata), n_clusters=n_clusters, n_clusters_range=n_clusters_range)
    write_clusters(adata, found, key=key_added)
    warn_of(found)
    return found


def write_clusters(adata: AnnData, found: Clustering, confidence: np.ndarray | None = None,
                   key: str = CLUSTERS) -> None:
    """Write a clustering to ``obs`` and ``uns``; columns that belong to clusters it replaces are removed."""
    write_labels(adata, found.labels, key)
    if found.coarse_labels is not None:
        adata.obs[COARSE] = _categories(found.coarse_labels)
    if confidence is not None:
        adata.obs[CONFIDENCE] = confidence
    store(adata, "cluster", found.separation.reset_index(), key=key, n_clusters=found.n_clusters,
          branches=found.branches, remarks=" ".join(found.remarks))


def write_labels(adata: AnnData, labels: np.ndarray, key: str = CLUSTERS) -> None:
    """Write labels to ``obs[key]`` as categories in numerical order."""
    adata.obs[key] = _categories(labels)
    if key == CLUSTERS:
        adata.obs.drop(columns=[name for name in (COARSE, CONFIDENCE) if name in adata.obs], inplace=True)


def warn_of(found: Clustering, stacklevel: int = 3) -> None:
    """Issue the remarks of a clustering as warnings, by default at the line that called the caller."""
    for remark in found.remarks:
        warnings.warn(remark, ClusteringWarning, stacklevel=stacklevel)


def _categories(labels):
    return pd.Categorical([str(label) for label in labels], [str(label) for label in np.unique(labels)])
