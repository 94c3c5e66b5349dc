"""Figures of the STARmap section: its layers, comparisons of assignments in space, maps of metagenes.

As in :mod:`spicemix_core.pl`, functions return the data of a figure or draw them on given axes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from paper.starmap.findings import LAYER_OF_TYPE
from paper.starmap.layer_borders import LayerBorders
from spicemix_core.pl import GREY, draw_points, draw_values

BLACK, FAINT = "#000000", "#e4e4e4"


@dataclass(frozen=True)
class Roles:
    """The types that the paper compares.

    Attributes
    ----------
    upper : (str, str)
        Two excitatory types of neighbouring upper layers.
    deep : str
        The excitatory type of a deeper layer.
    glia : str
        The type of astrocytes.
    classes : (str, str)
        The class of the earlier analysis whose cells are disputed between ``deep`` and ``glia``, and the class that is
        purely of ``glia``.
    layer_of : dict of str to str
        Layer of each excitatory type.
    """

    upper: tuple
    deep: str
    glia: str
    classes: tuple
    layer_of: dict


PAPER_ROLES = Roles(("eL2/3", "eL4"), "eL5", "Astro", ("Astro-1", "Astro-2"), LAYER_OF_TYPE)


def comparisons(types: np.ndarray, reference: np.ndarray, layers: np.ndarray, roles: Roles) -> dict:
    """Data of the lower panels of Fig. 4c: by panel and label ("type - earlier class*") the cells, as masks.

    Parameters
    ----------
    types, reference : (N,) arrays of str
        Types of a model, and the earlier classes without the numbers of excitatory ones.
    layers : (N,) array of str
        Layer of each cell, empty outside the layers.
    roles : Roles

    Returns
    -------
    dict of str to dict of str to (N,) array of bool
        Panels ``upper``, ``deep`` and ``glia``. No cell is in two groups of a panel.
    """
    (a, b), deep, (first, second) = roles.upper, roles.deep, roles.classes
    in_upper = np.isin(layers, [roles.layer_of[name] for name in roles.upper])
    lost = np.isin(reference, roles.upper) & ~np.isin(types, roles.upper) & ~in_upper & (layers != "")
    return {
        "upper": {f"{new} - {old}*": (types == new) & (reference == old) for new, old in
                  ((a, a), (b, b), (a, b), (b, a))} | {f"other - {a}* or {b}*, deeper": lost},
        "deep": {f"{deep} - {deep}*": (types == deep) & (reference == deep),
                 f"{deep} - other*": (types == deep) & ~np.isin(reference, (deep, first)),
                 f"other - {deep}*": (types != deep) & (reference == deep)},
        "glia": {f"{deep} - {first}*": (types == deep) & (reference == first),
                 f"{roles.glia} - {first}*": (types == roles.glia) & (reference == first),
                 f"other - {first}*": ~np.isin(types, (deep, roles.glia)) & (reference == first),
                 f"any - {second}*": reference == second},
    }


def comparison_styles(roles: Roles, colors: Mapping[str, str]) -> dict:
    """Marker, size, line width and colour of each label of :func:`comparisons`; ``colors`` are those of the types."""
    (a, b), deep, (first, second) = roles.upper, roles.deep, roles.classes

    def color(kind):
        return colors.get(kind, GREY)

    return {f"{a} - {a}*": ("o", 16, 0, color(a)), f"{b} - {b}*": ("o", 16, 0, color(b)),
            f"{a} - {b}*": ("P", 46, 0.6, color(a)), f"{b} - {a}*": ("X", 46, 0.6, color(b)),
            f"other - {a}* or {b}*, deeper": ("x", 34, 1.6, BLACK),
            f"{deep} - {deep}*": ("o", 16, 0, color(deep)), f"{deep} - other*": ("^", 16, 0, color(deep)),
            f"other - {deep}*": ("o", 16, 0, BLACK),
            f"{deep} - {first}*": ("P", 46, 0.6, color(deep)),
            f"{roles.glia} - {first}*": ("o", 20, 0, color(roles.glia)),
            f"other - {first}*": ("x", 26, 1.4, BLACK), f"any - {second}*": ("s", 9, 0, color(roles.glia))}


def draw_section(ax: Axes, coordinates: np.ndarray, names: ArrayLike, colors: Mapping[str, str],
                 bands: Mapping[str, tuple[float, float]], *, size: float = 9.0, title: str | None = None) -> None:
    """Draw all cells of the section by type, with the layers."""
    draw_points(ax, coordinates, names, colors, size=size)
    draw_bands(ax, coordinates, bands, title=title)


def draw_bands(ax: Axes, coordinates: np.ndarray, bands: Mapping[str, tuple[float, float]], *,
               limits: tuple[float, float] | None = None, title: str | None = None) -> None:
    """Draw dashed borders of the layers with their names above, at equal scales; ``limits`` crops the depth.

    ``bands`` maps a layer to its lowest and highest depth (x).
    """
    low, high = limits or (coordinates[:, 0].min(), coordinates[:, 0].max())
    margin = 0.01 * (high - low)
    for border in sorted({border for band in bands.values() for border in band}):
        if low <= border <= high:
            ax.axvline(border, color="black", linestyle="--", linewidth=0.8, zorder=0.5)
    for name, band in bands.items():
        left, right = max(band[0], low), min(band[1], high)
        if right > left:
            ax.annotate(name, ((left + right) / 2, 1.0), xycoords=ax.get_xaxis_transform(), xytext=(0, 2),
                        textcoords="offset points", ha="center", va="bottom", fontsize="small")
    ax.set(xlim=(low - margin, high + margin), xticks=[], yticks=[], aspect="equal")
    ax.yaxis.set_inverted(True)
    ax.spines[:].set_visible(True)
    if title:
        ax.set_title(title, pad=16, loc="left")


def draw_slanted_borders(ax: Axes, coordinates: np.ndarray, layers: LayerBorders) -> None:
    """Draw borders of :func:`paper.starmap.layer_borders.layer_borders` as dotted lines."""
    y = np.array([coordinates[:, 1].min(), coordinates[:, 1].max()])
    for border in layers.borders:
        ax.plot(border + layers.slope * y, y, color="black", linestyle=":", linewidth=1.4, zorder=3)


def draw_comparison(ax: Axes, coordinates: np.ndarray, groups: Mapping[str, np.ndarray], styles: Mapping[str, tuple],
                    bands: Mapping[str, tuple[float, float]], *, limits: tuple[float, float] | None = None,
                    title: str | None = None) -> None:
    """Draw one panel of :func:`comparisons`: its cells by label, all other cells in light grey, and the legend."""
    shown = np.any(list(groups.values()), axis=0)
    ax.scatter(*coordinates[~shown].T, s=5, c=FAINT, linewidths=0, zorder=1)
    handles = []
    for label, chosen in groups.items():
        marker, size, width, color = styles[label]
        edge = {} if marker == "x" else {"edgecolors": "black"}
        ax.scatter(*coordinates[chosen].T, s=size, c=color, marker=marker, linewidths=width, zorder=2 + 0.01 * size,
                   **edge)
        handles.append(mpl.lines.Line2D([], [], linestyle="", marker=marker, color=color, markersize=size**0.5,
                                        markeredgewidth=width, markeredgecolor=color if marker == "x" else BLACK,
                                        label=f"{label} ({chosen.sum()})"))
    draw_bands(ax, coordinates, bands, limits=limits, title=title)
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", handletextpad=0.2)


def draw_metagene_strip(ax: Axes, coordinates: np.ndarray, values: np.ndarray, bands: Mapping[str, tuple[float, float]],
                        *, title: str, size: float = 3.0) -> PathCollection:
    """Draw the proportions of one metagene in the section, on a scale up to their 99th percentile."""
    points = draw_values(ax, coordinates, values / (np.quantile(values, 0.99) or values.max() or 1.0), size=size,
                         limits=(0, 1))
    for border in sorted({border for band in bands.values() for border in band}):
        ax.axvline(border, color="black", linestyle="--", linewidth=0.5, zorder=0.5)
    ax.set_rasterization_zorder(1.5)  # cells and borders: many strips would have tens of thousands of vector points
    ax.set(aspect="equal")
    ax.yaxis.set_inverted(True)
    ax.spines[:].set_visible(True)
    ax.set_title(title, fontsize="small", pad=3)
    return points


def draw_volcano(ax: Axes, table: pd.DataFrame, named: Mapping[str, str], *, label: str, level: float = 0.05) -> None:
    """Draw effect against significance for every gene of a differential expression, with the names of some.

    Parameters
    ----------
    table : DataFrame
        From :func:`spicemix_core.tl.differential_expression`.
    named : dict of str to str
        Colour of each gene that is named.
    """
    height = -np.log10(np.maximum(table["p_adjusted"], 1e-300))
    ax.scatter(table["difference"], height, s=7, c=GREY, linewidths=0)
    ax.axhline(-np.log10(level), color="black", linestyle=":", linewidth=0.8)
    ax.axvline(0.0, color="black", linestyle=":", linewidth=0.8)
    gap, width, placed = 0.055 * height.max(), 0.09 * np.ptp(table["difference"]), []
    for gene in sorted(named, key=height.get):
        x, y = table.at[gene, "difference"], height[gene]
        level_of_text = max([y, *(other_y + gap for other_x, other_y in placed if abs(other_x - x) < width)])
        placed.append((x, level_of_text))
        ax.scatter(x, y, s=28, c=named[gene], zorder=3)
        ax.annotate(gene, (x, y), xytext=(x, level_of_text), fontsize="small", va="center", color=named[gene],
                    ha="right" if x < 0 else "left", fontstyle="italic", textcoords=mpl.transforms.offset_copy(
                        ax.transData, ax.figure, x=-6 if x < 0 else 6, units="points"),
                    path_effects=[withStroke(linewidth=2.5, foreground="white")])
    ax.set(xlabel=label, ylabel="-log10 corrected p")


def draw_group_means(axes: Sequence[Axes], expression: pd.DataFrame, groups: Mapping[str, np.ndarray],
                     genes: Sequence[str], colors: Mapping[str, str]) -> None:
    """Draw the expression of each gene by group: cells as faint points, the mean as a bar with its standard error.

    Parameters
    ----------
    axes : sequence of Axes, one for each gene
    expression : DataFrame, cells x genes
    groups : dict of str to (N,) array of bool
    genes : sequence of str
    colors : dict of str to str
        Colour of each group.
    """
    rng = np.random.default_rng(0)  # spreads the points sideways
    for ax, gene in zip(axes, genes, strict=True):
        for place, (name, chosen) in enumerate(groups.items()):
            values = expression[gene].to_numpy()[chosen]
            ax.scatter(place + rng.uniform(-0.28, 0.28, len(values)), values, s=5, c=colors[name], alpha=0.45,
                       linewidths=0)
            error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            ax.errorbar(place, values.mean(), yerr=error, fmt="_", color="black", markersize=18, capsize=4)
        ax.set(xticks=range(len(groups)), xlim=(-0.6, len(groups) - 0.4))
        ax.set_xticklabels(groups, rotation=35, ha="right", fontsize="small")
        ax.set_title(gene, fontstyle="italic")
