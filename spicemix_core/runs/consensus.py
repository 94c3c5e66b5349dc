"""One answer from many runs: cell types that do not hang on the seed of a single fit.

A fit starts from k-means and ends in a local optimum, and neither its objective nor its energy ranks the runs by the
quality of their cell types; how well a run's own states fall into clusters, its Calinski-Harabasz index, does so in
part (book, simulation chapter). The consensus uses no labels: the half of the runs with the highest index is kept, and
their normalised states, side by side as one matrix, are clustered once and cut at the first peak of the index. Whatever
the runs agree on adds up over the columns; what one run alone claims does not.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from spicemix_core.files.checkpoint import fingerprint
from spicemix_core.inputs.anndata import read_names, read_samples, write_results
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.progress import progress
from spicemix_core.samples import check_samples
from spicemix_core.tl.clustering import (
    NORMALIZATIONS,
    Clustering,
    cluster_rows,
    first_peak,
    label_categories,
    normalize_states,
)
from spicemix_core.tl.matching import adjusted_rand_index, match_labels, match_metagenes

N_RUNS = 10
NORMALIZATION = "zscore_proportions"
_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Consensus:
    """Result of :func:`fit_consensus`.

    Attributes
    ----------
    labels : array of int, shape (N,)
        Cluster of each cell, 0 the largest.
    confidence : array, shape (N,)
        Share of all runs, kept or not, whose own clustering, matched to the consensus, gives the cell the same cluster.
    clustering : Clustering
        Tree and Calinski-Harabasz curve behind ``labels``.
    runs : list of SpiceMix
        The fitted models, in the order of their seeds.
    own_labels : list of arrays of int, each (N,)
        Every run's own clustering of its states, cut at its own first peak of the index.
    reference : int
        The kept run whose own clustering agrees best with the consensus; use its metagenes and affinity.
    run_summary : DataFrame
        Per run: seed, last Q, iterations, convergence, highest Calinski-Harabasz index of its own states, number of
        clusters of its own clustering, whether it was kept, and the adjusted Rand index of that with the consensus.
    metagene_stability : array, shape (K,)
        For each metagene of the reference run, the mean correlation with its match in the other runs.
    affinity_stability : DataFrame
        For each pair of the reference run's metagenes, mean and standard deviation of S minus its mean over the runs.
    """

    labels: np.ndarray
    confidence: np.ndarray
    clustering: Clustering
    runs: list
    own_labels: list
    reference: int
    run_summary: pd.DataFrame
    metagene_stability: np.ndarray
    affinity_stability: pd.DataFrame

    @property
    def model(self):
        """The reference run."""
        return self.runs[self.reference]


def cluster_side_by_side(states, *, normalization=NORMALIZATION, n_clusters=None, n_clusters_range=(5, 40)):
    """Ward clustering of the normalised states of all runs, put side by side as one matrix.

    Unless it is given, the number of clusters is that of :func:`spicemix_core.tl.clustering.first_peak`.

    Parameters
    ----------
    states : list of arrays, each (N, K)
    normalization : str
        As :func:`spicemix_core.tl.clustering.normalize_states`.
    n_clusters, n_clusters_range
        As :func:`spicemix_core.tl.clustering.cluster_states`.

    Returns
    -------
    Clustering
    """
    joined = np.concatenate([normalize_states(x, normalization) for x in states], axis=1)
    return cluster_rows(joined, n_clusters, n_clusters_range, first_peak)


def fit_consensus(adata, n_metagenes=20, *, n_runs=N_RUNS, sample_key=None, graph_key="spatial_connectivities",
                  layer=None, normalization=NORMALIZATION, n_clusters=None, n_clusters_range=(5, 40), random_state=None,
                  n_jobs=1, folder=None, **options):
    """Fit ``n_runs`` models from different seeds and combine their states into one clustering, without labels.

    Parameters
    ----------
    adata : AnnData
        As :meth:`spicemix_core.SpiceMix.fit`, which also explains ``sample_key``, ``graph_key`` and ``layer``.
    n_metagenes : int
    n_runs : int
        Number of seeds, at least 2. The clustering rests on the better half (at least two), confidence and stability
        on all.
    normalization, n_clusters, n_clusters_range
        As :func:`spicemix_core.tl.clustering.cluster_states`; the number of clusters is that of the first peak of the
        Calinski-Harabasz index unless ``n_clusters`` is given.
    random_state : int, numpy Generator or None
        The seeds of the runs are drawn from it; results do not depend on ``n_jobs``.
    n_jobs : int
        Runs fitted at a time, in processes of one thread each. Within ``with joblib.parallel_config("dask",
        client=client):`` they are fitted on the workers of a Dask client instead.
    folder : path, optional
        Where finished runs and checkpoints of those under way are kept until all are done: a consensus that was stopped
        goes on from there, to the same numbers. Made if it is not there, and removed in the end if nothing else is in
        it. Workers of a Dask client need to see it.
    **options
        Passed to :class:`spicemix_core.SpiceMix`.

    Returns
    -------
    Consensus
        ``adata`` gains the reference run's results, ``obs["spicemix_cluster"]``, ``obs["spicemix_confidence"]``
        and, in ``uns["spicemix"]["consensus"]``, the summary of the runs and the stabilities.

    Raises
    ------
    ValueError
        Fewer than two runs, an unknown normalisation, an impossible number of clusters, or any input that
        :meth:`spicemix_core.SpiceMix.fit` refuses.
    """
    if not isinstance(n_runs, (int, np.integer)) or n_runs < 2:
        raise ValueError(f"n_runs must be an integer of at least 2, not {n_runs!r}; a single fit is SpiceMix(...).fit")
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization must be one of {', '.join(NORMALIZATIONS)}, not {normalization!r}")
    smallest, largest = n_clusters_range if n_clusters is None else (n_clusters, n_clusters)
    if not 2 <= smallest <= largest or smallest >= adata.n_obs:
        raise ValueError(f"{smallest} to {largest} clusters of {adata.n_obs} cells are impossible; ask for 2 to "
                         f"{adata.n_obs - 1}")
    if not isinstance(n_jobs, (int, np.integer)) or n_jobs == 0:
        raise ValueError(f"n_jobs must be a whole number other than 0, not {n_jobs!r}; -1 uses all cores")
    spatial = options.get("spatial", True)
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if spatial else None, layer)
    seeds = np.random.default_rng(random_state).integers(2**31, size=n_runs).tolist()
    models = [SpiceMix(n_metagenes, random_state=seed, **options) for seed in seeds]
    places = [None] * n_runs if folder is None else _places(Path(folder), models, expressions, graphs)
    fits = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_fit)(*run, expressions, graphs) for run in zip(models, places, strict=True)
    )
    runs, told = zip(*progress(fits, "consensus runs", total=n_runs), strict=True)
    for message, category in dict.fromkeys(pair for pairs in told for pair in pairs):
        warnings.warn(message, category, stacklevel=1)
    for run in runs:
        run.feature_names_in_, run.sample_names_, run.cell_names_ = read_names(adata, sample_key, rows)
    order = np.argsort(np.concatenate(rows))
    states = [np.concatenate(run.latent_states_)[order] for run in runs]
    result = combine_runs(list(runs), states, normalization=normalization, n_clusters=n_clusters,
                          n_clusters_range=n_clusters_range)
    write_results(adata, result.model, rows)
    adata.obs["spicemix_cluster"] = label_categories(result.labels)
    adata.obs["spicemix_confidence"] = result.confidence
    adata.uns["spicemix"]["consensus"] = {
        "run_summary": result.run_summary, "metagene_stability": result.metagene_stability,
        "affinity_stability": result.affinity_stability, "reference": result.reference}
    if folder is not None:
        _remove(places)
    return result


def _places(folder, models, expressions, graphs):
    """The file of each finished run, named by a digest of its parameters and the data; makes the folder."""
    samples = check_samples(expressions, graphs, models[0].n_metagenes)
    folder.mkdir(exist_ok=True)
    return [folder / f"run-{fingerprint(model.get_params(), samples)[:16]}.h5" for model in models]


def _fit(model, place, expressions, graphs):
    """Fit a run, or read it from its place if it was finished before; with the warnings of it, which a process of its
    own could tell nobody."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if place is None:
            model.fit_arrays(expressions, graphs)
        else:
            if not place.exists():
                model.fit_arrays(expressions, graphs, checkpoint=place.with_suffix(".checkpoint")).save(place)
            model = SpiceMix.load(place)
    return model, [(str(w.message), w.category) for w in told if Path(w.filename).is_relative_to(_PACKAGE)]


def _remove(places):
    """Remove the files of the runs, and their folder if it holds nothing else."""
    for place in places:
        place.unlink()
    if not any(places[0].parent.iterdir()):
        places[0].parent.rmdir()


def combine_runs(runs, states, *, normalization=NORMALIZATION, n_clusters=None, n_clusters_range=(5, 40)):
    """The consensus of fitted runs: :func:`fit_consensus` without the fitting.

    Parameters
    ----------
    runs : list of fitted SpiceMix
    states : list of arrays, each (N, K)
        The states of each run, cells in one order.

    Returns
    -------
    Consensus
    """
    def cluster(chosen, number):
        return cluster_side_by_side(chosen, normalization=normalization, n_clusters=number,
                                    n_clusters_range=n_clusters_range)

    alone = [cluster([x], n_clusters) for x in states]
    index = np.array([c.calinski_harabasz.max() for c in alone])
    kept = np.sort(np.argsort(-index, kind="stable")[: max(2, (len(runs) + 1) // 2)])
    clustering = cluster([states[i] for i in kept], n_clusters)
    own = [cluster([x], clustering.n_clusters).labels for x in states]  # at the number of the consensus
    votes = np.array([match_labels(labels, clustering.labels).loc[labels] == clustering.labels for labels in own])
    agreement = np.array([adjusted_rand_index(labels, clustering.labels) for labels in own])
    reference = int(kept[np.argmax(agreement[kept])])
    metagene_stability, affinity_stability = _stability(runs, reference)
    summary = pd.DataFrame({
        "random_state": [run.random_state for run in runs],
        "Q": [run.history_["Q"].iloc[-1] for run in runs],
        "n_iter": [run.n_iter_ for run in runs],
        "converged": [run.converged_ for run in runs],
        "calinski_harabasz": index,
        "n_clusters": [c.n_clusters for c in alone],
        "kept": np.isin(np.arange(len(runs)), kept),
        "ari_with_consensus": agreement,
    })
    return Consensus(clustering.labels, votes.mean(axis=0), clustering, runs, [c.labels for c in alone], reference,
                     summary, metagene_stability, affinity_stability)


def _stability(runs, reference):
    """Correlation of the reference run's metagenes with the other runs', and spread of the matched affinities."""
    base = runs[reference].metagenes_
    matches = [match_metagenes(base, run.metagenes_) for run in runs]
    others = [i for i in range(len(runs)) if i != reference]
    correlation = np.mean([matches[i].correlations for i in others], axis=0)
    affinities = np.array([
        (run.affinity_ - run.affinity_.mean())[np.ix_(m.permutation, m.permutation)]
        for run, m in zip(runs, matches, strict=True)
    ])
    first, second = np.triu_indices(base.shape[1])
    return correlation, pd.DataFrame({
        "first": first, "second": second, "mean": affinities.mean(axis=0)[first, second],
        "sd": affinities.std(axis=0, ddof=1)[first, second],
    })
