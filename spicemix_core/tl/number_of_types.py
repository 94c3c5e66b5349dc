r"""How many cell types there are: one definition, for the states of one fit or of many.

The states of every run are z-scored per metagene and limited to five standard deviations, and the runs are put side by
side as one matrix. Its Ward tree is cut from the top. A split counts only if both of its branches hold at least
``MIN_CELLS`` cells; smaller branches stay with their sibling, so that a few outlying cells are not a type. Each cut is
judged by its *separation*, the simplified silhouette

.. math:: \frac1N \sum_i \frac{b_i - a_i}{\max(a_i, b_i)},

with :math:`a_i` the distance of a cell to the mean of its own cluster and :math:`b_i` the distance to the nearest mean
of another. Two levels are reported:

- The *fine* level is the largest number of clusters whose separation is within ``TOLERANCE`` of the highest.
- The *coarse* level is the largest number, at most the fine one, at which every cluster is found in the single runs:
  its support is at least ``SURE``. The support of a branch is the mean over the runs of the highest Jaccard index
  between its cells and the cells of any branch of the run's own tree.

The criterion is that of the data, not of the agreement between runs. All runs see the same noise, so they can agree on
clusters that are too many, and they agree best on clusters that are too few (``benchmarks/cell_types.py``).

References
----------
Simplified silhouette: E. R. Hruschka, L. N. de Castro and R. J. G. B. Campello, ICDM 2004, 403-406. Support by the
Jaccard index: C. Hennig, Computational Statistics and Data Analysis 52, 258-271 (2007).
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage

MAX_DEVIATION = 5.0  # standard deviations
MIN_CELLS = 5
TOLERANCE = 0.015  # of the separation, which lies between -1 and 1
SURE = 0.6
RANGE = (2, 40)


@dataclass(frozen=True)
class CellTypes:
    """Cell types at two levels, and the tree that they are cut from.

    Attributes
    ----------
    labels : array of int, shape (N,)
        Fine cluster of each cell; 0 is the largest.
    coarse_labels : array of int, shape (N,)
        Coarse cluster of each cell; each is a union of fine ones.
    separation : Series
        Separation by number of clusters.
    branches : DataFrame
        One row per branch of the tree down to the fine clusters, the root first: ``parent`` (row, -1 for the root),
        ``cells``, ``height`` (Ward's height of its split, 0 where it is not split), ``support``, ``cluster`` (fine
        label where it is not split, else -1) and ``members`` (cells, as an array of their numbers).
    messages : list of str
        What a reader must know about the number: that it is the last of the range, or that the curve is flat.
    """

    labels: np.ndarray
    coarse_labels: np.ndarray
    separation: pd.Series
    branches: pd.DataFrame
    messages: list[str]

    @property
    def n_types(self) -> int:
        """Number of fine clusters."""
        return int(self.labels.max()) + 1

    @property
    def n_coarse(self) -> int:
        """Number of coarse clusters."""
        return int(self.coarse_labels.max()) + 1


def cell_types(states: Sequence[np.ndarray], *, n_types: int | None = None,
               n_types_range: tuple[int, int] = RANGE) -> CellTypes:
    """Cell types from the states of one or several runs.

    Parameters
    ----------
    states : list of arrays, each (N, K)
        States of each run in the units of the data, cells in one order.
    n_types : int, optional
        Number of fine clusters; by default it is chosen.
    n_types_range : (int, int)
        Smallest and largest number considered, both included.

    Returns
    -------
    CellTypes

    Raises
    ------
    ValueError
        If the tree has no split into branches of at least ``MIN_CELLS`` cells, or not as many as ``n_types`` needs.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core.tl.number_of_types import cell_types
    >>> rng = np.random.default_rng(0)
    >>> kind = np.repeat([0, 1, 2], 40)
    >>> runs = [np.eye(3)[kind] + 0.1 * rng.random((120, 3)) for _ in range(4)]
    >>> found = cell_types(runs)
    >>> found.n_types, found.n_coarse, found.messages
    (3, 3, [])
    """
    rows = [clipped_scores(x) for x in states]
    joined = np.concatenate(rows, axis=1)
    tree = linkage(joined, method="ward")
    smallest, largest = n_types_range if n_types is None else (n_types, n_types)
    splits = accepted_splits(tree, largest)
    if len(splits) + 1 < smallest:
        raise ValueError(f"The tree has only {len(splits) + 1} branches of at least {MIN_CELLS} cells. Ask for at most "
                         "so many clusters.")
    separation = separation_curve(joined, splits).loc[smallest:]
    chosen = choose_number(separation)
    run_trees = [tree] if len(rows) == 1 else [linkage(x, method="ward") for x in rows]
    branches = branch_table(splits[: chosen - 1], branch_support(splits[: chosen - 1], run_trees))
    labels, coarse_labels = labels_of(branches, chosen), labels_of(branches, coarse_number(branches))
    branches["cluster"] = [labels[members[0]] if height == 0.0 else -1
                           for members, height in zip(branches["members"], branches["height"], strict=True)]
    messages = remarks(separation, chosen, largest) if n_types is None else []
    return CellTypes(labels, coarse_labels, separation, branches, messages)


def clipped_scores(states: np.ndarray) -> np.ndarray:
    """States z-scored per metagene over all cells, limited to ``MAX_DEVIATION`` standard deviations.

    Without the limit a metagene of few cells weighs the more the fewer they are. A constant metagene becomes 0.
    """
    states = np.asarray(states, dtype=float)
    constant = np.ptp(states, axis=0) == 0
    spread = np.where(constant, 1.0, states.std(axis=0))
    scores = np.clip((states - states.mean(axis=0)) / spread, -MAX_DEVIATION, MAX_DEVIATION)
    scores[:, constant] = 0.0
    return scores


@dataclass(frozen=True)
class Split:
    """A split of a branch into a larger and a smaller one, each an array of the numbers of its cells."""

    branch: np.ndarray
    larger: np.ndarray
    smaller: np.ndarray
    height: float


def leaf_order(tree: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells in an order in which those of every node of a tree stand side by side, and each node's start and size."""
    n_cells = len(tree) + 1
    sizes = np.concatenate([np.ones(n_cells, dtype=int), tree[:, 3].astype(int)])
    start = np.zeros(2 * n_cells - 1, dtype=int)
    for merge in range(n_cells - 2, -1, -1):
        first, second = tree[merge, :2].astype(int)
        start[first] = start[n_cells + merge]
        start[second] = start[first] + sizes[first]
    return np.argsort(start[:n_cells]), start, sizes


def accepted_splits(tree: np.ndarray, n_clusters: int) -> list[Split]:
    """The first splits of a Ward tree, from the top, in which both branches hold at least ``MIN_CELLS`` cells.

    Parameters
    ----------
    tree : array, shape (N - 1, 4)
        In SciPy's layout.
    n_clusters : int
        Number of clusters after the last split that is wanted; there may be fewer.

    Returns
    -------
    list of Split
        The cells of a branch that is too small stay in the branch that it was split from.
    """
    n_cells = len(tree) + 1
    children = tree[:, :2].astype(int)
    order, start, sizes = leaf_order(tree)

    def cells(node):
        return np.sort(order[start[node] : start[node] + sizes[node]])

    root = 2 * n_cells - 2
    waiting, splits = [(-root, np.arange(n_cells))], []  # heights rise with the number of the merge
    while waiting and len(splits) < n_clusters - 1:
        node, branch = heapq.heappop(waiting)
        first, second = children[-node - n_cells]
        larger, smaller = (first, second) if sizes[first] >= sizes[second] else (second, first)
        if sizes[smaller] < MIN_CELLS:
            if larger >= n_cells:
                heapq.heappush(waiting, (-larger, branch))
            continue
        gone = cells(smaller)
        splits.append(Split(branch, np.setdiff1d(branch, gone), gone, float(tree[-node - n_cells, 2])))
        for child, members in ((larger, splits[-1].larger), (smaller, gone)):
            if child >= n_cells:
                heapq.heappush(waiting, (-child, members))
    return splits


def separation_curve(rows: np.ndarray, splits: list[Split]) -> pd.Series:
    """Separation after each split: the simplified silhouette, see the head of this module.

    Parameters
    ----------
    rows : array, shape (N, D)
        What was clustered.
    splits : list of Split
        From :func:`accepted_splits`.

    Returns
    -------
    Series
        By number of clusters, from 2.
    """
    labels = np.zeros(len(rows), dtype=int)
    distances = np.empty((len(rows), len(splits) + 1))
    every, values = np.arange(len(rows)), []
    for number, split in enumerate(splits, start=1):
        labels[split.smaller] = number
        for label, members in ((labels[split.larger[0]], split.larger), (number, split.smaller)):
            distances[:, label] = np.linalg.norm(rows - rows[members].mean(axis=0), axis=1)
        own = distances[every, labels]
        others = distances[:, : number + 1].copy()
        others[every, labels] = np.inf
        nearest = others.min(axis=1)
        farther = np.maximum(own, nearest)
        values.append(((nearest - own) / np.where(farther > 0.0, farther, 1.0)).mean())
    return pd.Series(values, index=pd.RangeIndex(2, len(splits) + 2, name="n_clusters"), name="separation")


def choose_number(separation: pd.Series) -> int:
    """The largest number of clusters whose separation is within ``TOLERANCE`` of the highest."""
    return int(separation.index[separation >= separation.max() - TOLERANCE][-1])


def remarks(separation: pd.Series, chosen: int, largest: int) -> list[str]:
    """Sentences about a number of clusters at the end of the range or on a flat curve; none in a clear case."""
    within = separation.index[separation >= separation.max() - TOLERANCE]
    sentences = []
    if chosen >= largest:
        sentences.append(f"The number of cell types, {chosen}, is the largest that was considered, and the clusters "
                         "are still well separated there. Consider more clusters, or give their number.")
    if chosen > 1.25 * within[0] + 1:
        sentences.append(f"The separation of the clusters hardly differs between {within[0]} and {chosen} clusters, "
                         f"so the data do not decide between these numbers. The finest, {chosen}, is used; see the "
                         "support of each branch, and the coarse level.")
    return sentences


def branch_support(splits: list[Split], run_trees: list[np.ndarray]) -> np.ndarray:
    """Support of each branch: the root, then the larger and the smaller branch of every split.

    Parameters
    ----------
    splits : list of Split
    run_trees : list of arrays, each (N - 1, 4)
        Ward tree of each run's own states.

    Returns
    -------
    array, shape (2 * len(splits) + 1,)
        Mean over the runs of the highest Jaccard index with any branch of the run's tree; 1 for the root.
    """
    branches = [part for split in splits for part in (split.larger, split.smaller)]
    inside = np.zeros((len(run_trees[0]) + 1, len(branches)))
    for column, members in enumerate(branches):
        inside[members, column] = 1.0
    total = np.zeros(len(branches))
    for tree in run_trees:
        order, start, sizes = leaf_order(tree)
        counts = np.concatenate([np.zeros((1, len(branches))), np.cumsum(inside[order], axis=0)])
        shared = counts[start + sizes] - counts[start]
        total += (shared / (sizes[:, None] + counts[-1] - shared)).max(axis=0)
    return np.concatenate([[1.0], total / len(run_trees)])


def branch_table(splits: list[Split], support: np.ndarray) -> pd.DataFrame:
    """The branches as a table, see :class:`CellTypes`; ``cluster`` is left to the caller."""
    members = [part for split in splits for part in (split.larger, split.smaller)]
    members = [splits[0].branch, *members] if splits else []
    parent, height, open_branches = np.full(len(members), -1), np.zeros(len(members)), {0: 0}
    for number, split in enumerate(splits):
        row = open_branches.pop(int(split.branch[0]))
        height[row] = split.height
        for child, part in ((2 * number + 1, split.larger), (2 * number + 2, split.smaller)):
            parent[child] = row
            open_branches[int(part[0])] = child
    return pd.DataFrame({"parent": parent, "cells": [len(m) for m in members], "height": height, "support": support,
                         "members": members})


def coarse_number(branches: pd.DataFrame) -> int:
    """The largest number of clusters at which every cluster has a support of at least ``SURE``; at least 2."""
    support, parent = branches["support"].to_numpy(), branches["parent"].to_numpy()
    present, best = {0}, 2
    for number, child in enumerate(range(1, len(support), 2), start=2):
        present = (present - {parent[child]}) | {child, child + 1}
        if support[list(present)].min() >= SURE:
            best = number
    return best


def labels_of(branches: pd.DataFrame, n_clusters: int) -> np.ndarray:
    """Labels of the cut into ``n_clusters``; 0 is the largest cluster, equal sizes in the order of their first cell."""
    members, parent = list(branches["members"]), branches["parent"].to_numpy()
    present = {0}
    for child in range(1, 2 * n_clusters - 1, 2):
        present = (present - {int(parent[child])}) | {child, child + 1}
    ranked = sorted((members[row] for row in present), key=lambda cells: (-len(cells), cells[0]))
    labels = np.empty(len(members[0]), dtype=int)
    for label, cells in enumerate(ranked):
        labels[cells] = label
    return labels
