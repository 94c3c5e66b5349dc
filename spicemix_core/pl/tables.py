"""Heat maps on given axes, and the tables that they show."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from spicemix_core.pl.names import plain_names

LIGHT = 0.4  # relative luminance of a colour on which dark text is read better


def expression_by_cluster(expression: pd.DataFrame, labels: ArrayLike) -> pd.DataFrame:
    """Mean expression by cluster, z-scored over the cells and then over the clusters.

    Parameters
    ----------
    expression : DataFrame, cells x genes
    labels : array_like, shape (N,)
        Cluster of each cell.

    Returns
    -------
    DataFrame, clusters x genes
        A gene without variation is 0 everywhere.

    Examples
    --------
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> expression = pd.DataFrame({"Gad1": [5.0, 4.0, 0.0, 1.0], "Plp1": [1.0, 1.0, 1.0, 1.0]})
    >>> pl.expression_by_cluster(expression, ["neuron", "neuron", "glia", "glia"])
            Gad1  Plp1
    glia    -1.0   0.0
    neuron   1.0   0.0
    """
    scores = (expression - expression.mean()) / expression.std(ddof=0).replace(0.0, 1.0)
    means = scores.groupby(np.asarray(labels), observed=True).mean()
    return (means - means.mean()) / means.std(ddof=0).replace(0.0, 1.0)


def order_rows_by_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the rows of a table by the mean place of their weight among the columns, which makes it near diagonal.

    Parameters
    ----------
    table : DataFrame
        Without negative entries.

    Returns
    -------
    DataFrame
        The same rows in another order.

    Examples
    --------
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> pl.order_rows_by_columns(pd.DataFrame({"L2": [0, 3], "L5": [4, 1]}, index=["deep", "upper"]))
           L2  L5
    upper   3   1
    deep    0   4
    """
    weights = table.div(table.sum(axis=1).replace(0, 1), axis=0).to_numpy()
    return table.iloc[np.argsort(weights @ np.arange(table.shape[1]), kind="stable")]


@plain_names
def draw_table(ax: Axes, table: pd.DataFrame, *, label: str, cmap: str = "viridis", center: float | None = None,
               limit: float | None = None, annotate: np.ndarray | None = None) -> None:
    """Draw a heat map with the name of every row and column; names of columns that would touch stand upright.

    Parameters
    ----------
    ax : matplotlib Axes
    table : DataFrame
    label : str
        Label of the colour bar.
    cmap : str
    center : float, optional
        Number in the middle of the colour scale, which then has symmetric ends.
    limit : float, optional
        Distance of the ends from ``center``; by default the largest in the table.
    annotate : array of str, optional
        Text of each field.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> pl.draw_table(ax, pd.DataFrame({"Gad1": [1.0, -1.0]}, index=["neuron", "glia"]), label="z-score", center=0.0)
    >>> plt.close(figure)
    """
    if center is not None:
        limit = limit or float(np.nanmax(np.abs(table.to_numpy() - center))) or 1.0
    ends = {} if center is None else {"vmin": center - limit, "vmax": center + limit}
    n_rows, n_columns = table.shape
    mesh = ax.pcolormesh(np.ma.masked_invalid(table.to_numpy(dtype=float)), cmap=cmap, edgecolors="white",
                         linewidth=0.3, **ends)
    bar = ax.figure.colorbar(mesh, ax=ax, label=label, shrink=0.8)
    bar.outline.set_linewidth(0)
    ax.set(xlim=(0, n_columns), ylim=(n_rows, 0), xlabel="", ylabel="")
    sns.despine(ax=ax, left=True, bottom=True)
    ax.set_yticks(np.arange(n_rows) + 0.5, table.index.map(str))
    ax.set_xticks(np.arange(n_columns) + 0.5, table.columns.map(str))
    ax.tick_params(length=0)
    widths = np.array([name.get_window_extent().width for name in ax.get_xticklabels()])
    if (widths[1:] + widths[:-1]).max(initial=0.0) / 2 > ax.get_window_extent().width / n_columns:  # names would touch
        ax.tick_params(axis="x", rotation=90)
    if annotate is not None:
        _write(ax, mesh, annotate)


def _write(ax, mesh, texts):
    """Write a text into each field that has a value, dark on light colours and light on dark ones."""
    mesh.update_scalarmappable()
    colors = mesh.get_facecolors().reshape(*np.shape(texts), 4)
    for row, column in np.argwhere(~np.ma.getmaskarray(mesh.get_array())):
        is_light = sns.utils.relative_luminance(colors[row, column]) > LIGHT
        ax.text(column + 0.5, row + 0.5, texts[row, column], ha="center", va="center", fontsize="small",
                color=".15" if is_light else "w")


def draw_affinity(ax: Axes, affinity: np.ndarray, *, names: Sequence | None = None) -> None:
    r"""Draw the affinity of metagenes minus its mean: red pairs attract each other.

    The book calls this matrix :math:`S` and the paper :math:`\Sigma_x^{-1}`. Entries below the mean are attractions;
    the colour scale is symmetric.

    Parameters
    ----------
    ax : matplotlib Axes
    affinity : array, shape (K, K)
    names : sequence, optional
        Names of the metagenes; by default their numbers from 0.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> pl.draw_affinity(ax, np.array([[-3.0, 1.0], [1.0, -2.0]]), names=["layer 1", "layer 2"])
    >>> plt.close(figure)
    """
    names = np.arange(len(affinity)) if names is None else names
    table = pd.DataFrame(affinity - np.mean(affinity), index=names, columns=names)
    draw_table(ax, table, label="affinity S minus its mean\n(negative = attraction)", cmap="RdBu", center=0.0)
    ax.set_aspect("equal")


def mark_fields(ax: Axes, chosen: pd.DataFrame | np.ndarray) -> None:
    """Mark fields of a heat map with a dot.

    Parameters
    ----------
    ax : matplotlib Axes
        With a heat map of :func:`draw_table`.
    chosen : DataFrame or array of bool
        In the shape of the table.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> from spicemix_core import pl
    >>> table = pd.DataFrame({"L2": [0.1, 0.9], "L5": [0.9, 0.1]}, index=["upper", "deep"])
    >>> figure, ax = plt.subplots()
    >>> pl.draw_table(ax, table, label="share")
    >>> pl.mark_fields(ax, table > 0.5)
    >>> plt.close(figure)
    """
    rows, columns = np.nonzero(np.asarray(chosen))
    ax.scatter(columns + 0.5, rows + 0.5, s=12, color="black", edgecolors="white", linewidths=0.6, zorder=3)
