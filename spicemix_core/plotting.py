"""Figures of the chapters: functions that return the data of a figure, and functions that draw them.

Drawing functions take the axes to draw on and return the artist that a colour bar needs, or nothing.
"""

import base64
import io
import re
import warnings

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from PIL import Image
from scipy.spatial import cKDTree

from spicemix_core.clustering import normalize_states

# Okabe and Ito's colours for colour-blind readers, indigo and grey for yellow and black; see `palette` for the rest.
_COLORS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#332288", "#7f7f7f",
    "#69002d", "#784bff", "#78ff87", "#694b00", "#f0e100", "#960078", "#003c5a", "#002dd2",
    "#c34bf0", "#96c378", "#ffa5ff", "#2d694b", "#d21eb4", "#c32d3c", "#780fb4", "#b4875a",
    "#96f0b4", "#c3a5d2", "#692d87", "#ff6996", "#964b78", "#2dc33c", "#695ad2", "#691e00",
    "#a5e13c", "#96f0f0", "#b487ff", "#5a2d4b", "#6987d2", "#5a6996", "#1e00a5", "#e15ac3",
)
_BASE_COLORS = _COLORS[:8]
PIXELS_PER_INCH = {"png": 160, "svg": 80}  # of pictures inside an SVG; its text and lines are vectors
MANY_POINTS, MANY_CELLS = 800, 400
PICTURE_COLORS = 48  # of pictures inside an SVG, with their transparency
N_COLORS = len(_COLORS)


def use_style():
    """Set the one look of all figures: sans-serif, thin axes, SVG that is the same from run to run."""
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
    mpl.rcParams.update({
        "figure.constrained_layout.use": True,
        "figure.dpi": 100,
        "savefig.dpi": PIXELS_PER_INCH["png"],
        "svg.hashsalt": "spicemix",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "legend.frameon": False,
        "axes.prop_cycle": mpl.cycler(color=_BASE_COLORS),
        "image.cmap": "viridis",
    })


def palette(names):
    """A colour for each name, in order, the same wherever it is asked for: dict of name to hex colour.

    Up to `N_COLORS` (40): eight told apart with any colour vision, then, one after the other, the colour farthest from
    all before it and from black, white and light grey in the Oklab space, be it seen with normal vision or without the
    receptor of green.

    Source: B. Ottosson, "A perceptual color space for image processing" (2020); G. Machado, M. Oliveira and L.
    Fernandes, IEEE Transactions on Visualization and Computer Graphics 15 (2009) 1291-1298, for deuteranopes.
    """
    names = list(names)
    if len(names) > N_COLORS:
        raise ValueError(f"there are {len(names)} names but only {N_COLORS} colours; group the rarest ones")
    return dict(zip(names, _COLORS, strict=False))


def umap_embedding(latent_states, *, random_state=0, n_neighbors=10, min_dist=0.2):
    """UMAP of z-scored states, (N, 2), with the paper's settings; the seed fixes it on one machine.

    Source: L. McInnes, J. Healy and J. Melville, arXiv:1802.03426 (2018), by umap-learn.
    """
    from umap import UMAP

    states = normalize_states(latent_states, "zscore")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        return UMAP(n_neighbors=n_neighbors, min_dist=min_dist, random_state=random_state).fit_transform(states)


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
    ax.plot(curve.index, curve, color=_BASE_COLORS[0], linewidth=1.5)
    ax.axvline(chosen, color=_BASE_COLORS[3], linewidth=1, linestyle="--")
    ax.annotate(f"{chosen}", (chosen, 0), xycoords=ax.get_xaxis_transform(), xytext=(4, 4),
                textcoords="offset points", color=_BASE_COLORS[3])
    ax.set(xlabel="number of clusters", ylabel=label)


def rasterize_marks(figure):
    """Make many points or cells of heat maps a picture inside the figure; text, axes and lines remain vectors.

    "Many" is more in the whole figure than `MANY_POINTS` and `MANY_CELLS`, beyond which they weigh less as a picture.
    """
    for kind, count, many in ((mpl.collections.PathCollection, lambda points: len(points.get_offsets()), MANY_POINTS),
                              (mpl.collections.QuadMesh, lambda mesh: mesh.get_array().size, MANY_CELLS)):
        marks = [artist for artist in figure.findobj(kind) if count(artist) > 1]
        if sum(map(count, marks)) > many:
            for artist in marks:
                artist.set_rasterized(True)


def show(figure):
    """Show a figure in a notebook, as SVG and, to download, as PNG, and close it.

    Many points or cells become a picture inside the SVG, of few colours.
    """
    from IPython.display import display

    pictures = {"image/svg+xml": svg_of(figure), "image/png": _printed(figure, "png")}
    display(pictures | {"text/plain": repr(figure)}, raw=True)
    plt.close(figure)


def svg_of(figure):
    """A figure as the text of an SVG that is the same from run to run, many marks as a picture of few colours."""
    rasterize_marks(figure)
    svg = _printed(figure, "svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    return shrink_pictures(re.sub(r">\s+<", "><", svg))  # texts are outlines, so white space says nothing


def _printed(figure, kind, **options):
    file = io.BytesIO()
    figure.savefig(file, format=kind, bbox_inches="tight", dpi=PIXELS_PER_INCH[kind], **options)
    return file.getvalue()


def shrink_pictures(svg):
    """An SVG whose embedded pictures have at most `PICTURE_COLORS` colours, about a third of their size before."""
    def shrunk(match):
        picture, file = Image.open(io.BytesIO(base64.b64decode(match[1]))).convert("RGBA"), io.BytesIO()
        picture.quantize(PICTURE_COLORS, method=Image.Quantize.FASTOCTREE).save(file, "png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", shrunk, svg)
