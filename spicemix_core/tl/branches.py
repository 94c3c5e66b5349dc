"""Branches of a Ward tree: splits into branches that are not too small, and their support over several runs."""

import heapq
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pandas as pd

from spicemix_core.tl.trees import order_by_size

SURE = 0.6  # below this value a cluster should not be trusted (Hennig)
MIN_CELLS = 5  # smallest branch that can be a cell type, as in the paper


@dataclass(frozen=True)
class Split:
    """A split of a branch into a larger and a smaller one, each an array of the numbers of its cells."""

    branch: np.ndarray
    larger: np.ndarray
    smaller: np.ndarray
    height: float


def leaf_order(tree: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells in an order in which those of each node of a tree are contiguous, and the start and size of each node."""
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


def coarse_labels_of(branches: pd.DataFrame, labels: np.ndarray) -> np.ndarray:
    """Labels of the finest division of the tree into branches that all have a support of at least ``SURE``.

    A branch is divided if both parts can be divided so, and else is one cluster. The root is supported always.
    """
    support, parent = branches["support"].to_numpy(), branches["parent"].to_numpy()
    children = {row: np.flatnonzero(parent == row).tolist() for row in np.unique(parent[1:]).tolist()}
    chosen: dict[int, list[int] | None] = {}
    for row in range(len(support) - 1, -1, -1):  # children come after their parent
        parts = [chosen[child] for child in children.get(row, [])]
        whole = [row] if support[row] >= SURE else None
        chosen[row] = list(chain(*parts)) if parts and all(parts) else whole
    top = {row: row for row in chosen[0]}
    for row in range(len(support)):
        if row not in top and parent[row] in top:
            top[row] = top[parent[row]]
    leaves = np.flatnonzero(branches["cluster"] >= 0)
    of_fine = dict(zip(branches["cluster"].to_numpy()[leaves], (top[row] for row in leaves), strict=True))
    found = np.unique([of_fine[label] for label in labels], return_inverse=True)[1]
    return order_by_size(found, found.max() + 1)
