"""Panels that seqFISH+ and STARmap share, each for one way to fit (:class:`paper.shared.views.View`)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from numpy.typing import ArrayLike

from paper.shared import figures
from paper.shared.views import View
from spicemix_core import pl, tl


def draw_curves(part: SubFigure, view: View) -> None:
    """Draw the curves that select the numbers of clusters of SpiceMix and NMF."""
    for ax, (title, solution) in zip(part.subplots(1, 2), {"SpiceMix": view.way.chosen, "NMF": view.way.nmf}.items(),
                                     strict=True):
        pl.draw_curve(ax, solution.curve, solution.n_clusters, label=solution.criterion)
        ax.set_title(title)


def draw_latent_space(part: SubFigure, view: View, expression: ArrayLike, random_state: int,
                      enclosed: Mapping[str, Sequence[str]]) -> None:
    """UMAP of SpiceMix and of NMF, and the tree of the types (a).

    ``enclosed`` maps the colour of a dashed ellipse to the types of SpiceMix inside it.
    """
    axes = part.subplots(1, 3, width_ratios=(1.2, 1.2, 0.9))
    drawn = {"SpiceMix": (view.way.chosen.states, view.cells.names), "NMF": (view.way.nmf.states, view.nmf_by_match)}
    for ax, (title, (states, labels)) in zip(axes[:2], drawn.items(), strict=True):
        points = tl.umap_embedding(states, random_state=random_state)
        pl.draw_points(ax, points, labels, view.own_colors, size=9)
        ax.set_title(title)
        if title == "SpiceMix":
            for color, types in enclosed.items():
                if (inside := view.cells.are(*types)).sum() > 2:
                    figures.enclose(ax, points[inside], color)
    tree = figures.type_tree(np.asarray(expression)[view.typical], view.cells.names[view.typical])
    figures.draw_tree(axes[2], *tree, view.own_colors)
    axes[2].set_title("mean expression")


def draw_markers(part: SubFigure, view: View, expression: pd.DataFrame, families: Mapping[str, str | None]) -> None:
    """Mean expression of marker genes by type (b, left)."""
    table = pl.expression_by_cluster(expression.loc[view.typical, list(families)],
                                     view.cells.names[view.typical]).loc[view.types]
    ax = part.subplots()
    figures.draw_type_rows(ax, table, view.colors, counts=view.sizes, cmap="RdBu_r", center=0.0, limit=2.5,
                           label="z-score")
    figures.color_column_names(ax, families.values(), view.family)


def draw_agreement(part: SubFigure, view: View, reference: np.ndarray, suffix: str = "",
                   marked: Sequence[int | None] = ()) -> None:
    """Cells by earlier cluster, and proportions of the metagenes (b, middle and right); those ``marked`` are bold."""
    top, bottom = part.subplots(2, 1)
    table = tl.contingency(view.cells.names, reference).loc[view.types]
    shares = table.div(table.sum(axis=1), axis=0)
    columns = pl.order_rows_by_columns(shares.T).index
    figures.draw_type_rows(top, shares[columns].add_suffix(suffix), view.colors, label="share of type", cmap="Blues",
                           annotate=table[columns].astype(str).replace("0", "").to_numpy())
    figures.draw_type_rows(bottom, view.means.iloc[:, view.order].set_axis(np.sort(view.number), axis=1), view.colors,
                           label="mean proportion", cmap="viridis")
    bottom.tick_params(axis="x", rotation=0)
    for k in marked:
        if k is not None:
            bottom.get_xticklabels()[view.number[k] - 1].set(color=pl.VERMILION, fontweight="bold")


def draw_both_affinities(part: SubFigure, view: View, contacts: pd.DataFrame, excess: pd.DataFrame,
                         pointed: Sequence[tuple[int, int]] = ()) -> None:
    """Contacts between the types, with dots on those in excess, and the affinity of the metagenes.

    Each metagene has the colour and the name of the type in which it is highest. Arrows point at the pairs of
    metagenes in ``pointed``.
    """
    left, right = part.subplots(1, 2, width_ratios=(1, 1.3))
    types, affinity = view.types, tl.metagene_affinity(view.way.chosen.model.affinity_)
    figures.draw_type_rows(left, contacts.loc[types, types], view.colors, cmap="RdBu_r", center=0.0,
                   label="excess contacts\n(positive = attraction)")
    pl.mark_fields(left, excess.loc[types, types])
    highest = view.means.idxmax().iloc[view.order]
    pl.draw_affinity(right, affinity[np.ix_(view.order, view.order)],
                     names=[f"{name}  {number}" for number, name in enumerate(highest, 1)])
    right.set_xticklabels(np.sort(view.number), rotation=90, fontsize="small")
    figures.color_row_names(right, highest, view.colors)
    figures.color_column_names(right, highest, view.colors)
    right.tick_params(axis="x", pad=12)
    figures.point_at(right, (sorted(view.number[[k, other]] - 1) for k, other in pointed))


def draw_nmf(part: SubFigure, view: View, reference: np.ndarray, suffix: str = "") -> None:
    """The clusters of NMF by SpiceMix type and by earlier cluster (S1, S2)."""
    rows = list(view.nmf_colors)
    own = tl.contingency(view.cells.names, reference).loc[view.types]
    columns = pl.order_rows_by_columns(own.div(own.sum(axis=1), axis=0).T).index
    for ax, labels, listed, mark in zip(part.subplots(2, 1), (view.cells.names, reference), (view.names, columns),
                                        ("", suffix), strict=True):
        numbers = tl.contingency(view.way.nmf_cells.names, labels).loc[rows]
        numbers = numbers[[name for name in listed if name in numbers]]
        figures.draw_type_rows(ax, numbers.div(numbers.sum(axis=1), axis=0).add_suffix(mark), view.nmf_colors,
                               cmap="Blues", label="share of NMF cluster",
                               annotate=numbers.astype(str).replace("0", "").to_numpy())
