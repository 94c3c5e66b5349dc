"""The fits of a selection: without a fold of the cells, tested on masked entries, and to all cells from several seeds.

:mod:`spicemix_core.runs.selection` defines the folds and the measures.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.model import SpiceMix
from spicemix_core.runs.held_out import states_without
from spicemix_core.tl.clustering import cluster_states
from spicemix_core.tl.matching import adjusted_rand_index, match_metagenes

N_FOLDS = 5


@dataclass(frozen=True)
class Data:
    """Input of a fit as an argument of a stored task; its ``repr`` is a digest of its content."""

    expressions: list
    graphs: list | None

    def __repr__(self) -> str:
        return f"Data({self.digest})"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all values, shapes and types."""
        digest = hashlib.sha256()
        for matrix in [*self.expressions, *(self.graphs or [None])]:
            parts = (matrix.data, matrix.indices, matrix.indptr) if sp.issparse(matrix) else (matrix,)
            digest.update(repr(None if matrix is None else matrix.shape).encode())
            for part in parts if matrix is not None else ():
                digest.update(str(part.dtype).encode() + np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def fit_without_fold(data: Data, setting: dict, options: dict, fold: int, fold_seed: int, seed: int) -> pd.DataFrame:
    """Held-out error of one setting on one fold of the cells.

    Parameters
    ----------
    data : Data
    setting : dict
        Parameters of :class:`spicemix_core.SpiceMix` that the selection compares.
    options : dict
        Its other parameters.
    fold : int
        Fold of the cells, from 0 to ``N_FOLDS - 1``.
    fold_seed : int
        Seed of the folds of the cells and of the genes.
    seed : int
        Seed of the fit.

    Returns
    -------
    DataFrame
        One row of the kind ``held-out``: the setting, ``fold``, ``error`` and its two sums of squares.
    """
    rng = np.random.default_rng(fold_seed)
    held = [_random_folds(y.shape[0], rng) == fold for y in data.expressions]
    gene_fold = _random_folds(data.expressions[0].shape[1], rng)
    training = [y[~out] for y, out in zip(data.expressions, held, strict=True)]
    graphs = data.graphs and [graph[~out][:, ~out] for graph, out in zip(data.graphs, held, strict=True)]
    model = SpiceMix(**setting, **options, random_state=seed).fit_arrays(training, graphs)
    squares = baseline = 0.0
    for number in range(N_FOLDS):
        genes = np.flatnonzero(gene_fold == number)
        states = states_without(model, data.expressions, data.graphs, genes)
        for y, y_training, x, out in zip(data.expressions, training, states, held, strict=True):
            masked = _dense(y[out][:, genes])
            squares += ((masked - x[out] @ model.metagenes_[genes].T) ** 2).sum()
            baseline += ((masked - np.asarray(y_training[:, genes].mean(axis=0)).ravel()) ** 2).sum()
    return pd.DataFrame([{"kind": "held-out", **setting, "fold": fold, "squares": squares, "baseline": baseline,
                          "error": squares / baseline}])


def fit_seeds_of_setting(data: Data, setting: dict, options: dict, seeds: list[int]) -> pd.DataFrame:
    """Fits of one setting to all cells.

    Parameters
    ----------
    data, setting, options
        See :func:`fit_without_fold`.
    seeds : list of int

    Returns
    -------
    DataFrame
        For each seed, a row of the kind ``fit`` and the rows of its separation curve, of the kind ``curve``.
        ``ari`` and ``metagene_correlation`` are means over the pairs of seeds.
    """
    models, clusterings, rows = [], [], []
    for seed in seeds:
        start = time.perf_counter()
        models.append(SpiceMix(**setting, **options, random_state=seed).fit_arrays(data.expressions, data.graphs))
        seconds = time.perf_counter() - start
        clusterings.append(cluster_states(np.concatenate(models[-1].latent_states_)))
        curve = clusterings[-1].separation
        rows += [{"kind": "curve", **setting, "random_state": seed, "n_clusters": k, "separation": value}
                 for k, value in curve.items()]
        rows.append({"kind": "fit", **setting, "random_state": seed, "seconds": seconds,
                     "converged": float(models[-1].converged_), "n_clusters": clusterings[-1].n_clusters,
                     "separation": curve.max()})
    pairs = list(itertools.combinations(range(len(seeds)), 2))
    ari = np.mean([adjusted_rand_index(clusterings[i].labels, clusterings[j].labels) for i, j in pairs])
    correlation = np.mean([match_metagenes(models[i].metagenes_, models[j].metagenes_).correlations.mean()
                           for i, j in pairs])
    return pd.DataFrame(rows).assign(ari=ari, metagene_correlation=correlation)


def _random_folds(n, rng):
    """Random fold of each of n cells or genes. The sizes of the folds differ by at most one."""
    return rng.permutation(n) % N_FOLDS


def _dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else matrix
