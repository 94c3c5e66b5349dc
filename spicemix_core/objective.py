"""The objective Q of the fit and the energy of all states, from sums over the cells.

Q is the expected log likelihood that the parameters maximise (book ``eq-objective``), with the mean-field partition
function of the affinity step. The energy, -log P(Y, X | Theta) without its partition function (book ``eq-likelihood``),
is what every step of a fit lowers once S is fixed.
"""

import numpy as np

from spicemix_core.affinity import objective_value


def objective(theta, affinity_total, sizes, samples, *, state_penalty, affinity_penalty):
    """Q and its parts, as a dictionary.

    Parameters
    ----------
    theta : spicemix_core.model.Theta
    affinity_total : float
        :func:`spicemix_core.affinity.objective_sum` over all cells.
    sizes : float
        Sum of the cells' sizes.
    samples : spicemix_core.samples.Samples
    """
    emission, prior = _emission(theta, samples), state_penalty * sizes
    edges = max(samples.n_directed_edges, 1)
    spatial = edges * objective_value(affinity_total, theta.affinity, edges, affinity_penalty)
    return {"Q": -emission - prior - spatial, "Q_emission": -emission, "Q_prior": -prior, "Q_spatial": -spatial,
            "noise": theta.noise}


def energy(theta, pairs, sizes, samples, *, state_penalty):
    """-log P(Y, X | Theta); ``pairs`` is the sum of z_i nu_i' over cells, in which each edge counts twice."""
    return _emission(theta, samples) + state_penalty * sizes + 0.5 * (pairs * theta.affinity).sum()


def _emission(theta, samples):
    """-log P(Y | X, Theta) at the noise that fits best, when the residual is n sigma_y^2."""
    return 0.5 * samples.n_entries * (1.0 + np.log(2.0 * np.pi * theta.noise**2))
