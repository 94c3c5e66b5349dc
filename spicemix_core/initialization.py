r"""Initial metagenes and states: lines 1 to 8 of Algorithm 1.

k-means takes every cell for pure, :math:`y_i \approx s_i m_{k(i)}`. Its centroids are clipped at zero and scaled to sum
one; then follow a few rounds of NMF without space: states by non-negative least squares, metagenes by least squares on
the simplex.
"""

import numpy as np
from sklearn.cluster import KMeans

from spicemix_core.metagenes import update_metagenes, update_noise

NMF_ROUNDS = 5  # T_0; the paper: more can lead to a local minimum before space is considered
KMEANS_RESTARTS = 10
KMEANS_CELLS = 20_000  # of more cells so many are drawn: the centroids are only a start
N_DIRECTIONS = 50
POWER_ITERATIONS = 8


def initial_metagenes(cells, n_metagenes, rng):
    r"""Metagenes (G, K) from k-means (line 1) on the leading directions of expression.

    With :math:`s_i` the total of a cell, :math:`\sum_i \|y_i - s_i m_{k(i)}\|^2 = \sum_i s_i^2 \|y_i / s_i -
    m_{k(i)}\|^2` is k-means on the cells' profiles :math:`y_i / s_i` with weights :math:`s_i^2`. Distances are taken
    along the ``N_DIRECTIONS`` leading right singular vectors of the expression, which leaves out the noise of all
    others.

    Deviation from the paper's code: that clusters the expression itself, where cells of one type that differ in size
    lie far apart. On profiles without weights, most centroids end on single cells of few counts where data are real.
    A cell without a positive total has no profile and no weight. Of more than ``KMEANS_CELLS`` cells a random subset
    finds the centroids, and all cells then take the nearest.
    """
    n_cells = cells.samples.n_cells
    directions = _leading_directions(cells, rng)
    kmeans = KMeans(n_metagenes, n_init=KMEANS_RESTARTS, random_state=int(rng.integers(2**31)))
    drawn = np.arange(n_cells) if n_cells <= KMEANS_CELLS else rng.choice(n_cells, KMEANS_CELLS, replace=False)
    places, coordinates, sizes = cells.profiles(directions, drawn)
    order = np.argsort(places)
    kmeans.fit(coordinates[order], sample_weight=sizes[order] ** 2)
    centroids = np.clip(cells.cluster_sums(directions, kmeans.cluster_centers_), 0.0, None)
    totals = centroids.sum(axis=0)
    centroids[:, totals == 0.0] = 1.0  # a cluster without positive expression says nothing of its metagene
    return np.ascontiguousarray(centroids / centroids.sum(axis=0))


def _leading_directions(cells, rng):
    """Orthonormal basis (G, n) of about the span of the leading right singular vectors of Y, by power iteration.

    Source: N. Halko, P.-G. Martinsson and J. A. Tropp, SIAM Rev. 53, 217-288 (2011), algorithm 4.4.
    """
    n_genes = cells.samples.n_genes
    n = min(N_DIRECTIONS, n_genes)
    if n == n_genes:
        return np.eye(n)
    basis = rng.standard_normal((n_genes, n))
    for _ in range(POWER_ITERATIONS):
        basis, _ = np.linalg.qr(cells.twice_times(basis))
    return basis


def initialize(cells, n_metagenes, rng):
    """Metagenes (G, K) and noise after ``NMF_ROUNDS`` rounds (lines 1 to 7); ``cells`` keep the states.

    ``cells`` is a :class:`spicemix_core.cells.Part` or what stands for several.
    """
    metagenes = initial_metagenes(cells, n_metagenes, rng)
    samples = cells.samples
    sums = dict(sum_of_squares=samples.sum_of_squares)
    for _ in range(NMF_ROUNDS):
        gram, cross = cells.solve_states(metagenes)
        metagenes = update_metagenes(metagenes, gram, cross, **sums)
    return metagenes, update_noise(metagenes, gram, cross, n_entries=samples.n_entries, **sums)


def split_states(states):
    """Split states x = s z into proportions z on the simplex and sizes s; an all-zero state gets equal proportions."""
    sizes = states.sum(axis=1)
    safe = np.where(sizes > 0.0, sizes, 1.0)[:, None]
    proportions = np.where(sizes[:, None] > 0.0, states / safe, 1.0 / states.shape[1])
    return proportions, sizes
