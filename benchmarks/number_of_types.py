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

The criterion measures the data, not the agreement between runs. All runs see the same noise, so they can agree on
clusters that are too many, and they agree best on clusters that are too few (``benchmarks/cell_types.py``).

References
----------
Simplified silhouette: E. R. Hruschka, L. N. de Castro and R. J. G. B. Campello, ICDM 2004, 403-406. Support by the
Jaccard index: C. Hennig, Computational Statistics and Data Analysis 52, 258-271 (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from branches import (
    MIN_CELLS,
    Split,
    accepted_splits,
    branch_support,
    branch_table,
    labels_of,
)
from scipy.cluster.hierarchy import linkage
from scipy.spatial import cKDTree

MAX_DEVIATION = 5.0  # standard deviations
TOLERANCE = 0.015  # of the separation, which lies between -1 and 1
SURE = 0.6  # below this value a cluster should not be trusted (Hennig)
RANGE = (2, 40)
MAX_TREE_CELLS = 10_000  # a tree needs the distances between all pairs of cells: 0.4 GB for this number


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
        Of more than 10,000 cells, a random subset of this size (always the same) is clustered, ``branches`` is about
        it, and every cell is assigned to the fine cluster with the nearest mean.

    Raises
    ------
    ValueError
        If the tree has no split into branches of at least ``MIN_CELLS`` cells, or not as many as ``n_types`` needs.

    Examples
    --------
    >>> import numpy as np
    >>> from number_of_types import cell_types
    >>> rng = np.random.default_rng(0)
    >>> kind = np.repeat([0, 1, 2], 40)
    >>> runs = [np.eye(3)[kind] + 0.1 * rng.random((120, 3)) for _ in range(4)]
    >>> found = cell_types(runs)
    >>> found.n_types, found.n_coarse, found.messages
    (3, 3, [])
    """
    rows = [clipped_scores(x) for x in states]
    n_cells = len(rows[0])
    if n_cells <= MAX_TREE_CELLS:
        return _from_rows(rows, n_types, n_types_range)
    chosen = np.sort(np.random.default_rng(0).choice(n_cells, MAX_TREE_CELLS, replace=False))
    found = _from_rows([x[chosen] for x in rows], n_types, n_types_range)
    joined = np.concatenate(rows, axis=1)
    means = [joined[chosen[found.labels == label]].mean(axis=0) for label in range(found.n_types)]
    nearest = cKDTree(means).query(joined)[1]
    coarse = np.array([found.coarse_labels[np.argmax(found.labels == label)] for label in range(found.n_types)])
    return replace(found, labels=nearest, coarse_labels=coarse[nearest])


def _from_rows(rows, n_types, n_types_range):
    """:func:`cell_types` of scores, with a tree of all cells."""
    joined = np.concatenate(rows, axis=1)
    tree = linkage(joined, method="ward")
    smallest, largest = n_types_range if n_types is None else (n_types, n_types)
    splits = accepted_splits(tree, largest)
    if len(splits) + 1 < smallest:
        raise ValueError(f"The tree has only {len(splits) + 1} branches of at least {MIN_CELLS} cells. Ask for at most "
                         "this number of clusters.")
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

    Without the limit, the weight of a metagene would increase as fewer cells use it. A constant metagene becomes 0.
    """
    states = np.asarray(states, dtype=float)
    constant = np.ptp(states, axis=0) == 0
    spread = np.where(constant, 1.0, states.std(axis=0))
    scores = np.clip((states - states.mean(axis=0)) / spread, -MAX_DEVIATION, MAX_DEVIATION)
    scores[:, constant] = 0.0
    return scores


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


def coarse_number(branches: pd.DataFrame) -> int:
    """The largest number of clusters at which every cluster has a support of at least ``SURE``; at least 2."""
    support, parent = branches["support"].to_numpy(), branches["parent"].to_numpy()
    present, best = {0}, 2
    for number, child in enumerate(range(1, len(support), 2), start=2):
        present = (present - {parent[child]}) | {child, child + 1}
        if support[list(present)].min() >= SURE:
            best = number
    return best
