r"""One fit exactly as the paper describes it and as its public code of 2022 runs it.

The default of this package, :class:`spicemix_core.SpiceMix`, differs in the start, in how the affinity S is estimated
and in how long a fit runs. Here all three are the paper's:

- *Start* (lines 1 to 8 of Algorithm 1). k-means with ten restarts on the scaled expression itself, five rounds of
  NMF, S = 0.
- *Iterations* (lines 9 to 12). The states, then metagenes and noise, then S; 500 times.
- *Affinity step*. Adam with learning rate 0.01, multiplied by 0.98 every 331 steps, on a gradient whose partition
  function is estimated from 64 random cells of each sample. Every 331 steps all cells give value and gradient. The
  step ends there if every entry of the gradient is below :math:`0.01 (|S| + 0.1)` and the objective has not fallen by
  0.331 per cell since the last such check, if the lowest value is two checks old, or after 10,000 Adam steps; the
  lowest checked value decides which S is kept.

The first check comes before the first step. In most iterations it ends the affinity step, so S moves in a few of the
500 iterations only and stays small.

The steps for states, metagenes and noise are those of this package, exact solutions of the programs that the public
code gives to Gurobi; the integral over the simplex is exact where that code truncates a series. The ridges
of the public code that the paper does not mention are left out: 1e-5 on the Gram matrix of the metagenes in the rounds
of NMF, 1e-2 on their metagenes, and 1e-5 on that of the states in the metagene step.

References
----------
Chidester, Zhou, Alam and Ma, Nature Genetics 55, 78-88 (2023), Algorithm 1; https://github.com/ma-compbio/SpiceMix,
branch NatureGenetics-2022. Adam: D. P. Kingma and J. Ba, ICLR (2015).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from spicemix_core.affinity import pseudo_likelihood_sums
from spicemix_core.algorithm import Options
from spicemix_core.cells import Cells
from spicemix_core.files.checkpoint import Checkpoint
from spicemix_core.history import History
from spicemix_core.initialization import NMF_ROUNDS, kmeans_metagenes
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.local_cells import LocalCells
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.objective import Theta
from spicemix_core.samples import Samples

N_ITERATIONS = 500
LEARNING_RATE, DECAY, CHECK_EVERY, MAX_ADAM_STEPS = 1e-2, 0.98, 331, 10_000
BATCH_CELLS = 64  # of each sample
GRADIENT_TOL, GRADIENT_OFFSET = 1e-2, 0.1
VALUE_TOL = 1e-3  # per cell and Adam step
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults


def fit_as_published(expressions: list, graphs: list, n_metagenes: int = 20, *, affinity_penalty: float = 1e-4,
                     max_iter: int = N_ITERATIONS, random_state: int = 0, checkpoint=None) -> SpiceMix:
    r"""Fit one model by the procedure of the paper.

    Parameters
    ----------
    expressions, graphs : lists
        One cells x genes array and one neighbour graph per sample, as in :meth:`SpiceMix.fit_arrays`.
    n_metagenes : int
        Number of metagenes, K.
    affinity_penalty : float
        :math:`\lambda_\Sigma`; the public code's default is 1e-4.
    max_iter : int
        Number of iterations; there is no other stopping rule.
    random_state : int
        Seed of k-means and of the random cells of the affinity steps.
    checkpoint : path, optional
        File that keeps the state of an unfinished fit. A fit of the same data with the same parameters resumes from it
        and gives the same numbers, bit for bit.

    Returns
    -------
    SpiceMix
        A fitted model. ``converged_`` is always ``False``: the procedure has no convergence criterion.
        ``history_["adam_steps"]`` holds the number of Adam steps in each iteration.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> from spicemix_core.baselines.published_fit import fit_as_published
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> graph = adata.obsp["spatial_connectivities"]
    >>> model = fit_as_published([abs(adata.X)], [graph], n_metagenes=4, max_iter=3)
    >>> model.n_iter_, model.metagenes_.shape
    (3, (100, 4))
    """
    model = SpiceMix(n_metagenes, affinity_penalty=affinity_penalty, affinity_iterations=None, max_iter=max_iter,
                     tol=0.0, random_state=random_state)
    options = Options.of(model)
    with one_blas_thread():
        samples = check_samples(expressions, graphs, n_metagenes)
        with Checkpoint(checkpoint, {"procedure": "published"} | model.get_params(), samples) as kept:
            if (left := kept.read()) is None:
                cells = LocalCells(samples)
                theta, history = start(cells, n_metagenes, random_state), History(options, samples)
            else:
                cells = LocalCells(samples, states=(left.proportions, left.sizes))
                theta = Theta(left.metagenes, left.affinity, left.noise)
                history = History(options, samples, left.rows)
            while len(history.rows) < max_iter:
                rng = np.random.default_rng([random_state, len(history.rows)])
                theta = iterate(options, cells, theta, history, rng)
                kept.save(theta, cells, history.rows)
            _store(model, samples, theta, cells.states, history.rows)
            kept.remove()
    return model


def _store(model, samples, theta, states, rows):
    model.metagenes_, model.affinity_, model.noise_ = theta.metagenes, theta.affinity, float(theta.noise)
    model.scaling_ = samples.scaling
    proportions, sizes = states
    parts = samples.split(sizes[:, None] * proportions)
    model.latent_states_ = [x / c for x, c in zip(parts, samples.scaling, strict=True)]
    model.history_ = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="iteration"))
    model.n_iter_, model.converged_ = len(rows), False


def start(cells: Cells, n_metagenes: int, seed: int) -> Theta:
    """Lines 1 to 8 of Algorithm 1: k-means on the scaled expression, rounds of NMF, S = 0."""
    samples = cells.samples
    metagenes = kmeans_metagenes(samples.rows(np.arange(samples.n_cells)), n_metagenes, seed)
    sums = {"sum_of_squares": samples.sum_of_squares}
    for _ in range(NMF_ROUNDS):
        gram, cross = cells.solve_states(metagenes)
        metagenes = update_metagenes(metagenes, gram, cross, **sums)
    noise = update_noise(metagenes, gram, cross, n_entries=samples.n_entries, **sums)
    return Theta(metagenes, np.zeros((n_metagenes, n_metagenes)), noise)


def iterate(options: Options, cells: Cells, theta: Theta, history: History, rng: np.random.Generator) -> Theta:
    """Lines 10 and 11 of Algorithm 1, as :func:`spicemix_core.algorithm.iterate` but with the step of Adam for S."""
    samples, norm = cells.samples, cells.samples.sum_of_squares
    history.start()
    sums = cells.update_states(theta.metagenes, theta.affinity, theta.noise, options.state_penalty)
    metagenes = update_metagenes(theta.metagenes, sums.gram, sums.cross, sum_of_squares=norm)
    noise = update_noise(metagenes, sums.gram, sums.cross, sum_of_squares=norm, n_entries=samples.n_entries)
    step = update_affinity_by_adam(theta.affinity, cells.states[0], samples, options.affinity_penalty, rng)
    after = Theta(metagenes, step.affinity, noise)
    history.add(theta, after, sums, step.value)
    history.rows[-1]["adam_steps"] = step.n_steps
    return after


@dataclass(frozen=True)
class AdamStep:
    """Result of an affinity step: S, its objective per directed edge, and the number of Adam steps taken."""

    affinity: np.ndarray
    value: float
    n_steps: int


def update_affinity_by_adam(affinity: np.ndarray, proportions: np.ndarray, samples: Samples, penalty: float,
                            rng: np.random.Generator) -> AdamStep:
    """The affinity step of the public code; see the module's description.

    Parameters
    ----------
    affinity : array, shape (K, K)
        Start.
    proportions : array, shape (N, K)
        Proportions of the cells of all samples.
    samples : Samples
    penalty : float
        Ridge per directed edge.
    rng : numpy Generator
        Draws the cells of the batches.

    Returns
    -------
    AdamStep
    """
    if not samples.n_directed_edges:
        edgeless = np.zeros_like(proportions)
        return AdamStep(affinity, pseudo_likelihood_sums(affinity, proportions, edgeless, 0)[0], 0)
    problem, optimizer = AdamProblem(proportions, samples, penalty), Adam(affinity)
    per_cell = samples.n_directed_edges / samples.n_cells
    best, last, best_check = (np.inf, affinity), -np.inf, 0
    for n_steps in range(MAX_ADAM_STEPS + 1):
        S = optimizer.value
        if n_steps % CHECK_EVERY == 0:
            value, gradient = problem.full(S)
            if value < best[0]:
                best, best_check = (value, S), n_steps
            flat = (np.abs(gradient) < GRADIENT_TOL * (np.abs(S) + GRADIENT_OFFSET)).all()
            settled = flat and per_cell * (value - last) > -VALUE_TOL * CHECK_EVERY
            if settled or n_steps >= best_check + 2 * CHECK_EVERY:
                break
            last = value
        else:
            gradient = problem.sampled_gradient(S, rng)
        if n_steps < MAX_ADAM_STEPS:
            optimizer.step(gradient)
    value, affinity = best
    return AdamStep(affinity, value, n_steps)


class AdamProblem:
    """Objective of an affinity step, with a gradient from all cells or from a batch of each sample."""

    def __init__(self, proportions, samples, penalty):
        self.proportions, self.penalty = proportions, penalty
        self.neighbor_sums = samples.neighbor_sums(proportions)
        self.pairs = samples.pair_sums(proportions, self.neighbor_sums)
        self.n_edges = samples.n_directed_edges
        degrees = np.diff(samples.graph.indptr)
        bounds = zip(samples.offsets[:-1], samples.offsets[1:], strict=True)
        self.cells = [(first, last - first, degrees[first:last]) for first, last in bounds if degrees[first:last].any()]

    def full(self, S):
        """Objective per directed edge and its symmetric gradient, from all cells."""
        total, excess = pseudo_likelihood_sums(S, self.proportions, self.neighbor_sums, 1)
        return total / self.n_edges + 0.5 * self.penalty * (S**2).sum(), self._gradient(S, excess)

    def sampled_gradient(self, S, rng):
        """The gradient with the partition function of ``BATCH_CELLS`` random cells of each sample.

        The sum over a batch is scaled by the edges of the sample over those of the batch. The term of the pairs is
        that of all cells.
        """
        excess = self.pairs.copy()
        for first, n_cells, degrees in self.cells:
            batch = rng.choice(n_cells, min(BATCH_CELLS, n_cells), replace=False)
            neighbors = self.neighbor_sums[first + batch]
            observed = self.proportions[first + batch]
            _, difference = pseudo_likelihood_sums(S, observed, neighbors, 1)
            scale = degrees.sum() / max(degrees[batch].sum(), 1)
            excess += scale * (difference - observed.T @ neighbors)
        return self._gradient(S, excess)

    def _gradient(self, S, excess):
        return 0.5 * (excess + excess.T) / self.n_edges + self.penalty * S


class Adam:
    """Adam with a learning rate that falls by the factor ``DECAY`` every ``CHECK_EVERY`` steps."""

    def __init__(self, value):
        self.value = value
        self._first, self._second, self._n_steps = np.zeros_like(value), np.zeros_like(value), 0

    def step(self, gradient):
        """Move ``value`` against the gradient; the array is replaced, not overwritten."""
        rate = LEARNING_RATE * DECAY ** (self._n_steps // CHECK_EVERY)
        self._n_steps += 1
        self._first = BETA_1 * self._first + (1.0 - BETA_1) * gradient
        self._second = BETA_2 * self._second + (1.0 - BETA_2) * gradient**2
        first = self._first / (1.0 - BETA_1**self._n_steps)
        second = self._second / (1.0 - BETA_2**self._n_steps)
        self.value = self.value - rate * first / (np.sqrt(second) + EPSILON)
