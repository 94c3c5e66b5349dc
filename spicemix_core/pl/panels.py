"""Panels of a figure, with marks, colours and legends that fit the number of cells."""

from collections.abc import Callable
from functools import wraps
from textwrap import shorten

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spicemix_core.pl.names import PLAIN, make_readable, names_as_text
from spicemix_core.pl.primitives import draw_legend
from spicemix_core.pl.style import GREY, N_COLORS, palette, use_style
from spicemix_core.pl.svg import rasterize_marks
from spicemix_core.pl.values import MISSING

WIDTH, HEIGHT = 9.0, 6.5  # usual size of the panels of a figure, in inches
LEGEND_ROW = 0.2  # inches
POOLED = "all others"


def figure_or_axes(draw: Callable[..., Axes | Figure]) -> Callable[..., Axes | Figure]:
    """Let a function make its figure in the style of the package, or draw on given axes in the style that is set.

    Without ``ax`` the figure that the function drew is returned, closed, and matplotlib's parameters are restored.
    With ``ax`` the axes are returned. Names are drawn as text, see :mod:`spicemix_core.pl.names`.
    """
    @wraps(draw)
    def drawn(*args, **options):
        if options.get("ax") is not None:
            with names_as_text(options["ax"]):
                return draw(*args, **options)
        with mpl.rc_context():
            use_style()
            mpl.rcParams.update(PLAIN)
            figure = draw(*args, **options)
        figure = figure.figure if isinstance(figure, Axes) else figure
        make_readable(figure)
        rasterize_marks(figure)
        plt.close(figure)
        return figure
    return drawn


def panel(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of ``width`` by ``height`` inches."""
    return plt.subplots(figsize=(width, height))[1] if ax is None else ax


def text_colors(values: pd.Categorical, given: dict[str, str]) -> tuple[np.ndarray, dict[str, str]]:
    """Text of each cell, and the colour of each text.

    Colours are those ``given``. Without any they are of :func:`palette`, and of more than 40 categories the rarest are
    pooled in grey.
    """
    names, texts = list(values.categories), np.asarray(values, dtype=object)
    kept = names
    if len(names) > N_COLORS and not given:
        kept = set(values.value_counts().sort_values(ascending=False, kind="stable").index[: N_COLORS - 1])
        kept = [name for name in names if name in kept]
        texts = np.where(np.isin(texts.astype(str), kept), texts, POOLED)
    kept = [name for name in kept if name != MISSING]
    colors = {name: given[name] for name in kept} if given else palette(kept)
    grey = [name for name in (POOLED, MISSING) if name in texts]
    return texts.astype(str), dict.fromkeys(grey, GREY) | colors  # grey is drawn first, below the others


def draw_counted_legend(target: Figure | Axes, texts: np.ndarray, colors: dict[str, str], title: str) -> None:
    """Draw a legend with numbers of cells, in at most two columns; a figure grows by the space that it needs."""
    counts = pd.Series(texts).value_counts()
    short = {name: short_name(name) for name in colors}
    if len(set(short.values())) < len(short):  # names that differ only beyond what is shown
        short = {name: name for name in colors}
    ordered = {short[name]: colors[name] for name in sorted(colors, key=lambda name: colors[name] == GREY)}
    counts = {short[name]: count for name, count in counts.items()}
    if isinstance(target, Axes):
        draw_legend(target, ordered, counts=counts, columns=1 if len(ordered) <= N_COLORS // 2 else 2, title=title)
        return
    width, height = target.get_size_inches()
    height = max(height, 0.5 + LEGEND_ROW * -(-len(ordered) // 2))
    columns = 1 if 0.5 + LEGEND_ROW * len(ordered) <= height else 2
    letters = max(len(name) for name in ordered) + 6
    target.set_size_inches(width + max(columns * (0.4 + 0.075 * letters), 0.09 * len(title)), height)
    draw_legend(target, ordered, counts=counts, columns=columns, title=title)


def color_limits(values: np.ndarray) -> tuple[float, float]:
    """Ends of a colour scale: the 1st and 99th percentile, or from zero if nothing is negative."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.01, 0.99]) if finite.size else (0.0, 1.0)
    low = 0.0 if finite.size and finite.min() >= 0 else low
    return (low, high) if high > low else (low, max(float(finite.max(initial=0.0)), low + 1e-12))


def short_name(name: object, width: int = 28) -> str:
    """A name cut to ``width`` letters."""
    return shorten(str(name), width, placeholder=" …") if " " in str(name) else (
        str(name) if len(str(name)) <= width else str(name)[: width - 1] + "…")


def mark_size(area: float, n_cells: int) -> float:
    """Area of a mark in points squared: a share of the area (square inches) that each cell has."""
    return float(np.clip(0.42 * area * 72**2 / max(n_cells, 1), 0.2, 70.0))


def sample_panels(coordinates: np.ndarray, samples: pd.Categorical, ax: Axes | None) -> tuple[dict[str, Axes], float]:
    """A panel for each sample, in a new figure or, for one sample, on ``ax``: axes by name, and the area of a mark.

    The second coordinate runs downwards.
    """
    names = list(samples.categories)
    if ax is not None and len(names) > 1:
        raise ValueError(f"The cells are of {len(names)} samples, which one panel cannot show: pass no axes, or the "
                         "cells of one sample.")
    spans = [np.ptp(coordinates[samples == name], axis=0) for name in names]
    width, height = np.maximum(np.max(spans, axis=0), 1e-12)
    if ax is None:
        axes, area = _grid(names, np.clip(height / width, 0.2, 5.0))
    else:
        box = ax.get_window_extent()
        axes, area = {names[0]: ax}, box.width * box.height / ax.get_figure(root=True).dpi ** 2
    middle = [np.mean([coordinates[samples == name].min(axis=0), coordinates[samples == name].max(axis=0)], axis=0)
              for name in names]
    for (name, own), (x, y) in zip(axes.items(), middle, strict=True):
        own.set_title(short_name(name), fontsize="small", pad=3)
        own.set_aspect("equal")
        own.set(xlim=(x - 0.54 * width, x + 0.54 * width), ylim=(y + 0.54 * height, y - 0.54 * height))
        own.spines[:].set_visible(False)
    return axes, mark_size(area, max(samples.value_counts()))


def _grid(names, aspect):
    """Axes by name in a new figure, and the area of each in square inches."""
    # as many columns as bring the figure nearest to its usual shape
    columns = min(range(1, len(names) + 1),
                  key=lambda c: abs(np.log(-(-len(names) // c) / c * aspect / (HEIGHT / WIDTH))))
    rows = -(-len(names) // columns)
    side = min(WIDTH / columns, 1.3 * HEIGHT / rows / aspect, 6.5)
    _, grid = plt.subplots(rows, columns, squeeze=False,
                           figsize=(columns * side, max(2.0, rows * (side * aspect + 0.3))))
    for ax in grid.flat[len(names):]:
        ax.remove()
    return dict(zip(names, grid.flat, strict=False)), side * side * aspect


def side_by_side(coordinates: np.ndarray, samples: pd.Categorical) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates, for axes with y downwards, with the samples in rows next to each other; width and height of all."""
    names = list(samples.categories)
    columns = len(names) if len(names) <= 5 else int(np.ceil(np.sqrt(2 * len(names))))
    spans = np.array([np.ptp(coordinates[samples == name], axis=0) for name in names])
    cell = 1.12 * np.maximum(spans.max(axis=0), 1e-12)
    rows, places = -(-len(names) // columns), np.empty_like(coordinates)
    for i, (name, span) in enumerate(zip(names, spans, strict=True)):
        own, corner = samples == name, np.array([i % columns, i // columns]) * cell
        places[own] = coordinates[own] - coordinates[own].min(axis=0) + corner + (cell - span) / 2
    return places, cell * (columns, rows)
