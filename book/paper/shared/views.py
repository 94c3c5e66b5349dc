"""What the figures of both ways to fit need besides the cells: colours, orders and counts of the types."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper.shared.annotation import FEW, name_by_reference
from paper.shared.figures import type_colors
from paper.shared.two_ways import TypedWay
from paper.shared.typed_cells import TypedCells, metagene_order


@dataclass(frozen=True)
class View:
    """One way to fit, as it is drawn.

    Attributes
    ----------
    way : TypedWay
    naming, nmf_naming : DataFrame
        Of :func:`paper.shared.annotation.name_clusters` for the clusters of SpiceMix and of NMF.
    colors : dict of str to str
        Colours by name, the same for both ways.
    """

    way: TypedWay
    naming: pd.DataFrame
    nmf_naming: pd.DataFrame
    colors: dict

    @property
    def title(self) -> str:
        """Title of the panels."""
        return f"{self.way.title[0].upper()}{self.way.title[1:]}"

    @property
    def cells(self) -> TypedCells:
        """The cells of SpiceMix."""
        return self.way.cells

    @cached_property
    def names(self) -> list[str]:
        """Names of the clusters in the order of the naming rule."""
        return list(dict.fromkeys(self.naming["name"]))

    @property
    def types(self) -> list[str]:
        """The names without the pooled small clusters."""
        return [name for name in self.names if name != FEW]

    @property
    def own_colors(self) -> dict:
        """Colours of the names that this way has."""
        return {name: self.colors[name] for name in self.names}

    @cached_property
    def typical(self) -> np.ndarray:
        """Cells that are not in a pooled small cluster, (N,) bool."""
        return np.isin(self.cells.names, self.types)

    @cached_property
    def sizes(self) -> pd.Series:
        """Number of cells by name."""
        return pd.Series(self.cells.names).value_counts()

    @cached_property
    def means(self) -> pd.DataFrame:
        """Mean proportions by type, in the order of the types."""
        return self.cells.means.loc[self.types]

    @cached_property
    def order(self) -> np.ndarray:
        """Metagenes in the order of the types in which they are highest."""
        return metagene_order(self.means)[0]

    @cached_property
    def number(self) -> np.ndarray:
        """Number of each metagene in this order, from 1."""
        return metagene_order(self.means)[1]

    @property
    def family(self) -> dict:
        """Colour of the first cluster of each type, for squares below marker genes."""
        pairs = list(zip(self.naming["name"], self.naming["type"], strict=True))
        return {kind: self.colors[name] for name, kind in reversed(pairs)}

    def like(self, labels: Sequence) -> pd.Series:
        """Name of SpiceMix of most cells of each label."""
        return name_by_reference(labels, self.cells.names, self.cells.classes, min_cells=1)["type"]

    @cached_property
    def nmf_by_match(self) -> np.ndarray:
        """For each cell, the SpiceMix type of most cells of its NMF cluster."""
        return self.like(self.way.nmf.labels).loc[self.way.nmf.labels].to_numpy()

    @property
    def nmf_colors(self) -> dict:
        """Colours of the NMF clusters, by their own names: that of the most similar SpiceMix type."""
        like = self.like(self.way.nmf.labels)
        named = self.nmf_naming[self.nmf_naming["type"] != FEW]
        return dict(zip(named["name"], like[named.index].map(self.colors), strict=True))


def views_of(ways: Sequence[TypedWay], name) -> list[View]:
    """Views of several ways to fit with common colours; ``name(labels)`` is the table of the clusters' names."""
    namings = [(name(way.chosen.labels), name(way.nmf.labels)) for way in ways]
    own = pd.concat([naming for naming, _ in namings])
    first_numbers = own["name"].str.extract(r"-(\d+)$")[0].fillna("0").astype(int)
    ordered = own.assign(number=first_numbers).sort_values("number", kind="stable")["name"]
    colors = type_colors(ordered)
    return [View(way, *naming, colors) for way, naming in zip(ways, namings, strict=True)]


def figure_of_both(views: Sequence[View], draw, size: tuple[float, float], *, columns: int = 1,
                   heights: Sequence[float] | None = None) -> Figure:
    """One figure with a part for each view, the paper's procedure first, that ``draw(part, view)`` fills.

    Parameters
    ----------
    views : list of View
        Or of other objects with a title.
    draw : callable
        Fills a :class:`matplotlib.figure.SubFigure`, which has the view's title.
    size : (float, float)
        Size of one part in inches.
    columns : int
        1: below each other; the number of views: side by side.
    heights : list of float, optional
        Height of each part in inches, if they differ.
    """
    rows = -(-len(views) // columns)
    heights = [size[1]] * rows if heights is None else heights
    figure = plt.figure(figsize=(size[0] * columns, sum(heights) + 0.3 * rows))
    parts = figure.subfigures(rows, columns, squeeze=False, height_ratios=heights)
    for part, view in zip(parts.flat, views, strict=True):
        part.suptitle(f"{view.title[0].upper()}{view.title[1:]}", fontsize="medium", fontweight="bold")
        draw(part, view)
    return figure
