r"""Latent states of cells under the parameters of a fitted model, for new cells and for those of the fit.

With metagenes M, affinity S and noise :math:`\sigma_y` fixed, the states minimise the energy of
:mod:`spicemix_core.latent_states` (book ``eq-states``) over the cells of the new samples. For cells without neighbours,
such as dissociated cells, this is non-negative least squares.
"""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from spicemix_core.latent_states import update_latent_states
from spicemix_core.metagenes import least_noise
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.samples import Samples

_NAMES = ("feature_names_in_", "sample_names_", "cell_names_")


def solve_states(model, samples: Samples, genes: np.ndarray) -> np.ndarray:
    """Latent states (N, K) of samples, in scaled units, from a start that depends only on the parameters of the model.

    ``genes`` are the indices in the fitted model of the columns of the samples.
    """
    K = model.n_metagenes
    metagenes, variance = model.metagenes_[genes], model.noise_**2
    gram, linear = metagenes.T @ metagenes / variance, samples.times_metagenes(metagenes) / variance
    proportions, sizes = np.full((samples.n_cells, K), 1.0 / K), np.ones(samples.n_cells)
    for affinity in (np.zeros((K, K)), model.affinity_):  # non-spatial first: each cell has one optimum
        proportions, sizes, _ = update_latent_states(gram, linear, affinity, samples.graph, proportions, sizes,
                                                     state_penalty=model.state_penalty)
    return sizes[:, None] * proportions


class FittedModel:
    """The part of :class:`spicemix_core.SpiceMix` that holds the results of a fit and transforms arrays with them."""

    def _store(self, samples, theta, states, history, names):
        self.metagenes_, self.affinity_, self.noise_ = theta.metagenes, theta.affinity, float(theta.noise)
        self.scaling_, self.latent_states_ = samples.scaling, samples.unscaled(*states)
        self.n_iter_, self.converged_ = len(history.rows), history.has_converged(self.tol)
        self.history_ = pd.DataFrame(history.rows, index=pd.RangeIndex(1, self.n_iter_ + 1, name="iteration"))
        for attribute in (*_NAMES, "input_"):  # of an earlier fit
            vars(self).pop(attribute, None)
        vars(self).update(zip(_NAMES, names or (), strict=False))
        if theta.noise <= least_noise(samples.sum_of_squares, samples.n_entries):
            warnings.warn("The model reproduces the expression almost exactly, so that the noise is at its lower limit "
                          f"of {self.noise_:.3g}: fit fewer metagenes, or more cells and genes.", stacklevel=4)
        if not self.converged_:
            warnings.warn(f"No convergence to a tolerance of {self.tol:g} in {self.max_iter} iterations: allow more "
                          "iterations, or see the history of the fit.", ConvergenceWarning, stacklevel=4)

    def fit_transform(self, adata: Any, *keys: str | None, **options: Any) -> np.ndarray:
        """Fit to an AnnData object and return the latent states of its cells, ``obsm["X_spicemix"]``.

        Parameters
        ----------
        adata, *keys, **options
            As for :meth:`fit`.

        Returns
        -------
        array, shape (N, K)
        """
        self.fit(adata, *keys, **options)  # type: ignore[attr-defined]
        return adata.obsm["X_spicemix"]

    def transform_arrays(self, expressions: Sequence, graphs: Sequence | None = None, *,
                         genes: Sequence[int] | None = None) -> list[np.ndarray]:
        r"""Latent states of samples, each scaled as a sample of the fit.

        Parameters
        ----------
        expressions : list of arrays or CSR matrices, each (N_i, H)
            Expression normalised as that of the fit.
        graphs : list of sparse matrices (N_i, N_i) or None, or None
            As for :meth:`fit_arrays`; a non-spatial model ignores them.
        genes : array of H int, optional
            Index in the model of the gene of each column; by default the columns are the G genes of the model.

        Returns
        -------
        list of arrays, each (N_i, K)
            In the units of the data.

        Raises
        ------
        ValueError
            If the model is not fitted, the columns do not match its genes or are fewer than K, or the input is invalid.

        Notes
        -----
        The factor of a sample is :math:`c = K a / \bar t`. Here :math:`\bar t` is the mean total of its cells over the
        genes that it shares with the model, and :math:`a = \sum_{ik} x_{ik} \sum_{g} m_{gk} / \sum_{ik} x_{ik}` the
        share of their expression that the model expects on these genes. With all genes, a = 1 as in the fit. With
        missing genes, the x in a are a first, non-spatial solution. As long as :math:`\lambda_x` is small compared with
        the data, x is proportional to c, so that a does not depend on c.

        Examples
        --------
        >>> from spicemix_core import SpiceMix, datasets
        >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0, sigma_y=0.0)
        >>> model = SpiceMix(n_metagenes=5, tol=0.2, random_state=0).fit(adata)
        >>> model.transform_arrays([adata.X[:10]])[0].shape
        (10, 5)
        """
        self._check_fitted()
        return self._transform(expressions, graphs, np.arange(len(self.metagenes_)) if genes is None else genes)

    def _check_fitted(self):
        check_is_fitted(self, "metagenes_", msg="This SpiceMix model is not fitted: call fit, or load a fitted model.")

    def _transform(self, expressions, graphs, genes, names=None):
        samples, genes = self._check(expressions, graphs, 1, names), np.asarray(genes)
        n_genes, K = self.metagenes_.shape
        if len(genes) != samples.n_genes:
            raise ValueError(f"The expression has {samples.n_genes} genes, but {len(genes)} genes of the model were "
                             "expected: name the gene of each column with genes.")
        if genes.dtype.kind != "i" or genes.min() < 0 or genes.max() >= n_genes or len(set(genes)) < len(genes):
            raise ValueError(f"genes must be different integers from 0 to {n_genes - 1}, the indices of genes of the "
                             "model.")
        if len(genes) < K:
            raise ValueError(f"{len(genes)} genes do not determine {K} metagenes: pass at least {K} of the model.")
        with one_blas_thread():
            scaling = K * samples.scaling  # K / mean total
            if len(genes) < n_genes:
                mass = self.metagenes_[genes].sum(axis=0)
                first = replace(samples, scaling=scaling * mass.mean(), graph=sp.csr_array(samples.graph.shape))
                scaling = scaling * [_share(x, mass) for x in samples.split(solve_states(self, first, genes))]
            states = solve_states(self, replace(samples, scaling=scaling), genes)
        return [x / c for x, c in zip(samples.split(states), scaling, strict=True)]


def _share(states, mass):
    total = states.sum()
    return (states.sum(axis=0) @ mass) / total if total > 0 else mass.mean()
