"""Curves and bars: the course of a fit, numbers of clusters and metagenes, and the genes of a metagene."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spicemix_core.inputs.anndata import result_of
from spicemix_core.pl.panels import WIDTH, figure_or_axes, panel, short_name
from spicemix_core.pl.primitives import draw_curve
from spicemix_core.pl.style import SKY_BLUE, palette
from spicemix_core.pl.values import table_of


@figure_or_axes
def cluster(adata: AnnData, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw the separation of the clusters by their number (:func:`spicemix_core.tl.cluster`).

    A line marks the number chosen.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["cluster"]``.
    ax : matplotlib Axes, optional
        Draw on these axes, in the style that is set.

    Returns
    -------
    matplotlib Figure or Axes
        The figure, closed, so that a notebook shows it once; with ``ax``, the axes.

    Raises
    ------
    KeyError
        If the cells were not clustered.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=80, n_genes=20, random_state=0)
    >>> cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"]  # or those of a fit
    >>> labels = tl.cluster(cortex, n_clusters_range=(5, 12))
    >>> figure = pl.cluster(cortex)
    """
    result = table_of(adata, "cluster")
    curve = result["table"].set_index("n_clusters")["separation"]
    ax = panel(ax, 5.5, 3.2)
    draw_curve(ax, curve, int(result["n_clusters"]), label="separation of the clusters")
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(8, integer=True))
    return ax


@figure_or_axes
def metagene_genes(adata: AnnData, n_genes: int = 8) -> Figure:
    """Draw the loadings of the first genes of every metagene (:func:`spicemix_core.tl.metagene_genes`).

    Bars are loadings; a tick is the mean loading of the gene over the metagenes.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["metagene_genes"]``.
    n_genes : int
        Genes of each metagene.

    Returns
    -------
    matplotlib Figure
        Closed, so that a notebook shows it once.

    Raises
    ------
    KeyError
        If the genes of the metagenes were not computed.

    Examples
    --------
    >>> from spicemix_core import datasets, pl, tl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=40, random_state=0)
    >>> cortex.varm["metagenes"] = cortex.varm["true_metagenes"][:, :4]  # or those of a fit
    >>> table = tl.metagene_genes(cortex)
    >>> figure = pl.metagene_genes(cortex, n_genes=5)
    """
    table = table_of(adata, "metagene_genes")["table"]
    table = table[table["rank"] <= n_genes]
    n = table["metagene"].nunique()
    columns = min(n, 5)
    rows, per_panel = -(-n // columns), int(table["rank"].max())
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, rows * (0.5 + 0.155 * per_panel)), squeeze=False)
    for ax, (k, top) in zip(axes.flat, table.groupby("metagene"), strict=False):
        y = np.arange(len(top))
        ax.barh(y, top["loading"], color=SKY_BLUE, height=0.8)
        ax.scatter(top["mean_loading"], y, marker="|", s=40, color="black", linewidths=1.2, zorder=3)
        ax.set(yticks=y, ylim=(per_panel - 0.5, -0.5), xlim=(0, None))
        ax.set_yticklabels([short_name(gene, 16) for gene in top["gene"]], fontsize="small")
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(2))
        ax.tick_params(axis="x", labelsize="small", pad=2, length=2)
        ax.tick_params(axis="y", length=0, pad=2)
        ax.set_title(f"metagene {k}", fontsize="small", pad=3)
    for ax in axes.flat[n:]:
        ax.remove()
    figure.supxlabel("loading; black tick: mean over the metagenes", fontsize="small")
    return figure


@figure_or_axes
def history(adata: AnnData) -> Figure:
    """Draw the course of a fit: the objective Q, the energy of the states, and the change of each block of parameters.

    A result of the authors' program has the objective alone.

    Parameters
    ----------
    adata : AnnData
        With ``uns["spicemix"]["history"]``, as :meth:`spicemix_core.SpiceMix.fit` leaves it.

    Returns
    -------
    matplotlib Figure
        Closed, so that a notebook shows it once.

    Raises
    ------
    KeyError
        If SpiceMix was not fitted to the data.

    Examples
    --------
    >>> from spicemix_core import SpiceMix, datasets, pl
    >>> cortex = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> cortex.X = cortex.X.clip(0)
    >>> model = SpiceMix(3, max_iter=3, tol=1.0, random_state=0).fit(cortex)
    >>> figure = pl.history(cortex)
    """
    rows = pd.DataFrame(result_of(adata, "history"))
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


@figure_or_axes
def selection(table: pd.DataFrame) -> Figure:
    """Draw the trade-off between the settings that :func:`spicemix_core.select` compares.

    Bars at the held-out errors are one standard error of the difference from the lowest error, paired over the folds: a
    setting whose bar reaches the dotted line is as good as the best. The ring is the suggestion.

    Parameters
    ----------
    table : DataFrame
        ``table`` of the :class:`spicemix_core.Selection`.

    Returns
    -------
    matplotlib Figure
        Closed, so that a notebook shows it once.

    Examples
    --------
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> table = pd.DataFrame({  # or select(...).table
    ...     "n_metagenes": [5, 10], "affinity_penalty": [1e-4, 1e-4], "error": [0.3, 0.2], "difference_se": [0.01, 0.0],
    ...     "ari": [0.9, 0.7], "separation": [0.5, 0.4], "seconds": [1.0, 2.0], "suggested": [False, True]})
    >>> figure = pl.selection(table)
    """
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 6.4), sharex=True)
    colors = palette(table["affinity_penalty"].unique())
    chosen = table[table["suggested"]].iloc[0]
    panels = {"error": "held-out error (relative)", "ari": "stability: ARI between seeds",
              "separation": "highest separation of the clusters", "seconds": "seconds of one fit"}
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
    legend = figure.legend(*zip(*lines, ring, strict=True), loc="outside right upper", fontsize="small",
                           title=r"penalty $\lambda_\Sigma$")
    legend.get_title().set_parse_math(True)
    return figure
