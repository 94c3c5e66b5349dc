"""What a figure shows of an AnnData object: places, columns, genes, proportions and results, or what is missing."""

import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.inputs.anndata import column_of, coordinates_of, expression_of, result_of, states_of
from spicemix_core.tl.clustering import normalize_states


def places_of(adata):
    """Two coordinates of each cell, and which cells have them: dissociated cells have none."""
    places = coordinates_of(adata)[:, :2]
    placed = np.isfinite(places).all(axis=1)
    if not placed.any():
        raise ValueError("obsm['spatial'] has no coordinates but NaN: there is no place to draw a cell at")
    return places, placed


def samples_of(adata, sample_key):
    """Sample of each cell as text, in the order of the categories or of appearance; one sample without a key."""
    if sample_key is None:
        return pd.Categorical([""] * adata.n_obs)
    column = column_of(adata, sample_key)
    names = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique()
    return pd.Categorical(column.astype(str), [str(name) for name in names if (column == name).any()])


def proportions_of(adata):
    """Proportions of the metagenes in each cell, (N, K)."""
    return normalize_states(states_of(adata), "proportions")


def table_of(adata, name):
    """The result of the function ``name`` of :mod:`spicemix_core.tl`."""
    return result_of(adata, name, f"call tl.{name} first")


def values_of(adata, color, layer):
    """What ``color`` names, as a Categorical or an array of numbers, and the label of its legend."""
    if color in adata.obs:
        column = adata.obs[color]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            return column.to_numpy(dtype=float), color
        given = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else in_order(column.dropna())
        texts = column.astype(object).where(column.notna(), "missing").astype(str)
        names = [*map(str, given), *(["missing"] if column.isna().any() else [])]
        return pd.Categorical(texts, names).remove_unused_categories(), color
    if color in adata.var_names:
        values = expression_of(adata[:, color], layer)
        return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=float).ravel(), color
    word, _, number = str(color).partition(" ")
    if word == "metagene" and number.isdecimal():
        proportions = proportions_of(adata)
        if int(number) < proportions.shape[1]:
            return proportions[:, int(number)], f"proportion of {color}"
    raise KeyError(f"{color!r} is no column of obs, no gene and no metagene ('metagene 0', ...): nothing to colour by")


def in_order(names):
    """Each name once as text, those that are numbers in their order."""
    return sorted({str(name) for name in names}, key=lambda s: (not s.isdecimal(), int(s) if s.isdecimal() else 0, s))
