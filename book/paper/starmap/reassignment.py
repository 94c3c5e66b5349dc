"""Cells with different types in two labellings, and whether the change agrees with their layers.

A labelling that uses the places of cells moves them into the layers of their types more often than out of them, whether
this is right or wrong. A second measure therefore does not use places: whether the cells express the markers of the new
type more than those of the old one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import binomtest


@dataclass(frozen=True)
class LayerFit:
    """Cells that moved between types of layers.

    Attributes
    ----------
    moved : int
        Cells whose two types are of different layers.
    into, out_of : int
        Of these, cells in the layer of the new and of the old type.
    share : float
        ``into / (into + out_of)``; NaN if both are 0.
    p_value : float
        Two-sided exact sign test of equally many moves into and out of the layer.
    """

    moved: int
    into: int
    out_of: int
    share: float
    p_value: float


def moved_between(new: ArrayLike, old: ArrayLike, types: Iterable[str]) -> np.ndarray:
    """Cells whose new and old type are two different ones of ``types``."""
    new, old, types = np.asarray(new), np.asarray(old), list(types)
    return np.isin(new, types) & np.isin(old, types) & (new != old)


def layer_fit(new: ArrayLike, old: ArrayLike, layers: ArrayLike, layer_of: Mapping[str, str]) -> LayerFit:
    """Count the cells that changed type and are in the layer of the new or of the old type.

    Parameters
    ----------
    new, old : (N,) array_like of str
        Types of the same cells.
    layers : (N,) array_like of str
    layer_of : dict of str to str
        Layer of each type considered; other types are left out.
    """
    new, old, layers = np.asarray(new), np.asarray(old), np.asarray(layers)
    moved = moved_between(new, old, layer_of)
    homes = [np.array([layer_of.get(name, "") for name in types]) for types in (new, old)]
    moved &= homes[0] != homes[1]
    into, out_of = (int((moved & (layers == home)).sum()) for home in homes)
    known = into + out_of
    return LayerFit(int(moved.sum()), into, out_of, into / known if known else float("nan"),
                    float(binomtest(into, known).pvalue) if known else 1.0)


def marker_support(scores: pd.DataFrame, new: ArrayLike, old: ArrayLike) -> tuple[int, int]:
    """Number of moved cells that score higher for the new type than for the old one, and number of moved cells.

    Parameters
    ----------
    scores : DataFrame, cells x types
        From :func:`paper.shared.annotation.cell_scores`.
    new, old : (N,) array_like of str
        Cells whose types are not both columns of ``scores``, or are the same, are left out.
    """
    new, old = np.asarray(new), np.asarray(old)
    rows = np.flatnonzero(moved_between(new, old, scores.columns))
    values, column = scores.to_numpy(), scores.columns.get_indexer
    gain = values[rows, column(new[rows])] - values[rows, column(old[rows])]
    return int((gain > 0).sum()), len(rows)
