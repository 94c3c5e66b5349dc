"""Whether an AnnData object can be written, which is checked before a fit and not after it."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import h5py
import pandas as pd
import zarr

from spicemix_core.files.damaged import first_line
from spicemix_core.inputs.loading import loaded

MATRICES = ("layers", "obsm", "varm", "obsp", "varp")


def check_writable(adata: anndata.AnnData, path: str | Path) -> None:
    """Check that everything in an AnnData object can be written; ValueError, which names the place, otherwise.

    All of ``obs``, ``var`` and ``uns`` is written to memory, and the first row of each matrix.

    Parameters
    ----------
    adata : AnnData
    path : str or Path
        The ending gives the format, ``.zarr`` or else HDF5. Nothing is written there.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0)
    >>> check_writable(adata, "fitted.zarr")
    >>> adata.obs["G1/S"] = 0.5
    >>> check_writable(adata, "fitted.zarr")
    Traceback (most recent call last):
    ValueError: The column 'G1/S' of obs cannot be written to fitted.zarr: its name contains a slash. Rename it.
    """
    is_zarr = Path(path).suffix.lower() == ".zarr"
    for place, key, value in _parts(adata):
        name = f"The column {key!r} of {place}" if place in ("obs", "var") else f"{place}[{key!r}]"
        if is_zarr and "/" in str(key):
            raise ValueError(f"{name} cannot be written to {path}: its name contains a slash. Rename it.")
        try:
            _write_to_memory(value, is_zarr)
        except Exception as error:
            raise ValueError(f"{name} cannot be written to {path} ({first_line(error)}). Remove it, or convert it to "
                             "numbers or text.") from error


def _parts(adata):
    """Place, key and value of everything; rows of matrices stand for all of them."""
    for place in ("obs", "var"):
        frame = getattr(adata, place)
        for i, key in enumerate(frame.columns):
            yield place, key, pd.DataFrame({"values": frame.iloc[:, i].array})
    yield from (("uns", key, value) for key, value in adata.uns.items())
    for place in MATRICES:
        for key, value in getattr(adata, place).items():
            yield place, key, value.reset_index(drop=True) if isinstance(value, pd.DataFrame) else loaded(value[:1])


def _write_to_memory(value, is_zarr):
    with warnings.catch_warnings(), anndata.settings.override(allow_write_nullable_strings=True):
        warnings.simplefilter("ignore")
        if is_zarr:
            anndata.io.write_elem(zarr.open_group(zarr.storage.MemoryStore(), mode="w", zarr_format=3), "value", value)
            return
        with h5py.File("memory", "w", driver="core", backing_store=False) as file:
            anndata.io.write_elem(file, "value", value)
