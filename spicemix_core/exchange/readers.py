"""Reading data in any format that the package understands.

Nothing in a file is executed: HDF5 and text hold no code, and zarr metadata that ask for pickles are refused. Nothing
outside the file or folder is read: links and whatever else leads to other files are refused.
"""

import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import zarr

from spicemix_core.exchange.authors_format import load_spicemix_directory, sample_names
from spicemix_core.exchange.contents import check_contents
from spicemix_core.exchange.matrices import TEXT, read_matrix_market, read_tenx_hdf5, read_text
from spicemix_core.exchange.on_disk import can_be_opened, opened
from spicemix_core.exchange.packed import load_filters, unpacked
from spicemix_core.exchange.platforms import platform_reader
from spicemix_core.exchange.positions import add_positions
from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.model_file import FORMAT
from spicemix_core.files.zarr_store import check_zarr

TENX = "a count matrix of 10x Genomics"


def read_data(path: str | Path, *, positions: str | Path | None = None, backed: bool = False) -> anndata.AnnData:
    """Read expression with its cells and genes, and the positions of the cells if they are stored with it.

    Parameters
    ----------
    path : str or Path
        One of the following, which is detected from the content. Files can be compressed with gzip or zip.

        - A file (``.h5ad``) or a zarr folder that AnnData wrote, or a store of SpatialData with one table.
        - The output folder of a platform: of Space Ranger for Visium, or for one size of bins or the segmented cells of
          Visium HD; of Xenium; of CosMx (``*_exprMat_file.csv`` and ``*_metadata_file.csv``); of MERSCOPE
          (``cell_by_gene.csv`` and ``cell_metadata.csv``).
        - A matrix of counts: HDF5 or Matrix Market of 10x Genomics, or a table of text with the names of the genes in
          its first row and those of the cells in its first column, or the reverse if ``positions`` are given. Or the
          GEM file of Stereo-seq with cells.
        - A folder in the text layout of the authors' programs (see
          :func:`spicemix_core.datasets.load_spicemix_directory`); all samples are read.
    positions : str or Path, optional
        Table of text or Parquet with the positions of the cells, which are matched by their names. Cells without a
        position are left out with a warning.
    backed : bool
        Whether dense and CSR expression in a ``.h5ad`` file or zarr folder stays there, and is read when it is used.

    Returns
    -------
    AnnData
        Positions are in ``obsm["spatial"]``, in the unit of the platform; other columns of its tables are in ``obs``.

    Raises
    ------
    FileNotFoundError
        If the path, or a file of a platform, does not exist.
    ImportError
        If a file needs a package that is not installed: pyarrow for Parquet.
    ValueError
        If the format is unknown or the file is damaged, or if the data have no cells or genes, names that are not
        unique, expression or coordinates that are not real numbers, or sparse matrices with impossible indices.

    Examples
    --------
    >>> import tempfile
    >>> from spicemix_core import datasets, read_data
    >>> with tempfile.NamedTemporaryFile(suffix=".h5ad") as file:
    ...     datasets.simulate_cortex(n_cells=50, n_genes=20, random_state=0).write_h5ad(file.name)
    ...     adata = read_data(file.name)
    >>> adata.shape
    (50, 20)
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* names are not unique")  # they are refused below
        adata = _read(path, backed)
    if positions is not None:
        adata = add_positions(adata, Path(positions))
    _use_plain_strings(adata)
    try:
        check_contents(adata)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return adata


def _read(path, backed):
    if ".mtx" in path.suffixes and path.is_file():
        return _read_foreign(read_matrix_market, path)  # it has files beside it
    with unpacked(path) as place:
        backed = backed and place == path  # an unpacked file is temporary
        if place.is_dir():
            return _read_folder(place, backed)
        is_text = place.is_file() and place.suffix.lower() in TEXT
        return _read_foreign(read_text, place) if is_text else _read_hdf5(place, backed)


def _read_foreign(reader, path):
    """Read what AnnData did not write; an error that does not name a file is turned into one that does."""
    try:
        return reader(path)
    except (OSError, ImportError):
        raise
    except Exception as error:
        beside = path.parent.iterdir() if path.is_file() else ()
        if isinstance(error, ValueError) and str(error).startswith(tuple(map(str, (path, *beside)))):
            raise
        raise ValueError(f"{path} cannot be read, because it is incomplete or was changed ({first_line(error)}); copy "
                         "or download it again.") from error


def _read_hdf5(path, backed):
    if path.is_file() and path.stat().st_size and not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file or is truncated; expression is read from .h5ad files, zarr "
                         "folders and folders in the authors' text layout.")
    try:
        with open_hdf5(path) as file:
            foreign = _foreign_kind(file)
            load_filters(path, file)
            backed = backed and can_be_opened(file)
        if foreign == TENX:
            return _read_foreign(read_tenx_hdf5, path)
        if foreign:
            raise ValueError(f"{path} is {foreign}.")
        return opened(h5py.File(path)) if backed else anndata.read_h5ad(path)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _foreign_kind(file):
    """What an HDF5 file is if AnnData did not write it, with what to do; None for a file of AnnData."""
    if "mod" in file:
        return "a file of MuData; write the data of one modality with write_h5ad"
    if {"obs", "var"} <= set(file):
        return None
    if file.attrs.get("format") == np.bytes_(FORMAT):
        return "a fitted model, not expression; give the data that the model belongs to"
    if {"parameters", "hyperparameters"} <= set(file):
        return "a result of the authors' program, not expression; convert it to a model first"
    if {"row_attrs", "col_attrs"} <= set(file):
        return "a loom file; read it with anndata.io.read_loom and write it with write_h5ad"
    if "matrix" in file:
        return TENX
    if {"geneExp"} <= set(file) or {"cellBin"} <= set(file):
        return "a GEF file of Stereo-seq; read it with stereopy and write it with write_h5ad, or give the GEM file"
    return "an HDF5 file but not one of AnnData (it has no obs and var); write the data with write_h5ad"


def _read_folder(path, backed):
    if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
        try:
            check_zarr(path)
            table = _table_of(path)
            if backed and can_be_opened(store := zarr.open_group(table, mode="r")):
                return opened(store)
            return anndata.read_zarr(table)
        except Exception as error:
            raise _unreadable(path, error) from error
    names = sample_names(path)
    if not names and (reader := platform_reader(path)):
        return _read_foreign(reader, path)
    if not names:
        raise ValueError(f"{path} is a folder with neither zarr metadata nor files expression_*.txt of the authors' "
                         "text layout, nor the output of Space Ranger, Xenium, CosMx or MERSCOPE; give the folder that "
                         "holds these.")
    return load_spicemix_directory(path, names)


def _table_of(path):
    """The table of a store of SpatialData, which can also hold images, shapes and points; any other store itself."""
    parts = [name for name in ("images", "labels", "points", "shapes", "tables") if (path / name).is_dir()]
    tables = sorted(table for table in path.glob("tables/*") if table.is_dir())
    if len(tables) > 1:
        names = " or ".join(map(str, tables))
        raise ValueError(f"{path} is a store of SpatialData with {len(tables)} tables; give the path of one: {names}.")
    if parts and not tables and not (path / "obs").exists():
        raise ValueError(f"{path} is a store of SpatialData without a table of expression (it holds "
                         f"{' and '.join(parts)}); add one to it, for instance with spatialdata.aggregate.")
    return tables[0] if tables else path


def _use_plain_strings(adata):
    """Turn nullable strings into plain ones, with categories where some are missing: every version writes those."""
    for frame in (adata.obs, adata.var):
        frame.index = frame.index.astype(object)
        for key in frame.columns[[isinstance(kind, pd.StringDtype) for kind in frame.dtypes]]:
            frame[key] = frame[key].astype("category" if frame[key].isna().any() else object)


def _unreadable(path, error):
    """An error that names the file: our own errors do already, those of the libraries on damaged files do not."""
    if isinstance(error, ValueError) and str(error).startswith(str(path)):
        return error
    return ValueError(f"{path} cannot be read as AnnData, it is damaged or incomplete ({first_line(error)}); copy or "
                      "write it again.")
