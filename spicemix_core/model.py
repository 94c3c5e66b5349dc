"""The estimator: its parameters, its input and its results. :mod:`spicemix_core.algorithm` is the fit itself."""

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator

from spicemix_core import algorithm
from spicemix_core.backends.place import place_cells
from spicemix_core.files.checkpoint import Checkpoint
from spicemix_core.files.model_file import load_model, save_model
from spicemix_core.inputs.anndata import check_names, read_names, read_samples
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.inputs.genes import match_genes
from spicemix_core.inputs.memory import AS_FITTED, keys_as_fitted
from spicemix_core.inputs.parameters import check_parameters
from spicemix_core.inputs.results import write_fit, write_transform
from spicemix_core.numerics.blocks import columns_of
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.transform import FittedModel

if TYPE_CHECKING:
    from anndata import AnnData
    from distributed import Client


class SpiceMix(FittedModel, BaseEstimator):
    r"""Metagenes, their proportions in every cell, and the spatial affinity between them.

    Non-negative matrix factorisation joined with a hidden Markov random field (paper eq. 1-6; book ``eq-factorisation``
    to ``eq-affinity-prior``): expression :math:`Y = X M^\top + E` with Gaussian noise, metagenes M on the simplex,
    states :math:`x_i = s_i z_i \ge 0` with prior :math:`e^{-\lambda_x s_i}`, and the energy :math:`z_i^\top S z_j` for
    every edge of the neighbour graph.

    Parameters
    ----------
    n_metagenes : int
        Number of metagenes, K.
    affinity_penalty : float
        :math:`\lambda_\Sigma`, ridge penalty on S per directed edge. Larger values weaken the spatial term.
    affinity_iterations : int or None
        Number of iterations, from the first, that estimate S. It is then fixed while states and metagenes converge.
        ``None`` estimates S in every iteration. See Notes.
    state_penalty : float
        :math:`\lambda_x` of the exponential prior on the size of a cell.
    init : {"weighted", "expression", "profiles"}
        What k-means clusters to find the initial metagenes, see :func:`spicemix_core.steps.initial_metagenes`.
    spatial : bool
        ``False`` ignores the graph: NMF with the same constraints.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Convergence tolerance. The fit stops when, in one iteration, each of the following is below ``tol``: the mean
        total variation between old and new proportions of a cell, the same of a metagene, the largest change of S
        relative to its largest entry (or to 1, if that is larger), and the relative change of the noise.
    random_state : int, numpy Generator or None
        Seed of the initial metagenes, the only random step.
    device : str or None
        ``"cuda"`` or ``"cpu"`` runs all iterations in PyTorch on that device, with the same mathematics and the same
        result up to rounding; the initialisation stays on the processor. ``None`` runs compiled code, which is faster
        on a processor.
    solver : {"active-set", "gurobi"}
        Solver of the quadratic program of a cell. ``"gurobi"``, as in the paper's code, needs gurobipy (its free
        licence is sufficient) and is about a hundred times slower; it serves as an independent check.

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
        One row per iteration: Q and its parts after the iteration, the noise, the energy of all states, the sweeps of
        the state step, the seconds of each step, and the change of each block.
    n_iter_, converged_ : int, bool
        Number of iterations, and whether the last one met the tolerance.
    feature_names_in_, sample_names_, cell_names_ : array of G names, list of names, list of arrays of N_i names
        Only of a model that was fitted to AnnData; samples are in the order of ``latent_states_``. A fit without
        ``sample_key`` has one sample, "0".
    input_ : dict
        Keys of a fit to AnnData that are not None, which :meth:`transform` uses, and the ``"preparation"`` of its data.

    Notes
    -----
    Deviation from Algorithm 1: S is fixed after ``affinity_iterations`` iterations. States sharpened by S make S grow,
    which sharpens the states further; cell types get worse while Q still rises (book, simulation chapter). The authors'
    program stops its optimiser of S early, and so leaves S nearly fixed too. Under a fixed S, every later iteration
    lowers one energy, ``history_["energy"]``, so the fit converges. The method chapter of the book lists all deviations
    from the authors' code, the docstring of each module its own.

    Source: B. Chidester, T. Zhou, S. Alam and J. Ma, Nature Genetics 55, 78-88 (2023).

    Examples
    --------
    >>> from spicemix_core import SpiceMix, datasets
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
    >>> model = SpiceMix(n_metagenes=5, tol=0.1, random_state=0).fit(adata)
    >>> model.converged_, adata.obsm["X_spicemix"].shape
    (True, (100, 5))
    """

    def __init__(self, n_metagenes: int = 20, *, affinity_penalty: float = 1e-4, affinity_iterations: int | None = 2,
                 state_penalty: float = 1.0, init: str = "weighted", spatial: bool = True, max_iter: int = 200,
                 tol: float = 1e-3, random_state: int | np.random.Generator | None = None, device: str | None = None,
                 solver: str = "active-set") -> None:
        self.n_metagenes = n_metagenes
        self.affinity_penalty, self.affinity_iterations = affinity_penalty, affinity_iterations
        self.state_penalty, self.init, self.spatial = state_penalty, init, spatial
        self.max_iter, self.tol, self.random_state = max_iter, tol, random_state
        self.device, self.solver = device, solver

    def fit(self, adata: "AnnData", sample_key: str | None = None, graph_key: str = "spatial_connectivities",
            layer: str | None = None, *, checkpoint: str | PathLike | None = None,
            client: "Client | None" = None) -> Self:
        """Fit to an AnnData object and write the results into it.

        Parameters
        ----------
        adata : AnnData, N cells x G genes
            Normalised expression in ``X`` or ``layers[layer]``, neighbour graph in ``obsp[graph_key]``. Expression that
            is not in memory, as in a backed object or a Dask array, is read in blocks of cells in every pass.
        sample_key : str, optional
            Column of ``obs`` that names the sample of each cell; there must be no edge between samples.
        graph_key, layer : str, str or None
            Keys of ``obsp`` and ``layers``.
        checkpoint, client
            As for :meth:`fit_arrays`.

        Returns
        -------
        SpiceMix
            The model itself. ``adata`` gains ``obsm["X_spicemix"]``, ``varm["metagenes"]`` and ``uns["spicemix"]``.

        Raises
        ------
        ValueError, KeyError
            If a parameter or the input is invalid.

        Examples
        --------
        >>> from spicemix_core import SpiceMix, datasets
        >>> adata = datasets.simulate_cortex(n_samples=2, n_cells=60, random_state=0, sigma_y=0.0)
        >>> model = SpiceMix(n_metagenes=4, tol=0.2, random_state=0).fit(adata, sample_key="sample")
        >>> [states.shape for states in model.latent_states_]
        [(60, 4), (60, 4)]
        """
        expressions, graphs, rows = read_samples(adata, sample_key, graph_key if self.spatial else None, layer,
                                                 blocks=True)
        return self._fit(expressions, graphs, checkpoint, client, read_names(adata, sample_key, rows),
                         lambda: write_fit(adata, self, rows, sample_key, graph_key, layer))

    def fit_arrays(self, expressions: Sequence, graphs: Sequence | None = None, *,
                   checkpoint: str | PathLike | None = None, client: "Client | None" = None) -> Self:
        """Fit to one cells x genes array and one neighbour graph per sample.

        Parameters
        ----------
        expressions : list of arrays, CSR matrices, Dask arrays or datasets in a file, each (N_i, G)
            Normalised expression; single precision is kept. What is not in memory is read in blocks of cells.
        graphs : list of sparse matrices (N_i, N_i) or None, or None
            Symmetric neighbour graphs; ``None`` for a non-spatial sample. A non-spatial model ignores them.
        checkpoint : path, optional
            File that keeps the state of the fit. An interrupted fit of the same data and parameters resumes from it,
            and gives the same numbers, bit for bit. The file is removed when the fit has finished.
        client : distributed.Client, optional
            Distributes the samples over the workers of this Dask client.

        Returns
        -------
        SpiceMix
            The model itself. Errors are those of :meth:`fit`.

        Examples
        --------
        >>> from spicemix_core import SpiceMix, datasets
        >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
        >>> graph = adata.obsp["spatial_connectivities"]
        >>> SpiceMix(n_metagenes=5, tol=0.2, random_state=0).fit_arrays([adata.X], [graph]).metagenes_.shape
        (100, 5)
        """
        return self._fit(expressions, graphs, checkpoint, client)

    def transform(self, adata: "AnnData", sample_key: str | None = AS_FITTED, graph_key: str | None = AS_FITTED,
                  layer: str | None = AS_FITTED, *, min_genes: float = 0.5) -> np.ndarray:
        """Latent states of cells, new or those of the fit, under the parameters of this model; genes match by name.

        Parameters
        ----------
        adata : AnnData
            Expression normalised as that of the fit. Gains what :meth:`fit` writes; unknown genes have NaN metagenes.
        sample_key, graph_key, layer : str or None
            As for :meth:`fit`, by default (``"as fitted"``) those of the fit. ``sample_key=None`` takes all cells as
            one sample, ``graph_key=None`` as dissociated.
        min_genes : float
            Smallest share of the genes of the model that ``adata`` must have; a warning names missing genes.

        Returns
        -------
        array, shape (N, K)
            In the units of the data.

        Raises
        ------
        ValueError, KeyError
            If the input is invalid or does not match the model.

        Examples
        --------
        >>> from spicemix_core import SpiceMix, datasets
        >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
        >>> model = SpiceMix(n_metagenes=5, tol=0.2, random_state=0).fit(adata)
        >>> model.transform(datasets.simulate_cortex(n_cells=60, random_state=1, sigma_y=0.0)).shape
        (60, 5)
        """
        self._check_fitted()
        check_names(adata)
        columns, genes = match_genes(self, adata.var_names, min_genes)
        keys = keys_as_fitted(self, adata, sample_key=sample_key, graph_key=graph_key, layer=layer)
        sample_key, graph_key, layer = keys if self.spatial else (keys[0], None, keys[2])
        expressions, graphs, rows = read_samples(adata, sample_key, graph_key, layer, blocks=True)
        if len(columns) < adata.n_vars or (np.diff(columns) != 1).any():
            expressions = [columns_of(y, columns) for y in expressions]
        parts = self._transform(expressions, graphs, genes, read_names(adata, sample_key, rows))
        return write_transform(adata, self, parts, rows, columns, genes, (sample_key, graph_key, layer))

    def save(self, path: str | PathLike) -> None:
        """Write the fitted model to one HDF5 file; see :func:`spicemix_core.files.model_file.save_model`.

        Parameters
        ----------
        path : path
            Ends in ``.h5`` by convention. An existing file is replaced when the new one is complete.

        Examples
        --------
        >>> import tempfile
        >>> from spicemix_core import SpiceMix, datasets
        >>> adata = datasets.simulate_cortex(n_cells=60, random_state=0, sigma_y=0.0)
        >>> model = SpiceMix(n_metagenes=4, tol=0.2, random_state=0).fit(adata)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.h5")
        ...     SpiceMix.load(f"{folder}/model.h5").n_metagenes
        4
        """
        save_model(self, path)

    @classmethod
    def load(cls, path: str | PathLike) -> Self:
        """Read a model that :meth:`save` wrote; see :func:`spicemix_core.files.model_file.load_model`.

        Parameters
        ----------
        path : path

        Returns
        -------
        SpiceMix
            With all parameters and attributes of the saved model.

        Examples
        --------
        >>> from spicemix_core import SpiceMix
        >>> SpiceMix.load("no_such_file.h5")
        Traceback (most recent call last):
        FileNotFoundError: ...
        """
        return load_model(path, cls)

    def _check(self, expressions, graphs, n_metagenes, names):
        return check_samples(expressions, graphs if self.spatial else None, n_metagenes, names, stacklevel=5)

    def _fit(self, expressions, graphs, checkpoint, client, names=None, write=lambda: None):
        """Check, fit, set all attributes and call ``write``; ``names`` are those of the genes, samples and cells."""
        check_parameters(self)
        with one_blas_thread():
            samples = self._check(expressions, graphs, self.n_metagenes, names)
            with Checkpoint(checkpoint, self.get_params(), samples) as file:
                left = file.read()
                states = left and (left.proportions, left.sizes)
                cells = place_cells(samples, states=states, client=client, device=self.device, solver=self.solver)
                theta, history = algorithm.fit(algorithm.Options.of(self), cells, left, file.save)
                self._store(samples, theta, cells.states, history, names)
                write()
                file.remove()
        return self
