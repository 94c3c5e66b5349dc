"""The panels of the paper's Fig. 4a to e, each for one way to fit (:class:`paper.shared.views.View`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure

from paper.shared import figures
from paper.shared.layers import layer_specificity
from paper.shared.scores import morans_i
from paper.shared.views import View
from paper.starmap import figures as section_figures
from paper.starmap import findings as sf
from spicemix_core import pl, tl

# Types of SpiceMix that the paper encloses in its UMAP, by the colour of the ellipse.
ENCLOSED = {"#e69f00": ("PVALB", "SST"), pl.GREEN: ("eL6",), pl.VERMILION: ("Oligo", "Astro/Oligo")}
SHOWN = ("eL2/3", "eL4", "eL5", "eL6", "PVALB", "Astro")  # types whose metagenes are drawn


@dataclass(frozen=True)
class Place:
    """The section in space: coordinates (N, 2), :class:`paper.starmap.findings.Section` and bands of the layers."""

    coordinates: np.ndarray
    section: sf.Section
    bands: Mapping[str, tuple[float, float]]


def draw_sections(part: SubFigure, view: View, place: Place) -> None:
    """The section by type of SpiceMix, of NMF and by earlier class, in the colours of SpiceMix (c, top)."""
    earlier = place.section.clusters
    panels = {"SpiceMix": view.cells.names, "NMF": view.nmf_by_match,
              "Wang et al.": view.like(earlier).loc[earlier].to_numpy()}
    for ax, (title, labels) in zip(part.subplots(3, 1), panels.items(), strict=True):
        section_figures.draw_section(ax, place.coordinates, labels, view.own_colors, place.bands, size=12, title=title)
    pl.draw_legend(part, view.own_colors, counts=view.sizes, columns=6, location="outside lower center")


def draw_layers(part: SubFigure, view: View, place: Place, random_state: int) -> None:
    """Types by layer, over the neurons that both SpiceMix and Wang et al. call excitatory."""
    chosen = common_neurons(view, place.section)
    labels = {"SpiceMix": view.cells.names, "NMF": view.way.nmf_cells.names,
              "Wang et al.": np.char.add(place.section.clusters, "*")}
    axes = part.subplots(1, 3)
    for ax, (title, each) in zip(axes, labels.items(), strict=True):
        group = each[chosen], place.section.layers[chosen]
        figures.draw_position_shares(ax, group, layer_specificity(*group, random_state=random_state),
                                     list(place.bands)[::-1], title=title, min_cells=5)
    part.legend(*axes[0].get_legend_handles_labels(), title="layer", loc="outside lower center", ncols=4)


def common_neurons(view: View, section: sf.Section) -> np.ndarray:
    """Cells in the layers that both SpiceMix and Wang et al. call excitatory, (N,) bool."""
    return (view.cells.classes == "excitatory") & section.excitatory


def draw_compared(part: SubFigure, view: View, place: Place, panel: str, limits: tuple[float, float]) -> None:
    """One of the comparisons with Wang et al. (c, middle and bottom), for SpiceMix and for NMF."""
    roles = section_figures.PAPER_ROLES
    styles = section_figures.comparison_styles(roles, view.family)
    methods = {"SpiceMix": view.cells, "NMF": view.way.nmf_cells}
    for ax, (title, cells) in zip(part.subplots(2, 1), methods.items(), strict=True):
        groups = section_figures.comparisons(cells.types, place.section.types, place.section.layers, roles)
        section_figures.draw_comparison(ax, place.coordinates, groups[panel], styles, place.bands, limits=limits,
                                        title=title)


def matched(view: View) -> tuple[np.ndarray, np.ndarray]:
    """For each metagene of SpiceMix its counterpart in NMF, and their correlation over genes."""
    match = tl.match_metagenes(view.way.chosen.model.metagenes_, view.way.nmf.model.metagenes_)
    return match.permutation, match.correlations


def shown_metagenes(view: View) -> dict[str, int]:
    """The metagene of each type of `SHOWN` that the fit has."""
    found = {kind: sf.type_metagene(view.cells, kind) for kind in SHOWN}
    return {kind: k for kind, k in found.items() if k is not None}


def draw_metagenes(part: SubFigure, view: View, place: Place) -> None:
    """Metagenes of some types in the section, next to their counterparts in NMF (d)."""
    chosen, (other, correlations) = shown_metagenes(view), matched(view)
    axes = part.subplots(len(chosen), 2, squeeze=False)
    for row, (kind, k) in zip(axes, chosen.items(), strict=True):
        titles = (f"SpiceMix, metagene {view.number[k]} ({kind})", f"NMF, r = {correlations[k]:.2f}")
        values = (view.cells.proportions[:, k], view.way.nmf_cells.proportions[:, other[k]])
        for ax, title, each in zip(row, titles, values, strict=True):
            image = section_figures.draw_metagene_strip(ax, place.coordinates, each, place.bands, size=5, title=title)
    part.colorbar(image, ax=axes, shrink=0.5, label="proportion, relative to\nthe panel's 99th percentile")


def el6_arrow(view: View) -> list[tuple[int, int]]:
    """The two metagenes that separate two types of eL6 and attract each other most, as a pair, if there are two."""
    pairs = sf.el6_pairs(view.cells).dropna(subset=["affinity"]).sort_values("affinity")
    return [(int(row.metagene_first), int(row.metagene_second)) for row in pairs.head(1).itertuples()]


def coherence(view: View, section: sf.Section) -> pd.DataFrame:
    """Moran's I of the metagenes of SpiceMix and of their counterparts in NMF, and their correlation over genes."""
    other, correlations = matched(view)
    return pd.DataFrame({"SpiceMix": morans_i(view.cells.proportions, section.graph),
                         "NMF": morans_i(view.way.nmf_cells.proportions[:, other], section.graph),
                         "correlation": correlations})


def draw_all_metagenes(part: SubFigure, view: View, place: Place) -> None:
    """All metagenes of SpiceMix (left) and their counterparts in NMF (right), with Moran's I (S3a, b)."""
    other, values = matched(view)[0], coherence(view, place.section)
    n_rows = (len(view.order) + 1) // 2
    axes = part.subplots(n_rows, 4, squeeze=False)
    for ax in axes.ravel():
        ax.set_visible(False)
    for position, k in enumerate(view.order):
        row, column = position % n_rows, position // n_rows
        for method, where, each in (("SpiceMix", column, view.cells.proportions[:, k]),
                                    ("NMF", column + 2, view.way.nmf_cells.proportions[:, other[k]])):
            axes[row, where].set_visible(True)
            prefix = "NMF " if method == "NMF" else ""
            section_figures.draw_metagene_strip(axes[row, where], place.coordinates, each, place.bands, size=2,
                                                title=f"{prefix}{view.number[k]}, I = {values[method][k]:.2f}")


def draw_gene_means(part: SubFigure, view: View, place: Place, expression: pd.DataFrame, genes: Sequence[str]) -> None:
    """Expression of genes in Astro-1*, split by whether the cells are with most eL5*, in Astro-2* and eL5* (S5)."""
    roles, earlier = section_figures.PAPER_ROLES, place.section.clusters
    held, (first, second) = sf.with_most_el5(view.cells, place.section), (earlier == name for name in roles.classes)
    a, b = (f"{name}*" for name in roles.classes)
    groups = {f"{a}, with {roles.deep}*": first & held, f"{a}, other": first & ~held, b: second,
              f"{roles.deep}*": place.section.types == roles.deep}
    groups = {name: chosen for name, chosen in groups.items() if chosen.any()}
    shades = dict(zip(groups, pl.palette(groups).values(), strict=True))
    axes = part.subplots(2, 3, sharey=True)
    section_figures.draw_group_means(axes.ravel(), expression, groups, list(genes), shades)
    for ax in axes[:, 0]:
        ax.set_ylabel("log-normalised\nexpression")


def draw_hmrf(part: SubFigure, view: View, place: Place, hmrf: Mapping[float, np.ndarray]) -> None:
    """States of HMRF at three values of beta, in the colours of the most similar SpiceMix types (S4)."""
    drawn = sorted(hmrf)[:: max(1, (len(hmrf) - 1) // 2)][:3]
    for ax, beta in zip(part.subplots(3, 1), drawn, strict=True):
        labels = view.like(hmrf[beta]).loc[hmrf[beta]].to_numpy()
        section_figures.draw_section(ax, place.coordinates, labels, view.own_colors, place.bands, size=12,
                                     title=f"β = {beta:g}")
    pl.draw_legend(part, view.own_colors, columns=6, location="outside lower center")
