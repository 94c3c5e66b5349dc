r"""The objective Q and the energy of a fit, from sums over the cells.

Q is the expected log likelihood that the parameters maximise (paper eq. 10; book ``eq-objective``), with the mean-field
partition function of the affinity step. The energy, :math:`-\log P(Y, X \mid \Theta)` without its partition function
(paper eq. 2 and 3; book ``eq-likelihood`` and ``eq-energies``), is lowered by every step of a fit once S is fixed.
"""

from dataclasses import dataclass

import numpy as np

from spicemix_core.cells import StateSums
from spicemix_core.metagenes import gap_and_residual, least_noise
from spicemix_core.samples import Samples


@dataclass(frozen=True)
class Theta:
    """The parameters that a fit estimates, for the scaled expression.

    Parameters
    ----------
    metagenes, affinity, noise
        M, shape (G, K), with columns that sum to one; S, shape (K, K); and the standard deviation of the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import steps
    >>> theta = steps.Theta(np.full((4, 2), 0.25), np.zeros((2, 2)), 0.1)
    >>> theta.metagenes.sum(axis=0)
    array([1., 1.])
    """

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float


def objective(theta: Theta, sums: StateSums, pseudo_likelihood: float, samples: Samples,
              state_penalty: float) -> dict[str, float]:
    """Q and its three parts.

    Parameters
    ----------
    theta : Theta
    sums : StateSums
    pseudo_likelihood : float
        :meth:`spicemix_core.affinity.AffinityProblem.value`.
    samples : Samples
    state_penalty : float
    """
    emission, prior = emission_energy(theta, sums, samples), state_penalty * sums.sizes
    spatial = max(samples.n_directed_edges, 1) * pseudo_likelihood
    return {"Q": -emission - prior - spatial, "Q_emission": -emission, "Q_prior": -prior, "Q_spatial": -spatial}


def energy(theta: Theta, affinity: np.ndarray, sums: StateSums, samples: Samples, state_penalty: float) -> float:
    """Energy of expression and states under an affinity, in which each edge counts once."""
    return emission_energy(theta, sums, samples) + state_penalty * sums.sizes + 0.5 * (sums.pairs * affinity).sum()


def emission_energy(theta: Theta, sums: StateSums, samples: Samples) -> float:
    r""":math:`-\log P(Y \mid X, \Theta)`. The residual is :math:`n \sigma_y^2`, or less at the least noise."""
    share, norm = 1.0, samples.sum_of_squares
    if theta.noise <= least_noise(norm, samples.n_entries):
        residual = gap_and_residual(theta.metagenes, sums.gram, sums.cross, norm)[1]
        share = residual / (samples.n_entries * theta.noise**2)
    return 0.5 * samples.n_entries * (share + np.log(2.0 * np.pi * theta.noise**2))
