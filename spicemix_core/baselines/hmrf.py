r"""Hidden Markov random field with Gaussian emissions: one discrete state per cell, neighbours like to agree.

With c_i the state of cell i, y_i its features and E the neighbour graph (Zhu et al. 2018, as in Giotto),

.. math:: p(c) = \frac{1}{Z(\beta)} \exp\Big( \beta \sum_{(i,j) \in E} [c_i = c_j] \Big), \qquad
          y_i \mid c_i = k \sim N(\mu_k, \Sigma_k).

Fitted by variational EM: :math:`q(c) = \prod_i r_{i c_i}` is updated cell by cell, which raises

.. math:: F = \sum_{ik} r_{ik} \log N(y_i; \mu_k, \Sigma_k) + \beta \sum_{(i,j) \in E} r_i^\top r_j
              - \sum_{ik} r_{ik} \log r_{ik} + \sum_k \log p(\mu_k, \Sigma_k),

a lower bound of the log posterior up to :math:`\log Z(\beta)`, a constant as beta is given. It never falls
while the set of states stays the same. A state that holds less than half a cell in all is removed for good.

Deviations from Giotto's smfishHmrf (the reference; same energy, so the same scale of beta):

1. Probabilities r of the neighbours' states instead of their best states (ICM): F is exact and monotone.
2. Covariances are kept regular by the conjugate prior of Fraley and Raftery (2007), part of F, instead of a
   damping added to the diagonal whenever a determinant gets small.
3. Ten leading principal components by default (Giotto's own number when it is run on a reduction) instead of
   spatial genes: a full covariance of 100 genes has 5,050 parameters, a state often fewer than 50 cells, and
   the fit then stays at its k-means start whatever beta (``n_components=None`` does that).
4. Ten starts of k-means instead of 100 to 1,000.
"""

import warnings

import numpy as np
from numba import njit
from scipy.linalg import cholesky, solve_triangular
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from spicemix_core.inputs.graphs import check_graph
from spicemix_core.numerics.progress import progress

# smfishHmrf's manual recommends 0 to 10 by 0.5 for 10 to 50 features (and 0 to 100 by 5 for 100 to 500).
GIOTTO_BETAS = np.arange(0.0, 10.5, 0.5)
_SWEEPS = 10  # mean-field sweeps per M-step, as many as Giotto's ICM sweeps
_LEAST_CELLS = 0.5  # a state with less mass than this vanishes
_MEAN_WEIGHT = 0.01  # the prior's mean counts as this many cells (Fraley and Raftery's default)


@njit(cache=True)
def _mean_field_sweeps(indptr, indices, log_density, beta, r, n_sweeps):
    """Coordinate ascent on F over the rows of r, in place: ``r_i = softmax(log N(y_i) + beta sum_j r_j)``."""
    n_cells, n_states = r.shape
    field = np.empty(n_states)
    for _ in range(n_sweeps):
        change = 0.0
        for i in range(n_cells):
            field[:] = log_density[i]
            for j in indices[indptr[i] : indptr[i + 1]]:
                for k in range(n_states):
                    field[k] += beta * r[j, k]
            field -= field.max()
            field[:] = np.exp(field)
            total = field.sum()
            for k in range(n_states):
                value = field[k] / total
                change = max(change, abs(value - r[i, k]))
                r[i, k] = value
        if change < 1e-6:
            return


def log_gaussian(features, means, covariances):
    """``log N(y_i; mu_k, Sigma_k)``, (N, K), for (N, D) features, (K, D) means and (K, D, D) covariances."""
    values = np.empty((len(features), len(means)))
    for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        root = cholesky(covariance, lower=True)
        whitened = solve_triangular(root, (features - mean).T, lower=True)
        values[:, k] = -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(root)).sum()
    return values - 0.5 * features.shape[1] * np.log(2 * np.pi)


class _Prior:
    """Normal-inverse-Wishart prior, the same for all states: ``mu ~ N(m, Sigma / w)``, Sigma ~ IW(Psi, nu).

    m and the data's covariance C come from all cells, ``w = 0.01``, ``nu = D + 2``, ``Psi = C / K^(2/D)``
    (Fraley and Raftery 2007): K states of this covariance fill about the volume of the data.
    """

    def __init__(self, features, n_states):
        n_features = features.shape[1]
        self.mean = features.mean(axis=0)
        self.scale = np.atleast_2d(np.cov(features, rowvar=False)) / n_states ** (2 / n_features)
        self.power = 2 * n_features + 4  # nu + D + 2: |Sigma|^(-power / 2) in the density

    def maximize(self, features, r):
        """M-step: means and covariances that maximise F for given r."""
        size = r.sum(axis=0)
        means = (r.T @ features + _MEAN_WEIGHT * self.mean) / (size + _MEAN_WEIGHT)[:, None]
        covariances = np.empty((r.shape[1], *self.scale.shape))
        for k, mean in enumerate(means):
            deviation = features - mean
            scatter = (deviation * r[:, k, None]).T @ deviation
            covariances[k] = (self._pull(mean) + scatter) / (size[k] + self.power)
        return means, covariances

    def log_density(self, means, covariances):
        """Sum over states of ``log p(mu_k, Sigma_k)``, without the normalising constant."""
        total = 0.0
        for mean, covariance in zip(means, covariances, strict=True):
            total -= 0.5 * self.power * np.linalg.slogdet(covariance)[1]
            total -= 0.5 * np.trace(np.linalg.solve(covariance, self._pull(mean)))
        return total

    def _pull(self, mean):
        return self.scale + _MEAN_WEIGHT * np.outer(mean - self.mean, mean - self.mean)


def _features(expression, n_components):
    """The leading principal components (all genes if None), of full rank."""
    features = np.ascontiguousarray(expression, dtype=float)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"expression has shape {features.shape}: pass a matrix of cells x genes.")
    if not np.isfinite(features).all():
        cell = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise ValueError(f"expression has a NaN or infinite entry, first in cell {cell}: remove it.")
    if n_components is not None:
        if not 1 <= n_components <= min(features.shape):
            raise ValueError(f"n_components is {n_components}: choose 1 to {min(features.shape)} here.")
        features = PCA(n_components, svd_solver="full").fit_transform(features)
    rank = int(np.linalg.matrix_rank(features - features.mean(axis=0)))
    if rank < features.shape[1]:
        raise ValueError(f"The {features.shape[1]} features have a singular covariance, of rank {rank}: set "
                         f"n_components to at most {rank}.")
    return np.ascontiguousarray(features)


def _start(features, n_states, random_state):
    """K-means clusters; scikit-learn wants a seed that is drawn here from the Generator."""
    if not 1 <= n_states <= len(features):
        raise ValueError(f"n_states is {n_states}: choose 1 to {len(features)}, the number of cells.")
    seed = int(np.random.default_rng(random_state).integers(2**31))
    return KMeans(n_states, n_init=10, random_state=seed).fit_predict(features)


class HMRF:
    """Gaussian hidden Markov random field with a fixed smoothness beta; equations in the module's docstring.

    Parameters
    ----------
    n_states : int
        Upper bound of the number of states: those whose cells all come to prefer others vanish.
    beta : float
        Smoothness, gain in log probability per neighbour in the same state; at least 0. At 0 this is a
        mixture of Gaussians with equal weights.
    n_components : int or None
        Number of leading principal components of the expression that are modelled; None takes the genes as
        they are. Genes are not scaled here: Giotto's manual recommends z-scored input.
    max_iter, tol : int, float
        Stop after so many EM iterations, or when the bound rises by less than ``tol`` per cell (nats).
    random_state : int, numpy.random.Generator or None

    Attributes
    ----------
    labels_ : (N,) int array
        Most probable state of each cell.
    responsibilities_ : (N, K) array
        r, the probability of each of the K states that are left.
    means_, covariances_ : (K, D), (K, D, D) arrays
        In the modelled features (principal components).
    n_states_ : int
        Number of states in ``labels_``, at most K.
    bound_ : list of float
        F after each E-step since the last state vanished, up to constants; it never falls.
    n_iter_, converged_ : int, bool
    """

    def __init__(self, n_states, *, beta, n_components=10, max_iter=200, tol=1e-4, random_state=None):
        if not (np.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta is {beta}: the smoothness must be a finite number of at least 0.")
        if max_iter < 1:
            raise ValueError(f"max_iter is {max_iter}: allow at least one iteration.")
        self.n_states, self.beta, self.n_components = n_states, float(beta), n_components
        self.max_iter, self.tol, self.random_state = max_iter, tol, random_state

    def fit(self, expression, graph, initial_labels=None):
        """Fit to (N, G) expression on an (N, N) graph (`spicemix_core.inputs.graphs.check_graph`).

        ``initial_labels`` ((N,) int in 0..n_states - 1) replaces k-means. Returns self. Raises ValueError for
        expression with NaN, features that are linearly dependent, a graph of other cells or not symmetric;
        warns (ConvergenceWarning) when ``max_iter`` is reached.
        """
        features = _features(expression, self.n_components)
        graph = check_graph(graph, len(features))
        if initial_labels is None:
            initial_labels = _start(features, self.n_states, self.random_state)
        r = self._one_hot(initial_labels, len(features))
        prior = _Prior(features, self.n_states)
        self.n_iter_, self.bound_, self.converged_ = 0, [], False
        while not self.converged_ and self.n_iter_ < self.max_iter:
            alive = r.sum(axis=0) >= _LEAST_CELLS
            if not alive.all():  # rows of r sum to one again after the sweeps
                r, self.bound_ = np.ascontiguousarray(r[:, alive]), []
            self.means_, self.covariances_ = prior.maximize(features, r)
            log_density = log_gaussian(features, self.means_, self.covariances_)
            _mean_field_sweeps(graph.indptr, graph.indices, log_density, self.beta, r, _SWEEPS)
            log_prior = prior.log_density(self.means_, self.covariances_)
            self.bound_.append(self._bound(log_density, graph, r) + log_prior)
            self.n_iter_ += 1
            self.converged_ = len(self.bound_) > 1 and np.diff(self.bound_[-2:])[0] < self.tol * len(features)
        if not self.converged_:
            warnings.warn(f"HMRF at beta = {self.beta:g} still improves after {self.max_iter} iterations: "
                          "raise max_iter.", ConvergenceWarning, stacklevel=2)
        self.responsibilities_, self.labels_ = r, r.argmax(axis=1)
        self.n_states_ = len(np.unique(self.labels_))
        return self

    def _one_hot(self, labels, n_cells):
        labels = np.asarray(labels)
        fitting = labels.shape == (n_cells,) and labels.dtype.kind in "iu"
        if not fitting or not np.isin(labels, range(self.n_states)).all():
            raise ValueError(f"initial_labels must be {n_cells} whole numbers from 0 to {self.n_states - 1}.")
        return np.eye(self.n_states)[labels]

    def _bound(self, log_density, graph, r):
        entropy = -np.sum(r * np.log(np.maximum(r, np.finfo(float).tiny)))
        return float(np.sum(r * log_density) + 0.5 * self.beta * np.sum(r * (graph @ r)) + entropy)


def fit_hmrf_grid(expression, graph, n_states, *, betas=GIOTTO_BETAS, n_components=10, random_state=None,
                  **options):
    """One `HMRF` per beta, all from the same k-means clusters, as Giotto does.

    Parameters
    ----------
    expression, graph, n_states, n_components, random_state
        As for `HMRF`.
    betas : iterable of float
        The grid, by default 0 to 10 by 0.5, as smfishHmrf's manual recommends for 10 to 50 features.
    **options
        ``max_iter`` and ``tol`` of `HMRF`.

    Returns
    -------
    dict of float to HMRF
        By beta. The paper takes the one with the highest adjusted Rand index, a best case.
    """
    features = _features(expression, n_components)
    start = _start(features, n_states, random_state)
    fits = {}
    for beta in progress(betas, "HMRF"):
        model = HMRF(n_states, beta=beta, n_components=None, **options)
        fits[float(beta)] = model.fit(features, graph, start)
    return fits
