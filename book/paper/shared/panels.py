"""Panels that seqFISH+ and STARmap share, each for one way to fit (:class:`paper.shared.views.View`)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from numpy.typing import ArrayLike

from paper.shared import figures
from paper.shared.views import View
from spicemix_core import pl, tl
from spicemix_core.baselines import IndexClustering


def draw_curves(part: SubFigure, view: View) -> None:
    """Draw the curves by which the number of clusters of SpiceMix and NMF was chosen."""
    for ax, (title, solution) in zip(part.subplots(1, 2), {"SpiceMix": view.way.chosen, "NMF": view.way.nmf}.items(),
                                     strict=True):
        clustering = solution.clustering
        curve, label = ((clustering.calinski_harabasz, "Calinski-Harabasz index")
                        if isinstance(clustering, IndexClustering)
                        else (clustering.separation, "separation of the clusters"))
        pl.draw_curve(ax, curve, clustering.n_clusters, label=label)
        ax.set_title(title)


def draw_latent_space(part: SubFigure, view: View, expression: ArrayLike, random_state: int) -> None:
    """UMAP of SpiceMix and of NMF, and the tree of the types (a)."""
    axes = part.subplots(1, 3, width_ratios=(1.2, 1.2, 0.9))
    drawn = {"SpiceMix": (view.way.chosen.states, view.cells.names), "NMF": (view.way.nmf.states, view.nmf_by_match)}
    for ax, (title, (states, labels)) in zip(axes[:2], drawn.items(), strict=True):
        points = tl.umap_embedding(states, random_state=random_state)
        pl.draw_points(ax, points, labels, view.own_colors, size=9)
        ax.set_title(title)
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


def draw_agreement(part: SubFigure, view: View, reference: np.ndarray, suffix: str = "") -> None:
    """Cells by earlier cluster, and proportions of the metagenes (b, middle and right)."""
    top, bottom = part.subplots(2, 1)
    table = tl.contingency(view.cells.names, reference).loc[view.types]
    shares = table.div(table.sum(axis=1), axis=0)
    columns = pl.order_rows_by_columns(shares.T).index
    figures.draw_type_rows(top, shares[columns].add_suffix(suffix), view.colors, label="share of type", cmap="Blues",
                           annotate=table[columns].astype(str).replace("0", "").to_numpy())
    figures.draw_type_rows(bottom, view.means.iloc[:, view.order].set_axis(np.sort(view.number), axis=1), view.colors,
                           label="mean proportion", cmap="viridis")
    bottom.tick_params(axis="x", rotation=0)


def draw_both_affinities(part: SubFigure, view: View, contacts: pd.DataFrame, excess: pd.DataFrame) -> None:
    """Contacts between the types, with dots on those in excess, and the affinity of the metagenes."""
    left, right = part.subplots(1, 2)
    types, affinity = view.types, tl.metagene_affinity(view.way.chosen.model.affinity_)
    figures.draw_type_rows(left, contacts.loc[types, types], view.colors, cmap="RdBu_r", center=0.0,
                   label="excess contacts\n(positive = attraction)")
    pl.mark_fields(left, excess.loc[types, types])
    pl.draw_affinity(right, affinity[np.ix_(view.order, view.order)], names=np.sort(view.number))
    right.tick_params(axis="both", rotation=0, labelsize=7)


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
