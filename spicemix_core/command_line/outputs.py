"""Outputs of the commands: existing ones are not overwritten by mistake, and all are written whole or not at all."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spicemix_core.files.partial import is_unfinished

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.figure import Figure

DATA_SUFFIXES = (".h5ad", ".zarr")
MODEL_SUFFIXES = (".h5", ".hdf5")
FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
FOLDER_SUFFIXES = (".zarr", "")
OWN_FOLDERS = ("zarr.json", ".zgroup", ".zattrs", "expression_*.txt")  # one of these is in a folder of data


def check_outputs(force: bool, *paths: Path | None) -> None:
    """Raise an error, before any work is done, for outputs that cannot or must not be written.

    An existing output needs ``force``, which replaces a file by a file and a folder of data by a folder of data. An
    output of a command that was killed before its other outputs had their names does not.
    """
    for path in filter(None, paths):
        if path.exists() and not force and not is_unfinished(path):
            raise FileExistsError(f"{path} exists. Give --force to replace it, or choose another name.")
        if path.exists() and path.is_dir() != (path.suffix.lower() in FOLDER_SUFFIXES):
            kind = "folder" if path.is_dir() else "file"
            raise FileExistsError(f"{path} is a {kind}, which --force does not replace. Choose another name.")
        if path.is_dir() and any(path.iterdir()) and not any(any(path.glob(name)) for name in OWN_FOLDERS):
            raise FileExistsError(f"The folder {path} holds something other than data, so --force does not replace it. "
                                  "Choose another name.")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"The folder {path.parent} of {path.name} does not exist. Create it first.")
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"The folder {path.parent} is not writable. Choose another folder.")


def check_suffix(path: Path | None, suffixes: tuple[str, ...], option: str = "--output") -> None:
    """Raise an error for a path whose suffix is not one of ``suffixes``."""
    if path is not None and path.suffix.lower() not in suffixes:
        endings = " or ".join(suffix or "no suffix (a directory)" for suffix in suffixes)
        raise typer.BadParameter(f"{path} must end in {endings}.", param_hint=option)


def check_data(adata: "AnnData", path: Path | None) -> None:
    """Raise an error, before any work is done, if something in an AnnData object cannot be written to ``path``."""
    if path is not None:
        from spicemix_core.exchange.writable import check_writable

        check_writable(adata, path)


def write_data(adata: "AnnData", path: Path) -> None:
    """Write an AnnData object as .h5ad or .zarr, by the suffix of ``path``."""
    from spicemix_core.exchange import conversion

    conversion.write_data(adata, path)


def write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as CSV."""
    table.to_csv(path, index=False)


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as SVG, PNG or PDF, by the suffix of ``path``; equal figures give equal files."""
    import matplotlib as mpl

    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context({"svg.hashsalt": "spicemix"}):
        figure.savefig(path, format=path.suffix[1:].lower(), bbox_inches="tight",
                       metadata=dates.get(path.suffix.lower()))
