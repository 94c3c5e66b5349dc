r"""Borders between layers from the classes of the cells: where along the depth the mixture of classes changes.

The cells, sorted by depth, are cut into S segments; within a segment every cell's class is drawn from the segment's own
shares. The cut of highest likelihood,

.. math:: \max \sum_{s=1}^{S} \sum_c n_{sc} \log \frac{n_{sc}}{n_s},

with :math:`n_{sc}` the cells of class c in segment s, is found exactly by dynamic programming over the N (N + 1) / 2
possible segments (Bellman 1961). A few cells of a wrong class do not move a border, which is a plane across the depth.
"""

import numpy as np
import pandas as pd
from scipy.special import xlogy


def layer_borders(depth, classes, n_segments) -> np.ndarray:
    """The ``n_segments - 1`` depths, ascending, at which the mixture of classes changes most.

    Parameters
    ----------
    depth : (N,) array_like
    classes : (N,) array_like
    n_segments : int

    Returns
    -------
    (n_segments - 1,) array
        Each midway between two cells.

    Raises
    ------
    ValueError
        If a class is missing, a depth is not finite, their numbers differ, or there are fewer cells than segments.
    """
    depth, classes = np.asarray(depth, dtype=float), pd.Series(np.asarray(classes))
    if len(depth) != len(classes) or not np.isfinite(depth).all() or classes.isna().any():
        raise ValueError(f"There are {len(depth)} depths, {np.isfinite(depth).sum()} finite, and "
                         f"{classes.notna().sum()} classes: pass one finite depth and one class per cell.")
    if not 1 <= n_segments <= len(depth):
        raise ValueError(f"n_segments is {n_segments} for {len(depth)} cells: choose from 1 to the number of cells.")
    order = np.argsort(depth, kind="stable")
    likelihood = _segment_likelihoods(pd.factorize(classes)[0][order])
    best, cuts = likelihood[0], []  # best[j]: the first j + 1 cells in as many segments as so far
    for _ in range(n_segments - 1):
        total = best[:-1, None] + likelihood[1:]  # previous segments end with cell i, the last has cells i + 1 to j
        cuts.append(np.concatenate([[0], total.argmax(axis=0)[1:]]))
        best = np.concatenate([[-np.inf], total.max(axis=0)[1:]])
    last, ends = len(depth) - 1, []
    for cut in reversed(cuts):
        last = cut[last]
        ends.append(last)
    ends, place = np.array(ends[::-1], dtype=int), depth[order]
    return (place[ends] + place[ends + 1]) / 2


def band_of(depth, borders, names) -> np.ndarray:
    """Name of the segment of each depth; ``names`` are in the order of ascending depth, one more than borders."""
    return np.asarray(names)[np.searchsorted(borders, depth, side="right")]


def _segment_likelihoods(codes):
    """(N, N): log-likelihood of the segment of cells i to j; minus infinity for i > j."""
    counts = np.cumsum(np.eye(codes.max() + 1)[codes], axis=0)
    before = np.vstack([np.zeros(counts.shape[1]), counts[:-1]])
    likelihood = np.full((len(codes),) * 2, -np.inf)
    for i in range(len(codes)):
        inside = counts[i:] - before[i]
        size = np.arange(1, len(inside) + 1)
        likelihood[i, i:] = xlogy(inside, inside).sum(axis=1) - xlogy(size, size)
    return likelihood
