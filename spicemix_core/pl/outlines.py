"""Outlines of cells of which only the positions are known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree


def cell_outlines(coordinates: ArrayLike, radius: float, *, sides: int = 14) -> list[np.ndarray]:
    """Voronoi cells of the points, each cut by a disc.

    The outline of a cell is the set of points within ``radius`` of it that are nearer to it than to any other cell.

    Parameters
    ----------
    coordinates : array_like, shape (N, 2)
    radius : float
    sides : int
        Number of corners of the polygon that approximates the disc.

    Returns
    -------
    list of N arrays, each of shape (n, 2)
        Corners of each outline.
    """
    coordinates = np.asarray(coordinates, dtype=float)
    angles = 2 * np.pi * np.arange(sides) / sides
    disc = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    outlines = []
    for place, near in zip(coordinates, cKDTree(coordinates).query_ball_point(coordinates, 2 * radius), strict=True):
        corners = disc
        for offset in coordinates[near] - place:
            corners = _cut(corners, offset, offset @ offset / 2)
        outlines.append(corners + place)
    return outlines


def median_distance(samples: Sequence[np.ndarray]) -> float:
    """Median over all cells of the distance to the nearest cell of the same sample; ``samples`` are coordinates."""
    return np.median(np.concatenate([cKDTree(points).query(points, 2)[0][:, 1] for points in samples]))


def _cut(corners, normal, bound):
    """The part of a convex polygon where ``corner @ normal <= bound`` (Sutherland and Hodgman)."""
    beyond = corners @ normal - bound
    kept = []
    for here, there, now, then in zip(corners, np.roll(corners, -1, axis=0), beyond, np.roll(beyond, -1), strict=True):
        kept += [here] if now <= 0 else []
        kept += [here + (there - here) * now / (now - then)] if now * then < 0 else []
    return np.array(kept)
