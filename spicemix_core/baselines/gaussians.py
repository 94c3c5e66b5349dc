"""Gaussian emissions of the hidden Markov random field, and the prior of their parameters."""

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

_MEAN_WEIGHT = 0.01  # the mean of the prior counts as this many cells (default of Fraley and Raftery)
_LEAST_RESPONSIBILITY = 1e-16  # a cell with a smaller one changes a covariance by less than rounding


def log_gaussian(features: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """Log density of each cell in each state, ``log N(y_i; mu_k, Sigma_k)``.

    Parameters
    ----------
    features : (N, D) array
    means : (K, D) array
    covariances : (K, D, D) array

    Returns
    -------
    (N, K) array

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import baselines
    >>> baselines.log_gaussian(np.zeros((1, 2)), np.zeros((1, 2)), np.eye(2)[None]).round(4)
    array([[-1.8379]])
    """
    values = np.empty((len(features), len(means)))
    for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        root = cholesky(covariance, lower=True)
        whitened = solve_triangular(root, (features - mean).T, lower=True)
        values[:, k] = -0.5 * (whitened**2).sum(axis=0) - np.log(np.diag(root)).sum()
    return values - 0.5 * features.shape[1] * np.log(2 * np.pi)


class GaussianPrior:
    """Normal-inverse-Wishart prior, the same for all states: ``mu ~ N(m, Sigma / w)``, ``Sigma ~ IW(Psi, nu)``.

    The mean m and the covariance C are those of all cells, ``w = 0.01``, ``nu = D + 2`` and ``Psi = C / K^(2/D)``
    (Fraley and Raftery 2007). K states of this covariance fill about the volume of the data.

    Parameters
    ----------
    features : (N, D) array
    n_states : int
        Number K of states.
    """

    def __init__(self, features: np.ndarray, n_states: int):
        n_features = features.shape[1]
        self.mean = features.mean(axis=0)
        self.scale = np.atleast_2d(np.cov(features, rowvar=False)) / n_states ** (2 / n_features)
        self.power = 2 * n_features + 4  # nu + D + 2: |Sigma|^(-power / 2) in the density

    def maximize(self, features: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """M-step: means and covariances that maximise F for given responsibilities r (N, K)."""
        size = r.sum(axis=0)
        means = (r.T @ features + _MEAN_WEIGHT * self.mean) / (size + _MEAN_WEIGHT)[:, None]
        covariances = np.empty((r.shape[1], *self.scale.shape))
        for k, mean in enumerate(means):
            cells = r[:, k] > _LEAST_RESPONSIBILITY
            deviation = (features[cells] - mean) * np.sqrt(r[cells, k, None])
            covariances[k] = (self._pull(mean) + deviation.T @ deviation) / (size[k] + self.power)
        return means, covariances

    def log_density(self, means: np.ndarray, covariances: np.ndarray) -> float:
        """Sum over the states of ``log p(mu_k, Sigma_k)``, without the normalising constant."""
        total = 0.0
        for mean, covariance in zip(means, covariances, strict=True):
            root = cholesky(covariance, lower=True)
            total -= self.power * np.log(np.diag(root)).sum()
            total -= 0.5 * (cho_solve((root, True), self._pull(mean))).trace()
        return total

    def _pull(self, mean):
        return self.scale + _MEAN_WEIGHT * np.outer(mean - self.mean, mean - self.mean)
