r"""How much of a simulated cortex's truth a method finds: its metagenes, states and affinity, and its types in space.

Truth has thirteen metagenes, a fit as a rule fewer: ten can be told from noise. Each true metagene that is not noise
is therefore paired with one learned metagene by the correlation of their proportions over the cells, one to one with
the largest sum; a true metagene that is left over counts as correlation 0.
"""

import numpy as np
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from spicemix_core.datasets.simulation import CELL_TYPES, FIRST_NOISE, METAGENES
from spicemix_core.steps import update_affinity
from spicemix_core.tl import adjusted_rand_index, match_labels, match_metagenes, normalize_states

SIGNAL = METAGENES[:FIRST_NOISE]
LAYER_METAGENES = tuple(name for name in SIGNAL if name.startswith("layer"))
SCATTERED_METAGENES = ("inhibitory", "inh-1", "inh-2", "glia-everywhere")
EXCITATORY_TYPES = tuple(name for name in CELL_TYPES if name.startswith("eL"))
SCATTERED_TYPES = ("Inh-1", "Inh-2", "Glial-2")


def match_states(true_states, states):
    """Learned metagene of each true one that is not noise, by their proportions over the cells.

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


def layer_distance(true_metagenes):
    """Smallest Euclidean distance between two layers' metagenes (G, 13), in units of a gene's mean share 1 / G.

    By chance of the redrawn genes two layers can be nearly alike, and then no method tells their neurons apart.
    """
    layers = len(true_metagenes) * np.asarray(true_metagenes)[:, [METAGENES.index(name) for name in LAYER_METAGENES]]
    return float(pdist(layers.T).min())


def supervised_index(rows, types):
    """Adjusted Rand index of types told from ``rows`` (N, P) by a rule that has seen other cells' true types.

    Linear discriminant analysis with shrunk covariances, fivefold: a yardstick for clusterings of the same rows, which
    see no type.

    Source: O. Ledoit and M. Wolf, J. Portf. Manag. 30(4), 110-119 (2004), for the shrinkage.
    """
    rule = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return adjusted_rand_index(cross_val_predict(rule, rows, types, cv=folds), types)


def morans_i(values, graph):
    r"""Moran's I of each column: ``(N / m) sum_ij a_ij u_i u_j / sum_i u_i^2``, u centred, m directed edges.

    Parameters
    ----------
    values : (N, P) array
    graph : (N, N) sparse array
        Symmetric adjacency matrix of zeros and ones.

    Returns
    -------
    (P,) array
        About 0 without spatial structure, towards 1 where neighbours are alike; NaN for a constant column.
    """
    centred = np.asarray(values, dtype=float) - np.mean(values, axis=0)
    constant = np.ptp(values, axis=0) == 0
    square = np.where(constant, np.nan, (centred**2).sum(axis=0))
    return len(centred) / graph.sum() * (centred * (graph @ centred)).sum(axis=0) / square


def affinity_of_states(states, graph, penalty):
    """S that the affinity step finds for given states (N, K): what a fit would learn if it knew them."""
    proportions = normalize_states(states, "proportions")
    graph = sparse.csr_array(graph)
    start = np.zeros((proportions.shape[1],) * 2)
    return update_affinity(start, proportions, graph @ proportions, graph.nnz, affinity_penalty=penalty)


def score_model(adata, states, metagenes, affinity=None, true_affinity=None):
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
        their genes, so even a wrong one correlates), ``state_correlation`` over cells, of which
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


def share_in_own_type(labels, types, chosen):
    """Share of the cells of the types ``chosen`` whose cluster is matched to their own type (Fig. 2e).

    Clusters are matched to all types one to one by `spicemix_core.tl.match_labels`; cells of a cluster that
    is left over are not in their own type.
    """
    types = np.asarray(types)
    assigned = match_labels(labels, types)[np.asarray(labels)].to_numpy()
    of_interest = np.isin(types, chosen)
    return float((assigned == types)[of_interest].mean())
