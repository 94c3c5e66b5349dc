"""Panels of the paper's Fig. 3 that only seqFISH+ has, each for one way to fit (:class:`paper.shared.views.View`)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import SubFigure
from numpy.typing import ArrayLike

from paper.seqfish_plus import findings as fd
from paper.shared import figures
from paper.shared.markers import MarkerSets
from paper.shared.typed_cells import TypedCells
from paper.shared.views import View
from spicemix_core import pl

# Types of SpiceMix that the paper encloses in its UMAP, by the colour of the ellipse.
ENCLOSED = {"#e69f00": ("VIP", "SST"), pl.VERMILION: (*fd.OLIGODENDROCYTES, "OPC")}


def marker_families(expression: pd.DataFrame, markers: MarkerSets, withheld: Sequence[str]) -> dict[str, str | None]:
    """Genes of the heat map of markers with the type that each marks, the withheld ones (those of the text) last."""
    sets = {**markers.subtypes["Excitatory"], **markers.subtypes["Inhibitory"], **markers.major}
    shown: dict[str, str | None] = {}
    for kind, genes in sets.items():
        present = [gene for gene in genes if gene in expression and gene not in withheld]
        shown |= dict.fromkeys(present[:3], kind)
    return shown | dict(zip(withheld, ("eL5b", "eL6", "OPC", None, "Oligo", "SMC", "Endo"), strict=True))


def draw_fields(part: SubFigure, view: View, coordinates: ArrayLike, fields: np.ndarray) -> None:
    """The types at their positions, one panel for each field (c)."""
    axes = part.subplots(1, len(np.unique(fields)))
    pl.draw_samples(axes, coordinates, fields, view.cells.names, view.own_colors, outlines=True)
    for ax in axes:
        ax.set_title(f"field {ax.get_title()}")
    pl.draw_legend(part, view.own_colors, counts=view.sizes, columns=5, location="outside lower center")


def oligodendrocytes_with_deep(cells: TypedCells, number: int = 2) -> list[tuple[int, int]]:
    """The oligodendrocytes' metagene with those metagenes of deep neurons that it attracts most, as pairs."""
    k = fd.oligodendrocyte_metagene(cells)
    if k is None:
        return []
    deep = np.flatnonzero(fd.deep_metagenes(cells) & (np.arange(len(cells.affinity)) != k))
    return [(k, int(other)) for other in deep[np.argsort(cells.affinity[k, deep])][:number]]


def draw_deep_affinities(part: SubFigure, view: View) -> None:
    """Affinities of the oligodendrocytes' metagene, with those of deep neurons marked, for each seed."""
    found = [(run, fd.oligodendrocyte_metagene(run)) for run in view.way.repeats]
    rows = [(np.delete((run.affinity - run.affinity.mean())[k], k), np.delete(fd.deep_metagenes(run), k))
            for run, k in found if k is not None]
    ax = part.subplots()
    if rows:
        figures.draw_affinities_by_run(ax, *zip(*rows, strict=True), marked_label="deep excitatory",
                                       label="affinity\n(negative = attraction)")
