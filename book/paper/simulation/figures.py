"""Figures of the simulation chapter: Fig. 2, and the sensitivity of a fit."""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import dendrogram, linkage

from paper.shared.recovery import EXCITATORY_TYPES
from paper.shared.type_palette import type_colors
from paper.simulation.methods import PUBLISHED
from spicemix_core.datasets import CELL_TYPES, METAGENES, CortexParameters
from spicemix_core.pl import BLUE, GREEN, VERMILION, draw_table, draw_values
from spicemix_core.tl import match_labels, normalize_states

NO_TYPE = "no type"


# Clusters without a matching type are orange, as in the paper; the eighth type is nearly black.
_COLORS = type_colors(["eL1", "eL2", "eL3", "eL4"]) | {  # layers as in the other chapters
    "Inh-1": "#69002d", "Inh-2": "#c34bf0", "Glial-1": "#96c378", "Glial-2": "#202020"}
TYPE_COLORS = {name: _COLORS[name] for name in CELL_TYPES}
NO_TYPE_COLOR = "#e69f00"
MARKERS = {"e": "^", "I": "s", "G": "o"}  # excitatory, inhibitory, glia, by the first letter of the type
METHOD_COLORS = dict(zip(
    (PUBLISHED, "SpiceMix consensus", "SpiceMix", "NMF consensus", "NMF*", "NMF", "HMRF, 10 PCs", "HMRF"),
    ("#d55e00", "#0072b2", "#56b4e9", "#007a5a", "#009e73", "#7fceb9", "#cc79a7", "#7f7f7f"), strict=True))


def draw_types(ax: Axes, coordinates: ArrayLike, types: ArrayLike, *, size: float = 26.0) -> None:
    """Draw cells in space by type: triangles for excitatory and squares for inhibitory neurons, circles for glia."""
    for name in CELL_TYPES:
        chosen = np.asarray(types) == name
        ax.scatter(*coordinates[chosen].T, s=size, c=TYPE_COLORS[name], marker=MARKERS[name[0]], linewidths=0.3,
                   edgecolors="white")
    _frame_of_layers(ax)


def _frame_of_layers(ax):
    """Draw the unit square with dashed borders between the layers and their names above."""
    bounds = (0.0, *CortexParameters().layer_bounds, 1.0)
    for bound in bounds[1:-1]:
        ax.axvline(bound, color="black", linestyle="--", linewidth=0.9, zorder=0.5)
    for number, (left, right) in enumerate(itertools.pairwise(bounds), 1):
        ax.text((left + right) / 2, 1.015, f"L{number}", ha="center", va="bottom", fontsize="small")
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=[], yticks=[], aspect="equal")
    sns.despine(ax=ax, top=False, right=False)


def type_handles(names: Sequence[str] = CELL_TYPES, counts: Mapping[str, int] | None = None) -> list[Line2D]:
    """Legend entries of the types, with the number of cells if given."""
    return [mpl.lines.Line2D([], [], linestyle="", marker=MARKERS[name[0]], color=TYPE_COLORS[name], markersize=6,
                             label=name if counts is None else f"{name} ({counts[name]})") for name in names]


def type_profiles(adata: AnnData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Data of Fig. 2b: mean expression (types x genes) and mean true proportions (types x metagenes), DataFrames."""
    types = adata.obs["cell_type"].to_numpy()
    expression = pd.DataFrame(adata.X, columns=adata.var_names).groupby(types).mean()
    proportions = normalize_states(adata.obsm["true_latent_states"], "proportions")
    return expression.loc[list(CELL_TYPES)], pd.DataFrame(proportions, columns=METAGENES).groupby(types).mean()


def draw_type_profiles(top: Axes, bottom: Axes, expression: pd.DataFrame, proportions: pd.DataFrame) -> QuadMesh:
    """Draw the dendrogram of the types (average linkage, Euclidean) above the heat map of their proportions."""
    tree = dendrogram(linkage(expression.to_numpy(), "average"), ax=top, color_threshold=0,
                      above_threshold_color="black", labels=list(expression.index))
    top.set(xticks=[], ylabel="distance")
    sns.despine(ax=top, bottom=True)
    rows = ["excitatory", "inhibitory", "glia-everywhere", "glia-layer-1", "inh-1", "inh-2", *METAGENES[6:]]
    table = proportions.loc[tree["ivl"], rows].T
    image = bottom.pcolormesh(table, cmap="viridis", edgecolors="white", linewidth=0.4, vmin=0)
    bottom.set(xticks=np.arange(table.shape[1]) + 0.5, yticks=np.arange(table.shape[0]) + 0.5,
               yticklabels=[f"{METAGENES.index(name)}  {name}" for name in rows])
    bottom.set_xticklabels(table.columns, rotation=45, ha="right", rotation_mode="anchor")
    for label in bottom.get_xticklabels():
        label.set_color(TYPE_COLORS[label.get_text()])
        label.set_fontweight("bold")
    for border in (4, 10):  # major types, subtypes and layers, noise
        bottom.axhline(border, color="white", linewidth=2.5)
    bottom.invert_yaxis()
    bottom.tick_params(length=0)
    return image


def draw_metagene_maps(axes: Sequence[Axes], coordinates: ArrayLike, maps: Mapping[str, np.ndarray]) -> PathCollection:
    """Draw the proportions of one metagene in space, one panel for each entry of ``maps`` (title to values).

    Each panel has its own scale, up to the 99th percentile of its cells: a fit may split a true metagene or merge
    two, which changes the height of its proportions but not their place.
    """
    for ax, (title, values) in zip(axes, maps.items(), strict=True):
        points = draw_values(ax, coordinates, values / (np.quantile(values, 0.99) or 1.0), size=20, limits=(0, 1))
        _frame_of_layers(ax)
        ax.set_title(title, pad=14)
    return points


def draw_ari_boxes(axes: Sequence[Axes], table: pd.DataFrame) -> None:
    """Draw box plots by method, a panel for each scenario, with boxes at the quartiles and whiskers at the extremes.

    ``table`` is a DataFrame with ``scenario``, ``method`` and ``ari``.
    """
    for ax, (name, rows) in zip(np.ravel(axes), table.groupby("scenario", sort=False), strict=True):
        options = {"data": rows, "x": "ari", "y": "method", "order": list(METHOD_COLORS), "ax": ax}
        sns.boxplot(**options, hue="method", palette=METHOD_COLORS, whis=(0, 100), width=0.65, linewidth=1,
                    legend=False, medianprops={"color": "black", "linewidth": 1.8})
        sns.stripplot(**options, color="black", size=2.5, alpha=0.6, jitter=0.18)
        last_row = ax.get_subplotspec().is_last_row()
        ax.set(title=name, xlim=(0, 1), ylabel="", xlabel="adjusted Rand index" if last_row else "")
        ax.grid(axis="x", color="0.9", linewidth=0.6)
        ax.set_axisbelow(True)


def draw_assignments(ax: Axes, coordinates: ArrayLike, types: ArrayLike, labels: ArrayLike) -> tuple[int, int, int]:
    """Draw excitatory neurons by the type of their cluster: faint if right, bright if wrong, orange without a type.

    Returns the numbers of cells that are right, wrong and in a cluster without a type.
    """
    types = np.asarray(types)
    assigned = match_labels(labels, types)[np.asarray(labels)].to_numpy(dtype=object)
    shown = np.isin(types, EXCITATORY_TYPES)
    right, none = shown & (assigned == types), shown & pd.isna(assigned)
    wrong = shown & ~right & ~none
    ax.scatter(*coordinates[right].T, s=20, marker="^", linewidths=0, alpha=0.3,
               c=[TYPE_COLORS[name] for name in assigned[right]])
    style = {"s": 30, "linewidths": 0.5, "edgecolors": "black"}
    for name in CELL_TYPES:
        chosen = wrong & (assigned == name)
        ax.scatter(*coordinates[chosen].T, marker=MARKERS[name[0]], c=TYPE_COLORS[name], **style)
    ax.scatter(*coordinates[none].T, marker="D", c=NO_TYPE_COLOR, **style)
    _frame_of_layers(ax)
    return int(right.sum()), int(wrong.sum()), int(none.sum())


def assignment_handles() -> list[Line2D]:
    """Legend entries of `draw_assignments`."""
    none = mpl.lines.Line2D([], [], linestyle="", marker="D", color=NO_TYPE_COLOR, markeredgecolor="black",
                            markeredgewidth=0.5, markersize=6, label="matches no type")
    return [*type_handles(), none]


def draw_embedding(ax: Axes, embedding: np.ndarray, types: ArrayLike, title: str) -> None:
    """Draw a UMAP of the cells by true type."""
    for name in CELL_TYPES:
        chosen = np.asarray(types) == name
        ax.scatter(*embedding[chosen].T, s=11, c=TYPE_COLORS[name], marker=MARKERS[name[0]], linewidths=0)
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2", title=title)


def draw_layer_distances(ax: Axes, table: pd.DataFrame) -> None:
    """Draw the adjusted Rand index of each replicate against the distance of its most similar layers, by scenario."""
    for (name, rows), marker in zip(table.groupby("scenario", sort=False), "o^sD", strict=False):
        ax.scatter(rows["layer_distance"], rows["ari"], s=22, marker=marker, linewidths=0, label=name)
    ax.set(xlabel="smallest distance between two layers' metagenes, in units of 1 / G", ylabel="adjusted Rand index",
           ylim=(None, 1))
    ax.legend(fontsize="small", loc="lower right")


def draw_normalizations(ax: Axes, table: pd.DataFrame) -> None:
    """Draw mean and extremes of the index by method and normalisation, for a ``table`` of one scenario."""
    names = {"zscore": "z-score of X", "proportions": "proportions z", "zscore_proportions": "z-score of z"}
    rows = table.assign(normalization=table["normalization"].map(names))
    sns.pointplot(rows, x="method", y="ari", hue="normalization", hue_order=list(names.values()), dodge=0.4, ax=ax,
                  linestyle="none", errorbar=("pi", 100), palette=[BLUE, VERMILION, GREEN],
                  markers=["o", "s", "^"], err_kws={"linewidth": 1.2}, markersize=5)
    ax.set(ylim=(0, 1), xlabel="", ylabel="adjusted Rand index")


def draw_runs(ax: Axes, x: float, values: ArrayLike, *, color: str, label: str | None = None) -> None:
    """Draw single runs as points, spread by their order, and their median as a line."""
    values = np.asarray(values, dtype=float)
    offsets = 0.18 * (np.arange(len(values)) % 5 - 2) / 2
    ax.scatter(x + offsets, values, s=18, color=color, alpha=0.7, linewidths=0, label=label)
    ax.hlines(np.median(values), x - 0.3, x + 0.3, color=color, linewidth=2)


def draw_grid(ax: Axes, table: pd.DataFrame, *, label: str, mark: tuple[object, object] | None = None) -> None:
    """Draw a heat map of a DataFrame with its numbers; ``mark`` is the (row, column) of the default."""
    draw_table(ax, table, label=label, annotate=table.map("{:.2f}".format).to_numpy())
    if mark is not None:
        row, column = table.index.get_loc(mark[0]), table.columns.get_loc(mark[1])
        ax.add_patch(mpl.patches.Rectangle((column, row), 1, 1, fill=False, edgecolor=VERMILION, linewidth=2.5))


def draw_recovery(axes: Sequence[Axes], table: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Draw boxes by scenario and method, a panel for each score in ``columns`` (column to title)."""
    for ax, (column, title) in zip(np.ravel(axes), columns.items(), strict=True):
        rows = table.dropna(subset=[column])
        methods = [name for name in METHOD_COLORS if name in set(rows["method"])]
        sns.boxplot(rows, x=column, y="scenario", hue="method", hue_order=methods, palette=METHOD_COLORS, ax=ax,
                    whis=(0, 100), width=0.75, linewidth=0.9, legend=False,
                    medianprops={"color": "black", "linewidth": 1.8})
        ax.set(title=title, xlabel="", ylabel="", xlim=(min(0.0, rows[column].min()), 1))
        ax.grid(axis="x", color="0.9", linewidth=0.6)
        ax.set_axisbelow(True)
