"""Heat maps of an AnnData object: of pairs of metagenes or groups, and of genes and gene sets by group."""

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spicemix_core.inputs.anndata import column_of, expression_frame, expression_of, result_of
from spicemix_core.pl.panels import figure_or_axes, panel, short_name
from spicemix_core.pl.tables import (
    draw_affinity,
    draw_table,
    expression_by_cluster,
    mark_fields,
    order_rows_by_columns,
)
from spicemix_core.pl.values import in_order, table_of

LEVEL = 0.05  # false discovery rate below which a field is marked


@figure_or_axes
def affinity(adata: AnnData, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw the spatial affinity of the metagenes minus its mean: red pairs attract each other.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["affinity"]``, as :meth:`spicemix_core.SpiceMix.fit` leaves it.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If SpiceMix was not fitted to the data.

    Examples
    --------
    >>> from spicemix_core import SpiceMix, datasets, pl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0).copy()
    >>> cortex.X = cortex.X.clip(0)
    >>> model = SpiceMix(3, max_iter=3, tol=1.0, random_state=0).fit(cortex)
    >>> figure = pl.affinity(cortex)
    """
    values = np.asarray(result_of(adata, "affinity"))
    side = 2.2 + 0.24 * len(values)
    ax = panel(ax, side + 1.2, side)
    draw_affinity(ax, values)
    ax.set(xlabel="metagene", ylabel="metagene")
    return ax


@figure_or_axes
def type_affinity(adata: AnnData, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw the affinity of groups of cells (:func:`spicemix_core.tl.type_affinity`): red pairs attract each other.

    A dot marks pairs at a false discovery rate of 5 %.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["type_affinity"]``.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If the affinity of the groups was not computed.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=80, n_genes=20, random_state=0)
    >>> table = tl.type_affinity(cortex, "cell_type", n_permutations=19, random_state=0)
    >>> figure = pl.type_affinity(cortex)
    """
    result = table_of(adata, "type_affinity")
    table = result["table"]
    groups = in_order(table["first"])
    square = {}
    for column in ("affinity", "p_adjusted"):
        half = table.pivot(index="first", columns="second", values=column).reindex(index=groups, columns=groups)
        square[column] = half.combine_first(half.T).loc[groups, groups]
    side = 2.4 + 0.24 * len(groups)
    ax = panel(ax, side + 1.4, side)
    draw_table(ax, square["affinity"].rename(index=short_name, columns=short_name), cmap="RdBu_r", center=0.0,
               label=f"affinity (positive = attraction)\ndot: false discovery rate below {LEVEL:.0%}")
    mark_fields(ax, square["p_adjusted"] < LEVEL)
    ax.tick_params(axis="x", rotation=90)
    ax.set(aspect="equal", xlabel=result["groupby"], ylabel=result["groupby"])
    return ax


@figure_or_axes
def markers(adata: AnnData, n_genes: int = 3, *, layer: str | None = None, ax: Axes | None = None) -> Figure | Axes:
    """Draw the mean expression of the first markers of each group (:func:`spicemix_core.tl.markers`) in all groups.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["markers"]``.
    n_genes : int
        Markers of each group.
    layer : str, optional
        Layer of the expression; by default ``X``.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If the markers were not computed.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=80, n_genes=20, random_state=0)
    >>> table = tl.markers(cortex, "cell_type")
    >>> figure = pl.markers(cortex, n_genes=2)
    """
    result = table_of(adata, "markers")
    table = result["table"]
    first = table[table["difference"] > 0].groupby("group", sort=False).head(n_genes)
    values = adata if layer is None else adata.copy()
    if layer is not None:
        values.X = expression_of(values, layer)
    labels = column_of(adata, result["groupby"]).astype(str)
    means = expression_by_cluster(expression_frame(values, first["gene"]), labels)
    groups = in_order(means.index)
    ax = panel(ax, 3.4 + 0.24 * len(groups), 1.6 + 0.16 * means.shape[1])
    shown = means.loc[groups].T.rename(columns=short_name, index=lambda gene: short_name(gene, 20))
    draw_table(ax, shown, cmap="RdBu_r", center=0.0, label="mean expression,\nz-scored over the groups")
    ax.tick_params(axis="y", labelsize="small")
    ax.tick_params(axis="x", rotation=90)
    ax.set_xlabel(result["groupby"])
    return ax


@figure_or_axes
def enrichment(adata: AnnData, n_sets: int = 30, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw the gene sets that are enriched in metagenes (:func:`spicemix_core.tl.enrichment`).

    A dot marks sets at a false discovery rate of 5 %.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["enrichment"]``.
    n_sets : int
        Number of sets drawn, those with the lowest p-values.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If the enrichment was not computed.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=40, random_state=0)
    >>> cortex.varm["metagenes"] = cortex.varm["true_metagenes"]  # or those of a fit
    >>> table = tl.enrichment(cortex, {"first": cortex.var_names[:9], "last": cortex.var_names[-9:]}, n_genes=10)
    >>> figure = pl.enrichment(cortex)
    """
    table = table_of(adata, "enrichment")["table"]
    sets = table.groupby("gene_set")["p_value"].min().sort_values(kind="stable").index[:n_sets]
    adjusted = table.pivot(index="gene_set", columns="metagene", values="p_adjusted").loc[sets]
    adjusted = adjusted.loc[order_rows_by_columns(-np.log10(adjusted.clip(lower=1e-300))).index]
    names = [short_name(name, 48) for name in adjusted.index]
    ax = panel(ax, 2.2 + 0.07 * max(map(len, names)) + 0.26 * adjusted.shape[1], 1.6 + 0.22 * len(sets))
    draw_table(ax, -np.log10(adjusted.clip(lower=1e-300)).set_axis(names, axis=0), cmap="Blues",
               label=f"-log10 adjusted p-value\ndot: below {LEVEL:g}")
    mark_fields(ax, adjusted < LEVEL)
    ax.tick_params(axis="y", labelsize="small")
    ax.set_xlabel("metagene")
    return ax
