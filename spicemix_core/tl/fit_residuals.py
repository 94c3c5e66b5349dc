"""What a fit leaves unexplained by gene and by cell: Y - X M', in the units of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.inputs.anndata import expression_of, metagenes_of, states_of
from spicemix_core.tl._adata import known_genes

if TYPE_CHECKING:
    from anndata import AnnData

ROWS = 2048  # cells made dense at a time


def residuals(adata: AnnData, layer: str | None = None) -> tuple[pd.DataFrame, pd.Series]:
    r"""Residuals of the factorisation (book ``eq-factorisation``) in a fitted AnnData object.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
        With ``obsm["X_spicemix"]`` and ``varm["metagenes"]``.
    layer : str, optional
        Layer with the expression that was fitted, by default ``X``.

    Returns
    -------
    genes : DataFrame
        By gene: ``mean`` expression, and ``unexplained``, the residual sum of squares divided by the sum of squares
        around the mean. 0 is a perfect fit, 1 is no better than the mean; the value of a constant gene is NaN.
    cells : Series
        By cell: root mean square residual over the genes.

    Raises
    ------
    KeyError
        If the object was not fitted or there is no such layer.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=50, sigma_y=0.0, random_state=0)
    >>> adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]  # in place of a fit
    >>> adata.varm["metagenes"] = adata.varm["true_metagenes"]
    >>> genes, cells = tl.residuals(adata)
    >>> bool(genes["unexplained"].max() < 1e-9)
    True
    """
    states, metagenes, expression = states_of(adata), metagenes_of(adata), expression_of(adata, layer)
    known = known_genes(metagenes)
    mean = np.asarray(expression.mean(axis=0), dtype=float).ravel()
    left, spread, cells = np.zeros(adata.n_vars), np.zeros(adata.n_vars), np.empty(adata.n_obs)
    for start in range(0, adata.n_obs, ROWS):
        rows = slice(start, start + ROWS)
        part = expression[rows].toarray() if sp.issparse(expression) else np.asarray(expression[rows], dtype=float)
        squares = (part - states[rows] @ metagenes.T) ** 2
        left, spread = left + squares.sum(axis=0), spread + ((part - mean) ** 2).sum(axis=0)
        cells[rows] = np.sqrt(squares[:, known].mean(axis=1))
    constant = np.asarray(spread <= 1e-12 * adata.n_obs * np.maximum(mean**2, 1e-300))
    unexplained = np.divide(left, spread, out=np.full(adata.n_vars, np.nan), where=~constant)
    return (pd.DataFrame({"mean": mean, "unexplained": unexplained}, index=adata.var_names),
            pd.Series(cells, index=adata.obs_names, name="residual"))
