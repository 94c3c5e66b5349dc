"""Arrays that are not in memory: those of a backed or lazy AnnData object, and those of Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData


def loaded(array: Any) -> Any:
    """The array in memory; what is there already is returned itself.

    Parameters
    ----------
    array : object
        For instance the ``X`` of an object that ``anndata.read_h5ad(path, backed="r")`` opened, a Dask array, or a
        column of ``obs`` that ``anndata.experimental.read_lazy`` opened.

    Examples
    --------
    >>> import numpy as np
    >>> import dask.array
    >>> loaded(dask.array.ones((2, 2)))
    array([[1., 1.],
           [1., 1.]])
    """
    module = type(array).__module__.split(".")[0]
    if module in ("numpy", "scipy", "pandas", "builtins"):
        return array
    if hasattr(array, "to_memory"):  # a sparse matrix of a backed object
        return array.to_memory()
    if hasattr(array, "compute"):  # of Dask
        return array.compute()
    if module in ("h5py", "zarr"):
        return array[...]
    return array


def loaded_column(column: Any) -> pd.Series:
    """A column of ``obs`` as a series of pandas, also if it is a lazy one of xarray."""
    return column if isinstance(column, pd.Series) else column.to_series()


def in_memory(adata: AnnData) -> bool:
    """Whether an AnnData object is neither backed by a file nor lazy."""
    return not adata.isbacked and isinstance(adata.obs, pd.DataFrame)


def copied(adata: AnnData) -> AnnData:
    """A copy of an AnnData object, in memory."""
    return adata.copy() if in_memory(adata) else adata.to_memory()
