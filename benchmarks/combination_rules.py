"""Ways to get cell types from the states of several runs, for `cell_types.py`: that of the package, and others.

A way is a function of the states, a list of arrays (N, K), that returns labels.
"""

import numpy as np
from scipy.cluster.hierarchy import linkage

from spicemix_core.tl.branches import accepted_splits
from spicemix_core.tl.clustering import DEFAULT_NORMALIZATION, RANGE, cluster_states
from spicemix_core.tl.matching import adjusted_rand_index
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.trees import calinski_harabasz_curve, cut_tree

NUMBERS = range(5, 41)


def separation(states):
    """The definition of the package, fine level."""
    return cluster_states(states).labels


def first_peak(states):
    """Better half of the runs by index, z-scored proportions, first peak of the Calinski-Harabasz index from 5 on."""
    rows = [normalize_states(x, "zscore_proportions") for x in states]
    highest = [calinski_harabasz_curve(linkage(x, method="ward"), NUMBERS).max() for x in rows]
    kept = np.sort(np.argsort(-np.array(highest), kind="stable")[: max(2, (len(rows) + 1) // 2)])
    tree = linkage(np.concatenate([rows[i] for i in kept], axis=1), method="ward")
    curve = calinski_harabasz_curve(tree, NUMBERS)
    falls = np.flatnonzero(np.diff(curve.to_numpy()) < 0)
    return cut_tree(tree, int(curve.index[falls[0] if len(falls) else -1]))


def highest_index(states):
    """All runs, z-scored states with a limit, highest Calinski-Harabasz index."""
    tree = linkage(_joined(states), method="ward")
    return cut_tree(tree, int(calinski_harabasz_curve(tree, range(RANGE[0], RANGE[1] + 1)).idxmax()))


def halves(states, n_halvings=6, tolerance=0.02):
    """All runs; the largest number at which two halves of them agree, on average, within 0.02 of their best."""
    rng, rows = np.random.default_rng(0), [normalize_states(x, DEFAULT_NORMALIZATION) for x in states]
    total = np.zeros(len(NUMBERS))
    for _ in range(n_halvings):
        order = rng.permutation(len(rows))
        cuts = [_cuts(np.concatenate([rows[i] for i in half], axis=1)) for half in np.array_split(order, 2)]
        total += [adjusted_rand_index(a, b) for a, b in zip(*cuts, strict=True)]
    agreement = total / n_halvings
    chosen = NUMBERS[np.flatnonzero(agreement >= agreement.max() - tolerance)[-1]]
    return cut_tree(linkage(_joined(states), method="ward"), chosen)


def prediction(states, n_halvings=3, tolerance=0.02):
    """The largest number at which clusters of half of the cells predict those of the other half, within 0.02."""
    rng, rows = np.random.default_rng(0), _joined(states)
    total = np.zeros(len(NUMBERS))
    for _ in range(n_halvings):
        first, second = np.array_split(rng.permutation(len(rows)), 2)
        for i, (known, own) in enumerate(zip(_cuts(rows[first]), _cuts(rows[second]), strict=True)):
            means = np.array([rows[first][known == k].mean(axis=0) for k in range(known.max() + 1)])
            nearest = ((means**2).sum(axis=1) - 2 * rows[second] @ means.T).argmin(axis=1)
            total[i] += adjusted_rand_index(nearest, own)
    chosen = NUMBERS[np.flatnonzero(total / n_halvings >= (total / n_halvings).max() - tolerance)[-1]]
    return cut_tree(linkage(rows, method="ward"), chosen)


def best_by_the_truth(states, score):
    """The cut of the joint tree with the highest ``score`` of the labels: what no rule can exceed."""
    rows = _joined(states)
    labels, best = np.zeros(len(rows), dtype=int), []
    for number, split in enumerate(accepted_splits(linkage(rows, method="ward"), RANGE[1]), start=1):
        labels[split.smaller] = number
        best.append((score(labels), labels.copy()))
    return max(best, key=lambda pair: pair[0])[1]


def _joined(states):
    return np.concatenate([normalize_states(x, DEFAULT_NORMALIZATION) for x in states], axis=1)


def _cuts(rows):
    tree = linkage(rows, method="ward")
    return [cut_tree(tree, k) for k in NUMBERS]


WAYS = {"separation": separation, "first peak": first_peak, "highest index": highest_index, "halves": halves,
        "prediction": prediction}
