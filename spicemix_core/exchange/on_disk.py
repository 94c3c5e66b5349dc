"""AnnData whose expression stays in its file: opened without reading it, and written block by block."""

from __future__ import annotations

import anndata
import h5py
import numpy as np
import zarr
from scipy import sparse

from spicemix_core.inputs.blocks import in_blocks, is_in_blocks

PLACES = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp")


def opened(store: h5py.File | zarr.Group) -> anndata.AnnData:
    """AnnData of an open file or store, in which X, layers and the X of raw stay if they are dense or CSR."""
    layers = {name: _matrix(store["layers"][name]) for name in store["layers"]} if "layers" in store else {}
    raw = None
    if "raw/X" in store:
        tables = {name: anndata.io.read_elem(store["raw"][name]) for name in ("var", "varm") if name in store["raw"]}
        raw = {"X": _matrix(store["raw/X"]), **tables}
    return anndata.AnnData(X=_matrix(store["X"]) if "X" in store else None, layers=layers, raw=raw,
                           **{place: anndata.io.read_elem(store[place]) for place in PLACES if place in store})


def can_be_opened(store: h5py.File | zarr.Group) -> bool:
    """Whether a version of AnnData wrote the store that names the kinds of its parts."""
    return store.attrs.get("encoding-type") == "anndata"


def has_blocks(adata: anndata.AnnData) -> bool:
    """Whether some expression of an AnnData object is not in memory but can be read in blocks."""
    return any(is_in_blocks(array) for _, array in _matrices(adata))


def write_in_blocks(adata: anndata.AnnData, store: h5py.File | zarr.Group) -> None:
    """Write AnnData to a new store: expression that is not in memory block by block, the rest as always."""
    anndata.io.write_elem(store, "/", _without_expression(adata), dataset_kwargs=_compression(store))
    for name in {"X", "raw"}.intersection(store):  # written as missing
        del store[name]
    for name, array in _matrices(adata):
        if name == "raw/X":
            group = store.create_group("raw")
            group.attrs.update({"encoding-type": "raw", "encoding-version": "0.1.0"})
            anndata.io.write_elem(group, "var", adata.raw.var)
            anndata.io.write_elem(group, "varm", dict(adata.raw.varm))
        _write_matrix(store, name, array)


def _matrices(adata):
    """Name in the file and matrix of everything that has the shape of X."""
    raw = [] if adata.raw is None else [("raw/X", adata.raw.X)]
    x = [] if adata.X is None else [("X", adata.X)]
    return [*x, *((f"layers/{name}", layer) for name, layer in adata.layers.items()), *raw]


def _without_expression(adata):
    return anndata.AnnData(**{place: getattr(adata, place) for place in ("obs", "var")}, uns=dict(adata.uns),
                           **{place: dict(getattr(adata, place)) for place in ("obsm", "varm", "obsp", "varp")})


def _matrix(item):
    if isinstance(item, (h5py.Dataset, zarr.Array)):
        return item
    return anndata.io.sparse_dataset(item) if item.attrs.get("encoding-type") == "csr_matrix" else (
        anndata.io.read_elem(item))


def _compression(store):
    return {"compression": "gzip"} if isinstance(store, h5py.Group) else {}


def _write_matrix(store, name, array):
    source = getattr(array, "group", array)
    if isinstance(store, h5py.Group) and isinstance(source, (h5py.Group, h5py.Dataset)):
        store.copy(source, name)  # as it is stored
    elif not is_in_blocks(array):
        anndata.io.write_elem(store, name, array, dataset_kwargs=_compression(store))
    elif (blocks := in_blocks(array, name)).is_sparse:
        for first, block in blocks.pieces():
            rows = sparse.csr_matrix(block)
            if first:
                anndata.io.sparse_dataset(store[name]).append(rows)
                continue
            rows.indptr = rows.indptr.astype(np.int64)  # for all entries, which may be many
            anndata.io.write_elem(store, name, rows, dataset_kwargs=_compression(store))
    else:
        make = store.create_dataset if isinstance(store, h5py.Group) else store.create_array
        chunks = (min(1000, array.shape[0]), array.shape[1])
        target = make(name, shape=array.shape, dtype=array.dtype, chunks=chunks, **_compression(store))
        target.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for first, block in blocks.pieces():
            target[first : first + len(block)] = block
