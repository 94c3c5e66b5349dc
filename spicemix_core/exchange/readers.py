"""Reading data of any format that the package understands."""

import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np

from spicemix_core.exchange.authors_format import load_spicemix_directory, sample_names
from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.model_file import FORMAT
from spicemix_core.inputs.anndata import check_names, check_values


def read_data(path):
    """Read expression with its cells and genes.

    Parameters
    ----------
    path : path
        A file that AnnData wrote (``.h5ad``), a zarr folder that it wrote, or a folder in the text layout of the
        authors' programs (``expression_s.txt``, ... for each sample s; all its samples are read, see
        :func:`spicemix_core.datasets.load_spicemix_directory`). What it is, is told by its content.

    Returns
    -------
    AnnData

    Raises
    ------
    FileNotFoundError
        There is nothing of that name.
    ValueError
        It is nothing of these or damaged; no cells or no genes; a cell or gene that is named twice; expression that is
        not of real numbers; coordinates that are no numbers.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* names are not unique")  # refused below, with their names
        adata = _read_folder(path) if path.is_dir() else _read_hdf5(path)
    try:
        check_names(adata)
        for expression, place in ((adata.X, "X"), *((layer, f"layers[{k!r}]") for k, layer in adata.layers.items())):
            if expression is not None:
                check_values(expression, place)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return adata


def _read_hdf5(path):
    if path.is_file() and path.stat().st_size and not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file or is truncated; expression is read from .h5ad files, zarr "
                         "folders and folders in the authors' text layout.")
    try:
        with open_hdf5(path) as file:
            other = _told_apart(file)
        if other:
            raise ValueError(f"{path} is {other}.")
        return anndata.read_h5ad(path)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:
        raise _unreadable(path, error) from error


def _told_apart(file):
    """What an HDF5 file that is not one of AnnData is, as far as one can say."""
    if "mod" in file:
        return "a file of MuData; write the data of one modality with write_h5ad"
    if {"obs", "var"} <= set(file):
        return None
    if file.attrs.get("format") == np.bytes_(FORMAT):
        return "a fitted model, not expression; read it with SpiceMix.load"
    if {"parameters", "hyperparameters"} <= set(file):
        return "a result of the authors' program, not expression; convert_result makes a model of it"
    if {"row_attrs", "col_attrs"} <= set(file):
        return "a loom file; read it with anndata.io.read_loom and write it with write_h5ad"
    if "matrix" in file:
        return "a count matrix of 10x Genomics; read it with scanpy.read_10x_h5 and write it with write_h5ad"
    return "an HDF5 file but not one of AnnData (it has no obs and var)"


def _read_folder(path):
    if any((path / name).exists() for name in (".zgroup", ".zattrs", "zarr.json")):
        tables = sorted(str(table) for table in path.glob("tables/*") if table.is_dir())
        if tables:
            raise ValueError(f"{path} is a store of SpatialData; name its table: {' or '.join(tables)}.")
        try:
            _refuse_pickles(path)
            return anndata.read_zarr(path)
        except Exception as error:
            raise _unreadable(path, error) from error
    names = sample_names(path)
    if not names:
        raise ValueError(f"{path} is a folder with neither zarr metadata nor files expression_*.txt of the authors' "
                         "text layout.")
    return load_spicemix_directory(path, names)


def _refuse_pickles(folder):
    for name in (".zarray", ".zmetadata", "zarr.json"):
        for path in folder.rglob(name):
            if b"pickle" in path.read_bytes():
                raise ValueError(f"{path} asks for pickled objects, which are never loaded; write the data anew with "
                                 "write_zarr.")


def _unreadable(path, error):
    """The libraries' errors on damaged files are of every kind; ours already say what is wrong."""
    if isinstance(error, ValueError) and str(error).startswith(str(path)):
        return error
    return ValueError(f"{path} cannot be read as AnnData, it is damaged or incomplete ({first_line(error)}).")
