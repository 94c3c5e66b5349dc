"""Figures of a fitted AnnData object, each one call that returns a matplotlib figure.

They draw what is there and compute nothing: results come from ``SpiceMix.fit``, :mod:`spicemix_core.tl` and
:mod:`spicemix_core.selection`. Colours are those of :func:`spicemix_core.plotting.palette`; of more than 40 categories
the rarest are drawn in grey together. Many marks become a picture inside the figure. ``figure.savefig(path)`` writes it
as PNG, SVG or PDF.
"""

from functools import wraps

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spicemix_core.annotation import expression_frame
from spicemix_core.cell_type_figures import mark_cells
from spicemix_core.panels import (
    HEIGHT,
    WIDTH,
    color_limits,
    draw_counted_legend,
    mark_size,
    sample_panels,
    short_name,
    side_by_side,
    text_colors,
)
from spicemix_core.plotting import (
    draw_affinity,
    draw_curve,
    draw_points,
    draw_table,
    draw_values,
    expression_by_cluster,
    order_rows_by_columns,
    palette,
    rasterize_marks,
    use_style,
)
from spicemix_core.shown_values import (
    column_of,
    in_order,
    places_of,
    proportions_of,
    result_of,
    samples_of,
    table_of,
    values_of,
)

LEVEL = 0.05  # false discovery rate of what is marked


def _figure(draw):
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


@_figure
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


@_figure
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


@_figure
def affinity(adata):
    """Spatial affinity of the metagenes, S minus its mean: red pairs attract each other."""
    values = np.asarray(result_of(adata, "affinity", "fit SpiceMix to the data first"))
    side = 2.2 + 0.24 * len(values)
    figure, ax = plt.subplots(figsize=(side + 1.2, side))
    draw_affinity(ax, values)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="metagene", ylabel="metagene")
    return figure


@_figure
def cluster(adata):
    """Calinski-Harabasz index by number of clusters (:func:`spicemix_core.tl.cluster`), the chosen number marked."""
    result = table_of(adata, "cluster")
    curve = result["table"].set_index("n_clusters")["calinski_harabasz"]
    figure, ax = plt.subplots(figsize=(5.5, 3.2))
    draw_curve(ax, curve, int(result["n_clusters"]), label="Calinski-Harabasz index")
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(8, integer=True))
    return figure


@_figure
def agreement(adata):
    """Cells of each group of one labelling by the groups of another (:func:`spicemix_core.tl.agreement`)."""
    result = table_of(adata, "agreement")
    counts = result["table"].pivot(index="first", columns="second", values="cells")
    counts = counts.loc[in_order(counts.index), in_order(counts.columns)]
    shares = order_rows_by_columns(counts.div(counts.sum(axis=1), axis=0))
    figure, ax = plt.subplots(figsize=(3.6 + 0.26 * shares.shape[1], 2.2 + 0.24 * len(shares)))
    draw_table(ax, shares.rename(index=short_name, columns=short_name), label="share of the row's cells", cmap="Blues")
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel=result["second"], ylabel=result["first"])
    ax.set_title(f"adjusted Rand index {float(result['adjusted_rand_index']):.2f}", fontsize="small")
    return figure


@_figure
def type_affinity(adata):
    """Affinity of groups of cells (:func:`spicemix_core.tl.type_affinity`): red pairs attract each other.

    A dot marks what is left at a false discovery rate of 5 %.
    """
    result = table_of(adata, "type_affinity")
    table = result["table"]
    groups = in_order(table["first"])
    square = {}
    for column in ("affinity", "p_adjusted"):
        half = table.pivot(index="first", columns="second", values=column).reindex(index=groups, columns=groups)
        square[column] = half.combine_first(half.T).loc[groups, groups]
    side = 2.4 + 0.24 * len(groups)
    figure, ax = plt.subplots(figsize=(side + 1.4, side))
    draw_table(ax, square["affinity"].rename(index=short_name, columns=short_name), cmap="RdBu_r", center=0.0,
               label=f"affinity (positive = attraction)\ndot: false discovery rate below {LEVEL:.0%}")
    mark_cells(ax, square["p_adjusted"] < LEVEL)
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    ax.set(aspect="equal", xlabel=result["groupby"], ylabel=result["groupby"])
    return figure


@_figure
def umap(adata, color="spicemix_cluster", *, layer=None):
    """The embedding of :func:`spicemix_core.tl.umap`; ``color`` and ``layer`` as for :func:`spatial`."""
    if "X_spicemix_umap" not in adata.obsm:
        raise KeyError("obsm has no 'X_spicemix_umap': call tl.umap first")
    values, label = values_of(adata, color, layer)
    places = np.asarray(adata.obsm["X_spicemix_umap"])
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


@_figure
def metagene_genes(adata, n_genes=8):
    """Loadings of the top genes of every metagene (:func:`spicemix_core.tl.metagene_genes`).

    Bars are the loading, ticks the mean loading of the gene over the metagenes.
    """
    table = table_of(adata, "metagene_genes")["table"]
    table = table[table["rank"] <= n_genes]
    n = table["metagene"].nunique()
    columns = min(n, 5)
    rows, per_panel = -(-n // columns), int(table["rank"].max())
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (0.5 + 0.155 * per_panel)), squeeze=False)
    for ax, (k, top) in zip(axes.flat, table.groupby("metagene"), strict=False):
        y = np.arange(len(top))
        ax.barh(y, top["loading"], color="#56b4e9", height=0.8)
        ax.scatter(top["mean_loading"], y, marker="|", s=40, color="black", linewidths=1.2, zorder=3)
        ax.set(yticks=y, ylim=(per_panel - 0.5, -0.5), xlim=(0, None))
        ax.set_yticklabels([short_name(gene, 16) for gene in top["gene"]], fontsize="x-small")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(2))
        ax.tick_params(axis="x", labelsize="x-small", pad=2, length=2)
        ax.tick_params(axis="y", length=0, pad=2)
        ax.set_title(f"metagene {k}", fontsize="small", pad=3)
    for ax in axes.flat[n:]:
        ax.remove()
    figure.supxlabel("loading; black tick: mean over the metagenes", fontsize="small")
    return figure


@_figure
def markers(adata, n_genes=3, *, layer=None):
    """Mean expression of the first markers of each group (:func:`spicemix_core.tl.markers`) in all groups."""
    result = table_of(adata, "markers")
    table = result["table"]
    first = table[table["difference"] > 0].groupby("group", sort=False).head(n_genes)
    values = adata if layer is None else adata.copy()
    if layer is not None:
        values.X = values.layers[layer]
    labels = column_of(adata, result["groupby"]).astype(str)
    means = expression_by_cluster(expression_frame(values, first["gene"]), labels)
    groups = in_order(means.index)
    figure, ax = plt.subplots(figsize=(3.4 + 0.24 * len(groups), 1.6 + 0.16 * means.shape[1]))
    shown = means.loc[groups].T.rename(columns=short_name, index=lambda gene: short_name(gene, 20))
    draw_table(ax, shown, cmap="RdBu_r", center=0.0, label="mean expression,\nz-scored over the groups")
    ax.tick_params(axis="y", labelsize="x-small", rotation=0)
    ax.tick_params(axis="x", rotation=90)
    ax.set_xlabel(result["groupby"])
    return figure


@_figure
def enrichment(adata, n_sets=30):
    """Gene sets among the top genes of the metagenes (:func:`spicemix_core.tl.enrichment`), the best ``n_sets``.

    A dot marks what is left at a false discovery rate of 5 %.
    """
    table = table_of(adata, "enrichment")["table"]
    sets = table.groupby("gene_set")["p_value"].min().sort_values(kind="stable").index[:n_sets]
    adjusted = table.pivot(index="gene_set", columns="metagene", values="p_adjusted").loc[sets]
    adjusted = adjusted.loc[order_rows_by_columns(-np.log10(adjusted.clip(lower=1e-300))).index]
    names = [short_name(name, 48) for name in adjusted.index]
    figure, ax = plt.subplots(figsize=(2.2 + 0.07 * max(map(len, names)) + 0.26 * adjusted.shape[1],
                                       1.6 + 0.22 * len(sets)))
    draw_table(ax, -np.log10(adjusted.clip(lower=1e-300)).set_axis(names, axis=0), cmap="Blues",
               label=f"-log10 adjusted p-value\ndot: below {LEVEL:g}")
    mark_cells(ax, adjusted < LEVEL)
    ax.tick_params(axis="y", rotation=0, labelsize="small")
    ax.set_xlabel("metagene")
    return figure


@_figure
def history(adata):
    """How the fit went: the objective Q, the energy of the states, and how far each block moved in an iteration.

    A result of the authors' program has the objective alone.
    """
    rows = pd.DataFrame(result_of(adata, "history", "fit SpiceMix to the data first"))
    tol = adata.uns["spicemix"].get("parameters", {}).get("tol")
    x = rows["iteration"] if "iteration" in rows else rows.index + 1
    curves = {name: title for name, title in (("Q", "objective Q"), ("energy", "energy of the states")) if name in rows}
    changes = [name for name in rows if name.startswith("change_")]
    n = len(curves) + bool(changes)
    figure, axes = plt.subplots(1, n, figsize=(WIDTH * n / 3, 3.0), squeeze=False)
    for ax, (name, title) in zip(axes.flat, curves.items(), strict=False):
        ax.plot(x, rows[name], linewidth=1.5)
        ax.set_title(title)
    if changes:
        ax = axes.flat[-1]
        for name, color in palette(changes).items():
            ax.plot(x, rows[name].where(rows[name] > 0), color=color, linewidth=1.2, label=name.removeprefix("change_"))
        ax.set(yscale="log", title="change per iteration")
        if tol:
            ax.axhline(float(tol), color="black", linestyle=":", linewidth=1, label=f"tol = {float(tol):g}")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    for ax in axes.flat:
        ax.set_xlabel("iteration")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
    return figure


@_figure
def selection(table):
    """Trade-off over the settings of :func:`spicemix_core.selection.select`; ``table`` is its table.

    Bars at the held-out errors are one standard error of the difference from the lowest, paired over the folds: a
    setting whose bar reaches the dotted line is as good. The ring is the suggestion.
    """
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.4), sharex=True)
    colors = palette(table["affinity_penalty"].unique())
    chosen = table[table["suggested"]].iloc[0]
    panels = {"error": "held-out error (relative)", "ari": "stability: ARI between seeds",
              "calinski_harabasz": "highest Calinski-Harabasz index", "seconds": "seconds of one fit"}
    for ax, (name, title) in zip(axes.flat, panels.items(), strict=True):
        for penalty, color in colors.items():
            rows = table[table["affinity_penalty"] == penalty].sort_values("n_metagenes")
            ax.errorbar(rows["n_metagenes"], rows[name], rows["difference_se"] if name == "error" else None,
                        color=color, marker="o", markersize=4, capsize=3, label=f"{penalty:g}")
        ax.plot(chosen["n_metagenes"], chosen[name], "o", markersize=12, markerfacecolor="none",
                markeredgecolor="black", label="suggested")
        ax.set_title(title)
    axes[0, 0].axhline(table["error"].min(), color="black", linestyle=":", linewidth=1)
    axes[0, 1].set_ylim(min(0.0, table["ari"].min()), 1.04)
    axes[1, 1].set_ylim(0.0, None)
    for ax in axes[1]:
        ax.set(xlabel="number of metagenes K", xticks=sorted(table["n_metagenes"].unique()))
    ring, *lines = zip(*axes[0, 0].get_legend_handles_labels(), strict=True)
    figure.legend(*zip(*lines, ring, strict=True), loc="outside right upper", fontsize="small",
                  title=r"penalty $\lambda_\Sigma$")
    return figure
