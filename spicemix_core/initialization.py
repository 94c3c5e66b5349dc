r"""Initial metagenes and states: lines 1 to 7 of Algorithm 1.

k-means assumes that every cell is pure, :math:`y_i \approx s_i m_{k(i)}`. Its centroids are clipped at zero and scaled
to sum to one. A few rounds of non-spatial NMF follow: states by non-negative least squares, metagenes by least squares
on the simplex.

Cells of one type differ in size, so it matters what k-means compares (``init``). On the expression itself, as in
the paper's code, large cells decide. On profiles, whose entries sum to one, every cell counts equally, and so do cells
with few counts. Profiles weighted by the square of the size are between the two.
"""

import numpy as np

from spicemix_core.cells import Cells
from spicemix_core.metagenes import update_metagenes, update_noise

NMF_ROUNDS = 5  # T_0; the paper: more rounds can lead to a local minimum before space is considered
KMEANS_RESTARTS = 10
KMEANS_TOL = 1e-8
KMEANS_CELLS = 20_000  # k-means runs on a random subset of this size if there are more cells
KMEANS_ENTRIES = 20_000_000  # the same for k-means on all genes: 160 MB
N_DIRECTIONS = 50
POWER_ITERATIONS = 8


def initial_metagenes(cells: Cells, n_metagenes: int, rng: np.random.Generator, init: str = "weighted") -> np.ndarray:
    r"""Metagenes from k-means (Algorithm 1, line 1).

    Parameters
    ----------
    cells : Cells
    n_metagenes : int
        K.
    rng : numpy Generator
    init : {"weighted", "expression", "profiles"}
        What k-means clusters: profiles weighted by the square of the cells' totals, along the leading directions of
        expression; the expression of all genes, as in the paper's code; or the profiles of all genes.

    Returns
    -------
    array, shape (G, K)
        Columns sum to one.

    Notes
    -----
    With :math:`s_i` the total of a cell, :math:`\sum_i \|y_i - s_i m_{k(i)}\|^2 = \sum_i s_i^2 \|y_i / s_i -
    m_{k(i)}\|^2` is k-means on the cells' profiles :math:`y_i / s_i` with weights :math:`s_i^2`. Distances are measured
    along the ``N_DIRECTIONS`` leading right singular vectors of the expression, which leaves out the noise of all
    other directions. A cell without a positive total has no profile and no weight.

    If there are more than ``KMEANS_CELLS`` cells, a random subset determines the centroids. With weighted profiles,
    each cell is then assigned to the nearest one.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import inputs, steps
    >>> cells = steps.LocalCells(inputs.check_samples([np.repeat(np.eye(3), 20, axis=0)], None, 3))
    >>> np.sort(steps.initial_metagenes(cells, 3, np.random.default_rng(0)), axis=0)[-1]
    array([1., 1., 1.])
    """
    if init == "weighted":
        return _weighted_metagenes(cells, n_metagenes, rng)
    seed, n_cells = int(rng.integers(2**31)), cells.samples.n_cells
    largest = max(n_metagenes, min(KMEANS_CELLS, KMEANS_ENTRIES // cells.samples.n_genes))
    places, rows = cells.expression_of(_choose(n_cells, largest, rng))
    rows = rows[np.argsort(places)]
    if init == "profiles":
        totals = rows.sum(axis=1, keepdims=True)
        rows = rows / np.where(totals > 0.0, totals, 1.0)
    return kmeans_metagenes(rows, n_metagenes, seed)


def kmeans_metagenes(rows: np.ndarray, n_metagenes: int, seed: int) -> np.ndarray:
    """Centroids (G, K) of the rows (N, G), clipped at zero and scaled to sum to one.

    A cluster whose centroid has no positive entry does not determine its metagene, which is then uniform. Fewer rows
    than genes are first expressed in an orthonormal basis of their span, which changes no distance.
    """
    from sklearn.cluster import KMeans

    n_rows, n_genes = rows.shape
    basis, coordinates = np.linalg.qr(rows.T) if n_rows < n_genes else (None, rows.T)
    tol = KMEANS_TOL * len(coordinates) / n_genes  # scikit-learn multiplies it by the mean variance of the coordinates
    kmeans = KMeans(n_metagenes, n_init=KMEANS_RESTARTS, tol=tol, random_state=seed)
    centroids = kmeans.fit(np.ascontiguousarray(coordinates.T)).cluster_centers_.T
    return _scaled(np.clip(centroids if basis is None else basis @ centroids, 0.0, None))


def _weighted_metagenes(cells, n_metagenes, rng):
    from sklearn.cluster import KMeans

    directions = _leading_directions(cells, rng)
    kmeans = KMeans(n_metagenes, n_init=KMEANS_RESTARTS, random_state=int(rng.integers(2**31)))
    places, coordinates, sizes = cells.profiles(directions, _choose(cells.samples.n_cells, KMEANS_CELLS, rng))
    order = np.argsort(places)
    kmeans.fit(coordinates[order], sample_weight=sizes[order] ** 2)
    return _scaled(np.clip(cells.cluster_sums(directions, kmeans.cluster_centers_), 0.0, None))


def _choose(n_cells, largest, rng):
    """Indices of all cells, or of a random subset of the largest permitted size."""
    return np.arange(n_cells) if n_cells <= largest else rng.choice(n_cells, largest, replace=False)


def _scaled(centroids):
    totals = centroids.sum(axis=0)
    centroids[:, totals == 0.0] = 1.0
    return np.ascontiguousarray(centroids / centroids.sum(axis=0))


def _leading_directions(cells, rng):
    """Orthonormal basis (G, n) of approximately the span of the leading right singular vectors of Y.

    Power iteration; source: N. Halko, P.-G. Martinsson and J. A. Tropp, SIAM Rev. 53, 217-288 (2011), algorithm 4.4.
    """
    n_genes = cells.samples.n_genes
    n = min(N_DIRECTIONS, n_genes)
    if n == n_genes:
        return np.eye(n)
    basis = rng.standard_normal((n_genes, n))
    for _ in range(POWER_ITERATIONS):
        basis, _ = np.linalg.qr(cells.gram_times(basis))
    return basis


def initialize(cells: Cells, n_metagenes: int, rng: np.random.Generator,
               init: str = "weighted") -> tuple[np.ndarray, float]:
    """Metagenes and noise after ``NMF_ROUNDS`` rounds of non-spatial NMF (Algorithm 1, lines 1 to 7).

    Parameters
    ----------
    cells : Cells
        They hold the states afterwards.
    n_metagenes : int
        K.
    rng : numpy Generator
    init : str
        See :func:`initial_metagenes`.

    Returns
    -------
    metagenes : array, shape (G, K)
    noise : float

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import inputs, steps
    >>> rng = np.random.default_rng(0)
    >>> cells = steps.LocalCells(inputs.check_samples([rng.gamma(1.0, size=(60, 10))], None, 3))
    >>> metagenes, noise = steps.initialize(cells, 3, rng)
    >>> metagenes.shape, bool(noise > 0)
    ((10, 3), True)
    """
    metagenes = initial_metagenes(cells, n_metagenes, rng, init)  # line 1
    samples = cells.samples
    for _ in range(NMF_ROUNDS):  # line 2
        gram, cross = cells.solve_states(metagenes)  # line 3
        metagenes = update_metagenes(metagenes, gram, cross, sum_of_squares=samples.sum_of_squares)  # line 4
    return metagenes, update_noise(metagenes, gram, cross, sum_of_squares=samples.sum_of_squares,
                                   n_entries=samples.n_entries)  # lines 6, 7
