"""The fits of a selection: without a fold of the cells, judged on masked entries, and of all cells from several seeds.

:mod:`spicemix_core.runs.selection` says what is held out and what the numbers mean.
"""

import hashlib
import itertools
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.model import SpiceMix
from spicemix_core.tl.clustering import cluster_states
from spicemix_core.tl.matching import adjusted_rand_index, match_metagenes
from spicemix_core.transform import states_without

N_FOLDS = 5
NORMALIZATION = "zscore_proportions"


@dataclass(frozen=True)
class Data:
    """The input of a fit as an argument of a stored run, told by a digest of its content."""

    expressions: list
    graphs: list | None

    def __repr__(self):
        return f"Data({self.digest})"

    @cached_property
    def digest(self):
        """sha256 of all values, shapes and types."""
        digest = hashlib.sha256()
        for matrix in [*self.expressions, *(self.graphs or [None])]:
            parts = (matrix.data, matrix.indices, matrix.indptr) if sp.issparse(matrix) else (matrix,)
            digest.update(repr(None if matrix is None else matrix.shape).encode())
            for part in parts if matrix is not None else ():
                digest.update(str(part.dtype).encode() + np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


def fit_without_fold(data, setting, options, fold, fold_seed, seed):
    """Held-out error of one setting on one fold of the cells: a row with ``error`` and its two sums."""
    rng = np.random.default_rng(fold_seed)
    held = [_deal(y.shape[0], rng) == fold for y in data.expressions]
    gene_fold = _deal(data.expressions[0].shape[1], rng)
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


def fit_seeds_of_setting(data, setting, options, seeds):
    """Fits of one setting to all cells: a row of kind ``fit`` per seed, and its Calinski-Harabasz ``curve``."""
    models, clusterings, rows = [], [], []
    for seed in seeds:
        start = time.perf_counter()
        models.append(SpiceMix(**setting, **options, random_state=seed).fit_arrays(data.expressions, data.graphs))
        seconds = time.perf_counter() - start
        clusterings.append(cluster_states(np.concatenate(models[-1].latent_states_), normalization=NORMALIZATION,
                                          n_clusters_range=(2, 40)))
        curve = clusterings[-1].calinski_harabasz
        rows += [{"kind": "curve", **setting, "random_state": seed, "n_clusters": k, "calinski_harabasz": value}
                 for k, value in curve.items()]
        rows.append({"kind": "fit", **setting, "random_state": seed, "seconds": seconds,
                     "converged": float(models[-1].converged_), "n_clusters": clusterings[-1].n_clusters,
                     "calinski_harabasz": curve.max()})
    pairs = list(itertools.combinations(range(len(seeds)), 2))
    ari = np.mean([adjusted_rand_index(clusterings[i].labels, clusterings[j].labels) for i, j in pairs])
    correlation = np.mean([match_metagenes(models[i].metagenes_, models[j].metagenes_).correlations.mean()
                           for i, j in pairs])
    return pd.DataFrame(rows).assign(ari=ari, metagene_correlation=correlation)


def _deal(n, rng):
    """Fold of each of n cells or genes; folds differ by one in size."""
    return rng.permutation(n) % N_FOLDS


def _dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else matrix
