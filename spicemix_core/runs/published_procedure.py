"""The paper's own procedure: several fits, the one with the highest Q, and its clusters.

Each fit is :func:`spicemix_core.baselines.published_fit.fit_as_published`. The fit with the highest last Q is kept. Its
states are z-scored, clustered by Ward's method and cut at the highest Calinski-Harabasz index over 5 to 40 clusters;
clusters of fewer than five cells are left out. :func:`spicemix_core.fit_consensus` is what this package recommends
instead: the Q of a run says little about the quality of its cell types.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from joblib import Parallel, delayed

from spicemix_core.baselines.published_fit import N_ITERATIONS, fit_as_published
from spicemix_core.files.checkpoint import fingerprint
from spicemix_core.files.removal import once_saved, until_saved
from spicemix_core.inputs.anndata import read_names, read_samples, write_results
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.progress import progress
from spicemix_core.tl.clustering import CLUSTERS, Clustering, cluster_states, write_labels

N_SEEDS = 5
NORMALIZATION, N_CLUSTERS_RANGE, SMALLEST_CLUSTER = "zscore", (5, 40), 5
LEFT_OUT = -1


@dataclass(frozen=True)
class PublishedResult:
    """Result of :func:`published_procedure`.

    Attributes
    ----------
    labels : array of int, shape (N,)
        Cluster of each cell in the best run, 0 the largest; -1 for the cells of clusters with fewer than five cells.
    clusterings : list of Clustering
        Tree, Calinski-Harabasz curve and all clusters of each run, small ones included.
    runs : list of SpiceMix
        The fitted models, in the order of their seeds.
    best : int
        The run with the highest last Q.
    run_summary : DataFrame
        Per run: seed, last Q, number of iterations in which S moved, range of S, number of clusters (small ones left
        out).
    """

    labels: np.ndarray
    clusterings: list[Clustering]
    runs: list[SpiceMix]
    best: int
    run_summary: pd.DataFrame

    @property
    def model(self) -> SpiceMix:
        """The run with the highest last Q."""
        return self.runs[self.best]


def published_procedure(adata: AnnData, n_metagenes: int = 20, *, n_runs: int = N_SEEDS, sample_key: str | None = None,
                        graph_key: str = "spatial_connectivities", layer: str | None = None,
                        affinity_penalty: float = 1e-4, max_iter: int = N_ITERATIONS, random_state: int | None = None,
                        n_jobs: int = 1, folder: str | Path | None = None) -> PublishedResult:
    r"""Fit and cluster exactly as the paper describes.

    Parameters
    ----------
    adata : AnnData
        As for :meth:`spicemix_core.SpiceMix.fit`, which also explains ``sample_key``, ``graph_key`` and ``layer``.
    n_metagenes : int
        Number of metagenes, K.
    n_runs : int
        Number of seeds, at least 1; the authors' tutorial uses five.
    affinity_penalty : float
        :math:`\lambda_\Sigma`.
    max_iter : int
        Iterations of each fit.
    random_state : int or None
        The seeds of the runs are drawn from it. The first seeds do not depend on ``n_runs``.
    n_jobs : int
        Number of runs that are fitted at the same time, each in a process of one thread. It does not change results.
    folder : path, optional
        Keeps finished runs and the checkpoints of unfinished ones until all are done. A procedure that was stopped
        resumes from them and gives the same numbers. The folder is made if needed, and removed at the end if nothing
        else is in it.

    Returns
    -------
    PublishedResult
        ``adata`` gains the results of the best run as from :meth:`spicemix_core.SpiceMix.fit`,
        ``obs["spicemix_cluster"]`` (missing for cells of clusters that are left out), and
        ``uns["spicemix"]["published"]`` with the summary of the runs.

    Raises
    ------
    ValueError
        If ``n_runs`` is below 1, or the input is one that :meth:`spicemix_core.SpiceMix.fit` refuses.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> from spicemix_core.runs.published_procedure import published_procedure
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> adata.X = abs(adata.X)
    >>> result = published_procedure(adata, 4, n_runs=2, max_iter=3, random_state=0)
    >>> list(result.run_summary.columns)
    ['random_state', 'Q', 'affinity_moves', 'affinity_range', 'n_clusters']
    """
    if not isinstance(n_runs, (int, np.integer)) or n_runs < 1:
        raise ValueError(f"The number of runs is {n_runs!r}. It must be an integer of at least 1.")
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key, layer)
    seeds = [int(np.random.default_rng(child).integers(2**31))
             for child in np.random.SeedSequence(random_state).spawn(n_runs)]
    options = {"affinity_penalty": affinity_penalty, "max_iter": max_iter}
    places = _places(folder, seeds, expressions, graphs, n_metagenes, options)
    fits = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_fit)(expressions, graphs, n_metagenes, seed, place, options)
        for seed, place in zip(seeds, places, strict=True))
    runs = list(progress(fits, "published procedure", total=n_runs))
    for run in runs:
        run.feature_names_in_, run.sample_names_, run.cell_names_ = read_names(adata, sample_key, rows)
    order = np.argsort(np.concatenate(rows))
    result = choose_as_published(runs, [np.concatenate(run.latent_states_)[order] for run in runs])
    write_results(adata, result.model, rows)
    write_labels(adata, result.labels)
    adata.obs[CLUSTERS] = adata.obs[CLUSTERS].cat.set_categories([str(c) for c in range(result.labels.max() + 1)])
    adata.uns["spicemix"]["published"] = {"run_summary": result.run_summary, "best": result.best}
    if folder is not None:
        once_saved(lambda: _remove(places))
    return result


def choose_as_published(runs: list[SpiceMix], states: list[np.ndarray]) -> PublishedResult:
    """Choice of the run with the highest last Q, and the clusters of every run, from fitted runs.

    Parameters
    ----------
    runs : list of SpiceMix
        From :func:`spicemix_core.baselines.published_fit.fit_as_published`.
    states : list of arrays, each (N, K)
        Their states in the units of the data, all cells in one order.

    Returns
    -------
    PublishedResult
    """
    clusterings = [cluster_as_published(x) for x in states]
    summary = pd.DataFrame({
        "random_state": [run.random_state for run in runs],
        "Q": [run.history_["Q"].iloc[-1] for run in runs],
        "affinity_moves": [int((run.history_["adam_steps"] > 0).sum()) for run in runs],
        "affinity_range": [float(np.ptp(run.affinity_)) for run in runs],
        "n_clusters": [int((np.bincount(c.labels) >= SMALLEST_CLUSTER).sum()) for c in clusterings],
    })
    best = int(summary["Q"].to_numpy().argmax())
    labels = without_small_clusters(clusterings[best].labels)
    return PublishedResult(labels, clusterings, list(runs), best, summary)


def cluster_as_published(states: np.ndarray) -> Clustering:
    """Ward's clusters of the z-scored states at the highest Calinski-Harabasz index over 5 to 40 clusters."""
    smallest, largest = N_CLUSTERS_RANGE
    return cluster_states(states, normalization=NORMALIZATION,
                          n_clusters_range=(smallest, min(largest, len(states) - 1)))


def without_small_clusters(labels: np.ndarray) -> np.ndarray:
    """Labels with -1 for the cells of clusters with fewer than five cells; labels are ordered by size, so no other
    changes."""
    return np.where(np.bincount(labels)[labels] >= SMALLEST_CLUSTER, labels, LEFT_OUT)


def _places(folder, seeds, expressions, graphs, n_metagenes, options):
    """File of each finished run, named by a digest of its parameters and the data; makes the folder."""
    if folder is None:
        return [None] * len(seeds)
    samples = check_samples(expressions, graphs, n_metagenes)
    Path(folder).mkdir(exist_ok=True)
    digests = [fingerprint(options | {"n_metagenes": n_metagenes, "seed": seed}, samples)[:16] for seed in seeds]
    return [Path(folder) / f"published-{digest}.h5" for digest in digests]


def _fit(expressions, graphs, n_metagenes, seed, place, options):
    """Fit a run, or read it from its place if it was finished before."""
    if place is None:
        return fit_as_published(expressions, graphs, n_metagenes, random_state=seed, **options)
    if not place.exists():
        with until_saved():
            fit_as_published(expressions, graphs, n_metagenes, random_state=seed,
                             checkpoint=place.with_suffix(".checkpoint"), **options).save(place)
    return SpiceMix.load(place)


def _remove(places):
    """Remove the files of the runs, and their folder if it holds nothing else."""
    for place in places:
        place.unlink()
    if not any(places[0].parent.iterdir()):
        places[0].parent.rmdir()
