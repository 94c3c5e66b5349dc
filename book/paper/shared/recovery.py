r"""Recovery of the truth of a simulated cortex: its metagenes, states and affinity.

The truth has thirteen metagenes, of which ten differ from noise; a fit usually has fewer than thirteen. Each true
metagene that is not noise is therefore matched with one learned metagene, one to one, so that the sum of the
correlations of their proportions over the cells is largest. A true metagene without a match has correlation 0.
"""

import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from paper.shared.scores import morans_i
from spicemix_core.datasets.simulation import CELL_TYPES, FIRST_NOISE, METAGENES
from spicemix_core.tl import MetageneMatch, adjusted_rand_index, match_metagenes, normalize_states

SIGNAL = METAGENES[:FIRST_NOISE]
LAYER_METAGENES = tuple(name for name in SIGNAL if name.startswith("layer"))
SCATTERED_METAGENES = ("inhibitory", "inh-1", "inh-2", "glia-everywhere")
EXCITATORY_TYPES = tuple(name for name in CELL_TYPES if name.startswith("eL"))
SCATTERED_TYPES = ("Inh-1", "Inh-2", "Glial-2")


def match_states(true_states: ArrayLike, states: ArrayLike) -> MetageneMatch:
    """Match a learned metagene to each true one that is not noise, by their proportions over the cells.

    Parameters
    ----------
    true_states : (N, 13) array
    states : (N, K) array

    Returns
    -------
    MetageneMatch
        In the order of `SIGNAL`; `spicemix_core.tl.match_metagenes` with cells in place of genes.
    """
    true = normalize_states(true_states, "proportions")[:, :FIRST_NOISE]
    return match_metagenes(true, normalize_states(states, "proportions"))


def layer_distance(true_metagenes: ArrayLike) -> float:
    """Smallest Euclidean distance between two layers' metagenes (G, 13), in units of a gene's mean share 1 / G.

    The genes of the metagenes are drawn at random. Two layers can be nearly equal by chance, and then no method can
    separate their neurons.
    """
    layers = len(true_metagenes) * np.asarray(true_metagenes)[:, [METAGENES.index(name) for name in LAYER_METAGENES]]
    return float(pdist(layers.T).min())


def supervised_index(rows: ArrayLike, types: ArrayLike) -> float:
    """Adjusted Rand index of types predicted from ``rows`` (N, P) by a classifier trained on the types of other cells.

    Linear discriminant analysis with shrunk covariances, in five folds. It is a reference for clusterings of the same
    rows, which do not use types.

    Source: O. Ledoit and M. Wolf, J. Portf. Manag. 30(4), 110-119 (2004), for the shrinkage.
    """
    rule = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return adjusted_rand_index(cross_val_predict(rule, rows, types, cv=folds), types)


def score_model(adata: AnnData, states: np.ndarray, metagenes: np.ndarray, affinity: np.ndarray | None = None,
                true_affinity: np.ndarray | None = None) -> dict[str, float]:
    """Recovery of M, X and S and the spatial coherence of a fit to a simulated cortex.

    Parameters
    ----------
    adata : AnnData
        One sample from `spicemix_core.datasets.simulation.simulate_cortex`.
    states, metagenes : (N, K), (G, K) arrays
    affinity, true_affinity : (K, K), (13, 13) arrays, optional
        Learned S, and S of the true states (`affinity_of_states`).

    Returns
    -------
    dict of str to float
        Mean correlations of the matched pairs: ``metagene_correlation`` over genes (linked metagenes share most of
        their genes, so even a wrong match correlates), ``state_correlation`` over cells, of which
        ``layer_correlation`` and ``scattered_correlation`` are parts; ``layer_morans_i``, mean of the metagenes
        matched to the layers; ``affinity_correlation`` over the pairs of matched metagenes, if S is given.
    """
    match = match_states(adata.obsm["true_latent_states"], states)
    paired = np.flatnonzero(match.permutation >= 0)
    learned = match.permutation[paired]
    over_cells = dict(zip(SIGNAL, np.nan_to_num(match.correlations), strict=True))
    over_genes = np.zeros(len(SIGNAL))
    for true, found in zip(paired, learned, strict=True):
        over_genes[true] = np.corrcoef(adata.varm["true_metagenes"][:, true], metagenes[:, found])[0, 1]
    layers = [found for true, found in zip(paired, learned, strict=True) if SIGNAL[true] in LAYER_METAGENES]
    coherence = morans_i(normalize_states(states, "proportions")[:, layers], adata.obsp["spatial_connectivities"])
    scores = {
        "metagene_correlation": over_genes.mean(),
        "state_correlation": np.mean(list(over_cells.values())),
        "layer_correlation": np.mean([over_cells[name] for name in LAYER_METAGENES]),
        "scattered_correlation": np.mean([over_cells[name] for name in SCATTERED_METAGENES]),
        "layer_morans_i": np.nanmean(coherence),
    }
    if affinity is not None and true_affinity is not None:
        pairs = np.triu_indices(len(paired))
        found, true = affinity[np.ix_(learned, learned)][pairs], true_affinity[np.ix_(paired, paired)][pairs]
        scores["affinity_correlation"] = np.corrcoef(found, true)[0, 1] if np.ptp(found) > 0 else 0.0
    return {name: float(value) for name, value in scores.items()}
