"""How well two labellings of the same cells, or two sets of metagenes, agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score


@dataclass(frozen=True)
class MetageneMatch:
    """One-to-one pairing of the metagenes of run a with those of run b.

    Attributes
    ----------
    permutation : (K_a,) array of int
        Column of b paired with each column of a, or -1 if b has no column left.
    correlations : (K_a,) array
        Pearson correlation of each pair over the genes, NaN for unpaired columns.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> metagenes = np.random.default_rng(0).random((10, 3))
    >>> tl.match_metagenes(metagenes, metagenes[:, [2, 0, 1]]).permutation
    array([1, 2, 0])
    """

    permutation: np.ndarray
    correlations: np.ndarray


def adjusted_rand_index(a: ArrayLike, b: ArrayLike) -> float:
    """Adjusted Rand index of two labellings of the same cells.

    The index is 1 if the labellings are equal up to the names, and 0 is expected by chance.

    Parameters
    ----------
    a, b : (N,) array_like
        Label of each cell.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the labellings have different lengths or missing labels.

    References
    ----------
    L. Hubert and P. Arabie, Journal of Classification 2, 193-218 (1985), by scikit-learn.

    Examples
    --------
    >>> from spicemix_core import tl
    >>> tl.adjusted_rand_index([0, 0, 1, 1], ["b", "b", "a", "a"])
    1.0
    """
    return float(adjusted_rand_score(*_pair_of_labels(a, b)))


def contingency(a: ArrayLike, b: ArrayLike) -> pd.DataFrame:
    """Number of cells by label in ``a`` (rows) and in ``b`` (columns).

    Parameters
    ----------
    a, b : (N,) array_like
        Label of each cell.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        If the labellings have different lengths or missing labels.

    Examples
    --------
    >>> from spicemix_core import tl
    >>> tl.contingency([0, 0, 1, 1], ["x", "x", "x", "y"]).to_dict("index")
    {0: {'x': 2, 'y': 0}, 1: {'x': 1, 'y': 1}}
    """
    (rows, row_names), (columns, column_names) = (pd.factorize(x, sort=True) for x in _pair_of_labels(a, b))
    counts = np.zeros((len(row_names), len(column_names)), dtype=int)
    np.add.at(counts, (rows, columns), 1)
    return pd.DataFrame(counts, pd.Index(row_names, name="a"), pd.Index(column_names, name="b"))


def match_labels(predicted: ArrayLike, reference: ArrayLike) -> pd.Series:
    """Cell type of each cluster: the one-to-one assignment under which most cells are correct.

    Parameters
    ----------
    predicted, reference : (N,) array_like
        Cluster and true type of each cell.

    Returns
    -------
    Series
        Type by cluster. It is None for a cluster to which no type is assigned, or that has no cell of its type.

    Raises
    ------
    ValueError
        If the labellings have different lengths or missing labels.

    Notes
    -----
    The Hungarian algorithm solves the assignment on the contingency table. Fig. 2e uses it for the colours: clusters
    that match no simulated type have a colour of their own.

    Examples
    --------
    >>> from spicemix_core import tl
    >>> tl.match_labels([0, 0, 1, 2, 2], ["a", "a", "b", "b", "b"]).to_dict()
    {0: 'a', 1: None, 2: 'b'}
    """
    table = contingency(predicted, reference)
    matched = pd.Series([None] * len(table), index=table.index.rename("cluster"), dtype=object, name="type")
    rows, columns = linear_sum_assignment(table.to_numpy(), maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if table.iat[row, column]:
            matched.iat[row] = table.columns[column]
    return matched


def match_metagenes(metagenes_a: ArrayLike, metagenes_b: ArrayLike) -> MetageneMatch:
    """Match the metagenes of run b to those of run a: the pairing with the largest sum of correlations.

    Parameters
    ----------
    metagenes_a : (G, K_a) array_like
    metagenes_b : (G, K_b) array_like
        Metagenes over the same genes in the same order. The correlations of a constant metagene are 0.

    Returns
    -------
    MetageneMatch
        ``metagenes_b[:, match.permutation]`` is in the order of ``metagenes_a`` if K_a <= K_b.

    Raises
    ------
    ValueError
        If the numbers of genes differ or an entry is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> metagenes = np.array([[0.7, 0.1, 0.2], [0.2, 0.1, 0.6], [0.1, 0.8, 0.2]])
    >>> tl.match_metagenes(metagenes, metagenes[:, [2, 0, 1]]).permutation
    array([1, 2, 0])
    """
    a = _standardized_columns(metagenes_a, "metagenes_a")
    b = _standardized_columns(metagenes_b, "metagenes_b")
    if len(a) != len(b):
        raise ValueError(f"metagenes_a has {len(a)} genes and metagenes_b has {len(b)}. Keep the genes of both.")
    correlation = a.T @ b
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    permutation, correlations = np.full(a.shape[1], -1), np.full(a.shape[1], np.nan)
    permutation[rows], correlations[rows] = columns, correlation[rows, columns]
    return MetageneMatch(permutation, correlations)


def _pair_of_labels(a, b):
    a, b = pd.Series(np.asarray(a)), pd.Series(np.asarray(b))
    if len(a) != len(b) or len(a) == 0:
        raise ValueError(f"The labellings have {len(a)} and {len(b)} cells. Pass two labellings of the same cells.")
    missing = (a.isna() | b.isna()).to_numpy()
    if missing.any():
        raise ValueError(f"The cell in row {int(missing.argmax())} has no label. Leave such cells out of both.")
    return a, b


def _standardized_columns(metagenes, name):
    metagenes = np.asarray(metagenes, dtype=float)
    if metagenes.ndim != 2 or not np.isfinite(metagenes).all():
        raise ValueError(f"{name} is not a finite matrix of genes x metagenes. Pass the metagenes of a fit.")
    centred = metagenes - metagenes.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    centred[:, np.ptp(metagenes, axis=0) == 0] = 0.0
    return centred / np.where(norm > 0, norm, 1.0)
