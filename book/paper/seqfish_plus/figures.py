"""The panels of the paper's Fig. 3, each for one way to fit (:class:`paper.shared.views.View`)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from numpy.typing import ArrayLike

from paper.seqfish_plus import findings as fd
from paper.shared import figures
from paper.shared.markers import MarkerSets
from paper.shared.views import View
from spicemix_core import pl, tl


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


def marker_families(expression: pd.DataFrame, markers: MarkerSets, withheld: Sequence[str]) -> dict[str, str | None]:
    """Genes of the heat map of markers with the type that each marks, the withheld ones (those of the text) last."""
    sets = {**markers.subtypes["Excitatory"], **markers.subtypes["Inhibitory"], **markers.major}
    shown: dict[str, str | None] = {}
    for kind, genes in sets.items():
        present = [gene for gene in genes if gene in expression and gene not in withheld]
        shown |= dict.fromkeys(present[:3], kind)
    return shown | dict(zip(withheld, ("eL5b", "eL6", "OPC", None, "Oligo", "SMC", "Endo"), strict=True))


def draw_markers(part: SubFigure, view: View, expression: pd.DataFrame, families: Mapping[str, str | None]) -> None:
    """Mean expression of marker genes by type (b, left)."""
    table = pl.expression_by_cluster(expression.loc[view.typical, list(families)],
                                     view.cells.names[view.typical]).loc[view.types]
    ax = part.subplots()
    figures.draw_type_rows(ax, table, view.colors, counts=view.sizes, cmap="RdBu_r", center=0.0, limit=2.5,
                           label="z-score")
    figures.color_column_names(ax, families.values(), view.family)


def draw_agreement(part: SubFigure, view: View, reference: np.ndarray) -> None:
    """Cells by earlier cluster, and proportions of the metagenes (b, middle and right)."""
    top, bottom = part.subplots(2, 1)
    table = tl.contingency(view.cells.names, reference).loc[view.types]
    shares = table.div(table.sum(axis=1), axis=0)
    columns = pl.order_rows_by_columns(shares.T).index
    figures.draw_type_rows(top, shares[columns], view.colors, label="share of type", cmap="Blues",
                           annotate=table[columns].astype(str).replace("0", "").to_numpy())
    figures.draw_type_rows(bottom, view.means.iloc[:, view.order].set_axis(np.sort(view.number), axis=1), view.colors,
                           label="mean proportion", cmap="viridis")
    bottom.tick_params(axis="x", rotation=0)


def draw_fields(part: SubFigure, view: View, coordinates: ArrayLike, fields: np.ndarray) -> None:
    """The types at their positions, one panel for each field (c)."""
    axes = part.subplots(1, len(np.unique(fields)))
    pl.draw_samples(axes, coordinates, fields, view.cells.names, view.own_colors, outlines=True)
    for ax in axes:
        ax.set_title(f"field {ax.get_title()}")
    pl.draw_legend(part, view.own_colors, counts=view.sizes, columns=5, location="outside lower center")


def draw_deep_affinities(part: SubFigure, view: View) -> None:
    """Affinities of the oligodendrocytes' metagene, with those of deep neurons marked, for each seed."""
    found = [(run, fd.oligodendrocyte_metagene(run)) for run in view.way.repeats]
    rows = [(np.delete((run.affinity - run.affinity.mean())[k], k), np.delete(fd.deep_metagenes(run), k))
            for run, k in found if k is not None]
    ax = part.subplots()
    if rows:
        figures.draw_affinities_by_run(ax, *zip(*rows, strict=True), marked_label="deep excitatory",
                                       label="affinity\n(negative = attraction)")


def draw_nmf(part: SubFigure, view: View, reference: np.ndarray) -> None:
    """The clusters of NMF by SpiceMix type and by earlier cluster (S1)."""
    rows = list(view.nmf_colors)
    own = tl.contingency(view.cells.names, reference).loc[view.types]
    columns = pl.order_rows_by_columns(own.div(own.sum(axis=1), axis=0).T).index
    for ax, labels, listed in zip(part.subplots(2, 1), (view.cells.names, reference), (view.names, columns),
                                  strict=True):
        numbers = tl.contingency(view.way.nmf_cells.names, labels).loc[rows]
        numbers = numbers[[name for name in listed if name in numbers]]
        figures.draw_type_rows(ax, numbers.div(numbers.sum(axis=1), axis=0), view.nmf_colors, cmap="Blues",
                               label="share of NMF cluster", annotate=numbers.astype(str).replace("0", "").to_numpy())
