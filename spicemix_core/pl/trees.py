"""The tree of the cell types."""

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spicemix_core.pl.panels import figure_or_axes, panel
from spicemix_core.pl.style import GREY, VERMILION
from spicemix_core.pl.values import table_of
from spicemix_core.tl.branches import SURE

SHORTEST = 0.06  # of the height of the root; a shorter branch has no place for its support


@figure_or_axes
def tree(adata: AnnData, *, ax: Axes | None = None) -> Figure | Axes:
    """Draw the tree of the cell types with the support of its branches (:func:`spicemix_core.fit_consensus`).

    The root is on the left, and each split is at its Ward height. The number on a branch is its support over the runs:
    1 if every run has a branch of the same cells. Branches with a support below 0.6 are dashed and coloured; do not
    rely on such a cell type without other evidence. The tree of a single fit has no support.

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
    >>> labels = tl.cluster(cortex, n_clusters=5)
    >>> figure = pl.tree(cortex)
    """
    branches = pd.DataFrame(table_of(adata, "cluster")["branches"]).reset_index(drop=True)
    places = _places(branches)
    n_types = int((branches["cluster"] >= 0).sum())
    ax = panel(ax, 6.2, max(2.0, 0.6 + 0.26 * n_types))
    for branch in branches.itertuples():
        if branch.parent < 0:
            continue
        start, unsure = branches.at[branch.parent, "height"], branch.support < SURE
        line = {"color": VERMILION if unsure else GREY, "linestyle": "--" if unsure else "-", "linewidth": 1.4}
        y = places[branch.Index]
        ax.plot([start, start, branch.height], [places[branch.parent], y, y], solid_capstyle="butt", **line)
        if np.isfinite(branch.support) and start - branch.height > SHORTEST * branches.at[0, "height"]:
            ax.text((start + branch.height) / 2, y, f"{branch.support:.2f}", ha="center", va="bottom", fontsize="small")
    leaves = branches.index[branches["cluster"] >= 0]
    ax.set_yticks(places[leaves], [f"{branches.at[i, 'cluster']} ({branches.at[i, 'cells']:,})" for i in leaves])
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.set(xlabel="Ward's height of a split", ylabel="cell type (cells)", ylim=(n_types - 0.5, -0.6))
    ax.invert_xaxis()
    ax.set_xlim(right=0.0)
    ax.spines[["left", "top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _places(branches):
    """Vertical place of each branch: the leaves from top to bottom, a split halfway between its branches."""
    children = {row: list(pair) for row, pair in branches.groupby("parent").groups.items()}
    places, waiting, leaves = np.zeros(len(branches)), [0], 0
    while waiting:  # depth first, so that the leaves of a branch are next to each other
        row = waiting.pop()
        if row in children:
            waiting += children[row][::-1]
        else:
            places[row], leaves = leaves, leaves + 1
    for row in range(len(branches) - 1, -1, -1):  # children come after their parent
        if row in children:
            places[row] = places[children[row]].mean()
    return places
