"""Cells that two labellings call differently, and whether the change fits the layer that they lie in.

A labelling that is told where cells lie will move cells into the layers of their types more often than not, right or
wrong. So the change is asked a second question that places have no part in: do the cells express the markers of the new
type more than those of the old one?
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class LayerFit:
    """Cells that moved between types of layers.

    Attributes
    ----------
    moved : int
        Cells whose two types are of different layers.
    into, out_of : int
        Of these, cells that lie in the layer of the new and of the old type.
    share : float
        ``into / (into + out_of)``; NaN if both are 0.
    p_value : float
        Two-sided exact test (sign test) of as many moves into as out of the layer.
    """

    moved: int
    into: int
    out_of: int
    share: float
    p_value: float


def moved_between(new, old, types) -> np.ndarray:
    """Cells whose new and old type are two different ones of ``types``."""
    new, old, types = np.asarray(new), np.asarray(old), list(types)
    return np.isin(new, types) & np.isin(old, types) & (new != old)


def layer_fit(new, old, layers, layer_of) -> LayerFit:
    """Whether the cells that changed type lie in the layer of the new or of the old one.

    Parameters
    ----------
    new, old : (N,) array_like of str
        Types of the same cells.
    layers : (N,) array_like of str
    layer_of : dict of str to str
        Layer of each type considered; other types take no part.
    """
    new, old, layers = np.asarray(new), np.asarray(old), np.asarray(layers)
    moved = moved_between(new, old, layer_of)
    homes = [np.array([layer_of.get(name, "") for name in types]) for types in (new, old)]
    moved &= homes[0] != homes[1]
    into, out_of = (int((moved & (layers == home)).sum()) for home in homes)
    known = into + out_of
    return LayerFit(int(moved.sum()), into, out_of, into / known if known else float("nan"),
                    float(binomtest(into, known).pvalue) if known else 1.0)


def marker_support(scores, new, old) -> tuple[int, int]:
    """Of the cells that moved, how many score higher for the new type than for the old one, and how many moved.

    Parameters
    ----------
    scores : DataFrame, cells x types
        From :func:`paper.shared.annotation.cell_scores`.
    new, old : (N,) array_like of str
        Cells whose types are not both columns of ``scores``, or are the same, take no part.
    """
    new, old = np.asarray(new), np.asarray(old)
    rows = np.flatnonzero(moved_between(new, old, scores.columns))
    values, column = scores.to_numpy(), scores.columns.get_indexer
    gain = values[rows, column(new[rows])] - values[rows, column(old[rows])]
    return int((gain > 0).sum()), len(rows)
