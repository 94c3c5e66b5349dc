r"""Borders between layers: the depths at which the mixture of the classes of cells changes.

The cells, sorted by depth, are cut into S segments; within a segment every cell's class is drawn from the segment's own
shares. The cut of highest likelihood,

.. math:: \max \sum_{s=1}^{S} \sum_c n_{sc} \log \frac{n_{sc}}{n_s},

with :math:`n_{sc}` the cells of class c in segment s, is found exactly by dynamic programming over the N (N + 1) / 2
possible segments (Bellman 1961). A border is a plane across the depth, so a few cells of a wrong class do not move it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import xlogy


@dataclass(frozen=True)
class LayerBorders:
    """Borders between layers.

    Attributes
    ----------
    borders : (S - 1,) array
        Depths, ascending, each midway between two cells.
    slope : float
        Depth is ``x - slope y``: how far a border moves along x per step of y.
    log_likelihood : float
        Log-likelihood of the classes given the segments.
    """

    borders: np.ndarray
    slope: float
    log_likelihood: float

    def depth(self, coordinates: ArrayLike) -> np.ndarray:
        """Depth of each point of (N, 2) coordinates."""
        return np.asarray(coordinates) @ (1.0, -self.slope)

    def bands(self, coordinates: ArrayLike, names: Sequence[str]) -> np.ndarray:
        """Name of the segment of each point; one more name than borders, in the order of ascending depth."""
        return np.asarray(names)[np.searchsorted(self.borders, self.depth(coordinates), side="right")]


def layer_borders(coordinates: ArrayLike, classes: ArrayLike, n_segments: int, *,
                  slopes: Sequence[float] = (0.0,)) -> LayerBorders:
    """Find the parallel straight borders across the x axis at which the mixture of classes changes most.

    Parameters
    ----------
    coordinates : (N, 2) array_like
    classes : (N,) array_like
    n_segments : int
    slopes : sequence of float
        Slopes to try; the one of highest likelihood is kept. A border of slope 0 is perpendicular to the x axis.

    Raises
    ------
    ValueError
        If a class is missing, a coordinate is not finite, their numbers differ, or there are fewer cells than segments.
    """
    coordinates, classes = np.asarray(coordinates, dtype=float), pd.Series(np.asarray(classes))
    if coordinates.shape != (len(classes), 2) or not np.isfinite(coordinates).all() or classes.isna().any():
        raise ValueError(f"The coordinates have shape {coordinates.shape} for {len(classes)} classes, of which "
                         f"{classes.notna().sum()} are given: pass two finite coordinates and a class per cell.")
    if not 1 <= n_segments <= len(classes):
        raise ValueError(f"The argument n_segments is {n_segments}: choose from 1 to {len(classes)}, one per cell.")
    codes = pd.factorize(classes)[0]
    found = [_best_cut(coordinates @ (1.0, -slope), codes, n_segments, slope) for slope in slopes]
    return max(found, key=lambda one: one.log_likelihood)


def _best_cut(depth, codes, n_segments, slope):
    order = np.argsort(depth, kind="stable")
    likelihood = _segment_likelihoods(codes[order])
    best, cuts = likelihood[0], []  # best[j]: the first j + 1 cells in as many segments as so far
    for _ in range(n_segments - 1):
        total = best[:-1, None] + likelihood[1:]  # previous segments end with cell i, the last has cells i + 1 to j
        cuts.append(total.argmax(axis=0))
        best = total.max(axis=0)
    last, ends = len(depth) - 1, []
    for cut in reversed(cuts):
        last = cut[last]
        ends.append(last)
    ends, place = np.array(ends[::-1], dtype=int), depth[order]
    return LayerBorders((place[ends] + place[ends + 1]) / 2, float(slope), float(best[-1]))


def _segment_likelihoods(codes):
    """(N, N): log-likelihood of the segment of cells i to j; minus infinity for i > j."""
    counts = np.vstack([np.zeros(codes.max() + 1), np.cumsum(np.eye(codes.max() + 1)[codes], axis=0)])
    xlogx = xlogy(np.arange(len(counts)), np.arange(len(counts)))
    likelihood = np.full((len(codes),) * 2, -np.inf)
    for i in range(len(codes)):
        inside = (counts[i + 1 :] - counts[i]).astype(int)
        likelihood[i, i:] = xlogx[inside].sum(axis=1) - xlogx[1 : len(inside) + 1]
    return likelihood
