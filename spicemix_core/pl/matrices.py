"""Heat maps: of pairs of metagenes or of groups, of genes and of gene sets by group."""

import matplotlib.pyplot as plt
import numpy as np

from spicemix_core.inputs.anndata import column_of, expression_frame, expression_of, result_of
from spicemix_core.pl.panels import short_name, styled
from spicemix_core.pl.primitives import (
    draw_affinity,
    draw_table,
    expression_by_cluster,
    mark_cells,
    order_rows_by_columns,
)
from spicemix_core.pl.values import in_order, table_of

LEVEL = 0.05  # false discovery rate of what is marked


@styled
def affinity(adata):
    """Spatial affinity of the metagenes, S minus its mean: red pairs attract each other."""
    values = np.asarray(result_of(adata, "affinity"))
    side = 2.2 + 0.24 * len(values)
    figure, ax = plt.subplots(figsize=(side + 1.2, side))
    draw_affinity(ax, values)
    ax.set(xlabel="metagene", ylabel="metagene")
    return figure


@styled
def agreement(adata):
    """Cells of each group of one labelling by the groups of another (:func:`spicemix_core.tl.agreement`)."""
    result = table_of(adata, "agreement")
    counts = result["table"].pivot(index="first", columns="second", values="cells")
    counts = counts.loc[in_order(counts.index), in_order(counts.columns)]
    shares = order_rows_by_columns(counts.div(counts.sum(axis=1), axis=0))
    figure, ax = plt.subplots(figsize=(3.6 + 0.26 * shares.shape[1], 2.2 + 0.24 * len(shares)))
    draw_table(ax, shares.rename(index=short_name, columns=short_name), label="share of the row's cells", cmap="Blues")
    ax.tick_params(axis="x", rotation=90)
    ax.set(xlabel=result["second"], ylabel=result["first"])
    ax.set_title(f"adjusted Rand index {float(result['adjusted_rand_index']):.2f}", fontsize="small")
    return figure


@styled
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
    ax.set(aspect="equal", xlabel=result["groupby"], ylabel=result["groupby"])
    return figure


@styled
def markers(adata, n_genes=3, *, layer=None):
    """Mean expression of the first markers of each group (:func:`spicemix_core.tl.markers`) in all groups."""
    result = table_of(adata, "markers")
    table = result["table"]
    first = table[table["difference"] > 0].groupby("group", sort=False).head(n_genes)
    values = adata if layer is None else adata.copy()
    if layer is not None:
        values.X = expression_of(values, layer)
    labels = column_of(adata, result["groupby"]).astype(str)
    means = expression_by_cluster(expression_frame(values, first["gene"]), labels)
    groups = in_order(means.index)
    figure, ax = plt.subplots(figsize=(3.4 + 0.24 * len(groups), 1.6 + 0.16 * means.shape[1]))
    shown = means.loc[groups].T.rename(columns=short_name, index=lambda gene: short_name(gene, 20))
    draw_table(ax, shown, cmap="RdBu_r", center=0.0, label="mean expression,\nz-scored over the groups")
    ax.tick_params(axis="y", labelsize="x-small")
    ax.tick_params(axis="x", rotation=90)
    ax.set_xlabel(result["groupby"])
    return figure


@styled
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
    ax.tick_params(axis="y", labelsize="small")
    ax.set_xlabel("metagene")
    return figure
