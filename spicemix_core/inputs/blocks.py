"""Expression that is not in memory: read in blocks of cells, or normalised and narrowed lazily as a Dask array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.inputs.loading import in_memory, loaded
from spicemix_core.numerics.blocks import Blocks

if TYPE_CHECKING:
    from anndata import AnnData
    from dask.array import Array

BYTES = 2**26  # of a block; three of them are in memory at one time


def is_in_blocks(array: Any) -> bool:
    """Whether an array is not in memory but can be read by cells: dense, compressed by cells, or a Dask array."""
    is_csr_dataset = getattr(array, "format", None) == "csr" and hasattr(array, "to_memory")
    return is_dask(array) or is_csr_dataset or _is_dense_file(array)


def in_blocks(array: Any, name: str) -> Blocks:
    """Expression that is read in blocks of cells whenever it is used.

    Parameters
    ----------
    array : Dask array, or dense or CSR dataset of AnnData
        Of :func:`is_in_blocks`.
    name : str
        Its name in errors.

    Returns
    -------
    Blocks
        Of 64 MiB, or as large as the chunks of a Dask array.

    Examples
    --------
    >>> import dask.array
    >>> in_blocks(dask.array.ones((5000, 3), chunks=(2048, 3)), "X").size
    2048
    """
    def read(start, stop):
        try:
            part = array[start:stop]
            block = part.compute(scheduler="synchronous") if is_dask(part) else loaded(part)  # a thread reads already
        except MemoryError:
            raise
        except Exception as error:  # of HDF5, zarr, Dask, and of functions in a Dask array
            reason = " ".join(str(error).split()).rstrip(".")
            raise OSError(f"Cells {start:,} to {stop:,} of {name} cannot be read ({reason}). The file is incomplete, "
                          "or has changed since it was opened; copy or write it again.") from error
        return sparse.csr_array(block) if sparse.issparse(block) else np.asarray(block)

    return Blocks(read, array.shape, array.dtype, cells_per_block(array), is_sparse=_is_sparse(array))


def cells_per_block(array: Any) -> int:
    """Number of cells of a block: the chunks of a Dask array, or as many as take ``BYTES`` in memory."""
    return max(array.chunks[0]) if is_dask(array) else max(1, int(BYTES // max(bytes_per_cell(array), 1.0)))


def bytes_per_cell(array: Any) -> float:
    """Mean size in memory of the expression of a cell in an array in a file."""
    if _is_dense_file(array):
        return array.shape[1] * array.dtype.itemsize
    genes = array.group["indices"]
    return genes.shape[0] / max(array.shape[0], 1) * (array.dtype.itemsize + genes.dtype.itemsize)


def as_dask(array: Any, n_cells: int | None = None) -> Array:
    """The array in a file as a Dask array with chunks of ``n_cells`` cells and all genes."""
    try:
        import dask.array as da
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Data that are not in memory are prepared with Dask, which is not installed: install "
                                  "spicemix-core[dask], or load the data with adata.to_memory().") from error
    if is_dask(array):
        return array if array.numblocks[1] == 1 else array.rechunk({1: -1})
    blocks = in_blocks(array, "the expression")
    starts = np.arange(0, array.shape[0], n_cells or blocks.size)
    sizes = tuple(int(n) for n in np.diff([*starts, array.shape[0]]))
    kind = sparse.csr_matrix if blocks.is_sparse else np.asarray
    positions = da.from_array(np.arange(array.shape[0]), chunks=(sizes,))

    def chunk(cells):
        return kind(blocks.read(int(cells[0]), int(cells[-1]) + 1))

    meta = kind(np.zeros((0, 0), dtype=array.dtype))
    return da.map_blocks(chunk, positions, new_axis=1, chunks=(sizes, (array.shape[1],)), dtype=array.dtype, meta=meta)


def with_dask(adata: AnnData, n_cells: int | None = None) -> AnnData:
    """A copy in memory, except for expression in X, layers and raw that is not there, which become Dask arrays.

    AnnData whose parts are all in memory are returned themselves. ``n_cells`` is the number of cells of a chunk.
    """
    import anndata

    layers = {name: layer for name, layer in adata.layers.items()}
    lazy = [array for array in (adata.X, *layers.values()) if is_in_blocks(array)]
    if in_memory(adata) and all(map(is_dask, lazy)):
        return adata

    def part(array):
        return as_dask(array, n_cells) if is_in_blocks(array) else loaded(array)

    def frame(table):
        return table.copy() if isinstance(table, pd.DataFrame) else table.to_memory()

    raw = None if adata.raw is None else {"X": part(adata.raw.X), "var": frame(adata.raw.var),
                                          "varm": dict(adata.raw.varm)}
    return anndata.AnnData(
        X=part(adata.X), obs=frame(adata.obs), var=frame(adata.var), uns=dict(adata.uns), raw=raw,
        layers={name: part(layer) for name, layer in layers.items()},
        **{place: {name: loaded(value) for name, value in getattr(adata, place).items()}
           for place in ("obsm", "varm", "obsp", "varp")})


def is_dask(array: Any) -> bool:
    """Whether an object is an array of Dask."""
    return type(array).__module__.split(".")[0] == "dask"


def _is_dense_file(array):
    return type(array).__module__.split(".")[0] in ("h5py", "zarr")


def _is_sparse(array):
    return sparse.issparse(array._meta) if is_dask(array) else not _is_dense_file(array)
