"""How well two labellings of the same cells, or two sets of metagenes, agree."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from spicemix_core.tl._adata import labels_of, store
from spicemix_core.tl.clustering import cut_tree


@dataclass(frozen=True)
class MetageneMatch:
    """One-to-one pairing of the metagenes of run a with those of run b.

    Attributes
    ----------
    permutation : (K_a,) int array
        Column of b paired with each column of a; -1 where b has none left.
    correlations : (K_a,) array
        Pearson correlation over genes of each pair; NaN where unpaired.
    """

    permutation: np.ndarray
    correlations: np.ndarray


@dataclass(frozen=True)
class BestCut:
    """The cut of a tree closest to the truth, with the adjusted Rand index of every cut considered."""

    n_clusters: int
    adjusted_rand_index: float
    curve: pd.Series


def _pair_of_labels(a, b):
    a, b = pd.Series(np.asarray(a)), pd.Series(np.asarray(b))
    if len(a) != len(b) or len(a) == 0:
        raise ValueError(f"The labellings have {len(a)} and {len(b)} cells: pass two for the same cells.")
    missing = (a.isna() | b.isna()).to_numpy()
    if missing.any():
        raise ValueError(f"Cell {int(missing.argmax())} has no label: leave unlabelled cells out of both.")
    return a, b


def adjusted_rand_index(a, b):
    """Adjusted Rand index of two labellings of the same cells: 1 if equal up to names, 0 expected by chance.

    Raises ValueError for labellings of different length or with missing labels. Hubert and Arabie (1985), by
    scikit-learn.
    """
    return float(adjusted_rand_score(*_pair_of_labels(a, b)))


def contingency(a, b):
    """Number of cells by label in ``a`` (rows) and in ``b`` (columns), a DataFrame; errors as above."""
    a, b = _pair_of_labels(a, b)
    return pd.crosstab(a.rename("a"), b.rename("b"))


def match_labels(predicted, reference):
    """Cell type of each cluster, by the assignment of clusters to types that puts most cells right.

    Parameters
    ----------
    predicted, reference : (N,) array_like
        Cluster and true type of each cell.

    Returns
    -------
    pandas.Series
        Type by cluster; None for a cluster that is left over, or whose type has no cell of it.

    Raises
    ------
    ValueError
        Labellings of different length or with missing labels.

    Source: Hungarian assignment on the contingency table; used for the colours of Fig. 2e, where a cluster
    that matches no simulated type is drawn apart.
    """
    table = contingency(predicted, reference)
    matched = pd.Series([None] * len(table), index=table.index.rename("cluster"), dtype=object, name="type")
    rows, columns = linear_sum_assignment(table.to_numpy(), maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if table.iat[row, column]:
            matched.iat[row] = table.columns[column]
    return matched


def _standardized_columns(metagenes, name):
    metagenes = np.asarray(metagenes, dtype=float)
    if metagenes.ndim != 2 or not np.isfinite(metagenes).all():
        raise ValueError(f"{name} is not a finite matrix of genes x metagenes: check what was passed.")
    centred = metagenes - metagenes.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    centred[:, np.ptp(metagenes, axis=0) == 0] = 0.0
    return centred / np.where(norm > 0, norm, 1.0)


def match_metagenes(metagenes_a, metagenes_b):
    """Metagenes of run b matched to those of run a: the pairing with the largest sum of correlations.

    Parameters
    ----------
    metagenes_a, metagenes_b : (G, K_a), (G, K_b) array_like
        Metagenes over the same genes in the same order. A constant metagene correlates 0 with all.

    Returns
    -------
    MetageneMatch
        ``metagenes_b[:, match.permutation]`` is in the order of ``metagenes_a`` when K_a <= K_b.

    Raises
    ------
    ValueError
        Different numbers of genes, or entries that are not finite.
    """
    a = _standardized_columns(metagenes_a, "metagenes_a")
    b = _standardized_columns(metagenes_b, "metagenes_b")
    if len(a) != len(b):
        raise ValueError(f"The metagenes have {len(a)} and {len(b)} genes: keep those they share.")
    correlation = a.T @ b
    rows, columns = linear_sum_assignment(correlation, maximize=True)
    permutation, correlations = np.full(a.shape[1], -1), np.full(a.shape[1], np.nan)
    permutation[rows], correlations[rows] = columns, correlation[rows, columns]
    return MetageneMatch(permutation, correlations)


def best_number_of_clusters_by_ari(tree, truth, n_clusters: Iterable[int] = range(5, 41)):
    """The cut of a Ward tree that agrees best with the truth: the best case of a method ("NMF*" of Fig. 2d).

    It uses the truth, so it is an upper bound for comparison and never a way to choose.

    Parameters
    ----------
    tree : (N - 1, 4) array
        From `spicemix_core.tl.clustering.ward_tree`.
    truth : (N,) array_like
        True type of each cell.
    n_clusters : iterable of int
        Numbers of clusters considered, each from 1 to N.

    Returns
    -------
    BestCut
        The smallest of the best numbers where they tie.

    Raises
    ------
    ValueError
        Truth that does not fit the tree, or a number of clusters outside 1..N.
    """
    numbers = sorted(int(k) for k in n_clusters)
    scores = [adjusted_rand_index(cut_tree(tree, k), truth) for k in numbers]
    if not numbers:
        raise ValueError("No number of clusters was given: pass at least one, for example range(5, 41).")
    curve = pd.Series(scores, index=pd.Index(numbers, name="n_clusters"), name="adjusted_rand_index")
    return BestCut(n_clusters=int(curve.idxmax()), adjusted_rand_index=float(curve.max()), curve=curve)


def agreement(adata, first, second) -> float:
    """Adjusted Rand index of two columns of ``obs``: 1 if they group the cells alike, about 0 if they are unrelated.

    ``uns["spicemix"]["agreement"]`` gains it, with a table of the cells by ``first`` and ``second``.
    """
    a, b = (labels_of(adata, key).to_numpy(dtype=str) for key in (first, second))
    index = adjusted_rand_index(a, b)
    counts = contingency(a, b)
    rows, columns = np.indices(counts.shape).reshape(2, -1)
    table = pd.DataFrame({"first": counts.index[rows], "second": counts.columns[columns],
                          "cells": counts.to_numpy().ravel()})
    store(adata, "agreement", table, first=first, second=second, adjusted_rand_index=index)
    return index
