"""What a fit leaves unexplained, gene by gene and cell by cell: Y - X M', in the units of the data."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

ROWS = 2048  # cells made dense at a time


def residuals(adata, layer=None):
    r"""Residuals of the factorisation (book ``eq-factorisation``) of a fitted AnnData object.

    Parameters
    ----------
    adata : AnnData, N cells x G genes
        With ``obsm["X_spicemix"]`` and ``varm["metagenes"]``, as :meth:`spicemix_core.SpiceMix.fit` leaves them.
    layer : str, optional
        Layer with the expression that was fitted; by default ``X``.

    Returns
    -------
    genes : DataFrame, index gene names
        ``mean`` expression, and ``unexplained``: the residual sum of squares of the gene divided by its sum of squares
        around its mean. 0 is perfect, 1 no better than the mean, NaN a gene that is the same in all cells.
    cells : Series, index cell names
        Root mean square residual of each cell over the genes.

    Raises
    ------
    KeyError
        The object was not fitted, or there is no such layer.
    """
    for place, key in ((adata.obsm, "X_spicemix"), (adata.varm, "metagenes")):
        if key not in place:
            raise KeyError(f"there is no {key!r} in the data: fit SpiceMix to them first")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layers has no {layer!r}; it has {', '.join(map(repr, adata.layers)) or 'nothing'}")
    expression = adata.X if layer is None else adata.layers[layer]
    states, metagenes = np.asarray(adata.obsm["X_spicemix"]), np.asarray(adata.varm["metagenes"])
    mean = np.asarray(expression.mean(axis=0), dtype=float).ravel()
    left, spread, cells = np.zeros(adata.n_vars), np.zeros(adata.n_vars), np.empty(adata.n_obs)
    for start in range(0, adata.n_obs, ROWS):
        rows = slice(start, start + ROWS)
        part = expression[rows].toarray() if sp.issparse(expression) else np.asarray(expression[rows], dtype=float)
        squares = (part - states[rows] @ metagenes.T) ** 2
        left, spread = left + squares.sum(axis=0), spread + ((part - mean) ** 2).sum(axis=0)
        cells[rows] = np.sqrt(squares.mean(axis=1))
    constant = np.asarray(spread <= 1e-12 * adata.n_obs * np.maximum(mean**2, 1e-300))
    unexplained = np.divide(left, spread, out=np.full(adata.n_vars, np.nan), where=~constant)
    return (pd.DataFrame({"mean": mean, "unexplained": unexplained}, index=adata.var_names),
            pd.Series(cells, index=adata.obs_names, name="residual"))
