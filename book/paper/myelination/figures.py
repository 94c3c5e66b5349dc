"""Figures of a trajectory of cells: two metagenes, genes along it, the tissue, and null distributions.

As in :mod:`spicemix_core.pl`, functions return the data of a figure or draw them on given axes.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import SubFigure
from numpy.typing import ArrayLike

from paper.myelination.cells import Opposition, agreement
from paper.myelination.claims import Analysis, cluster_names
from paper.myelination.trajectory import LEVEL, NullTest, band
from spicemix_core.pl import BLUE, GREY, VERMILION, draw_points, draw_table, draw_values, palette

DARK = "#444444"  # points below a line


def p_text(p_value: float) -> str:
    """A p-value as text, with an asterisk if it is below 0.05; empty for NaN."""
    if np.isnan(p_value):
        return ""
    number = "< 0.001" if p_value < 1e-3 else f"{p_value:.3f}"
    return f"{number}*" if p_value < LEVEL else number


def draw_opposition(ax: Axes, opposition: Opposition, groups: ArrayLike, colors: Mapping[str, str], *,
                    names: tuple[str, str] = ("first", "second")) -> None:
    """Draw the proportions of two metagenes against each other, a point for each cell in the colour of its group."""
    draw_points(ax, opposition.proportions, groups, colors, size=16)
    ax.axline((0, 1), (1, 0), color=GREY, linewidth=1, zorder=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), aspect="equal",
           xlabel=f"{names[0]} metagene (proportion)", ylabel=f"{names[1]} metagene (proportion)",
           title=f"r = {opposition.correlation:.2f}")


def draw_gene(ax: Axes, trajectory: ArrayLike, values: ArrayLike, row: Mapping, *, gene: str,
              singled_out: bool = False) -> None:
    """Draw a gene along the trajectory with the line and band of its regression and the corrected p-value."""
    color = VERMILION if singled_out else BLUE
    at = np.linspace(trajectory.min(), trajectory.max(), 50)
    line, low, high = band(trajectory, values, at)
    ax.scatter(trajectory, values, s=8, color=DARK, alpha=0.5, linewidths=0)
    ax.fill_between(at, low, high, color=color, alpha=0.25, linewidth=0)
    ax.plot(at, line, color=color, linewidth=1.8)
    ax.set_title(f"$\\it{{{gene}}}$, {p_text(row['p_corrected'])}", fontsize="small",
                 color=color if singled_out else "black", fontweight="bold" if singled_out else "normal")
    lowest = min(0.0, low.min(), values.min())
    ax.set_ylim(bottom=lowest - 0.04 * (values.max() - lowest))
    ax.tick_params(labelsize="small")


def draw_trajectory_in_tissue(ax: Axes, coordinates: ArrayLike, trajectory: ArrayLike, *,
                              size: float = 12.0) -> PathCollection:
    """Draw all cells in grey and those on the trajectory (not NaN) coloured by it, with symmetric limits."""
    coordinates, inside = np.asarray(coordinates), ~np.isnan(trajectory)
    limit = np.abs(trajectory[inside]).max()
    draw_points(ax, coordinates[~inside], np.full((~inside).sum(), ""), {"": GREY}, size=size / 4)
    points = draw_values(ax, coordinates[inside], trajectory[inside], size=size, cmap="coolwarm",
                         limits=(-limit, limit))
    ax.set_aspect("equal")
    ax.yaxis.set_inverted(True)
    return points


def draw_nulls(ax: Axes, nulls: Mapping[str, NullTest], n_genes: int) -> None:
    """Draw the shares of null trajectories by number of significant genes, one line each; the observed one is dashed.

    ``nulls`` maps a name to a :class:`paper.myelination.trajectory.NullTest`.
    """
    numbers = np.arange(n_genes + 1)
    for (name, null), color in zip(nulls.items(), (BLUE, VERMILION), strict=False):
        shares = np.bincount(null.counts, minlength=n_genes + 1) / len(null.counts)
        ax.step(numbers, shares, where="mid", color=color, label=f"{name} (p = {null.p_value:.2g})")
    ax.axvline(null.observed, color="black", linestyle="--", linewidth=1, label=f"observed ({null.observed})")
    ax.set(xlabel="significant genes", ylabel="share of null trajectories", ylim=(0, None))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.legend(fontsize="small")


def effects(tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, np.ndarray]:
    """Effects by gene and analysis, and as text with an asterisk if significant, for :func:`draw_effects`.

    ``tables`` maps a name to a table of :func:`paper.myelination.trajectory.regress`; a missing gene gives NaN.
    """
    effect = pd.DataFrame({name: table["effect"] for name, table in tables.items()})
    p_values = pd.DataFrame({name: table["p_corrected"] for name, table in tables.items()}).loc[effect.index]
    number = effect.map(lambda value: "" if np.isnan(value) else f"{value:.2f}")
    return effect, (number + np.where(p_values < LEVEL, "*", "")).to_numpy()


def draw_effects(ax: Axes, tables: Mapping[str, pd.DataFrame]) -> None:
    """Draw a heat map of the effects, genes x analyses, with an asterisk if the corrected p-value is below 0.05."""
    effect, text = effects(tables)
    draw_table(ax, effect, label="effect (standard deviations)", cmap="RdBu_r", center=0.0, limit=1.0, annotate=text)
    ax.tick_params(axis="x", rotation=40)
    for name in ax.get_xticklabels():
        name.set(ha="right", rotation_mode="anchor")
    for gene in ax.get_yticklabels():
        gene.set_fontstyle("italic")


def label_sides(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Side of each point (+1 right, -1 left) with more room for a name before the next point of similar height."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    close = np.abs(y[:, None] - y) < 0.06 * (np.ptp(y) or 1.0)
    offset = np.where(close & ~np.eye(len(x), dtype=bool), x - x[:, None], np.nan)
    room = [np.nanmin(np.where(sign * offset >= 0, np.abs(offset), np.inf), axis=1, initial=np.inf) for sign in (1, -1)]
    return np.where(room[0] >= room[1], 1, -1)


def draw_effects_of_two(ax: Axes, first: pd.Series, second: pd.Series) -> None:
    """Draw the effects of the genes in two analyses against each other, with the name of each gene."""
    ax.scatter(first, second, s=14)
    for gene, side in zip(first.index, label_sides(first, second), strict=True):
        ax.annotate(gene, (first[gene], second[gene]), xytext=(4 * side, 0), textcoords="offset points",
                    fontsize="small", fontstyle="italic", va="center", ha="left" if side > 0 else "right")
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.margins(0.2)


def draw_opposition_and_map(part: SubFigure, analysis: Analysis, coordinates: ArrayLike,
                            bands: Mapping[str, tuple[float, float]]) -> None:
    """The two metagenes against each other, and the trajectory in the tissue with the borders of the layers."""
    pair = analysis.opposition
    left, right = part.subplots(1, 2, width_ratios=(1, 1.5))
    draw_opposition(left, pair, *_clusters(analysis))
    left.legend(fontsize="small", loc="upper right")
    points = draw_trajectory_in_tissue(right, coordinates, pair.over_all_cells(), size=22)
    for name, (low, high) in bands.items():
        for border in (low, high):
            right.axvline(border, color="#777777", linewidth=0.6, linestyle="--")
        right.text((low + high) / 2, 1.02, name, ha="center", va="bottom", transform=right.get_xaxis_transform(),
                   fontsize="small")
    part.colorbar(points, ax=right, label="trajectory", shrink=0.8, orientation="horizontal", pad=0.04)


def draw_genes(part: SubFigure, analysis: Analysis, expression: pd.DataFrame, *, singled_out: str) -> None:
    """:func:`draw_gene` for each tested gene, the smallest p-value first."""
    slopes, cells = analysis.slopes, analysis.found.chosen
    ordered = slopes["p_value"].sort_values().index
    axes = part.subplots(-(-len(ordered) // 5), 5, sharex=True, squeeze=False)
    for ax, gene in zip(axes.flat, ordered, strict=False):
        draw_gene(ax, analysis.opposition.trajectory, expression.loc[cells, gene].to_numpy(), slopes.loc[gene],
                  gene=gene, singled_out=gene == singled_out)
    for ax in axes.flat[len(ordered):]:
        ax.axis("off")
    part.supxlabel("trajectory: first minus second metagene", fontsize="medium")
    part.supylabel("expression", fontsize="medium")


def draw_oppositions(part: SubFigure, analyses: Sequence[Analysis]) -> None:
    """:func:`draw_opposition` of several analyses, five in a row."""
    axes = part.subplots(-(-len(analyses) // 5), 5, squeeze=False)
    for ax, analysis in zip(axes.flat, analyses, strict=False):
        draw_opposition(ax, analysis.opposition, *_clusters(analysis))
        ax.set(xlabel="", ylabel="")
    for ax in axes.flat[len(analyses):]:
        ax.axis("off")
    part.supxlabel("first metagene (proportion)", fontsize="medium")
    part.supylabel("second metagene", fontsize="medium")


def draw_against_nmf(part: SubFigure, analysis: Analysis, nmf: Analysis) -> None:
    """NMF's two metagenes, the two trajectories in the common cells, and the effects on the common genes."""
    axes = part.subplots(1, 3, width_ratios=(1, 1, 1.2))
    draw_opposition(axes[0], nmf.opposition, *_clusters(nmf))
    axes[1].scatter(analysis.opposition.over_all_cells(), nmf.opposition.over_all_cells(), s=12, linewidths=0)
    axes[1].set(xlabel="trajectory of SpiceMix", ylabel="trajectory of NMF",
                title=f"rank correlation {agreement(nmf.opposition, analysis.opposition):.2f}")
    both = analysis.slopes.index.intersection(nmf.slopes.index)
    draw_effects_of_two(axes[2], analysis.slopes.loc[both, "effect"], nmf.slopes.loc[both, "effect"])
    axes[2].set(xlabel="effect, SpiceMix", ylabel="effect, NMF", title="genes")


def _clusters(analysis):
    """Name of the cluster of each oligodendrocyte, and a colour for each."""
    names = cluster_names(analysis)
    inside = np.array([names[label] for label in analysis.labels[analysis.found.chosen]])
    return inside, palette(names.values())
