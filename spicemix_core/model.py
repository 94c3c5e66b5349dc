r"""SpiceMix: non-negative matrix factorisation joined with a hidden Markov random field (NMF-HMRF).

The estimator: its parameters, its input and its results. The fit itself is :mod:`spicemix_core.algorithm`.
"""

import numbers
import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import algorithm
from spicemix_core.backends.place import part_of
from spicemix_core.files.checkpoint import Checkpoint
from spicemix_core.files.model_file import load_model, save_model
from spicemix_core.inputs.anndata import read_names, read_samples, write_results
from spicemix_core.numerics.errors import ArgumentError
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.samples import check_samples
from spicemix_core.transform import transform, transform_arrays


class SpiceMix(BaseEstimator):
    r"""Metagenes, their proportions in every cell, and the spatial affinity between them.

    The model (paper eq. 1-6; book ``eq-factorisation`` to ``eq-affinity-prior``): expression
    :math:`Y = X M^\top + E` with Gaussian noise, metagenes M on the simplex, states :math:`x_i = s_i z_i \ge 0` with
    prior :math:`e^{-\lambda_x s_i}`, and for every edge of the neighbour graph the energy :math:`z_i^\top S z_j`.

    Parameters
    ----------
    n_metagenes : int
        Number of metagenes, K.
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

    def fit(self, adata, sample_key=None, graph_key="spatial_connectivities", layer=None, *, checkpoint=None,
            client=None):
        """Fit to an AnnData object and write the results into it.

        Parameters
        ----------
        adata : AnnData, N cells x G genes
            Normalised expression in ``X`` or ``layers[layer]``, neighbour graph in ``obsp[graph_key]``.
        sample_key : str, optional
            Column of ``obs`` that names each cell's sample; there may be no edge between samples.
        graph_key : str
        layer : str, optional
        checkpoint, client
            As :meth:`fit_arrays`.

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
        self.fit_arrays(expressions, graphs, checkpoint=checkpoint, client=client)
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
        """Write the fitted model to one HDF5 file: see :func:`spicemix_core.files.model_file.save_model`."""
        save_model(self, path)

    @classmethod
    def load(cls, path):
        """A model that :meth:`save` wrote, equal in all: see :func:`spicemix_core.files.model_file.load_model`."""
        return load_model(path, cls)

    def fit_arrays(self, expressions, graphs=None, *, checkpoint=None, client=None):
        """Fit to one cells x genes array (dense or CSR) and one sparse neighbour graph per sample.

        Parameters
        ----------
        expressions, graphs : lists
            As :func:`spicemix_core.samples.check_samples`, which also says what is refused.
        checkpoint : path, optional
            File that keeps the state of the fit (:mod:`spicemix_core.files.checkpoint`). If it is there, left by a
            fit of the same data and parameters that was killed, this fit goes on from it to the same numbers, bit
            for bit.
        client : distributed.Client, optional
            The samples are shared out among the workers of this Dask client (:mod:`spicemix_core.backends.dask_cells`).
        """
        check_parameters(self)
        with one_blas_thread():
            samples = check_samples(expressions, graphs if self.spatial else None, self.n_metagenes)
            kept = Checkpoint(checkpoint, self.get_params(), samples)
            cells = self._place(samples, client)
            theta, rows = algorithm.fit(self, cells, kept)
            for name in ("feature_names_in_", "sample_names_", "cell_names_"):
                vars(self).pop(name, None)  # of an earlier fit
            self._store(samples, theta, cells.get_states(), rows)
        kept.remove()
        return self

    def _place(self, samples, client):
        """The cells, here or on the workers of a client."""
        options = {"device": self.device, "solver": self.solver}
        if client is None:
            return part_of(samples, **options)
        from spicemix_core.backends.dask_cells import DistributedParts

        return DistributedParts(client, samples, **options)

    def _store(self, samples, theta, states, rows):
        self.metagenes_ = theta.metagenes
        self.affinity_ = theta.affinity
        self.noise_ = float(theta.noise)
        self.scaling_ = samples.scaling
        proportions, sizes = states
        parts = samples.split(sizes[:, None] * proportions)
        self.latent_states_ = [x / c for x, c in zip(parts, samples.scaling, strict=True)]
        self.history_ = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="iteration"))
        self.n_iter_ = len(rows)
        self.converged_ = algorithm.has_converged(rows, self.tol)
        if not self.converged_:
            warnings.warn(f"no convergence to tol={self.tol} in max_iter={self.max_iter} iterations; see history_",
                          ConvergenceWarning, stacklevel=3)


def check_parameters(model):
    """Raise ValueError, in one sentence, for parameters of the estimator with which there is no fit."""
    for name, lowest in (("n_metagenes", 2), ("max_iter", 1)):
        value = getattr(model, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
            raise ArgumentError(f"{name} must be an integer of at least {lowest}, not {value!r}.", parameter=name)
    if model.affinity_iterations is not None and (
        not isinstance(model.affinity_iterations, (int, np.integer)) or model.affinity_iterations < 0
    ):
        raise ValueError(f"affinity_iterations must be None or an integer of at least 0, not "
                         f"{model.affinity_iterations!r}")
    for name, positive in (("affinity_penalty", True), ("state_penalty", False), ("tol", False)):
        value = getattr(model, name)
        if not isinstance(value, numbers.Real) or not np.isfinite(value) or value < 0 or (positive and value == 0):
            raise ArgumentError(f"{name} must be a {'positive' if positive else 'non-negative'} number, not {value!r}.",
                                parameter=name)

    if model.solver not in ("active-set", "gurobi"):
        raise ValueError(f"solver must be 'active-set' or 'gurobi', not {model.solver!r}")
    if model.solver == "gurobi" and model.device is not None:
        raise ValueError(f"solver='gurobi' works without a device; leave out device={model.device!r}")
