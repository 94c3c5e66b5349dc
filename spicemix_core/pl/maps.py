"""Cells in space or in an embedding, coloured by what is known of them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spicemix_core.inputs.anndata import embedding_of
from spicemix_core.pl.panels import (
    HEIGHT,
    WIDTH,
    color_limits,
    draw_counted_legend,
    mark_size,
    sample_panels,
    short_name,
    side_by_side,
    styled,
    text_colors,
)
from spicemix_core.pl.primitives import draw_points, draw_values
from spicemix_core.pl.values import places_of, proportions_of, samples_of, values_of


@styled
def spatial(adata, color="spicemix_cluster", sample_key=None, *, layer=None):
    """Cells in their places, one panel per sample, all with one scale; cells without a place are left out.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["spatial"]``; of three dimensions the first two are drawn.
    color : str
        Column of ``obs``, a gene, or ``"metagene 3"`` for the proportions of that metagene.
    sample_key : str, optional
        Column of ``obs``.
    layer : str, optional
        Of the gene's expression.
    """
    values, label = values_of(adata, color, layer)
    coordinates, placed = places_of(adata)
    coordinates, samples = coordinates[placed], samples_of(adata[placed], sample_key)
    figure, axes, size = sample_panels(coordinates, samples)
    if isinstance(values, pd.Categorical):
        values, colors = text_colors(values)
        values = values[placed]
        colors = {name: color for name, color in colors.items() if name in values}
        for name, ax in axes.items():
            draw_points(ax, coordinates[samples == name], values[samples == name], colors, size=size)
        draw_counted_legend(figure, values, colors, label)
    else:
        values = values[placed]
        limits = color_limits(values)
        for name, ax in axes.items():
            points = draw_values(ax, coordinates[samples == name], values[samples == name], size=size, limits=limits)
        figure.set_figwidth(figure.get_figwidth() + 1.0)
        figure.colorbar(points, ax=list(axes.values()), label=label, shrink=0.6, aspect=30)
    return figure


@styled
def metagenes(adata, sample_key=None):
    """Proportions of every metagene in space, a panel per metagene with the samples side by side.

    Colours run from 0 to the 99th percentile of the panel, which its title tells. Cells without a place are left out.
    """
    places, placed = places_of(adata)
    proportions, samples = proportions_of(adata)[placed], samples_of(adata[placed], sample_key)
    places, bounds = side_by_side(places[placed], samples)
    n, aspect = proportions.shape[1], bounds[1] / bounds[0]
    columns = min(range(1, 7), key=lambda c: abs(-(-n // c) * (WIDTH / c * aspect + 0.3) - 1.4 * HEIGHT))
    rows, size = -(-n // columns), WIDTH / columns
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (size * aspect + 0.3)), squeeze=False)
    mark = mark_size(size * size * aspect, len(places))
    for k, ax in enumerate(axes.flat[:n]):
        top = float(np.quantile(proportions[:, k], 0.99)) or float(proportions[:, k].max()) or 1.0
        points = draw_values(ax, places, proportions[:, k] / top, size=mark, limits=(0, 1))
        ax.set_title(f"metagene {k}  (0 to {top:.2g})", fontsize="small", pad=3)
        ax.set(aspect="equal", xlim=(0, bounds[0]), ylim=(0, bounds[1]))
        ax.spines[:].set_visible(False)
    for ax in axes.flat[n:]:
        ax.remove()
    bar = figure.colorbar(points, ax=figure.axes, ticks=[0, 1], aspect=25, shrink=0.35)
    bar.ax.set_yticklabels(["0", "upper limit"])
    bar.set_label("proportion of the metagene in the cell")
    if len(samples.categories) > 1:
        names = f"{sample_key}, row by row: {', '.join(samples.categories)}"
        figure.supxlabel(short_name(names, 110), fontsize="small")
    return figure


@styled
def umap(adata, color="spicemix_cluster", *, layer=None):
    """The embedding of :func:`spicemix_core.tl.umap`; ``color`` and ``layer`` as for :func:`spatial`."""
    places = embedding_of(adata)
    values, label = values_of(adata, color, layer)
    figure, ax = plt.subplots(figsize=(6.0, 6.0))
    size = mark_size(18.0, len(places))
    if isinstance(values, pd.Categorical):
        values, colors = text_colors(values)
        draw_points(ax, places, values, colors, size=size)
        draw_counted_legend(figure, values, colors, label)
    else:
        points = draw_values(ax, places, values, size=size, limits=color_limits(values))
        figure.colorbar(points, ax=ax, label=label, shrink=0.6, aspect=30)
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2", aspect="equal")
    return figure
