r"""The fit: Algorithm 1 of the paper. Each of its lines is one call into the module of the same name.

``cells`` (:class:`spicemix_core.cells.Cells`) hold the states and everything that loops over cells; the parameters are
estimated here, from sums over the cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from spicemix_core.affinity import AffinityProblem
from spicemix_core.cells import Cells
from spicemix_core.history import History
from spicemix_core.initialization import initialize
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.numerics.progress import progress
from spicemix_core.objective import Theta


@dataclass(frozen=True)
class Options:
    """What Algorithm 1 needs of the estimator.

    Parameters
    ----------
    n_metagenes, affinity_penalty, affinity_iterations, state_penalty, init, max_iter, tol, random_state
        As for :class:`spicemix_core.SpiceMix`.

    Examples
    --------
    >>> from spicemix_core import steps
    >>> steps.Options(n_metagenes=10, affinity_penalty=1e-3).max_iter
    200
    """

    n_metagenes: int
    affinity_penalty: float = 1e-4
    affinity_iterations: int | None = 2
    state_penalty: float = 1.0
    init: str = "weighted"
    max_iter: int = 200
    tol: float = 1e-3
    random_state: int | np.random.Generator | None = None

    @classmethod
    def of(cls, estimator: Any) -> "Options":
        """The options of an estimator, whose parameters have the same names."""
        return cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})

    @property
    def last_affinity_iteration(self) -> int:
        """Number of the last iteration that estimates the affinity."""
        return self.max_iter if self.affinity_iterations is None else self.affinity_iterations


class Start(Protocol):
    """Where an interrupted fit resumes: parameters, and the rows of its history. The cells hold the states."""

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float
    rows: list[dict]


def fit(options: Options, cells: Cells, start: Start | None, save: Callable[..., None]) -> tuple[Theta, History]:
    """Algorithm 1: initialise, then iterate until convergence or for ``options.max_iter`` iterations.

    Parameters
    ----------
    options : Options
    cells : Cells
        They hold the states of the last iteration afterwards.
    start : Start or None
        Where an interrupted fit resumes; by default lines 1 to 8 of Algorithm 1.
    save : callable
        ``save(theta, cells, rows, now=...)`` after each iteration but the last; ``now`` requests an immediate
        checkpoint.

    Returns
    -------
    Theta and History
    """
    if start is None:
        theta, history = initial_theta(options, cells), History(options, cells.samples)
        save(theta, cells, [], now=True)
    else:
        theta = Theta(start.metagenes, start.affinity, start.noise)
        history = History(options, cells.samples, start.rows)
    last = options.last_affinity_iteration
    for iteration in progress(range(len(history.rows), options.max_iter), "SpiceMix"):  # line 9
        theta = iterate(options, cells, theta, history, estimate_affinity=iteration < last)
        if history.has_converged(options.tol):
            break
        save(theta, cells, history.rows, now=iteration + 1 == last)
    return theta, history


def initial_theta(options: Options, cells: Cells) -> Theta:
    """Lines 1 to 8: metagenes and noise from NMF, and an affinity of zero."""
    rng = np.random.default_rng(options.random_state)
    metagenes, noise = initialize(cells, options.n_metagenes, rng, options.init)  # lines 1-7
    return Theta(metagenes, np.zeros((options.n_metagenes, options.n_metagenes)), noise)  # line 8


def iterate(options: Options, cells: Cells, theta: Theta, history: History, *, estimate_affinity: bool = True) -> Theta:
    """One iteration of Algorithm 1: the states given the parameters, then the parameters given the states.

    Parameters
    ----------
    options : Options
    cells : Cells
        Their states are updated.
    theta : Theta
    history : History
        Gains one row.
    estimate_affinity : bool
        Whether to update the affinity too.

    Returns
    -------
    Theta
        The new parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import datasets, inputs, steps
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
    >>> samples = inputs.check_samples([adata.X], [adata.obsp["spatial_connectivities"]], 3)
    >>> options, cells = steps.Options(n_metagenes=3), steps.LocalCells(samples)
    >>> metagenes, noise = steps.initialize(cells, 3, np.random.default_rng(0))
    >>> theta, history = steps.Theta(metagenes, np.zeros((3, 3)), noise), steps.History(options, samples)
    >>> for _ in range(2):
    ...     theta = steps.iterate(options, cells, theta, history)
    >>> theta.affinity.shape, len(history.rows)
    ((3, 3), 2)
    """
    samples, norm = cells.samples, cells.samples.sum_of_squares
    history.start()
    sums = cells.update_states(theta.metagenes, theta.affinity, theta.noise, options.state_penalty)  # line 10: X
    history.lap("states")
    M = update_metagenes(theta.metagenes, sums.gram, sums.cross, sum_of_squares=norm)  # line 11: M
    noise = update_noise(M, sums.gram, sums.cross, sum_of_squares=norm, n_entries=samples.n_entries)  # line 11: sigma_y
    history.lap("metagenes")
    problem = AffinityProblem.of_cells(cells, options.affinity_penalty)
    S = theta.affinity
    if estimate_affinity and samples.n_directed_edges:
        S = problem.minimize(S)  # line 11: S
    history.lap("affinity")
    after = Theta(M, S, noise)
    history.add(theta, after, sums, problem.value(S))
    return after
