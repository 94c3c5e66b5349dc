r"""Hidden Markov random field with Gaussian emissions: one discrete state per cell, and neighbours tend to agree.

With c_i the state of cell i, y_i its features and E the set of edges of the neighbour graph (Zhu et al. 2018, as in
Giotto), the model is

.. math:: p(c) = \frac{1}{Z(\beta)} \exp\Big( \beta \sum_{(i,j) \in E} [c_i = c_j] \Big), \qquad
          y_i \mid c_i = k \sim N(\mu_k, \Sigma_k).

It is fitted by variational EM. :math:`q(c) = \prod_i r_{i c_i}` is updated cell by cell, which increases

.. math:: F = \sum_{ik} r_{ik} \log N(y_i; \mu_k, \Sigma_k) + \beta \sum_{(i,j) \in E} r_i^\top r_j
              - \sum_{ik} r_{ik} \log r_{ik} + \sum_k \log p(\mu_k, \Sigma_k),

a lower bound of the log posterior up to the constant :math:`\log Z(\beta)`. The bound never decreases while the set of
states remains the same. A state with a total responsibility of less than half a cell is removed.

Deviations from Giotto's smfishHmrf (the reference, with the same energy and therefore the same scale of beta):

1. Responsibilities of the neighbours replace their best states (ICM), so that F is exact and monotone.
2. The conjugate prior of Fraley and Raftery (2007), a part of F, keeps the covariances regular. The reference instead
   adds a damping term to the diagonal whenever a determinant becomes small.
3. The default features are the ten leading principal components (Giotto's own number for a reduction) instead of
   spatial genes. A full covariance of 100 genes has 5,050 parameters, but a state often has fewer than 50 cells. The
   fit then remains at its k-means start for every beta (try ``n_components=None``).
4. K-means has ten starts instead of 100 to 1,000.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from spicemix_core.baselines.gaussians import GaussianPrior, log_gaussian
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.parameters import check_integer, check_number
from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.progress import progress

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix

    Graph: TypeAlias = ArrayLike | sparray | spmatrix
    Seed: TypeAlias = int | np.random.Generator | None

# The manual of smfishHmrf recommends 0 to 10 in steps of 0.5 for 10 to 50 features (0 to 100 in steps of 5 for 100 to
# 500).
GIOTTO_BETAS = np.arange(0.0, 10.5, 0.5)
_SWEEPS = 10  # mean-field sweeps per M-step; Giotto has the same number of ICM sweeps
_LEAST_CELLS = 0.5  # a state with a smaller total responsibility is removed


@njit()
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


def _features(expression, n_components):
    """The leading principal components (all genes if None), checked for full rank."""
    features = np.ascontiguousarray(expression, dtype=float)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"expression has shape {features.shape}. Pass a matrix of cells x genes.")
    if not np.isfinite(features).all():
        cell = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        raise ValueError(f"expression has a NaN or infinite entry in row {cell}. Leave such cells out.")
    if n_components is not None:
        if not 1 <= n_components <= min(features.shape):
            raise ValueError(f"n_components is {n_components}. Choose from 1 to {min(features.shape)} for these data.")
        features = PCA(n_components, svd_solver="full").fit_transform(features)
    rank = int(np.linalg.matrix_rank(features - features.mean(axis=0)))
    if rank < features.shape[1]:
        raise ValueError(f"The {features.shape[1]} features have a singular covariance of rank {rank}. Set "
                         f"n_components to at most {rank}.")
    return np.ascontiguousarray(features)


def _start(features, n_states, random_state):
    """K-means clusters. scikit-learn needs a seed, which is drawn from the Generator."""
    if not 1 <= n_states <= len(features):
        raise ValueError(f"n_states is {n_states}. Choose from 1 to {len(features)}, the number of cells.")
    seed = int(np.random.default_rng(random_state).integers(2**31))
    return KMeans(n_states, n_init=10, random_state=seed).fit_predict(features)


class HMRF:
    """Gaussian hidden Markov random field with a fixed smoothness beta.

    Each cell i has one discrete state c_i. Its features are Gaussian with the mean and covariance of the state, and the
    prior of the states is proportional to ``exp(beta * (number of edges between equal states))``. The fit is by
    variational EM.

    Parameters
    ----------
    n_states : int
        Upper bound of the number of states. States that lose all cells are removed.
    beta : float
        Smoothness: gain in log probability per neighbour in the same state, at least 0. With 0, the model is a mixture
        of Gaussians with equal weights.
    n_components : int or None, default=10
        Number of leading principal components of the expression that are the features. None uses the genes themselves.
        The method does not scale the genes; Giotto's manual recommends z-scored input.
    max_iter : int, default=200
        Maximum number of EM iterations.
    tol : float, default=1e-4
        Convergence tolerance. The fit stops when the bound increases by less than ``tol`` per cell (in nats).
    random_state : int, numpy Generator or None, default=None
        Seed of k-means.

    Attributes
    ----------
    labels_ : (N,) array of int
        Most probable state of each cell.
    responsibilities_ : (N, K) array
        Probability r of each of the K remaining states.
    means_ : (K, D) array
        Means of the features.
    covariances_ : (K, D, D) array
        Covariances of the features.
    n_states_ : int
        Number of states in ``labels_``, at most K.
    bound_ : list of float
        Lower bound F after each E-step since the last removal of a state, up to constants. It never decreases.
    n_iter_ : int
        Number of iterations.
    converged_ : bool
        Whether the fit converged.

    Raises
    ------
    ValueError
        If ``beta`` or ``max_iter`` is out of range.

    References
    ----------
    Q. Zhu et al., Nature Biotechnology 36, 1183-1190 (2018). C. Fraley and A. E. Raftery, Journal of Classification 24,
    155-181 (2007): the prior of the covariances.

    Examples
    --------
    >>> from spicemix_core import baselines, datasets
    >>> adata = datasets.simulate_cortex(n_cells=80, n_genes=30, random_state=0)
    >>> model = baselines.HMRF(4, beta=0.5, n_components=3, random_state=0)
    >>> model.fit(adata.X, adata.obsp["spatial_connectivities"]).labels_.shape
    (80,)
    """

    def __init__(self, n_states: int, *, beta: float, n_components: int | None = 10, max_iter: int = 200,
                 tol: float = 1e-4, random_state: Seed = None):
        check_number("beta", beta)
        check_integer("max_iter", max_iter, 1)
        self.n_states, self.beta, self.n_components = n_states, float(beta), n_components
        self.max_iter, self.tol, self.random_state = max_iter, tol, random_state

    def fit(self, expression: ArrayLike, graph: Graph, initial_labels: ArrayLike | None = None) -> HMRF:
        """Fit the model.

        Parameters
        ----------
        expression : (N, G) array_like
        graph : (N, N) array_like or sparse matrix
            Symmetric neighbour graph.
        initial_labels : (N,) array_like of int, optional
            Initial states from 0 to ``n_states - 1``, instead of those of k-means.

        Returns
        -------
        HMRF
            The model itself.

        Raises
        ------
        ValueError
            If an entry of the expression is not finite, the features are linearly dependent, or the graph is not a
            symmetric graph of these cells.

        Warns
        -----
        ConvergenceWarning
            If the fit reaches ``max_iter`` before it converges.
        """
        features = _features(expression, self.n_components)
        graph = check_graph(graph, len(features))
        if initial_labels is None:
            initial_labels = _start(features, self.n_states, self.random_state)
        r = self._one_hot(initial_labels, len(features))
        prior = GaussianPrior(features, self.n_states)
        self.n_iter_, self.converged_ = 0, False
        self.bound_: list[float] = []
        while not self.converged_ and self.n_iter_ < self.max_iter:
            alive = r.sum(axis=0) >= _LEAST_CELLS
            if not alive.all():  # the sweeps make the rows of r sum to one again
                r, self.bound_ = np.ascontiguousarray(r[:, alive]), []
            self.means_, self.covariances_ = prior.maximize(features, r)
            log_density = log_gaussian(features, self.means_, self.covariances_)
            _mean_field_sweeps(graph.indptr, graph.indices, log_density, self.beta, r, _SWEEPS)
            log_prior = prior.log_density(self.means_, self.covariances_)
            self.bound_.append(self._bound(log_density, graph, r) + log_prior)
            self.n_iter_ += 1
            self.converged_ = len(self.bound_) > 1 and np.diff(self.bound_[-2:])[0] < self.tol * len(features)
        if not self.converged_:
            warnings.warn(f"HMRF with beta = {self.beta:g} did not converge in {self.max_iter} iterations. "
                          "Increase max_iter.", ConvergenceWarning, stacklevel=2)
        self.responsibilities_, self.labels_ = r, r.argmax(axis=1)
        self.n_states_ = len(np.unique(self.labels_))
        return self

    def _one_hot(self, labels, n_cells):
        labels = np.asarray(labels)
        fitting = labels.shape == (n_cells,) and labels.dtype.kind in "iu"
        if not fitting or not np.isin(labels, range(self.n_states)).all():
            raise ValueError(f"initial_labels must be {n_cells} integers from 0 to {self.n_states - 1}.")
        return np.eye(self.n_states)[labels]

    def _bound(self, log_density, graph, r):
        entropy = -np.sum(r * np.log(np.maximum(r, np.finfo(float).tiny)))
        return float(np.sum(r * log_density) + 0.5 * self.beta * np.sum(r * (graph @ r)) + entropy)


def fit_hmrf_grid(expression: ArrayLike, graph: Graph, n_states: int, *, betas: Iterable[float] = GIOTTO_BETAS,
                  n_components: int | None = 10, random_state: Seed = None, **options: Any) -> dict[float, HMRF]:
    """Fit one :class:`HMRF` per beta, all from the same k-means clusters, as Giotto does.

    Parameters
    ----------
    expression : (N, G) array_like
    graph : (N, N) array_like or sparse matrix
    n_states : int
        See :class:`HMRF`, also for ``n_components`` and ``random_state``.
    betas : iterable of float
        By default from 0 to 10 in steps of 0.5, as the manual of smfishHmrf recommends for 10 to 50 features.
    n_components : int or None, default=10
    random_state : int, numpy Generator or None, default=None
    **options
        ``max_iter`` and ``tol`` of :class:`HMRF`.

    Returns
    -------
    dict of float to HMRF
        The fits by beta. The paper uses the one with the highest adjusted Rand index, which is a best case.

    Raises
    ------
    ValueError
        See :meth:`HMRF.fit`.

    Examples
    --------
    >>> from spicemix_core import baselines, datasets
    >>> adata = datasets.simulate_cortex(n_cells=80, n_genes=30, random_state=0)
    >>> fits = baselines.fit_hmrf_grid(adata.X, adata.obsp["spatial_connectivities"], 4, betas=(0, 1),
    ...                                n_components=3, random_state=0)
    >>> list(fits)
    [0.0, 1.0]
    """
    features = _features(expression, n_components)
    start = _start(features, n_states, random_state)
    fits = {}
    for beta in progress(betas, "HMRF"):
        model = HMRF(n_states, beta=beta, n_components=None, **options)
        fits[float(beta)] = model.fit(features, graph, start)
    return fits
