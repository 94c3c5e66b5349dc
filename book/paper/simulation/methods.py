"""The methods of the simulation study, each applied to one replicate, and the scores of their answers."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

from paper.shared.recovery import EXCITATORY_TYPES, SCATTERED_TYPES, score_model
from paper.shared.scores import affinity_of_states, share_in_own_type
from spicemix_core import SpiceMix, fit_consensus, published_procedure
from spicemix_core.baselines import cluster_by_index, fit_hmrf_grid
from spicemix_core.tl import DEFAULT_NORMALIZATION, adjusted_rand_index, cluster_states, cut_tree, normalize_states

if TYPE_CHECKING:  # the study imports this module
    from paper.simulation.study import Settings

PUBLISHED = "SpiceMix, paper's procedure"
STATE_NORMALIZATIONS = ("zscore", "proportions", "zscore_proportions")
SCORES = ["method", "normalization", "n_clusters", "ari", "excitatory_share", "scattered_share", "metagene_correlation",
          "state_correlation", "layer_correlation", "scattered_correlation", "affinity_correlation", "layer_morans_i",
          "silhouette_gain", "n_iter", "converged", "seconds", "note"]


@dataclass(frozen=True)
class Fit:
    """Result of one method for one replicate; ``model`` is its SpiceMix, if there is one."""

    method: str
    normalization: str
    labels: np.ndarray
    seconds: float
    model: SpiceMix | None = None
    note: str = ""

    @property
    def states(self) -> np.ndarray:
        return np.concatenate(self.model.latent_states_)


def fit_methods(adata: AnnData, seed: int, settings: "Settings") -> list[Fit]:
    """All methods on one sample: list of `Fit`.

    SpiceMix and NMF are fitted once and as a consensus of fits, and SpiceMix also once by the paper's procedure. The
    single fits are clustered by the definition of the package, and at each normalisation with the number of clusters
    of the highest Calinski-Harabasz index. ``SpiceMix, co-association`` combines the runs' own clusterings by
    `cluster_co_association`. ``NMF*`` is cut where the adjusted Rand index with the truth is highest. ``HMRF`` models
    all z-scored genes with full covariances, our reading of the paper. ``HMRF, 10 PCs`` models ten principal
    components of expression scaled as in Giotto (z-scores of genes, then of cells), which gives much better results.
    Both HMRF use the truth to choose parameters.
    """
    fits = []
    for name, spatial in (("SpiceMix", True), ("NMF", False)):
        start = time.perf_counter()
        model = SpiceMix(settings.n_metagenes, spatial=spatial, random_state=seed).fit(adata, sample_key="sample")
        seconds = time.perf_counter() - start
        fits += _clusterings(name, model, seconds, None if spatial else adata.obs["cell_type"])
        start = time.perf_counter()
        consensus = fit_consensus(adata, settings.n_metagenes, n_runs=settings.n_runs, sample_key="sample",
                                  spatial=spatial, random_state=seed)
        seconds = time.perf_counter() - start
        fits.append(Fit(f"{name} consensus", DEFAULT_NORMALIZATION, consensus.labels, seconds, consensus.model))
        if spatial:
            start = time.perf_counter()
            voted = cluster_co_association(consensus.own_labels)
            spent = seconds + time.perf_counter() - start
            fits.append(Fit("SpiceMix, co-association", DEFAULT_NORMALIZATION, voted, spent))
    fits.append(_as_published(adata, seed, settings))
    genes = normalize_states(adata.X, "zscore")
    giotto = normalize_states(genes.T, "zscore").T
    fits.append(_best_hmrf("HMRF", "zscore", genes, None, adata, seed, settings))
    fits.append(_best_hmrf("HMRF, 10 PCs", "zscore of genes, then cells", giotto, 10, adata, seed, settings))
    return fits


def _as_published(adata, seed, settings):
    """One run of the paper's procedure; its small clusters keep their labels."""
    start = time.perf_counter()
    result = published_procedure(adata.copy(), settings.n_metagenes, n_runs=1, sample_key="sample", random_state=seed,
                                 max_iter=settings.published_iterations)
    return Fit(PUBLISHED, "zscore", result.clusterings[0].labels, time.perf_counter() - start, result.model)


def cluster_co_association(clusterings: Sequence[ArrayLike]) -> np.ndarray:
    """Consensus of clusterings by evidence accumulation: array of int, shape (N,).

    Average linkage on ``1 - C``, where ``C_ij`` is the share of the clusterings in which cells i and j are in the same
    cluster, cut at the median of the clusterings' numbers of clusters, rounded down.

    Source: A. Fred and A. K. Jain, IEEE Transactions on Pattern Analysis and Machine Intelligence 27 (2005) 835-850.

    Parameters
    ----------
    clusterings : sequence of (N,) arrays
    """
    labels = np.asarray(clusterings)
    together = np.mean([one[:, None] == one[None, :] for one in labels], axis=0)
    tree = linkage(squareform(1 - together, checks=False), method="average")
    return cut_tree(tree, int(np.median([len(np.unique(one)) for one in labels])))


def _clusterings(name, model, seconds, truth):
    """The clusterings of one fit at each normalisation and, given the truth, the best cuts of their trees."""
    states = np.concatenate(model.latent_states_)
    start = time.perf_counter()
    own = cluster_states(states).labels
    fits = [Fit(name, DEFAULT_NORMALIZATION, own, seconds + time.perf_counter() - start, model)]
    for normalization in STATE_NORMALIZATIONS:
        start = time.perf_counter()
        found = cluster_by_index(states, normalization=normalization)
        spent = seconds + time.perf_counter() - start
        fits.append(Fit(name, normalization, found.labels, spent, model))
        if truth is not None:
            fits.append(Fit(f"{name}*", normalization, best_cut(found.linkage, truth), spent, model))
    return fits


def best_cut(tree: np.ndarray, truth: ArrayLike, n_clusters: Iterable[int] = range(5, 41)) -> np.ndarray:
    """Labels of the cut of a Ward tree with the highest adjusted Rand index with the truth ("NMF*" of Fig. 2d).

    The cut uses the truth, so it is an upper bound of the method and not a way to choose the number of clusters.
    The smallest number of clusters wins a tie.
    """
    return max((cut_tree(tree, k) for k in n_clusters), key=lambda labels: adjusted_rand_index(labels, truth))


def _best_hmrf(name, normalization, features, n_components, adata, seed, settings):
    """HMRF at the upper bound and smoothness of the highest adjusted Rand index; seconds of the whole grid."""
    start, truth, found = time.perf_counter(), adata.obs["cell_type"], []
    for n_states in settings.n_states:
        grid = fit_hmrf_grid(features, adata.obsp["spatial_connectivities"], n_states, betas=settings.betas,
                             n_components=n_components, random_state=seed)
        found += [(adjusted_rand_index(model.labels_, truth), model, n_states) for model in grid.values()]
    _, best, n_states = max(found, key=lambda entry: entry[0])
    return Fit(name, normalization, best.labels_, time.perf_counter() - start,
               note=f"beta = {best.beta:g}, at most {n_states} states")


def score_fits(adata: AnnData, fits: Sequence[Fit]) -> pd.DataFrame:
    """One row per `Fit`, columns as `SCORES`.

    Scores of a model (`paper.shared.recovery.score_model`, and ``silhouette_gain``: mean silhouette of the true
    types in the z-scored states minus that in the z-scored expression) are given in the first row of the model and
    are NaN in its other rows.
    """
    types = adata.obs["cell_type"].to_numpy()
    base = silhouette_score(normalize_states(adata.X, "zscore"), types)
    true_affinity = affinity_of_states(adata.obsm["true_latent_states"], adata.obsp["spatial_connectivities"],
                                       SpiceMix().affinity_penalty)
    rows, scored = [], set()
    for fit in fits:
        row = {"method": fit.method, "normalization": fit.normalization, "n_clusters": len(np.unique(fit.labels)),
               "ari": adjusted_rand_index(fit.labels, types), "seconds": fit.seconds, "note": fit.note,
               "excitatory_share": share_in_own_type(fit.labels, types, EXCITATORY_TYPES),
               "scattered_share": share_in_own_type(fit.labels, types, SCATTERED_TYPES)}
        if fit.model is not None and id(fit.model) not in scored:
            scored.add(id(fit.model))
            row |= score_model(adata, fit.states, fit.model.metagenes_,
                               fit.model.affinity_ if fit.model.spatial else None, true_affinity)
            gain = silhouette_score(normalize_states(fit.states, "zscore"), types) - base
            row |= {"silhouette_gain": gain, "n_iter": fit.model.n_iter_, "converged": float(fit.model.converged_)}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=SCORES)
