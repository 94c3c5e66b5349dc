"""Initial metagenes and states: lines 1 to 8 of Algorithm 1.

k-means centroids of the cells' profiles, clipped at zero and scaled to sum one, then a few rounds of NMF without
space: states by non-negative least squares, metagenes by least squares on the simplex.
"""

import numpy as np
import scipy.sparse as sp
from sklearn.cluster import KMeans

from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.simplex import nonnegative_least_squares

NMF_ROUNDS = 5  # T_0; the paper: more can lead to a local minimum before space is considered
KMEANS_RESTARTS = 10
KMEANS_CELLS = 20_000  # of more cells so many are drawn: the centroids are only a start


def initial_metagenes(samples, n_metagenes, rng):
    """Metagenes (G, K) from k-means centroids of the cells' profiles, expression divided by its total (line 1).

    Deviation from the paper's code: that clusters the expression itself, where cells of one type that differ in size
    lie far apart. Cells without a positive total keep their expression as it is. Of more than ``KMEANS_CELLS`` cells a
    random subset is clustered.
    """
    profiles = [_profiles(y) for y in samples.draw(KMEANS_CELLS, rng)]
    stacked = sp.vstack(profiles, format="csr") if any(map(sp.issparse, profiles)) else np.concatenate(profiles)
    kmeans = KMeans(n_metagenes, n_init=KMEANS_RESTARTS, random_state=int(rng.integers(2**31)))
    centroids = np.clip(kmeans.fit(stacked).cluster_centers_, 0.0, None)
    totals = centroids.sum(axis=1)
    centroids[totals == 0.0] = 1.0  # a cluster without positive expression says nothing of its metagene
    return np.ascontiguousarray((centroids / centroids.sum(axis=1, keepdims=True)).T)


def _profiles(expression):
    totals = np.asarray(expression.sum(axis=1)).ravel()
    safe = np.where(totals > 0.0, totals, 1.0)
    if sp.issparse(expression):
        profiles = sp.csr_array(sp.diags_array(1.0 / safe) @ expression)
        profiles.indices, profiles.indptr = profiles.indices.astype(np.int32), profiles.indptr.astype(np.int32)
        return profiles  # k-means takes no other indices
    return expression / safe[:, None]


def initialize(samples, n_metagenes, rng):
    """Metagenes (G, K), proportions (N, K), sizes (N,) and noise after ``NMF_ROUNDS`` rounds (lines 1 to 7)."""
    metagenes = initial_metagenes(samples, n_metagenes, rng)
    sums = dict(sum_of_squares=samples.sum_of_squares)
    states = None
    for _ in range(NMF_ROUNDS):
        states = nonnegative_least_squares(metagenes.T @ metagenes, samples.times_metagenes(metagenes), states)
        gram, cross = states.T @ states, samples.times_states(states)
        metagenes = update_metagenes(metagenes, gram, cross, **sums)
    noise = update_noise(metagenes, gram, cross, n_entries=samples.n_entries, **sums)
    return metagenes, *split_states(states), noise


def split_states(states):
    """Split states x = s z into proportions z on the simplex and sizes s; an all-zero state gets equal proportions."""
    sizes = states.sum(axis=1)
    safe = np.where(sizes > 0.0, sizes, 1.0)[:, None]
    proportions = np.where(sizes[:, None] > 0.0, states / safe, 1.0 / states.shape[1])
    return proportions, sizes
