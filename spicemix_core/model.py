r"""SpiceMix: non-negative matrix factorisation joined with a hidden Markov random field (NMF-HMRF).

The estimator's ``fit`` reads as Algorithm 1 of the paper; each line is one call into the module that bears its name.
"""

import numbers
import time
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import affinity, latent_states
from spicemix_core.annotated import read_names, read_samples, write_results
from spicemix_core.initialization import initialize
from spicemix_core.metagenes import update_metagenes, update_noise
from spicemix_core.parallel import one_blas_thread
from spicemix_core.progress import progress
from spicemix_core.samples import check_samples
from spicemix_core.storage import load_model, save_model
from spicemix_core.transform import transform, transform_arrays


@dataclass(frozen=True)
class State:
    """All that changes during a fit: Theta = (M, S, sigma_y) and X = s z, in scaled units."""

    metagenes: np.ndarray
    affinity: np.ndarray
    noise: float
    proportions: np.ndarray
    sizes: np.ndarray

    @property
    def states(self):
        return self.sizes[:, None] * self.proportions


class SpiceMix(BaseEstimator):
    r"""Metagenes, their proportions in every cell, and the spatial affinity between them.

    The model (paper eq. 1-6; book ``eq-factorisation`` to ``eq-affinity-prior``): expression
    :math:`Y = X M^\top + E` with Gaussian noise, metagenes M on the simplex, states :math:`x_i = s_i z_i \ge 0` with
    prior :math:`e^{-\lambda_x s_i}`, and for every edge of the neighbour graph the energy :math:`z_i^\top S z_j`.

    Parameters
    ----------
    n_metagenes : int
        K.
    affinity_penalty : float
        :math:`\lambda_\Sigma`, ridge on S per directed edge. Larger values weaken the spatial term.
    affinity_iterations : int or None
        S is estimated in the first so many iterations and then kept, while states and metagenes settle under it;
        ``None`` estimates it in every iteration. See Notes.
    state_penalty : float
        :math:`\lambda_x` of the exponential prior on a cell's size.
    spatial : bool
        ``False`` ignores the graph: NMF with the same constraints.
    max_iter : int
        Most iterations of states, then parameters.
    tol : float
        Stop when in one iteration no block changes more: mean total variation of a cell's proportions and of a
        metagene, largest change of S relative to its largest entry (or 1), relative change of the noise.
    random_state : int, numpy Generator or None
        Seeds the initial metagenes, the only random step.
    device : str or None
        ``"cuda"`` or ``"cpu"`` runs all iterations in PyTorch on that device, with the same mathematics and up to
        rounding the same result (initialisation stays on the processor); ``None`` runs the compiled code, which is the
        faster on a processor.
    solver : {"active-set", "gurobi"}
        Solver of a cell's quadratic programs. ``"gurobi"``, as in the paper's code, needs gurobipy (its free licence is
        enough), is about a hundred times slower, and is there to check the other.

    Attributes
    ----------
    metagenes_ : array, shape (G, K)
        Columns sum to one.
    latent_states_ : list of arrays, each (N_i, K)
        In the units of the data: sample i is approximated by ``latent_states_[i] @ metagenes_.T``.
    affinity_ : array, shape (K, K)
        :math:`S = \Sigma_x^{-1}`; **a negative entry is an attraction**.
    noise_ : float
        :math:`\sigma_y` of the scaled expression.
    scaling_ : array, shape (n_samples,)
        Factor K / (mean total per cell) by which each sample was scaled.
    history_ : DataFrame
        One row per iteration: Q and its parts (after the iteration), the energy of all states and the change of each
        block, noise, sweeps, seconds per step.
    n_iter_ : int
    converged_ : bool
    feature_names_in_, sample_names_, cell_names_ : array of G names, list of names, list of arrays of N_i names
        Only of a model fitted to AnnData. Samples are in the order of ``latent_states_``; a fit without ``sample_key``
        has one, named "0".

    Notes
    -----
    Deviation from Algorithm 1: S stops moving after ``affinity_iterations``. States sharpened by S make S grow, which
    sharpens the states further; cell types get worse from it while Q still rises (book, simulation chapter). The
    authors' program stops its optimiser of S early and so leaves S nearly fixed after a few iterations too; here that
    is said. Under a fixed S, every later iteration lowers one energy, ``history_["energy"]``, so the fit converges.

    Source: Chidester, Zhou, Alam and Ma, Nature Genetics 55, 78-88 (2023). Deviations from the authors' code are
    listed in each step's module and, together, in the book's method chapter.
    """

    def __init__(self, n_metagenes=20, *, affinity_penalty=1e-4, affinity_iterations=2, state_penalty=1.0, spatial=True,
                 max_iter=200, tol=1e-3, random_state=None, device=None, solver="active-set"):
        self.n_metagenes = n_metagenes
        self.affinity_penalty = affinity_penalty
        self.affinity_iterations = affinity_iterations
        self.state_penalty = state_penalty
        self.spatial = spatial
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.device = device
        self.solver = solver

    def fit(self, adata, sample_key=None, graph_key="spatial_connectivities", layer=None):
        """Fit to an AnnData object and write the results into it.

        Parameters
        ----------
        adata : AnnData, N cells x G genes
            Normalised expression in ``X`` or ``layers[layer]``, neighbour graph in ``obsp[graph_key]``.
        sample_key : str, optional
            Column of ``obs`` that names each cell's sample; there may be no edge between samples.
        graph_key : str
        layer : str, optional

        Returns
        -------
        SpiceMix
            Itself; ``adata`` gains ``obsm["X_spicemix"]``, ``varm["metagenes"]`` and ``uns["spicemix"]``.

        Raises
        ------
        ValueError, KeyError
            One sentence that says what is wrong with the input and what to do.
        """
        expressions, graphs, rows = read_samples(adata, sample_key, graph_key if self.spatial else None, layer)
        self.fit_arrays(expressions, graphs)
        self.feature_names_in_, self.sample_names_, self.cell_names_ = read_names(adata, sample_key, rows)
        write_results(adata, self, rows)
        return self

    def transform(self, adata, sample_key=None, graph_key="spatial_connectivities", layer=None, *, min_genes=0.5):
        """Latent states of the cells of an AnnData object, new or not, under the metagenes and affinity of this model.

        Genes are matched by name: their order is free and others are ignored. See
        :func:`spicemix_core.transform.transform_arrays` for the states of samples and their scaling.

        Parameters
        ----------
        adata : AnnData
            Expression normalised as that of the fit.
        sample_key, graph_key, layer
            As in :meth:`fit`; ``graph_key=None`` takes the cells as dissociated.
        min_genes : float
            Least share of the model's genes that ``adata`` must have; a warning names those that it has not.

        Returns
        -------
        array, shape (N, K)
            In the units of the data; also written to ``adata.obsm["X_spicemix"]``.

        Raises
        ------
        ValueError, KeyError
            One sentence that says what is wrong with the input and what to do.
        """
        return transform(self, adata, sample_key, graph_key, layer, min_genes=min_genes)

    def transform_arrays(self, expressions, graphs=None, *, genes=None):
        """As :meth:`transform`, of arrays: see :func:`spicemix_core.transform.transform_arrays`."""
        return transform_arrays(self, expressions, graphs, genes=genes)

    def save(self, path):
        """Write the fitted model to one HDF5 file: see :func:`spicemix_core.storage.save_model`."""
        save_model(self, path)

    @classmethod
    def load(cls, path):
        """A model that :meth:`save` wrote, equal in all: see :func:`spicemix_core.storage.load_model`."""
        return load_model(path, cls)

    def fit_arrays(self, expressions, graphs=None):
        """Fit to one cells x genes array (dense or CSR) and one sparse neighbour graph per sample.

        Parameters and errors as :func:`spicemix_core.samples.check_samples`.
        """
        self._check_parameters()
        with one_blas_thread():
            samples = check_samples(expressions, graphs if self.spatial else None, self.n_metagenes)
            for name in ("feature_names_in_", "sample_names_", "cell_names_"):
                vars(self).pop(name, None)  # of an earlier fit
            return self._fit(samples)

    def _fit(self, samples):
        rng = np.random.default_rng(self.random_state)
        metagenes, proportions, sizes, noise = initialize(samples, self.n_metagenes, rng)
        no_affinity = np.zeros((self.n_metagenes, self.n_metagenes))
        state = State(metagenes, no_affinity, noise, proportions, sizes)
        if self.device is not None:
            samples, state = self._steps()[0].place(samples, state, self.device)
        rows, self.converged_ = [], False
        last = self.max_iter if self.affinity_iterations is None else self.affinity_iterations
        for iteration in progress(range(self.max_iter), "SpiceMix"):
            before = state
            state, row = self._iterate(samples, before, estimate_affinity=iteration < last)
            changes = _changes(before, state)
            rows.append(row | changes)
            if max(changes.values()) < self.tol:
                self.converged_ = True
                break
        if not self.converged_:
            warnings.warn(f"no convergence to tol={self.tol} in max_iter={self.max_iter} iterations; see history_",
                          ConvergenceWarning, stacklevel=3)
        return self._store(samples, state, rows)

    def _steps(self):
        """The modules with the steps of states and affinity, those that visit every cell."""
        if self.solver == "gurobi":
            from spicemix_core import gurobi_solver

            return gurobi_solver, affinity
        if self.device is not None:
            try:
                from spicemix_core import torch_backend
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(f"device={self.device!r} needs PyTorch: pip install torch, or leave out the "
                                          "device") from error
            return torch_backend, torch_backend
        return latent_states, affinity

    def _iterate(self, samples, state, *, estimate_affinity=True):
        """Lines 10 and 11 of Algorithm 1: the states given the parameters, then the parameters given the states."""
        of_states, of_affinity = self._steps()
        sums = {"sum_of_squares": samples.sum_of_squares}
        clock = [time.perf_counter()]

        variance = state.noise**2
        proportions, sizes, n_sweeps = of_states.update_latent_states(
            state.metagenes.T @ state.metagenes / variance, samples.times_metagenes(state.metagenes) / variance,
            state.affinity, samples.graph, state.proportions, state.sizes, state_penalty=self.state_penalty,
            colors=samples.colors,
        )
        state = replace(state, proportions=proportions, sizes=sizes)
        neighbor_sums = samples.neighbor_sums(proportions)
        clock.append(time.perf_counter())

        states = state.states
        gram, cross = samples.gram(states), samples.times_states(states)
        metagenes = update_metagenes(state.metagenes, gram, cross, **sums)
        noise = update_noise(metagenes, gram, cross, n_entries=samples.n_entries, **sums)
        state = replace(state, metagenes=metagenes, noise=noise)
        energy = self._energy(samples, state, neighbor_sums)
        clock.append(time.perf_counter())

        if estimate_affinity and samples.n_directed_edges:
            state = replace(state, affinity=of_affinity.update_affinity(
                state.affinity, proportions, neighbor_sums, samples.n_directed_edges, penalty=self.affinity_penalty))
        clock.append(time.perf_counter())
        seconds = dict(zip(("seconds_states", "seconds_metagenes", "seconds_affinity"), np.diff(clock), strict=True))
        row = self._objective(samples, state, neighbor_sums, of_affinity.affinity_objective)
        return state, row | {"energy": energy, "n_sweeps": n_sweeps} | seconds

    def _energy(self, samples, state, neighbor_sums):
        """-log P(Y, X | Theta) without its partition function (book ``eq-likelihood``): each edge counts once."""
        pairs = 0.5 * (samples.pair_sums(state.proportions, neighbor_sums) * state.affinity).sum()
        return self._emission(samples, state) + self.state_penalty * float(state.sizes.sum()) + pairs

    @staticmethod
    def _emission(samples, state):
        """-log P(Y | X, Theta) at the noise that fits best, when the residual is n sigma_y^2."""
        return 0.5 * samples.n_entries * (1.0 + np.log(2.0 * np.pi * state.noise**2))

    def _objective(self, samples, state, neighbor_sums, affinity_objective):
        """Q and its parts (book ``eq-objective``)."""
        edges = max(samples.n_directed_edges, 1)
        spatial = edges * affinity_objective(
            state.affinity, state.proportions, neighbor_sums, edges, self.affinity_penalty
        )
        emission, prior = self._emission(samples, state), self.state_penalty * float(state.sizes.sum())
        return {"Q": -emission - prior - spatial, "Q_emission": -emission, "Q_prior": -prior, "Q_spatial": -spatial,
                "noise": state.noise}

    def _check_parameters(self):
        for name, lowest in (("n_metagenes", 2), ("max_iter", 1)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name} must be an integer of at least {lowest}, not {value!r}")
        if self.affinity_iterations is not None and (
            not isinstance(self.affinity_iterations, (int, np.integer)) or self.affinity_iterations < 0
        ):
            raise ValueError(f"affinity_iterations must be None or an integer of at least 0, not "
                             f"{self.affinity_iterations!r}")
        for name, positive in (("affinity_penalty", True), ("state_penalty", False), ("tol", False)):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not np.isfinite(value) or value < 0 or (positive and value == 0):
                raise ValueError(f"{name} must be a {'positive' if positive else 'non-negative'} number, not {value!r}")

        if self.solver not in ("active-set", "gurobi"):
            raise ValueError(f"solver must be 'active-set' or 'gurobi', not {self.solver!r}")
        if self.solver == "gurobi" and self.device is not None:
            raise ValueError(f"solver='gurobi' works without a device; leave out device={self.device!r}")
        if self.device is not None:
            self._steps()[0].check_device(self.device)

    def _store(self, samples, state, rows):
        self.metagenes_ = state.metagenes
        self.affinity_ = state.affinity
        self.noise_ = float(state.noise)
        self.scaling_ = samples.scaling
        parts = samples.split(state.states)
        self.latent_states_ = [x / c for x, c in zip(parts, samples.scaling, strict=True)]
        self.history_ = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="iteration"))
        self.n_iter_ = len(rows)
        return self


def _changes(before, after):
    """How far each block moved in one iteration, as named in the class's documentation of ``tol``."""
    return {
        "change_states": 0.5 * float(abs(after.proportions - before.proportions).sum(1).mean()),
        "change_metagenes": 0.5 * np.abs(after.metagenes - before.metagenes).sum(axis=0).mean(),
        "change_affinity": np.abs(after.affinity - before.affinity).max() / max(1.0, np.abs(after.affinity).max()),
        "change_noise": abs(after.noise - before.noise) / after.noise,
    }
