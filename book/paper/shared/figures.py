"""Figures of named cell types: their tree, their markers and metagenes, their layers, their differences.

As in :mod:`spicemix_core.pl`, functions return the data of a figure or draw them on given axes.
"""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import dendrogram, linkage

from paper.shared.layers import position_shares
from paper.shared.markers import is_marker
from paper.shared.type_palette import type_colors as type_colors
from spicemix_core.pl import BLUE, GREY, VERMILION, draw_table, order_rows_by_columns

NOT_SIGNIFICANT = "#7f7f7f"


def type_tree(expression: ArrayLike, labels: ArrayLike) -> tuple[list[str], np.ndarray]:
    """Tree of the types by mean expression: average linkage of 1 - Pearson correlation.

    Parameters
    ----------
    expression : (N, G) array
    labels : (N,) array_like

    Returns
    -------
    names : list of str
    linkage : (types - 1, 4) array
    """
    means = pd.DataFrame(np.asarray(expression)).groupby(np.asarray(labels)).mean()
    return list(means.index), linkage(means.to_numpy(), method="average", metric="correlation")


def draw_tree(ax: Axes, names: Sequence[str], tree: np.ndarray, colors: Mapping[str, str]) -> None:
    """Draw a tree that grows to the left, with a leaf in the colour of each type."""
    drawn = dendrogram(tree, orientation="left", labels=names, ax=ax, color_threshold=0.0,
                       above_threshold_color="#555555")
    positions = 5.0 + 10.0 * np.arange(len(names))
    for y, name in zip(positions, drawn["ivl"], strict=True):
        ax.plot(0.0, y, marker="o", color=colors[name], markersize=7, clip_on=False, zorder=3)
    ax.tick_params(axis="y", length=0, pad=8, labelsize="small")
    ax.set_xlabel("1 - correlation")
    ax.spines["left"].set_visible(False)


def draw_type_rows(ax: Axes, table: pd.DataFrame, colors: Mapping[str, str], *, counts: Mapping[str, int] | None = None,
                   **options: object) -> None:
    """Draw a heat map with a type in each row, labelled with its colour, its name and, if given, its number of cells.

    ``options`` are those of :func:`spicemix_core.pl.draw_table`.
    """
    shown = [f"{name} ({counts[name]})" if counts is not None else str(name) for name in table.index]
    draw_table(ax, table.set_axis(shown, axis=0), **options)
    color_row_names(ax, table.index, colors)
    ax.tick_params(axis="x", rotation=90, labelsize="small")
    for label in ax.get_xticklabels():
        if is_marker(label.get_text()):
            label.set_fontstyle("italic")


def color_row_names(ax: Axes, names: Iterable[str], colors: Mapping[str, str]) -> None:
    """Draw a square beside the label of each row of a heat map, in the colour of its name."""
    place = blended_transform_factory(ax.transAxes, ax.transData)
    offset = mpl.transforms.ScaledTranslation(-7 / 72, 0, ax.figure.dpi_scale_trans)
    for row, name in enumerate(names):
        ax.plot(0.0, row + 0.5, marker="s", markersize=6, color=colors.get(name, GREY), clip_on=False,
                transform=place + offset)
    ax.tick_params(axis="y", pad=11, rotation=0, labelsize="small")


def color_column_names(ax: Axes, families: Iterable[str | None], colors: Mapping[str, str]) -> None:
    """Draw a square below each column name of a heat map, in the colour of its family (None: no square)."""
    place = blended_transform_factory(ax.transData, ax.transAxes)
    offset = mpl.transforms.ScaledTranslation(0, -6 / 72, ax.figure.dpi_scale_trans)
    for column, family in enumerate(families):
        if family is not None:
            ax.plot(column + 0.5, 0.0, marker="s", markersize=5, color=colors.get(family, GREY), clip_on=False,
                    transform=place + offset)
    ax.tick_params(axis="x", pad=9)


def draw_shares(ax: Axes, shares: pd.DataFrame, specificity: pd.DataFrame, *, title: str) -> None:
    """Draw stacked bars of each type's cells by position, darker with depth, with the effective number at the right."""
    shades = mpl.colormaps["viridis_r"](np.linspace(0.05, 0.95, shares.shape[1]))
    left = np.zeros(len(shares))
    for position, shade in zip(shares.columns, shades, strict=True):
        ax.barh(np.arange(len(shares)), shares[position], left=left, color=shade, label=str(position), height=0.8)
        left += shares[position].to_numpy()
    for row, name in enumerate(shares.index):
        ax.text(1.02, row, f"{specificity.loc[name, 'effective_positions']:.1f}", va="center", fontsize="small")
    ax.text(1.02, 1.02, "effective", va="bottom", fontsize="small", transform=ax.transAxes)
    ax.set(yticks=np.arange(len(shares)), yticklabels=shares.index, xlim=(0, 1), xlabel="share of cells", title=title)
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0, labelsize="small")


def enclose(ax: Axes, points: np.ndarray, color: str, *, share: float = 0.7) -> None:
    """Draw a dashed ellipse around points, along the axes of their covariance.

    It holds this ``share`` of the points, those nearest to each other: UMAP can put single cells anywhere.
    """
    middle = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    kept = points[middle <= np.median(middle)]
    for _ in range(10):  # from the inner half to the share, so that outliers do not widen the ellipse
        center, spread = kept.mean(axis=0), np.cov(kept.T) + 1e-9 * np.eye(2)
        distance = np.einsum("ni,ij,nj->n", points - center, np.linalg.inv(spread), points - center)
        reach = np.quantile(distance, share)
        kept = points[distance <= reach]
    sizes, axes = np.linalg.eigh(spread)
    width, height = 2.2 * np.sqrt(reach * sizes)  # a tenth more than the cells' midpoints need
    ax.add_patch(mpl.patches.Ellipse(tuple(center), width, height, angle=np.degrees(np.arctan2(axes[1, 0], axes[0, 0])),
                                     fill=False, edgecolor=color, linestyle="--", linewidth=1.6, zorder=4))


def point_at(ax: Axes, fields: Iterable[tuple[int, int]]) -> None:
    """Draw a black arrow at each field of a heat map, given as row and column."""
    for row, column in fields:
        ax.annotate("", (column + 0.6, row + 0.4), xytext=(13, 13), textcoords="offset points", annotation_clip=False,
                    arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0})


def draw_intervals(ax: Axes, table: pd.DataFrame, *, label: str) -> None:
    """Draw differences with their intervals, one row each; grey if the interval covers zero.

    ``table`` has an index of texts and the columns ``difference``, ``low`` and ``high``, NaN if a type is missing.
    """
    rows = np.arange(len(table))
    for row in np.flatnonzero(table["difference"].isna()):
        ax.annotate("no such type", (0.0, row), xytext=(4, 0), textcoords="offset points", va="center",
                    color=NOT_SIGNIFICANT, fontsize="small")
    sure = (table["low"] > 0) | (table["high"] < 0)
    colors = np.where(sure, BLUE, NOT_SIGNIFICANT)
    ax.hlines(rows, table["low"], table["high"], colors=colors, linewidth=2)
    ax.scatter(table["difference"], rows, c=colors, s=28, zorder=3)
    ax.axvline(0.0, color="black", linewidth=0.8, linestyle=":")
    ax.set(yticks=rows, yticklabels=table.index, xlabel=label, ylim=(len(table) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)


def draw_affinities_by_run(ax: Axes, affinities: Sequence[np.ndarray], marked: Sequence[np.ndarray], *,
                           marked_label: str, label: str) -> None:
    """Draw the affinities of one metagene with all others, one column of points for each run, with some marked.

    Parameters
    ----------
    affinities : list of arrays, each (K - 1,)
    marked : list of arrays of bool, each (K - 1,)
    """
    for run, (values, which) in enumerate(zip(affinities, marked, strict=True), 1):
        ax.scatter(np.full((~which).sum(), run), values[~which], s=14, color=GREY, label="other" if run == 1 else None)
        ax.scatter(np.full(which.sum(), run), values[which], s=26, color=VERMILION,
                   label=marked_label if run == 1 else None)
    ax.axhline(0.0, color="black", linewidth=0.8, linestyle=":")
    ax.set(xticks=range(1, len(affinities) + 1), xlim=(0.5, len(affinities) + 0.5), xlabel="run", ylabel=label)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")


def draw_position_shares(ax: Axes, group: tuple[np.ndarray, np.ndarray], specificity: pd.DataFrame,
                         positions: Sequence[str], *, title: str, min_cells: int = 1) -> None:
    """:func:`draw_shares` of the types and positions of some cells, for types of at least ``min_cells`` of them."""
    labels, where = group
    shares = position_shares(labels, where).reindex(columns=list(positions), fill_value=0.0)
    sizes = pd.Series(labels).value_counts()
    draw_shares(ax, order_rows_by_columns(shares[(sizes >= min_cells).reindex(shares.index)]), specificity, title=title)
