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

from spicemix_core.baselines.index_clustering import IndexClustering, cluster_by_index
from spicemix_core.baselines.published_fit import N_ITERATIONS, fit_as_published
from spicemix_core.files.checkpoint import fingerprint
from spicemix_core.files.lock import reserves_folder
from spicemix_core.files.removal import once_saved, until_saved
from spicemix_core.inputs.anndata import read_names, read_samples
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.inputs.memory import input_of
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.inputs.results import write_fit
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.progress import progress
from spicemix_core.tl.clustering import CLUSTERS, write_labels

N_SEEDS = 5
SMALLEST_CLUSTER = 5
LEFT_OUT = -1


@dataclass(frozen=True)
class PublishedResult:
    """Result of :func:`published_procedure`.

    Attributes
    ----------
    labels : array of int, shape (N,)
        Cluster of each cell in the best run, 0 the largest; -1 for the cells of clusters with fewer than five cells.
    clusterings : list of IndexClustering
        Tree, Calinski-Harabasz curve and all clusters of each run, including those of fewer than five cells.
    runs : list of SpiceMix
        The fitted models, in the order in which their seeds are drawn.
    best : int
        Position in ``runs`` of the run with the highest last Q.
    run_summary : DataFrame
        One row per run: seed (``random_state``), last Q (``Q``), number of iterations in which S moved
        (``affinity_moves``), difference between its largest and its smallest entry (``affinity_range``), and number of
        clusters of at least five cells (``n_clusters``).

    Examples
    --------
    >>> from spicemix_core import datasets, published_procedure
    >>> adata = datasets.simulate_cortex(n_cells=100, n_genes=20, random_state=0)
    >>> adata.X = abs(adata.X)
    >>> result = published_procedure(adata, 4, n_runs=2, max_iter=3, random_state=0)
    >>> result.model is result.runs[result.best]
    True
    >>> result.run_summary["Q"].idxmax() == result.best
    True
    """

    labels: np.ndarray
    clusterings: list[IndexClustering]
    runs: list[SpiceMix]
    best: int
    run_summary: pd.DataFrame

    @property
    def model(self) -> SpiceMix:
        """The run with the highest last Q."""
        return self.runs[self.best]


@reserves_folder
def published_procedure(adata: AnnData, n_metagenes: int = 20, *, n_runs: int = N_SEEDS, sample_key: str | None = None,
                        graph_key: str = "spatial_connectivities", layer: str | None = None,
                        affinity_penalty: float = 1e-4, max_iter: int = N_ITERATIONS, random_state: int | None = None,
                        n_jobs: int = 1, folder: str | Path | None = None) -> PublishedResult:
    r"""Fit and cluster exactly as the paper describes.

    Several fits, each as in the paper and in its public code of 2022, are compared by their last objective Q. The cell
    types come from the fit with the highest Q. Use this function to reproduce the paper, and
    :func:`spicemix_core.fit_consensus` for new data.

    Parameters
    ----------
    adata : AnnData
        See :meth:`spicemix_core.SpiceMix.fit`, also for ``sample_key``, ``graph_key`` and ``layer``.
    n_metagenes : int, default=20
        Number of metagenes K.
    n_runs : int, default=5
        Number of seeds, at least 1. The authors' tutorial uses five.
    sample_key, graph_key, layer : str, optional
    affinity_penalty : float, default=1e-4
        Penalty :math:`\lambda_\Sigma` on the affinity.
    max_iter : int, default=500
        Number of iterations of each fit. There is no other stopping rule.
    random_state : int or None, default=None
        The seeds of the runs are drawn from it. The first seeds do not depend on ``n_runs``.
    n_jobs : int, default=1
        Number of runs fitted in parallel, in processes of one thread each; -1 uses all cores. Results do not depend on
        it.
    folder : path, optional
        Folder for finished runs and for the checkpoints of unfinished ones. An interrupted procedure resumes from it
        and returns the same numbers. The function creates the folder, and removes its files (and the folder, if it
        holds nothing else) when all runs are finished.

    Returns
    -------
    PublishedResult
        The function also writes to ``adata``: the results of the best run, its labels to ``obs["spicemix_cluster"]``
        (missing for the cells of clusters with fewer than five cells), and the summary of the runs to
        ``uns["spicemix"]["published"]``. It removes ``obs["spicemix_confidence"]``, which belongs to a consensus.

    Raises
    ------
    KeyError
        If a column, a graph or a layer does not exist.
    ValueError
        If there is no run, or :meth:`spicemix_core.SpiceMix.fit` rejects the input.

    Notes
    -----
    Each fit starts from k-means on the scaled expression, iterates 500 times without a convergence criterion, and
    estimates the affinity by Adam with the stopping rule of the public code. The steps for states and metagenes and the
    integral over the simplex are the exact ones of :class:`spicemix_core.SpiceMix`. The states of the best run are
    z-scored, clustered by Ward's method and cut at the highest Calinski-Harabasz index over 5 to 40 clusters. Which
    seed has the highest Q says little about the quality of its cell types.

    References
    ----------
    Chidester, Zhou, Alam and Ma, Nature Genetics 55, 78-88 (2023), Algorithm 1; https://github.com/ma-compbio/SpiceMix,
    branch NatureGenetics-2022.

    Examples
    --------
    >>> from spicemix_core import datasets, published_procedure
    >>> adata = datasets.simulate_cortex(n_cells=100, n_genes=20, random_state=0)
    >>> adata.X = abs(adata.X)
    >>> result = published_procedure(adata, 4, n_runs=2, max_iter=3, random_state=0)
    >>> list(result.run_summary.columns)
    ['random_state', 'Q', 'affinity_moves', 'affinity_range', 'n_clusters']
    """
    check_integer("n_runs", n_runs, 1)
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
        run.input_ = input_of(adata, sample_key, graph_key, layer)
    order = np.argsort(np.concatenate(rows))
    result = choose_as_published(runs, [np.concatenate(run.latent_states_)[order] for run in runs])
    write_fit(adata, result.model, rows, sample_key, graph_key, layer)
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
    clusterings = [cluster_by_index(x) for x in states]
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
