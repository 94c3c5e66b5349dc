"""Tables of positions, which belong to the cells of a matrix by their names."""

from __future__ import annotations

import warnings
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from spicemix_core.exchange.matrices import separator_of
from spicemix_core.exchange.packed import unpacked
from spicemix_core.files.damaged import check_file
from spicemix_core.inputs.positions import position_columns

UNNAMED = ["barcode", "in_tissue", "array_row", "array_col", "pxl_row_in_fullres", "pxl_col_in_fullres"]


def read_cell_table(path: Path, names: list[str] | None = None) -> pd.DataFrame:
    """Read a table with a row for each cell: text (compressed or not) or Parquet; ``names`` if it has no header."""
    check_file(path)
    if path.suffix.lower() == ".parquet":
        try:
            table = pd.read_parquet(path)
        except ImportError as error:
            raise ImportError(f"{path} is a file of Parquet, which needs the package pyarrow. Install it with "
                              "'pip install pyarrow'.") from error
        except Exception as error:
            raise ValueError(f"{path} is a damaged file of Parquet; copy or download it again.") from error
        return table.apply(lambda column: column.str.decode("utf-8") if _is_bytes(column) else column)
    with unpacked(path) as place:
        try:
            options = {"header": None, "names": names} if names else {}
            return pd.read_csv(place, sep=separator_of(place), comment="#", compression=None, **options)
        except (ValueError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a table of text; correct the file.") from error


def _is_bytes(column):
    return column.dtype == object and len(column) > 0 and isinstance(column.iloc[0], bytes)


def add_positions(adata: anndata.AnnData, path: Path) -> anndata.AnnData:
    """The cells whose positions are in a table, with these positions in ``obsm["spatial"]``.

    The columns are found by their names (x and y, x_centroid and y_centroid, ...), and the column with the names of the
    cells by its values. If these are the names of the columns of the matrix, it is transposed first.

    Warns if cells have no position; they are left out. Raises ValueError if no cell has one, or if columns are missing.
    """
    table = read_cell_table(path)
    columns = position_columns(table)
    if columns is None and table.shape[1] in (3, 4, len(UNNAMED)):  # without a header
        names = UNNAMED if table.shape[1] == len(UNNAMED) else ["cell", *"xyz"[: table.shape[1] - 1]]
        table = read_cell_table(path, names)
        columns = position_columns(table)
    if columns is None:
        raise ValueError(f"{path} has no columns with positions, such as x and y, among "
                         f"{', '.join(map(repr, table.columns[:8]))}; name them so.")
    points = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    names, cells = _names(table, columns, adata.obs_names)
    _, genes = _names(table, columns, adata.var_names)
    if genes > cells:
        adata = adata.T.copy()
        names, cells = _names(table, columns, adata.obs_names)
    if not cells:
        raise ValueError(f"{path} has positions of none of the cells, whose names are such as {adata.obs_names[0]!r}; "
                         "give a table with a column of these names.")
    rows = pd.Index(names).get_indexer(adata.obs_names)
    if (rows < 0).any():
        warnings.warn(f"Cells without a position in {path} are left out: {(rows < 0).sum()} of {adata.n_obs}, the "
                      f"first is {adata.obs_names[rows < 0][0]!r}.", stacklevel=3)
        adata, rows = adata[rows >= 0].copy(), rows[rows >= 0]
    adata.obsm["spatial"] = points[rows]
    for key in table.columns.difference([*columns, *adata.obs.columns], sort=False):
        adata.obs[key] = table[key].to_numpy()[rows]
    return adata


def _names(table, columns, wanted):
    """The column with most of the ``wanted`` names, as text, and their number; repeated names are refused."""
    best, most = None, 0
    for key in table.columns.difference(list(columns), sort=False):
        column = table[key].astype(str)
        found = int(np.asarray(wanted.isin(column)).sum())
        if found > most:
            best, most = column, found
    if best is not None and best[best.isin(wanted)].duplicated().any():
        raise ValueError(f"The table of positions names the cell {best[best.duplicated()].iloc[0]!r} again; give each "
                         "cell one row.")
    return best, most
