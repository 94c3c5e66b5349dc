"""The scheme of the model, as in the paper's Fig. 1: from a tissue to metagenes, proportions and affinities.

The tissue is invented, small and the same every time. It illustrates the model and is not the result of a fit.
"""

import io
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.patches import Wedge
from scipy.spatial import Delaunay

from spicemix_core import pl

SIDE = 0.085  # of a square in a drawn matrix
FONT = 11


@dataclass(frozen=True)
class Scheme:
    """A small tissue that follows the model.

    Attributes
    ----------
    positions : ndarray of shape (n_cells, 2)
    edges : ndarray of shape (n_edges, 2)
        Pairs of neighbours, the cell with the smaller number first.
    proportions : ndarray of shape (n_cells, n_metagenes)
        Mixture of each cell; the rows sum to 1.
    metagenes : ndarray of shape (n_genes, n_metagenes)
        The columns sum to 1.
    expression : ndarray of shape (n_cells, n_genes)
        The mixtures of the metagenes, without noise.
    affinity : ndarray of shape (n_metagenes, n_metagenes)
        Symmetric; negative where two metagenes are neighbours more often than by chance.
    pair : tuple of two int
        Two neighbours of different layers, which the drawing marks.
    """

    positions: np.ndarray
    edges: np.ndarray
    proportions: np.ndarray
    metagenes: np.ndarray
    expression: np.ndarray
    affinity: np.ndarray
    pair: tuple[int, int]


def simulate_scheme(random_state: int = 0, *, columns: int = 8, rows: int = 7, n_genes: int = 9) -> Scheme:
    """A tissue of two layers with a scattered third type, each with its metagene."""
    rng = np.random.default_rng(random_state)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(float)
    grid[:, 0] += 0.5 * (grid[:, 1] % 2)
    positions = (grid + rng.uniform(-0.22, 0.22, grid.shape)) / max(columns, rows)
    layer = (grid[:, 1] < rows / 2).astype(int)
    main = np.where(rng.random(len(grid)) < 0.16, 2, layer)
    proportions = rng.dirichlet(np.full(3, 0.6), len(grid)) * 0.16
    proportions[np.arange(len(grid)), main] += 0.84
    metagenes = rng.uniform(0, 0.12, (n_genes, 3))
    for k in range(3):
        metagenes[k::3, k] += rng.uniform(0.5, 1, len(metagenes[k::3]))
    metagenes = metagenes[np.argsort(np.arange(n_genes) % 3, kind="stable")]
    metagenes /= metagenes.sum(axis=0)
    edges = neighbors(positions)
    together = proportions[edges[:, 0]].T @ proportions[edges[:, 1]] / len(edges)
    by_chance = np.outer(proportions.mean(axis=0), proportions.mean(axis=0))
    affinity = by_chance - (together + together.T) / 2
    across = edges[(main[edges[:, 0]] == 1) & (main[edges[:, 1]] == 0)]
    middle = np.abs(positions[across].mean(axis=1) - positions.mean(axis=0)).sum(axis=1)
    pair = tuple(int(cell) for cell in across[middle.argmin()])
    return Scheme(positions, edges, proportions, metagenes, proportions @ metagenes.T, affinity, pair)


def neighbors(positions: np.ndarray, longest: float = 0.24) -> np.ndarray:
    """Edges of the Delaunay triangulation up to this length."""
    corners = Delaunay(positions).simplices
    edges = np.unique(np.sort(corners[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1), axis=0)
    lengths = np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)
    return edges[lengths <= longest]


def draw_card(scheme: Scheme, title: str, subtitle: str) -> plt.Figure:
    """Picture of 1200 x 630 pixels for previews of links: the title of the book, and the tissue.

    Parameters
    ----------
    scheme : Scheme
        From :func:`simulate_scheme`.
    title, subtitle : str
        Lines of text; the second may have several lines.
    """
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="white")
    figure.text(0.06, 0.66, title, fontsize=38, fontweight="bold", color="#0f6677")
    figure.text(0.06, 0.56, subtitle, fontsize=21, color="#1f2933", va="top", linespacing=1.5)
    ax = figure.add_axes((0.56, 0.06, 0.41, 0.88))
    colors = np.array([to_rgb(color) for color in pl.palette(["a", "b", "c"]).values()])
    for i, j in scheme.edges:
        ax.plot(*scheme.positions[[i, j]].T, color="#c5ccd3", linewidth=1.5, zorder=1)
    ax.scatter(*scheme.positions.T, s=620, c=scheme.proportions @ colors, edgecolors="white", linewidths=2, zorder=2)
    ax.set(aspect="equal")
    ax.set_axis_off()
    return figure


def draw_scheme(scheme: Scheme, *, narrow: bool = False) -> plt.Figure:
    """Four panels: what is measured, the mixture of a cell, the affinity of neighbours, and the result.

    Parameters
    ----------
    scheme : Scheme
        From :func:`simulate_scheme`.
    narrow : bool
        Two rows of panels instead of one, for the screen of a phone.

    Returns
    -------
    Figure
    """
    shape = (2, 2) if narrow else (1, 4)
    figure, axes = plt.subplots(*shape, figsize=(4.7, 5.2) if narrow else (10.6, 2.6), layout="none",
                                gridspec_kw={"left": 0.01, "right": 0.99, "top": 0.93 if narrow else 0.87,
                                             "bottom": 0.03, "wspace": 0.08, "hspace": 0.18})
    colors = list(pl.palette(range(3)).values())
    titles = ["1  Cells in their tissue", "2  Mixtures of metagenes", "3  Affinity of neighbours", "4  What you get"]
    panels = [_draw_measured, _draw_mixture, _draw_affinity, _draw_result]
    for ax, title, panel in zip(axes.ravel(), titles, panels, strict=True):
        ax.set(xlim=(-0.08, 1.18), ylim=(-0.2, 1.0), aspect="equal")
        ax.set_title(title, fontsize=FONT if narrow else FONT + 1, fontweight="bold", loc="left", pad=4)
        ax.axis("off")
        panel(ax, scheme, colors)
    return figure


def scheme_svg(scheme: Scheme, *, narrow: bool = False) -> str:
    """The drawing of :func:`draw_scheme` as the text of an SVG, the same every time."""
    file = io.StringIO()
    figure = draw_scheme(scheme, narrow=narrow)
    with plt.rc_context({"svg.hashsalt": "spicemix"}):
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    plt.close(figure)
    return file.getvalue()


def _draw_measured(ax, scheme, colors):
    _draw_tissue(ax, scheme, ["#b8bec4"] * len(scheme.positions))
    for cell, name in zip(scheme.pair, "ij", strict=True):
        x, y = scheme.positions[cell]
        ax.scatter(x, y, s=150, color="#333333", zorder=3)
        ax.text(x, y, f"${name}$", color="white", ha="center", va="center", fontsize=FONT + 1, zorder=4)
    _caption(ax, "genes and neighbours")


def _draw_mixture(ax, scheme, colors):
    cell, top = scheme.pair[0], 0.9
    greys = LinearSegmentedColormap.from_list("greys", ["white", "#333333"])
    own = scheme.expression[cell] / scheme.expression[cell].max()
    _draw_matrix(ax, 0.1, top, [[greys(value)] for value in own])
    _draw_matrix(ax, 0.42, top, [[_tint(color, value) for color, value in zip(colors, row, strict=True)]
                                 for row in scheme.metagenes / scheme.metagenes.max()])
    _draw_matrix(ax, 0.9, top - 3 * SIDE, [[_tint(color, value)] for color, value in
                                           zip(colors, scheme.proportions[cell], strict=True)])
    below, middle = top - SIDE * len(own) - 0.04, top - SIDE * len(own) / 2
    for x, y, text in ((0.1 + SIDE / 2, below, "$y_i$"), (0.42 + 1.5 * SIDE, below, "$M$"),
                       (0.9 + SIDE / 2, below, "$x_i$")):
        ax.text(x, y, text, ha="center", va="top", fontsize=FONT + 2)
    for x, text in ((0.3, r"$\approx$"), (0.79, r"$\times$")):
        ax.text(x, middle, text, ha="center", va="center", fontsize=FONT + 4)
    ax.text(0.04, middle, "genes", rotation=90, ha="center", va="center", fontsize=FONT)
    _caption(ax, "a few metagenes per cell")


def _draw_affinity(ax, scheme, colors):
    strength = np.abs(scheme.affinity).max()
    maps = plt.get_cmap("RdBu")
    left, top, side = 0.34, 0.78, 0.16
    _draw_matrix(ax, left, top, [[maps(0.5 + 0.42 * value / strength) for value in row] for row in scheme.affinity],
                 side)
    for k, color in enumerate(colors):
        ax.scatter([left - 0.05, left + (k + 0.5) * side], [top - (k + 0.5) * side, top + 0.05], color=color, s=45)
    for cell, name, x in zip(scheme.pair, "ij", (0.08, 1.02), strict=True):
        start = 90.0
        for color, share in zip(colors, scheme.proportions[cell], strict=True):
            ax.add_patch(Wedge((x, 0.54), 0.12, start, start + 360 * share, color=color, linewidth=0))
            start += 360 * share
        ax.text(x, 0.38, f"$z_{name}$", ha="center", va="top", fontsize=FONT + 2)
    ax.text(left + 1.5 * side, top - 3 * side - 0.04, r"$\Sigma_x^{-1}$", ha="center", va="top", fontsize=FONT + 2)
    _caption(ax, "red attracts, blue avoids")


def _draw_result(ax, scheme, colors):
    _draw_tissue(ax, scheme, scheme.proportions @ np.array([to_rgb(color) for color in colors]))
    _caption(ax, "types and affinities")


def _draw_tissue(ax, scheme, colors):
    ax.plot(*scheme.positions[scheme.edges].transpose(2, 1, 0), color="#9aa1a8", linewidth=0.8, zorder=1)
    ax.scatter(*scheme.positions.T, s=75, color=colors, edgecolors="white", linewidths=0.6, zorder=2)


def _caption(ax, text):
    ax.text(0.55, -0.16, text, ha="center", fontsize=FONT - 1)


def _draw_matrix(ax, left, top, colors, side=SIDE):
    for row, line in enumerate(colors):
        for column, color in enumerate(line):
            ax.add_patch(plt.Rectangle((left + column * side, top - (row + 1) * side), side, side, facecolor=color,
                                       edgecolor="#6b747c", linewidth=0.6))


def _tint(color, share):
    """The colour mixed with white; a share of 1 is the colour itself."""
    return tuple(1 - share * (1 - channel) for channel in to_rgb(color))
