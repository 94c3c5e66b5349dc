"""Drawing functions for custom figures: each draws on given axes.

They take arrays and tables, not AnnData objects, and neither create nor close a figure.
"""

from collections.abc import Hashable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from numpy.typing import ArrayLike

from spicemix_core.pl.names import plain_names
from spicemix_core.pl.outlines import cell_outlines, median_distance
from spicemix_core.pl.style import BLUE, DARK_GREY, VERMILION


def draw_points(ax: Axes, coordinates: ArrayLike, labels: ArrayLike, colors: Mapping[Hashable, str], *,
                size: float = 12.0) -> None:
    """Draw cells as points coloured by label, without ticks.

    Parameters
    ----------
    ax : matplotlib Axes
    coordinates : array_like, shape (N, 2)
    labels : array_like, shape (N,)
    colors : mapping of label to colour
        Labels are drawn in this order. Cells with another label are not drawn.
    size : float
        Area of a point, in points squared.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> pl.draw_points(ax, [[0, 0], [1, 2]], ["neuron", "glia"], pl.palette(["neuron", "glia"]))
    >>> plt.close(figure)
    """
    coordinates, labels = np.asarray(coordinates), np.asarray(labels)
    for name, color in colors.items():
        chosen = labels == name
        ax.scatter(*coordinates[chosen].T, s=size, c=color, label=str(name), linewidths=0)
    ax.set(xticks=[], yticks=[])


def draw_values(ax: Axes, coordinates: ArrayLike, values: ArrayLike, *, size: float = 12.0, cmap: str = "viridis",
                limits: tuple[float | None, float | None] = (None, None)) -> PathCollection:
    """Draw cells as points coloured by a number, without ticks; the largest numbers are drawn last.

    Parameters
    ----------
    ax : matplotlib Axes
    coordinates : array_like, shape (N, 2)
    values : array_like, shape (N,)
    size : float
        Area of a point, in points squared.
    cmap : str
    limits : tuple of float or None
        Numbers at the ends of the colour scale; by default the smallest and the largest value.

    Returns
    -------
    PathCollection
        The points, for a colour bar.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> points = pl.draw_values(ax, [[0, 0], [1, 2]], [0.2, 0.7], limits=(0, 1))
    >>> bar = figure.colorbar(points, label="proportion")
    >>> plt.close(figure)
    """
    order = np.argsort(values, kind="stable")
    points = ax.scatter(*np.asarray(coordinates)[order].T, s=size, c=np.asarray(values)[order], cmap=cmap,
                        vmin=limits[0], vmax=limits[1], linewidths=0)
    ax.set(xticks=[], yticks=[])
    return points


@plain_names
def draw_samples(axes: Sequence[Axes], coordinates: ArrayLike, samples: ArrayLike, labels: ArrayLike,
                 colors: Mapping[Hashable, str], *, size: float = 12.0, outlines: bool = False) -> None:
    """Draw the cells of each sample in a panel of its own, with equal scales and y downwards, as in images.

    Parameters
    ----------
    axes : sequence of matplotlib Axes
        One for each sample, in the order of the categories of ``samples``.
    coordinates : array_like, shape (N, 2)
    samples, labels : array_like, shape (N,)
        Sample and label of each cell.
    colors : mapping of label to colour
    size : float
        Area of a point, in points squared.
    outlines : bool
        Draw each cell as the part of a disc that is nearer to it than to any other cell. The radius of the disc is the
        median distance of a cell to its nearest neighbour in the sample. The outline shows the place of a cell, not its
        size.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from spicemix_core import datasets, pl
    >>> cortex = datasets.simulate_cortex(2, n_cells=30, n_genes=20, random_state=0)
    >>> types = cortex.obs["cell_type"]
    >>> figure, axes = plt.subplots(1, 2)
    >>> pl.draw_samples(axes, cortex.obsm["spatial"], cortex.obs["sample"], types, pl.palette(types.unique()))
    >>> [ax.get_title() for ax in axes]
    ['0', '1']
    >>> plt.close(figure)
    """
    samples, coordinates, labels = pd.Categorical(samples), np.asarray(coordinates), np.asarray(labels)
    radius = median_distance([coordinates[samples == name] for name in samples.categories]) if outlines else None
    for ax, name in zip(np.ravel(axes), samples.categories, strict=True):
        chosen = samples == name
        if not outlines:
            draw_points(ax, coordinates[chosen], labels[chosen], colors, size=size)
        else:
            ax.add_collection(mpl.collections.PolyCollection(
                cell_outlines(coordinates[chosen], radius), facecolors=[colors[label] for label in labels[chosen]],
                edgecolors="white", linewidths=0.4))
            ax.autoscale_view()
            ax.axis("off")
        ax.set_title(str(name))
        ax.set_aspect("equal")
        ax.yaxis.set_inverted(True)
        sns.despine(ax=ax, left=False, bottom=False, top=False, right=False)


@plain_names
def draw_legend(target: Figure | Axes, colors: Mapping[Hashable, str], *,
                counts: Mapping[Hashable, int] | None = None, columns: int = 1, title: str | None = None,
                location: str = "outside right upper") -> Legend:
    """Draw a legend of colours next to the panels.

    Parameters
    ----------
    target : matplotlib Figure or Axes
        On axes the legend is at the right of the panel.
    colors : mapping of name to colour
    counts : mapping of name to int, optional
        Number of cells of each name, written behind it.
    columns : int
    title : str, optional
    location : str
        Place in the figure; of no effect on axes.

    Returns
    -------
    Legend

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots(layout="constrained")
    >>> legend = pl.draw_legend(figure, pl.palette(["neuron", "glia"]), counts={"neuron": 7, "glia": 2})
    >>> [text.get_text() for text in legend.get_texts()]
    ['neuron (7)', 'glia (2)']
    >>> plt.close(figure)
    """
    handles = [
        mpl.lines.Line2D([], [], marker="o", linestyle="", color=color,
                         label=f"{name} ({counts[name]})" if counts is not None else str(name))
        for name, color in colors.items()
    ]
    place = {"loc": location}
    if isinstance(target, Axes):
        place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "frameon": False}
    return target.legend(handles=handles, **place, ncols=columns, title=title, handletextpad=0.2, fontsize="small")


def draw_curve(ax: Axes, curve: pd.Series, chosen: int, *, label: str) -> None:
    """Draw a criterion against the number of clusters and mark the chosen number.

    Parameters
    ----------
    ax : matplotlib Axes
    curve : Series
        The criterion by number of clusters.
    chosen : int
    label : str
        Name of the criterion.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> pl.draw_curve(ax, pd.Series([3.0, 5.0, 4.0], index=[5, 6, 7]), 6, label="Calinski-Harabasz index")
    >>> plt.close(figure)
    """
    ax.plot(curve.index, curve, color=BLUE, linewidth=1.5)
    ax.axvline(chosen, color=VERMILION, linewidth=1, linestyle="--")
    ax.annotate(f"{chosen}", (chosen, 0), xycoords=ax.get_xaxis_transform(), xytext=(4, 4),
                textcoords="offset points", color=VERMILION)
    ax.set(xlabel="number of clusters", ylabel=label)


def draw_residuals(axes: Sequence[Axes], genes: pd.DataFrame, cells: pd.Series) -> None:
    """Draw what a fit leaves unexplained: each gene by its mean expression, and a histogram of the cells.

    Parameters
    ----------
    axes : sequence of two matplotlib Axes
    genes, cells : DataFrame, Series
        As :func:`spicemix_core.tl.residuals` returns them.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> genes = pd.DataFrame({"mean": [0.1, 0.5], "unexplained": [0.9, 0.4]}, index=["Gad1", "Plp1"])
    >>> figure, axes = plt.subplots(1, 2)
    >>> pl.draw_residuals(axes, genes, pd.Series([0.1, 0.2, 0.2]))
    >>> plt.close(figure)
    """
    known = genes.dropna()
    axes[0].scatter(known["mean"], known["unexplained"], s=10, color=BLUE, linewidths=0)
    axes[0].axhline(1, color=DARK_GREY, linewidth=1, linestyle="--")
    axes[0].set(xlabel="mean expression", ylabel="share of the gene's variation unexplained", ylim=(0, None))
    axes[1].hist(cells, bins=40, color=BLUE)
    axes[1].set(xlabel="root mean square residual of a cell", ylabel="cells")
