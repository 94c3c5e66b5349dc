"""Figures of the comparison: each method a line of dots, each kind of data a panel."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper.methods_compared.stored import IN_WORDS
from spicemix_core.pl import BLUE, VERMILION

DARK_GREY = "#595959"


def draw_scores(table: pd.DataFrame, target: str, columns: Sequence[str], width: int = 4) -> Figure:
    """Adjusted Rand index with as many groups as the labels: median and range, one panel per column of data.

    SpiceMix has filled circles, methods that use positions open circles, the others open squares; the best of each
    panel has a second, larger ring.
    """
    rows = table[table["target"].eq(target) & table["number"].eq("same")]
    methods = [m for m in table["method"].unique() if rows.loc[rows["method"].eq(m), "ari"].notna().any()]
    places = dict(zip(methods, range(len(methods)), strict=True))
    height = int(np.ceil(len(columns) / width))
    figure, axes = plt.subplots(height, width, figsize=(8.6, 0.6 + height * (0.7 + 0.21 * len(methods))), sharey=True,
                                sharex=True, squeeze=False)
    for ax, column in zip(axes.flat, columns, strict=False):
        _panel(ax, rows[rows["column"].eq(column) & rows["method"].isin(methods)], places)
        ax.set_title(IN_WORDS[column])
    for ax in axes.flat[len(columns):]:
        ax.axis("off")
    axes[0, 0].set(yticks=list(places.values()), yticklabels=methods, xlim=(-0.05, 1.05))
    axes[0, 0].invert_yaxis()
    figure.supxlabel("adjusted Rand index", fontsize="medium")
    return figure


def _panel(ax, rows, places):
    for row in rows.itertuples():
        if np.isnan(row.ari):
            ax.text(0.5, places[row.method], "not run", ha="center", va="center", fontsize="small", color=DARK_GREY)
            continue
        color, marker, face = look(row.method)
        ax.plot([row.ari_low, row.ari_high], [places[row.method]] * 2, color=color, linewidth=1.5)
        ax.plot(row.ari, places[row.method], marker, color=color, markerfacecolor=face, markersize=6)
    if rows["ari"].notna().any():
        best = rows.loc[rows["ari"].idxmax()]
        ax.plot(best["ari"], places[best["method"]], "o", markersize=12, markerfacecolor="none", color="black")
    ax.grid(axis="x", color="#e4e4e4")


def look(method: str) -> tuple[str, str, str]:
    """Colour, marker and face of a method."""
    if method.startswith("SpiceMix"):
        return VERMILION, "o", VERMILION
    if method in ("NMF", "PCA + Leiden"):
        return DARK_GREY, "s", "white"
    return BLUE, "o", "white"
