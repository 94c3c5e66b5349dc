"""How the runs of a consensus become one clustering, and how stable their results are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spicemix_core.model import SpiceMix
from spicemix_core.tl.clustering import RANGE, Clustering, cluster_runs
from spicemix_core.tl.contacts import metagene_affinity
from spicemix_core.tl.matching import adjusted_rand_index, match_labels, match_metagenes


@dataclass(frozen=True)
class Consensus:
    """Result of :func:`fit_consensus`.

    Attributes
    ----------
    labels : (N,) array of int
        Cell type of each cell. Type 0 is the largest.
    confidence : (N,) array
        For each cell, the share of all runs whose own clustering, matched to the consensus, has the cell in the same
        cluster.
    clustering : Clustering
        The fine and coarse cell types, the tree with the support of its branches, and the separation by number of
        clusters.
    runs : list of SpiceMix
        The fitted models in the order of their seeds.
    own_labels : list of (N,) arrays of int
        Clustering of each run on its own, with its own number of clusters.
    reference : int
        Index of the run whose own clustering agrees best with the consensus. Use its metagenes and its affinity.
    run_summary : DataFrame
        By run: ``random_state``, ``init``, ``Q`` (last value), ``n_iter``, ``converged``, ``separation`` (highest of
        its own clusterings), ``n_clusters`` of its own clustering, and ``ari_with_consensus`` (adjusted Rand index of
        its own states, cut at the number of clusters of the consensus, with the consensus).
    metagene_stability : (K,) array
        For each metagene of the reference run, the mean correlation with its matches in the other runs.
    affinity_stability : DataFrame
        For each pair of metagenes of the reference run (``first``, ``second``), ``mean`` and standard deviation ``sd``
        of the metagene affinity minus its mean over the runs.

    Examples
    --------
    >>> from spicemix_core import datasets, fit_consensus
    >>> cortex = datasets.simulate_cortex(n_cells=80, n_genes=20, sigma_y=0.0, random_state=0)
    >>> found = fit_consensus(cortex, n_runs=2, n_metagenes=4, max_iter=2, tol=1.0, random_state=0)
    >>> found.labels.shape, found.run_summary.shape[0]
    ((80,), 2)
    """

    labels: np.ndarray
    confidence: np.ndarray
    clustering: Clustering
    runs: list[SpiceMix]
    own_labels: list[np.ndarray]
    reference: int
    run_summary: pd.DataFrame
    metagene_stability: np.ndarray
    affinity_stability: pd.DataFrame

    @property
    def model(self) -> SpiceMix:
        """The reference run."""
        return self.runs[self.reference]


def combine_runs(runs: list[SpiceMix], states: list[np.ndarray], *, n_clusters: int | None = None,
                 n_clusters_range: tuple[int, int] = RANGE) -> Consensus:
    """The consensus of fitted runs: :func:`fit_consensus` without the fits.

    Parameters
    ----------
    runs : list of SpiceMix
        Fitted models.
    states : list of (N, K) arrays
        States of each run, with the cells in the same order.
    n_clusters, n_clusters_range
        See :func:`spicemix_core.tl.cluster_states`.

    Returns
    -------
    Consensus
    """
    clustering, alone, own = cluster_runs(states, n_clusters=n_clusters, n_clusters_range=n_clusters_range)
    votes = np.array([match_labels(labels, clustering.labels).loc[labels] == clustering.labels for labels in own])
    agreement = np.array([adjusted_rand_index(labels, clustering.labels) for labels in own])
    reference = int(np.argmax(agreement))
    metagene_stability, affinity_stability = _stability(runs, reference)
    summary = pd.DataFrame({
        "random_state": [run.random_state for run in runs],
        "init": [run.init for run in runs],
        "Q": [run.history_["Q"].iloc[-1] for run in runs],
        "n_iter": [run.n_iter_ for run in runs],
        "converged": [run.converged_ for run in runs],
        "separation": [c.separation.max() for c in alone],
        "n_clusters": [c.n_clusters for c in alone],
        "ari_with_consensus": agreement,
    })
    return Consensus(labels=clustering.labels, confidence=votes.mean(axis=0), clustering=clustering, runs=runs,
                     own_labels=[c.labels for c in alone], reference=reference, run_summary=summary,
                     metagene_stability=metagene_stability, affinity_stability=affinity_stability)


def _stability(runs, reference):
    """Correlation of the reference run's metagenes with those of the other runs, and spread of the affinities."""
    base = runs[reference].metagenes_
    matches = [match_metagenes(base, run.metagenes_) for run in runs]
    others = [i for i in range(len(runs)) if i != reference]
    correlation = np.mean([matches[i].correlations for i in others], axis=0)
    affinities = np.array([
        metagene_affinity(run.affinity_)[np.ix_(m.permutation, m.permutation)]
        for run, m in zip(runs, matches, strict=True)
    ])
    first, second = np.triu_indices(base.shape[1])
    return correlation, pd.DataFrame({
        "first": first, "second": second, "mean": affinities.mean(axis=0)[first, second],
        "sd": affinities.std(axis=0, ddof=1)[first, second],
    })
