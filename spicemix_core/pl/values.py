"""What figures show of an AnnData object: places, columns, genes, proportions, results and colours."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.colors import to_hex
from scipy import sparse

from spicemix_core.inputs.anndata import column_of, expression_of, result_of, states_of
from spicemix_core.inputs.errors import MissingDataError
from spicemix_core.inputs.positions import place_of, positions_of, spatial_key_of
from spicemix_core.tl.clustering import CLUSTERS
from spicemix_core.tl.normalization import normalize_states

MISSING = "missing"  # text of a cell that is in no category


def places_of(adata: AnnData, spatial_key: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Two coordinates of each cell, and which cells have them: dissociated cells have none."""
    spatial_key = spatial_key or spatial_key_of(adata)
    places = positions_of(adata, spatial_key)[:, :2]
    placed = np.isfinite(places).all(axis=1)
    if not placed.any():
        raise ValueError(f"All coordinates in {place_of(spatial_key)} are missing: give coordinates to some cells.")
    return places, placed


def samples_of(adata: AnnData, sample_key: str | None) -> pd.Categorical:
    """Sample of each cell as text, in the order of the categories or of appearance; one sample without a key."""
    if sample_key is None:
        return pd.Categorical([""] * adata.n_obs)
    column = column_of(adata, sample_key)
    names = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique()
    return pd.Categorical(column.astype(str), [str(name) for name in names if (column == name).any()])


def proportions_of(adata: AnnData) -> np.ndarray:
    """Proportions of the metagenes in each cell, (N, K)."""
    return normalize_states(states_of(adata), "proportions")


def table_of(adata: AnnData, name: str) -> dict:
    """The result of the function ``name`` of :mod:`spicemix_core.tl`."""
    return result_of(adata, name, f"call tl.{name} first")


def values_of(adata: AnnData, color: str, layer: str | None) -> tuple[pd.Categorical | np.ndarray, str]:
    """What ``color`` names, as categories or numbers, and the title of its legend."""
    if color in adata.obs:
        column = adata.obs[color]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            return column.to_numpy(dtype=float), color
        given = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else in_order(column.dropna())
        texts = column.astype(object).where(column.notna(), MISSING).astype(str)
        names = [*map(str, given), *([MISSING] if column.isna().any() else [])]
        return pd.Categorical(texts, names).remove_unused_categories(), color
    if color in adata.var_names:
        values = expression_of(adata, layer)[:, adata.var_names.get_loc(color)]
        return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=float).ravel(), color
    word, _, number = str(color).partition(" ")
    if word == "metagene" and number.isdecimal():
        proportions = proportions_of(adata)
        if int(number) < proportions.shape[1]:
            return proportions[:, int(number)], f"proportion of {color}"
    if color == CLUSTERS:
        raise MissingDataError(f"The data hold no clusters in the column {color!r} of obs.",
                               "Call tl.cluster first, or name with {color} what to show.")
    raise KeyError(f"Nothing in the data is named {color!r}: choose a column of obs, a gene or a metagene "
                   "('metagene 0', ...).")


def colors_of(adata: AnnData, color: str) -> dict[str, str]:
    """Colours in ``uns["<color>_colors"]`` by category of ``obs[color]``, if there is one for each; else none."""
    given = adata.uns.get(f"{color}_colors")
    if given is None or color not in adata.obs or not isinstance(adata.obs[color].dtype, pd.CategoricalDtype):
        return {}
    categories = adata.obs[color].cat.categories
    if len(given) < len(categories):
        return {}
    return {str(name): to_hex(shade) for name, shade in zip(categories, given, strict=False)}


def in_order(names: Iterable) -> list[str]:
    """Each name once as text, those that are numbers in their order."""
    return sorted({str(name) for name in names}, key=lambda s: (not s.isdecimal(), int(s) if s.isdecimal() else 0, s))
