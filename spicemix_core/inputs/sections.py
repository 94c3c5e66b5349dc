"""Signs that cells of several sections are taken as one sample."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.inputs.errors import InputWarning

if TYPE_CHECKING:
    from anndata import AnnData

NAMES = {"batch", "fov", "library", "library_id", "sample", "sample_id", "section", "section_id", "slice", "slice_id",
         "slide", "slide_id"}
LARGE_SHARE = 0.1  # of the cells that share a position, or of the edges between different values of a column
CELLS_PER_VALUE = 10  # at least, on average, in a column that can name samples


def warn_of_sections(adata: AnnData, graph: sparse.spmatrix | sparse.sparray, points: np.ndarray | None,
                     stacklevel: int) -> None:
    """Warn if many cells share a position, or many edges join cells that a column of ``obs`` assigns to two samples.

    The warning names the columns that can be the sample key: those with a usual name and many such edges, or else
    those in which all cells at one position differ. ``points`` are the positions of the cells, if they have some.
    """
    edges = sparse.coo_array(graph)
    position = np.arange(adata.n_obs) if points is None else _numbers(points)
    shared = np.bincount(position)[position] > 1
    many_shared = shared.mean() > LARGE_SHARE
    signs = [f"{shared.mean():.0%} of the cells have the position of another cell"] if many_shared else []
    usual_keys, other_keys = [], []
    for key in sorted(adata.obs, key=lambda key: str(key).lower() not in NAMES):
        values, names = pd.factorize(adata.obs[key])
        if adata.obs[key].dtype.kind == "f" or not 2 <= len(names) <= adata.n_obs / CELLS_PER_VALUE:
            continue
        crossing = (values[edges.row] != values[edges.col]).mean() if edges.nnz else 0.0
        usual = str(key).lower() in NAMES and crossing > LARGE_SHARE
        pairs = np.column_stack([position, values])[shared]
        if usual:
            usual_keys.append(repr(key))
            signs.append(f"{crossing:.0%} of the edges join cells that differ in {key!r}")
        elif many_shared and len(np.unique(pairs, axis=0)) == len(pairs):
            other_keys.append(repr(key))
    if signs:
        keys = usual_keys or other_keys
        remedy = f"If a column of obs names their samples, such as {', '.join(keys)}, give" if keys else (
            "If they are of several sections, name these in a column of obs and give")
        warnings.warn(InputWarning(f"All cells are taken as one sample, but {' and '.join(signs)}.",
                                   f"{remedy} its name with {{sample_key}}."), stacklevel=stacklevel)


def _numbers(points):
    """Number of each cell's position, (N,); a number of its own for each cell without coordinates."""
    return np.unique(np.asarray(points, dtype=float), axis=0, return_inverse=True, equal_nan=False)[1].ravel()
