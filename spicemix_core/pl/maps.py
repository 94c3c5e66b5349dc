"""Cells in space or in an embedding, coloured by a column, a gene or a metagene."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spicemix_core.inputs.anndata import embedding_of
from spicemix_core.inputs.memory import key_of_fit
from spicemix_core.pl.panels import (
    HEIGHT,
    WIDTH,
    color_limits,
    draw_counted_legend,
    figure_or_axes,
    mark_size,
    panel,
    sample_panels,
    short_name,
    side_by_side,
    text_colors,
)
from spicemix_core.pl.primitives import draw_points, draw_values
from spicemix_core.pl.values import colors_of, places_of, proportions_of, samples_of, table_of, values_of


@figure_or_axes
def spatial(adata: AnnData, color: str = "spicemix_cluster", sample_key: str | None = None, *, layer: str | None = None,
            spatial_key: str | None = None, ax: Axes | None = None) -> Figure | Axes:
    """Draw the cells at their positions, one panel for each sample, all at the same scale.

    The second coordinate runs downwards, as in images and in squidpy. Cells without coordinates are left out.

    Parameters
    ----------
    adata : AnnData
        With positions, of which the first two coordinates are drawn.
    color : str
        Column of ``obs``, a gene, or for example ``"metagene 3"`` for the proportions of that metagene. Categories have
        the colours in ``uns["<color>_colors"]`` if there is one for each, as scanpy stores them, and else those of
        :func:`palette`; beyond 40 categories the rarest are then drawn in grey together.
    sample_key : str, optional
        Column of ``obs`` with the sample of each cell; by default that of the fit (without one, or with ``ax``, all
        cells are of one sample).
    layer : str, optional
        Layer of a gene's expression; by default that of the fit, or ``X``.
    spatial_key : str, optional
        Where the positions are: a key of ``obsm``, or columns of ``obs`` separated by commas. By default those that
        the data were prepared with, usually ``obsm["spatial"]``.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set. The cells must be of one sample.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If there are no coordinates, or the data hold nothing called ``color`` or ``sample_key``.
    ValueError
        If no cell has coordinates, or there are several samples for one ``ax``.

    Examples
    --------
    >>> from spicemix_core import datasets, pl
    >>> cortex = datasets.simulate_cortex(2, n_cells=50, n_genes=20, random_state=0)
    >>> figure = pl.spatial(cortex, "cell_type", sample_key="sample")
    >>> [ax.get_title() for ax in figure.axes]
    ['0', '1']
    """
    if ax is None:
        sample_key = sample_key or key_of_fit(adata, "sample_key")
    values, label = values_of(adata, color, layer or key_of_fit(adata, "layer"))
    coordinates, placed = places_of(adata, spatial_key)
    coordinates, samples = coordinates[placed], samples_of(adata[placed], sample_key)
    axes, size = sample_panels(coordinates, samples, ax)
    figure = next(iter(axes.values())).figure
    if isinstance(values, pd.Categorical):
        values, colors = text_colors(values, colors_of(adata, color))
        values = values[placed]
        colors = {name: shade for name, shade in colors.items() if name in values}
        for name, own in axes.items():
            draw_points(own, coordinates[samples == name], values[samples == name], colors, size=size)
        draw_counted_legend(ax or figure, values, colors, label)
    else:
        values = values[placed]
        limits = color_limits(values)
        for name, own in axes.items():
            points = draw_values(own, coordinates[samples == name], values[samples == name], size=size, limits=limits)
        if ax is None:
            figure.set_figwidth(figure.get_figwidth() + 1.0)
        figure.colorbar(points, ax=list(axes.values()), label=label, shrink=0.6, aspect=30)
    return ax or figure


def domains(adata: AnnData, sample_key: str | None = None, *, spatial_key: str | None = None,
            ax: Axes | None = None) -> Figure | Axes:
    """Draw the tissue domains (:func:`spicemix_core.tl.domains`) at the positions of the cells.

    Parameters
    ----------
    adata : AnnData
        With positions and ``uns["spicemix"]["domains"]``.
    sample_key, spatial_key, ax
        As for :func:`spatial`.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If the domains were not computed, or there are no coordinates.
    ValueError
        As :func:`spatial`.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"]  # or those of a fit
    >>> found = tl.domains(cortex, n_domains=4)
    >>> figure = pl.domains(cortex)
    """
    return spatial(adata, table_of(adata, "domains")["key"], sample_key, spatial_key=spatial_key, ax=ax)


@figure_or_axes
def metagenes(adata: AnnData, sample_key: str | None = None, *, spatial_key: str | None = None) -> Figure:
    """Draw the proportions of every metagene in space, one panel for each metagene.

    The samples are next to each other in the panel, and the second coordinate runs downwards, as in images. Colours run
    from 0 to the 99th percentile of the panel, which its title states. Cells without coordinates are left out.

    Parameters
    ----------
    adata : AnnData
        With positions and ``obsm["X_spicemix"]``.
    sample_key : str, optional
        Column of ``obs`` with the sample of each cell; by default that of the fit, or all cells are of one sample.
    spatial_key : str, optional
        As for :func:`spatial`.

    Returns
    -------
    matplotlib Figure
        Closed, so that a notebook shows it once.

    Raises
    ------
    KeyError
        If there are no coordinates, no states or no such column.
    ValueError
        If no cell has coordinates.

    Examples
    --------
    >>> from spicemix_core import datasets, pl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"][:, :4]  # or those of a fit
    >>> figure = pl.metagenes(cortex)
    """
    sample_key = sample_key or key_of_fit(adata, "sample_key")
    places, placed = places_of(adata, spatial_key)
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
        ax.set(aspect="equal", xlim=(0, bounds[0]), ylim=(bounds[1], 0))
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


@figure_or_axes
def umap(adata: AnnData, color: str = "spicemix_cluster", *, layer: str | None = None,
         ax: Axes | None = None) -> Figure | Axes:
    """Draw the UMAP embedding of the states (:func:`spicemix_core.tl.umap`).

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix_umap"]``.
    color : str
        Column of ``obs``, a gene or a metagene, with colours as for :func:`spatial`.
    layer : str, optional
        Layer of a gene's expression; by default ``X``.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If there is no embedding, or the data hold nothing called ``color``.

    Examples
    --------
    >>> from spicemix_core import datasets, pl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> cortex.obsm["X_spicemix_umap"] = cortex.obsm["true_latent_states"][:, :2]  # or tl.umap(cortex), after a fit
    >>> figure = pl.umap(cortex, "cell_type")
    """
    places = embedding_of(adata)
    values, label = values_of(adata, color, layer)
    own = panel(ax, 6.0, 6.0)
    size = mark_size(18.0, len(places))
    if isinstance(values, pd.Categorical):
        values, colors = text_colors(values, colors_of(adata, color))
        draw_points(own, places, values, colors, size=size)
        draw_counted_legend(ax or own.figure, values, colors, label)
    else:
        points = draw_values(own, places, values, size=size, limits=color_limits(values))
        own.figure.colorbar(points, ax=own, label=label, shrink=0.6, aspect=30)
    own.set(xlabel="UMAP 1", ylabel="UMAP 2", aspect="equal")
    return own
