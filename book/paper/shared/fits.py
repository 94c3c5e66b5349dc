"""Fits of a data set by the paper's own procedure and by this book's recommendation, stored for all its chapters.

The chapters on STARmap show the same fits, and a chapter that is built again needs no new ones: each result is a file
whose name ends in a digest of the data, the settings and the source files that compute it.
"""

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
from anndata import AnnData
from filelock import FileLock

from paper.shared.typed_cells import states_in_order
from spicemix_core import Consensus, PublishedResult, SpiceMix, fit_consensus, published_procedure
from spicemix_core.baselines import IndexClustering, cluster_by_index, published_fit
from spicemix_core.files.atomic import replacing
from spicemix_core.runs import consensus
from spicemix_core.runs import published_procedure as publication
from spicemix_core.runs.stored_tasks import source_digest
from spicemix_core.tl import Clustering, ClusteringWarning, cluster_states, cut_tree

SAMPLES, GRAPH = "sample", "spatial_connectivities"
PROCEDURE, RECOMMENDED = "paper's procedure", "recommended fit"


@dataclass(frozen=True)
class Sizes:
    """How many fits a chapter uses.

    Attributes
    ----------
    seeds : int
        Runs of the paper's procedure, and of NMF.
    master_seeds : int
        Consensuses of SpiceMix, each with runs of its own.
    runs : int or None
        Runs of each consensus; None for the default of `fit_consensus`.
    """

    seeds: int
    master_seeds: int
    runs: int | None = None


SIZES = {"quick": Sizes(2, 1, 3), "full": Sizes(20, 5)}


@dataclass(frozen=True)
class Solution:
    """One clustering of the cells with the fitted model that describes it.

    Attributes
    ----------
    model : SpiceMix
    clustering : IndexClustering or Clustering
        Of the paper's procedure, or the definition of the package.
    states : (N, K) array
        States of the model in the order of the cells.
    joined : list of (N, K) arrays
        States of all fits that were clustered together.
    confidence : (N,) array or None
        Agreement of the runs on each cell; None for a single run.
    """

    model: SpiceMix
    clustering: IndexClustering | Clustering
    states: np.ndarray
    joined: list[np.ndarray]
    confidence: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """Cluster of each cell."""
        return self.clustering.labels

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return self.clustering.n_clusters

    @property
    def criterion(self) -> str:
        """Name of the curve that selects the number of clusters."""
        return "Calinski-Harabasz index" if isinstance(self.clustering, IndexClustering) else "separation"

    @property
    def curve(self) -> pd.Series:
        """This curve, by number of clusters."""
        clustering = self.clustering
        return clustering.calinski_harabasz if isinstance(clustering, IndexClustering) else clustering.separation

    def cut(self, n_clusters: int) -> np.ndarray:
        """Labels of the same tree at another number of clusters, or at the largest that it has."""
        if isinstance(self.clustering, IndexClustering):
            return cut_tree(self.clustering.linkage, n_clusters)
        largest = int(self.clustering.separation.index[-1])
        return cluster_states(self.joined, n_clusters=min(n_clusters, largest)).labels


@dataclass(frozen=True)
class Way:
    """Fits of SpiceMix and NMF by one procedure, with their repetitions.

    Attributes
    ----------
    title : str
        `PROCEDURE` or `RECOMMENDED`.
    chosen, nmf : Solution
        The solutions that figures show and claims are judged by.
    repeats, nmf_repeats : list of Solution
        The same for each seed, or for each master seed of a consensus; both have the same length.
    """

    title: str
    chosen: Solution
    nmf: Solution
    repeats: list[Solution]
    nmf_repeats: list[Solution]


@dataclass(frozen=True)
class Fits:
    """Results of :func:`fit_both_ways`; ``consensuses`` has one result for each master seed, the page's first.

    ``published_nmf`` holds the runs of NMF that start like the paper's procedure, ``nmf`` a consensus as recommended.
    """

    published: PublishedResult
    consensuses: list[Consensus]
    published_nmf: Consensus
    nmf: Consensus

    def ways(self, samples: Sequence[str]) -> tuple[Way, Way]:
        """The paper's procedure and the recommended fit; ``samples`` is the sample of each cell."""
        nmf = self.published_nmf.runs
        nmf_runs = [_of_run(*run, samples) for run in zip(nmf, _published_clusters(nmf, samples), strict=True)]
        runs = [_of_run(*run, samples) for run in zip(self.published.runs, self.published.clusterings, strict=True)]
        best = int(np.argmax([run.history_["Q"].iloc[-1] for run in nmf]))
        own = [_of_consensus(result, samples) for result in self.consensuses]
        joined = _of_consensus(self.nmf, samples)
        return (Way(PROCEDURE, runs[self.published.best], nmf_runs[best], runs, nmf_runs),
                Way(RECOMMENDED, own[0], joined, own, [joined] * len(own)))


def fit_both_ways(adata: AnnData, n_metagenes: int, sizes: Sizes, folder: str | Path, *, random_state: int = 0,
                  n_jobs: int = 2) -> Fits:
    """Fit SpiceMix as in the paper and as recommended, and NMF, or read the results of an earlier call.

    NMF is the same program without neighbours, fitted to convergence. The paper does not describe its own. Under the
    paper's procedure, NMF starts from the expression like SpiceMix, and its run with the highest Q is clustered in the
    same way; as recommended, it is a consensus from the same starts as that of SpiceMix.

    Parameters
    ----------
    adata : AnnData
        With samples in ``obs["sample"]``. It is not changed.
    n_metagenes : int
    sizes : Sizes
    folder : path
        Folder of the stored results, created if necessary. Another process that wants the same result waits for it.
    random_state : int
        Seed of the paper's procedure, of NMF and of the first consensus; the others have the next numbers.
    n_jobs : int
        Runs in parallel.
    """
    store = Store(Path(folder), adata)
    common = {"n_metagenes": n_metagenes, "sample_key": SAMPLES, "n_jobs": n_jobs}
    runs = store.result(_published_runs, published_fit, n_runs=sizes.seeds, random_state=random_state, **common)
    given = {} if sizes.runs is None else {"n_runs": sizes.runs}
    without = {"spatial": False, "random_state": random_state, **common}
    published_nmf = store.result(fit_consensus, consensus, n_runs=sizes.seeds, init="expression", **without)
    nmf = store.result(fit_consensus, consensus, **given, **without)
    own = [store.result(fit_consensus, consensus, random_state=random_state + i, **given, **common)
           for i in range(sizes.master_seeds)]
    samples = adata.obs[SAMPLES]
    published = publication.choose_as_published(runs, [states_in_order(run, samples) for run in runs])
    return Fits(published, own, published_nmf, nmf)


def _published_runs(adata, **settings):
    """The fits of the paper's procedure. Their clusters take a second and are not stored."""
    return published_procedure(adata, **settings).runs


class Store:
    """Results of fits of one data set in a folder."""

    def __init__(self, folder: Path, adata: AnnData):
        self.folder, self.adata = folder, adata
        self._data = joblib.hash((adata.X, adata.obsp[GRAPH], adata.obs[SAMPLES].to_numpy(dtype=str),
                                  adata.obs_names.to_numpy(dtype=str), adata.var_names.to_numpy(dtype=str)))

    def result(self, fit: Callable[..., Any], module: ModuleType, *, n_jobs: int, **settings: object) -> Any:
        """``fit(adata, **settings)``, computed once for the present sources of ``module``; resumes if interrupted."""
        described = f"{settings!r} {self._data} {source_digest(module.__name__)}"
        digest = hashlib.sha256(described.encode()).hexdigest()[:16]
        path = self.folder / f"{fit.__name__.strip('_')}-{digest}.joblib"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ClusteringWarning)  # the chapters draw the curves
                    result = fit(self.adata.copy(), n_jobs=n_jobs, folder=path.with_suffix(""), **settings)
                with replacing(path) as temporary:
                    joblib.dump(result, temporary, compress=3)
        return joblib.load(path)


def _published_clusters(runs, samples):
    return [cluster_by_index(states_in_order(run, samples)) for run in runs]


def _of_run(model, clustering, samples):
    states = states_in_order(model, samples)
    return Solution(model, clustering, states, [states])


def _of_consensus(result, samples):
    joined = [states_in_order(run, samples) for run in result.runs]
    return Solution(result.model, result.clustering, joined[result.reference], joined, result.confidence)
