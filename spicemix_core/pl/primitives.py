"""Figures of the chapters: functions that return the data of a figure, and functions that draw them.

Drawing functions take the axes to draw on and return the artist that a colour bar needs, or nothing.
"""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from scipy.spatial import cKDTree

from spicemix_core.pl.style import BASE_COLORS


def expression_by_cluster(expression, labels):
    """Mean expression by cluster, z-scored over cells and then over clusters: DataFrame, clusters x genes.

    ``expression`` is a DataFrame, cells x genes.
    """
    scores = (expression - expression.mean()) / expression.std(ddof=0).replace(0.0, 1.0)
    means = scores.groupby(np.asarray(labels), observed=True).mean()
    return (means - means.mean()) / means.std(ddof=0).replace(0.0, 1.0)


def order_rows_by_columns(table):
    """``table`` with its columns as they are and its rows sorted by where along them their weight lies."""
    weights = table.div(table.sum(axis=1).replace(0, 1), axis=0).to_numpy()
    return table.iloc[np.argsort(weights @ np.arange(table.shape[1]), kind="stable")]


def draw_points(ax, coordinates, labels, colors, *, size=12.0):
    """Cells as points coloured by label, without ticks; ``colors`` maps label to colour."""
    coordinates, labels = np.asarray(coordinates), np.asarray(labels)
    for name, color in colors.items():
        chosen = labels == name
        ax.scatter(*coordinates[chosen].T, s=size, c=color, label=str(name), linewidths=0)
    ax.set(xticks=[], yticks=[])


def draw_values(ax, coordinates, values, *, size=12.0, cmap="viridis", limits=(None, None)):
    """Cells as points coloured by a number; the largest are drawn last."""
    order = np.argsort(values, kind="stable")
    points = ax.scatter(*np.asarray(coordinates)[order].T, s=size, c=np.asarray(values)[order], cmap=cmap,
                        vmin=limits[0], vmax=limits[1], linewidths=0)
    ax.set(xticks=[], yticks=[])
    return points


def cell_outlines(coordinates, radius, *, sides=20):
    """Discs around the cells, cut where the neighbour's begins: list of (n, 2) arrays of corners.

    An outline is the set of points within ``radius`` of a cell and nearer to it than to any other: its Voronoi cell
    cut by a disc. It shows where a cell is, not how large it is.
    """
    coordinates = np.asarray(coordinates, dtype=float)
    angles = 2 * np.pi * np.arange(sides) / sides
    disc = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    outlines = []
    for place, near in zip(coordinates, cKDTree(coordinates).query_ball_point(coordinates, 2 * radius), strict=True):
        corners = disc
        for offset in coordinates[near] - place:
            corners = _cut(corners, offset, offset @ offset / 2)
        outlines.append(corners + place)
    return outlines


def _cut(corners, normal, bound):
    """The part of a convex polygon where ``corner @ normal <= bound`` (Sutherland and Hodgman)."""
    beyond = corners @ normal - bound
    kept = []
    for here, there, now, then in zip(corners, np.roll(corners, -1, axis=0), beyond, np.roll(beyond, -1), strict=True):
        kept += [here] if now <= 0 else []
        kept += [here + (there - here) * now / (now - then)] if now * then < 0 else []
    return np.array(kept)


def _median_distance(samples):
    """Median over all cells of the distance to the nearest other of the same sample."""
    return np.median(np.concatenate([cKDTree(points).query(points, 2)[0][:, 1] for points in samples]))


def draw_samples(axes, coordinates, samples, labels, colors, *, size=12.0, outlines=False):
    """One panel per sample, in the order of ``samples``'s categories, with equal scales.

    Cells are points of ``size`` or, with ``outlines``, `cell_outlines` without a frame; their radius is the median
    distance to the nearest cell of the sample.
    """
    samples, coordinates, labels = pd.Categorical(samples), np.asarray(coordinates), np.asarray(labels)
    radius = _median_distance([coordinates[samples == name] for name in samples.categories]) if outlines else None
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
        sns.despine(ax=ax, left=False, bottom=False, top=False, right=False)


def draw_legend(figure, colors, *, counts=None, columns=1, title=None, location="outside right upper"):
    """A legend of the colours, outside the panels; ``counts`` maps a name to its number of cells."""
    handles = [
        mpl.lines.Line2D([], [], marker="o", linestyle="", color=color,
                         label=f"{name} ({counts[name]})" if counts is not None else str(name))
        for name, color in colors.items()
    ]
    return figure.legend(handles=handles, loc=location, ncols=columns, title=title, handletextpad=0.2, fontsize="small")


def draw_table(ax, table, *, label, cmap="viridis", center=None, limit=None, annotate=None):
    """A heat map of a DataFrame with every row and column named; ``center`` gives symmetric limits."""
    if center is not None:
        limit = limit or float(np.nanmax(np.abs(table.to_numpy() - center))) or 1.0
    options = {} if center is None else {"center": center, "vmin": center - limit, "vmax": center + limit}
    sns.heatmap(table, ax=ax, cmap=cmap, cbar_kws={"label": label, "shrink": 0.8}, xticklabels=True, yticklabels=True,
                linewidths=0.3, annot=annotate, fmt="", annot_kws={"fontsize": 8 if table.shape[1] <= 10 else 7},
                **options)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="", ylabel="")


def draw_affinity(ax, affinity, *, names=None):
    """Heat map of S minus its mean, red where metagenes attract (negative S), with symmetric limits."""
    names = np.arange(len(affinity)) if names is None else names
    table = pd.DataFrame(affinity - np.mean(affinity), index=names, columns=names)
    draw_table(ax, table, label="affinity S minus its mean\n(negative = attraction)", cmap="RdBu", center=0.0)
    ax.set_aspect("equal")


def draw_curve(ax, curve, chosen, *, label):
    """A criterion against the number of clusters, with the chosen number marked."""
    ax.plot(curve.index, curve, color=BASE_COLORS[0], linewidth=1.5)
    ax.axvline(chosen, color=BASE_COLORS[3], linewidth=1, linestyle="--")
    ax.annotate(f"{chosen}", (chosen, 0), xycoords=ax.get_xaxis_transform(), xytext=(4, 4),
                textcoords="offset points", color=BASE_COLORS[3])
    ax.set(xlabel="number of clusters", ylabel=label)


def draw_residuals(axes, genes, cells):
    """Two panels: genes by mean and unexplained share, and cells as a histogram."""
    known = genes.dropna()
    axes[0].scatter(known["mean"], known["unexplained"], s=10, color="#0072b2", linewidths=0)
    axes[0].axhline(1, color="#7f7f7f", linewidth=1, linestyle="--")
    axes[0].set(xlabel="mean expression", ylabel="share of the gene's variation unexplained", ylim=(0, None))
    axes[1].hist(cells, bins=40, color="#0072b2")
    axes[1].set(xlabel="root mean square residual of a cell", ylabel="cells")


GREY = "#c8c8c8"


def mark_cells(ax, chosen):
    """A dot in each field of a heat map where ``chosen``, a DataFrame or array of bool, is true."""
    rows, columns = np.nonzero(np.asarray(chosen))
    ax.scatter(columns + 0.5, rows + 0.5, s=12, color="black", edgecolors="white", linewidths=0.6, zorder=3)
