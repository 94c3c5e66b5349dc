"""Panels of the samples of a figure, with marks, colours and legends that fit their number."""

from functools import wraps
from textwrap import shorten

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spicemix_core.pl.primitives import GREY, draw_legend
from spicemix_core.pl.style import N_COLORS, palette, use_style
from spicemix_core.pl.svg import rasterize_marks

WIDTH, HEIGHT = 10.0, 7.0  # inches, of the panels of a figure as a rule


LEGEND_ROW = 0.2  # inches
POOLED = "all others"


def text_colors(values):
    """Text of each cell and the colour of each text: beyond 40 categories, the rarest are pooled in grey."""
    names, texts = list(values.categories), np.asarray(values, dtype=object)
    kept = names
    if len(names) > N_COLORS:
        kept = set(values.value_counts().sort_values(ascending=False, kind="stable").index[: N_COLORS - 1])
        kept = [name for name in names if name in kept]
        texts = np.where(np.isin(texts.astype(str), kept), texts, POOLED)
    colors = palette([name for name in kept if name != "missing"])
    grey = [name for name in (POOLED, "missing") if name in texts]
    return texts.astype(str), dict.fromkeys(grey, GREY) | colors  # grey below the others


def draw_counted_legend(figure, texts, colors, title):
    """Names with their numbers of cells, in two columns at most; the figure grows by what they take."""
    counts = pd.Series(texts).value_counts()
    short = {name: short_name(name) for name in colors}
    if len(set(short.values())) < len(short):  # names that differ beyond what is shown
        short = {name: name for name in colors}
    ordered = {short[name]: colors[name] for name in sorted(colors, key=lambda name: colors[name] == GREY)}
    width, height = figure.get_size_inches()
    height = max(height, 0.5 + LEGEND_ROW * -(-len(ordered) // 2))
    columns = 1 if 0.5 + LEGEND_ROW * len(ordered) <= height else 2
    letters = max(len(name) for name in ordered) + 6
    figure.set_size_inches(width + max(columns * (0.4 + 0.075 * letters), 0.09 * len(title)), height)
    draw_legend(figure, ordered, counts={short[name]: count for name, count in counts.items()}, columns=columns,
                title=title)


def color_limits(values):
    """Ends of a colour scale: the 1st and 99th percentile, from zero up where nothing is negative."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.01, 0.99]) if finite.size else (0.0, 1.0)
    low = 0.0 if finite.size and finite.min() >= 0 else low
    return (low, high) if high > low else (low, max(float(finite.max(initial=0.0)), low + 1e-12))


def short_name(name, width=28):
    """A name cut to ``width`` letters."""
    return shorten(str(name), width, placeholder=" …") if " " in str(name) else (
        str(name) if len(str(name)) <= width else str(name)[: width - 1] + "…")


def mark_size(area, n_cells):
    """Area of a mark in points squared: a share of the area (square inches) that each cell has."""
    return float(np.clip(0.42 * area * 72**2 / max(n_cells, 1), 0.2, 70.0))


def sample_panels(coordinates, samples):
    """A figure with a panel per sample; axes by name, and the area of a mark."""
    names = list(samples.categories)
    spans = [np.ptp(coordinates[samples == name], axis=0) for name in names]
    width, height = np.maximum(np.max(spans, axis=0), 1e-12)
    aspect = np.clip(height / width, 0.2, 5.0)
    # as many columns as bring the figure nearest to its usual shape
    columns = min(range(1, len(names) + 1),
                  key=lambda c: abs(np.log(-(-len(names) // c) / c * aspect / (HEIGHT / WIDTH))))
    rows = -(-len(names) // columns)
    panel = min(WIDTH / columns, 1.3 * HEIGHT / rows / aspect, 6.5)
    figure, grid = plt.subplots(rows, columns, squeeze=False,
                                figsize=(columns * panel, max(2.0, rows * (panel * aspect + 0.3))))
    for ax in grid.flat[len(names):]:
        ax.remove()
    axes = dict(zip(names, grid.flat, strict=False))
    middle = [np.mean([coordinates[samples == name].min(axis=0), coordinates[samples == name].max(axis=0)], axis=0)
              for name in names]
    for (name, ax), (x, y) in zip(axes.items(), middle, strict=True):
        ax.set_title(short_name(name), fontsize="small", pad=3)
        ax.set_aspect("equal")
        ax.set(xlim=(x - 0.54 * width, x + 0.54 * width), ylim=(y - 0.54 * height, y + 0.54 * height))
        ax.spines[:].set_visible(False)
    return figure, axes, mark_size(panel * panel * aspect, max(samples.value_counts()))


def side_by_side(coordinates, samples):
    """Coordinates with the samples in rows beside each other, and the width and height of the whole."""
    names = list(samples.categories)
    columns = len(names) if len(names) <= 5 else int(np.ceil(np.sqrt(2 * len(names))))
    spans = np.array([np.ptp(coordinates[samples == name], axis=0) for name in names])
    cell = 1.12 * np.maximum(spans.max(axis=0), 1e-12)
    rows, places = -(-len(names) // columns), np.empty_like(coordinates)
    for i, (name, span) in enumerate(zip(names, spans, strict=True)):
        own, corner = samples == name, np.array([i % columns, rows - 1 - i // columns]) * cell
        places[own] = coordinates[own] - coordinates[own].min(axis=0) + corner + (cell - span) / 2
    return places, cell * (columns, rows)


def styled(draw):
    """Draw in the style of the package, leave the reader's own style as it was, and return the figure closed."""
    @wraps(draw)
    def drawn(*args, **options):
        with mpl.rc_context():
            use_style()
            figure = draw(*args, **options)
        rasterize_marks(figure)
        plt.close(figure)
        return figure
    return drawn
