"""Output folders of the platforms: Space Ranger (Visium; bins and cells of Visium HD), Xenium, CosMx and MERSCOPE."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from spicemix_core.exchange.matrices import field_and_cell, only, read_matrix_market, read_tenx_hdf5, read_text
from spicemix_core.exchange.packed import unpacked
from spicemix_core.exchange.positions import UNNAMED, read_cell_table
from spicemix_core.exchange.segmentation import read_centers
from spicemix_core.files.outside import check_part


def platform_reader(folder: Path) -> Callable[[Path], anndata.AnnData] | None:
    """The function that reads a folder, by the names of the files in it; None for a folder of no platform.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "cell_by_gene.csv").touch()
    ...     platform_reader(Path(folder)).__name__
    'read_merscope'
    """
    for reader, patterns in FILES.items():
        if any(any(folder.glob(pattern)) for pattern in patterns):
            return reader
    return None


def read_space_ranger(folder: Path) -> anndata.AnnData:
    """Spots of Visium or bins of Visium HD under tissue, at their centres in pixels of the full-resolution image."""
    folder = _part(folder, "outs") if (folder / "outs").is_dir() else folder
    bins = sorted(folder.glob("binned_outputs/square_*")) or sorted(folder.glob("square_*um"))
    cells = [_part(folder, "segmented_outputs")] if (folder / "segmented_outputs").is_dir() else []
    if cells and not bins:
        return read_segmented(*cells)
    if bins:
        raise ValueError(f"{folder} holds bins of {len(bins)} sizes of Visium HD{', and cells' * len(cells)}; give the "
                         f"folder of one: {' or '.join(map(str, bins + cells))}. Bins of 8 or 16 micrometres are "
                         "usual.")
    positions = only(_part(folder, "spatial"), "tissue_positions.parquet", "tissue_positions.csv",
                     "tissue_positions.csv.gz", "*tissue_positions_list.csv", "*tissue_positions_list.csv.gz")
    if positions is None:
        raise FileNotFoundError(f"There are no tissue_positions (.parquet or .csv) in {folder / 'spatial'}; copy them "
                                "from the output of Space Ranger.")
    adata = _read_tenx(folder, "filtered_feature_bc_matrix", "raw_feature_bc_matrix")
    table = read_cell_table(positions, UNNAMED if "_list" in positions.name else None).set_index("barcode")
    adata = _joined(adata, table, ["pxl_col_in_fullres", "pxl_row_in_fullres"], positions)
    return adata[adata.obs["in_tissue"] == 1].copy()


def read_segmented(folder: Path) -> anndata.AnnData:
    """Segmented cells of Visium HD, at the centres of their outlines in pixels of the full-resolution image."""
    outlines = only(folder, "cell_segmentations.geojson")
    if outlines is None:
        raise FileNotFoundError(f"There is no cell_segmentations.geojson in {folder}; copy it from the output of Space "
                                "Ranger.")
    adata, centers = _read_tenx(folder, "filtered_feature_cell_matrix"), read_centers(outlines)
    outlined = adata.obs_names.isin(centers.index)
    if not outlined.all():
        warnings.warn(f"Cells without an outline in {outlines} are left out: {(~outlined).sum()} of {adata.n_obs}, the "
                      f"first is {adata.obs_names[~outlined][0]!r}.", stacklevel=6)  # the caller of read_data
    return _joined(adata[outlined].copy(), centers, ["x", "y"], outlines)


def read_xenium(folder: Path) -> anndata.AnnData:
    """Cells of Xenium, at their centroids in micrometres."""
    folder = _part(folder, "outs") if (folder / "outs").is_dir() else folder
    cells = only(folder, "cells.csv.gz", "cells.csv", "cells.parquet")
    if cells is None:
        raise FileNotFoundError(f"There is no cells.csv.gz or cells.parquet in {folder}; copy it from the output of "
                                "the instrument.")
    adata = _read_tenx(folder, "cell_feature_matrix")
    table = read_cell_table(cells)
    return _joined(adata, table.set_index(table["cell_id"].astype(str)).drop(columns="cell_id"),
                   ["x_centroid", "y_centroid"], cells)


def read_cosmx(folder: Path) -> anndata.AnnData:
    """Cells of CosMx, at their centres in pixels of the whole slide; ``obs["fov"]`` is the field of view."""
    adata, table, path = _read_both(folder, "CosMx", "*exprMat_file.csv", "*metadata_file.csv")
    table = table.set_index(field_and_cell(table))
    table["fov"] = pd.Categorical(table["fov"].astype(str))
    return _joined(adata[adata.obs_names.isin(table.index)].copy(), table,
                   ["CenterX_global_px", "CenterY_global_px"], path)


def read_merscope(folder: Path) -> anndata.AnnData:
    """Cells of MERSCOPE, at their centres in micrometres."""
    adata, table, path = _read_both(folder, "MERSCOPE", "*cell_by_gene.csv", "*cell_metadata.csv")
    names = table["EntityID"] if "EntityID" in table else table.iloc[:, 0]
    return _joined(adata, table.set_index(names.astype(str)).drop(columns=names.name), ["center_x", "center_y"], path)


FILES = {
    read_segmented: ("cell_segmentations.geojson", "filtered_feature_cell_matrix*"),
    read_space_ranger: ("spatial/*tissue_positions*", "outs/spatial/*tissue_positions*", "binned_outputs",
                        "outs/binned_outputs", "square_*um", "segmented_outputs", "outs/segmented_outputs",
                        "filtered_feature_bc_matrix*"),
    read_xenium: ("experiment.xenium", "cell_feature_matrix*", "outs/experiment.xenium"),
    read_cosmx: ("*exprMat_file.csv*",),
    read_merscope: ("*cell_by_gene.csv*",),
    read_matrix_market: ("*matrix.mtx*",),
}


def _part(folder, name):
    check_part(folder / name)
    return folder / name


def _read_tenx(folder, *names):
    for name in names:
        if (path := only(folder, f"{name}.h5", f"*_{name}.h5")) is not None:
            return read_tenx_hdf5(path)
        if (folder / name).is_dir():
            return read_matrix_market(_part(folder, name))
    raise FileNotFoundError(f"There is no {names[0]}.h5 and no folder {names[0]} in {folder}; copy one from the output "
                            "of the platform.")


def _read_both(folder, platform, *names):
    """A table of counts, the table of the cells, and the path of the latter, by the names of the files."""
    counts, cells = (only(folder, name, f"{name}.gz") for name in names)
    if counts is None or cells is None:
        raise FileNotFoundError(f"{folder} must hold both files of {platform}, {' and '.join(names)}.")
    with unpacked(counts) as place:
        return read_text(place), read_cell_table(cells), cells


def _joined(adata, table, columns, path):
    """The cells with the columns of a table, whose index has their names."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}; give the file that the platform wrote.")
    rows = table.index.get_indexer(adata.obs_names) if table.index.is_unique else None
    if rows is None or (rows < 0).any():
        cell = table.index[table.index.duplicated()][0] if rows is None else adata.obs_names[rows < 0][0]
        what = "names the cell {!r} again" if rows is None else "does not name the cell {!r} of the matrix"
        raise ValueError(f"{path} {what.format(cell)}; give files of one run.")
    adata.obs = table.iloc[rows].drop(columns=columns).set_axis(adata.obs_names)
    adata.obsm["spatial"] = np.asarray(table[columns].iloc[rows], dtype=float)
    return adata
