"""Outlines of segmented cells, as Space Ranger 4 writes them for Visium HD (GeoJSON)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from spicemix_core.files.damaged import check_file


def read_centers(path: Path) -> pd.DataFrame:
    """The centre of each cell, columns ``x`` and ``y``, by the name that the cell has in the matrix of counts."""
    outlines = json.loads(check_file(path).read_text(encoding="utf-8"))["features"]
    names = [f"cellid_{int(outline['properties']['cell_id']):09d}-1" for outline in outlines]
    return pd.DataFrame([_center(outline["geometry"]) for outline in outlines], names, ["x", "y"])


def _center(geometry):
    """Centre of area of a polygon, or of several polygons together."""
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    rings = [np.asarray(part[0], dtype=float)[:, :2] for part in parts]  # without holes
    areas, centers = zip(*map(_area_and_center, rings), strict=True)
    return np.average(centers, axis=0, weights=areas if any(areas) else None)


def _area_and_center(ring):
    """Area and centre of a closed ring of points; the mean of the points if it has no area."""
    points = ring - ring[0]
    x, y = points.T
    cross = x[:-1] * y[1:] - x[1:] * y[:-1]
    if abs(cross.sum()) < 1e-9:
        return 0.0, ring.mean(axis=0)
    return abs(cross.sum()) / 2, ring[0] + cross @ (points[:-1] + points[1:]) / (3 * cross.sum())
