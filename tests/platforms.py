"""Small synthetic outputs in the layout of each platform, for tests of the readers and of the page on platforms."""

import gzip
import json
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

N_TYPES = 3


def tissue(n_cells=120, n_genes=30, random_state=0, positions=None, extent=1000.0):
    """Counts of cells of three types that lie in vertical bands, at random positions unless these are given."""
    rng = np.random.default_rng(random_state)
    points = rng.uniform(0, extent, size=(n_cells, 2)).round(3) if positions is None else np.asarray(positions, float)
    band = (points[:, 0] - points[:, 0].min()) / (np.ptp(points[:, 0]) + 1e-9) * N_TYPES
    profiles = rng.gamma(0.5, size=(N_TYPES, n_genes)) + 0.05
    profiles /= profiles.sum(axis=1, keepdims=True)
    counts = rng.poisson(rng.gamma(20.0, max(10.0, n_genes / 25), size=(len(points), 1)) * profiles[band.astype(int)])
    counts[np.arange(len(points)), rng.integers(n_genes, size=len(points))] += 1  # no cell is empty
    adata = anndata.AnnData(sp.csr_matrix(counts.astype(np.float32)), obsm={"spatial": points})
    adata.obs_names = [f"cell{i}" for i in range(len(points))]
    adata.var_names = [f"Gene{g}" for g in range(n_genes)]
    return adata


def with_controls(adata, names):
    """The data with one column of zeros and ones for each control probe."""
    controls = np.arange(adata.n_obs * len(names)).reshape(adata.n_obs, -1) % 2
    joined = anndata.AnnData(sp.hstack([adata.X, sp.csr_matrix(controls.astype(np.float32))], format="csr"),
                             obs=adata.obs, obsm=dict(adata.obsm))
    joined.var_names = [*adata.var_names, *names]
    return joined


def write_tenx_hdf5(path, adata, types=None):
    """The counts in the HDF5 layout of 10x Genomics."""
    matrix = sp.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(adata.obs_names, dtype="S")
        group["data"], group["indices"] = matrix.data.astype(np.int32), matrix.indices.astype(np.int64)
        group["indptr"], group["shape"] = matrix.indptr.astype(np.int64), [adata.n_vars, adata.n_obs]
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{g:05d}" for g in range(adata.n_vars)], dtype="S")
        features["name"] = np.array(adata.var_names, dtype="S")
        features["feature_type"] = np.array(types or ["Gene Expression"] * adata.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * adata.n_vars, dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")


def write_matrix_market(folder, adata, features="features.tsv.gz"):
    """The counts as Matrix Market, genes x cells, with the names beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.mmwrite(folder / "matrix.mtx", sp.coo_matrix(adata.X.T.astype(int)))
    content = (folder / "matrix.mtx").read_bytes()
    (folder / "matrix.mtx").unlink()
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(content))
    lines = "".join(f"ENSG{g:05d}\t{name}\tGene Expression\n" for g, name in enumerate(adata.var_names))
    (folder / features).write_bytes(gzip.compress(lines.encode()) if features.endswith(".gz") else lines.encode())
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("".join(f"{name}\n" for name in adata.obs_names).encode()))


def hexagonal(rows=10, columns=12, pitch=137.0):
    """Array rows and columns of spots of Visium, and their positions in pixels (x, y)."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    array_column = 2 * column + row % 2
    return row, array_column, np.column_stack([array_column * pitch / 2, row * pitch * np.sqrt(0.75)]).round()


def write_visium(folder, version=2, matrix="hdf5", n_genes=30):
    """The folder ``outs`` of Space Ranger, with two spots outside the tissue in the table of positions."""
    row, column, points = hexagonal()
    adata = tissue(positions=points, n_genes=n_genes)
    adata.obs_names = [f"AAACAAGT{i:04d}-1" for i in range(adata.n_obs)]
    (folder / "spatial").mkdir(parents=True)
    if matrix == "hdf5":
        write_tenx_hdf5(folder / "filtered_feature_bc_matrix.h5", adata)
    else:
        write_matrix_market(folder / "filtered_feature_bc_matrix", adata)
    y, x = points.T[::-1].astype(int)
    table = pd.DataFrame({"barcode": adata.obs_names, "in_tissue": 1, "array_row": row, "array_col": column,
                          "pxl_row_in_fullres": y, "pxl_col_in_fullres": x})
    outside = table.iloc[:2].assign(barcode=["TTTT-1", "TTTA-1"], in_tissue=0)
    table = pd.concat([outside, table.iloc[::-1]])  # in another order than the matrix
    name = "tissue_positions.csv" if version == 2 else "tissue_positions_list.csv"
    table.to_csv(folder / "spatial" / name, index=False, header=version == 2)
    (folder / "spatial" / "scalefactors_json.json").write_text('{"spot_diameter_fullres": 75.0}')
    return adata


def write_visium_hd(folder, parquet=False, n_genes=30):
    """The folder ``outs`` of Space Ranger for Visium HD; the bins of 16 micrometres hold some without counts."""
    row, column = np.divmod(np.arange(144), 12)
    points = np.column_stack([column * 58.5, row * 58.5])
    adata = tissue(positions=points, n_genes=n_genes)
    adata.X = sp.diags_array((~np.isin(np.arange(144), [5, 77])).astype(np.float32)) @ adata.X
    adata.obs_names = [f"s_016um_{r:05d}_{c:05d}-1" for r, c in zip(row, column, strict=True)]
    for size in ("002", "008", "016"):
        bins = folder / "binned_outputs" / f"square_{size}um"
        (bins / "spatial").mkdir(parents=True)
        write_tenx_hdf5(bins / "filtered_feature_bc_matrix.h5", adata)
        table = pd.DataFrame({"barcode": adata.obs_names, "in_tissue": 1, "array_row": row, "array_col": column,
                              "pxl_row_in_fullres": points[:, 1], "pxl_col_in_fullres": points[:, 0]})
        if parquet:
            table.to_parquet(bins / "spatial" / "tissue_positions.parquet")
        else:
            table.to_csv(bins / "spatial" / "tissue_positions.csv", index=False)
    return adata


def write_segmented(folder, n_genes=30):
    """The cells of Visium HD, as Space Ranger 4 segments them: squares, a triangle and two pieces as outlines."""
    adata = tissue(random_state=8, n_genes=n_genes)
    adata.obs_names = [f"cellid_{i + 1:09d}-1" for i in range(adata.n_obs)]
    folder.mkdir(parents=True)
    write_tenx_hdf5(folder / "filtered_feature_cell_matrix.h5", adata)
    square = np.array([[-6, -6], [6, -6], [6, 6], [-6, 6], [-6, -6]])
    shapes = [("Polygon", [(point + square).tolist()]) for point in adata.obsm["spatial"]]
    x, y = adata.obsm["spatial"][0]
    shapes[0] = ("Polygon", [[[x - 1, y - 2], [x + 2, y + 1], [x - 1, y + 1], [x - 1, y - 2]]])
    x, y = adata.obsm["spatial"][1]  # two squares, one of four times the area of the other
    shapes[1] = ("MultiPolygon", [[np.add([x - 4, y], square).tolist()],
                                  [np.add([x + 16, y], square[::-1] / 2).tolist()]])
    features = [{"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": {"cell_id": i + 1}}
                for i, (kind, rings) in enumerate(shapes)]
    text = json.dumps({"type": "FeatureCollection", "features": features[::-1]})
    (folder / "cell_segmentations.geojson").write_text(text)
    return adata


def write_xenium(folder, parquet=False):
    """The output of Xenium Onboard Analysis, with control probes among the features."""
    controls = {"NegControlProbe_00042": "Negative Control Probe",
                "NegControlCodeword_0500": "Negative Control Codeword",
                "UnassignedCodeword_0003": "Unassigned Codeword", "Intergenic_Region_7": "Genomic Control"}
    adata = with_controls(tissue(random_state=1), list(controls))
    adata.obs_names = [f"aaaa{i:04d}-1" for i in range(adata.n_obs)]
    folder.mkdir(parents=True)
    (folder / "experiment.xenium").write_text("{}")
    write_tenx_hdf5(folder / "cell_feature_matrix.h5", adata,
                    ["Gene Expression"] * (adata.n_vars - len(controls)) + list(controls.values()))
    table = pd.DataFrame({"cell_id": adata.obs_names, "x_centroid": adata.obsm["spatial"][:, 0],
                          "y_centroid": adata.obsm["spatial"][:, 1], "cell_area": 50.5})
    if parquet:
        table.to_parquet(folder / "cells.parquet")
    else:
        table.to_csv(folder / "cells.csv.gz", index=False)
    return adata


def write_cosmx(folder):
    """The flat files of CosMx: two fields of view whose cells have the same numbers, and cell 0 outside all cells."""
    adata = with_controls(tissue(random_state=2, extent=4000.0), ["NegPrb01", "Negative12", "SystemControl3"])
    fov, cell = np.divmod(np.arange(adata.n_obs), adata.n_obs // 2)
    adata.obs_names = [f"{f + 1}_{c + 1}" for f, c in zip(fov, cell, strict=True)]
    folder.mkdir(parents=True)
    ids = pd.DataFrame({"fov": fov + 1, "cell_ID": cell + 1})
    counts = pd.concat([ids, pd.DataFrame(adata.X.toarray().astype(int), columns=adata.var_names)], axis=1)
    outside = counts.iloc[[0, -1]].assign(cell_ID=0)
    pd.concat([outside, counts]).to_csv(folder / "Run5_exprMat_file.csv", index=False)
    x, y = adata.obsm["spatial"].T
    ids.assign(Area=900, CenterX_local_px=x % 2000, CenterY_local_px=y % 2000, CenterX_global_px=x,
               CenterY_global_px=y).iloc[::-1].to_csv(folder / "Run5_metadata_file.csv", index=False)
    return adata


def write_merscope(folder):
    """The region folder of MERSCOPE; cells have long numbers for names."""
    adata = with_controls(tissue(random_state=3), ["Blank-1", "Blank-23"])
    adata.obs_names = [str(2_000_000_000_000_000_001 + 1000 * i) for i in range(adata.n_obs)]
    folder.mkdir(parents=True)
    pd.DataFrame(adata.X.toarray().astype(int), pd.Index(adata.obs_names, name="cell"), adata.var_names).to_csv(
        folder / "cell_by_gene.csv")
    x, y = adata.obsm["spatial"].T
    table = pd.DataFrame({"fov": 0, "volume": 800.0, "center_x": x, "center_y": y},
                         pd.Index(adata.obs_names, name="EntityID"))
    table.iloc[::-1].to_csv(folder / "cell_metadata.csv")
    return adata


def write_seqfish(folder):
    """The tables of Spatial Genomics' seqFISH for one region."""
    adata = tissue(random_state=4)
    adata.obs_names = [str(i + 1) for i in range(adata.n_obs)]
    folder.mkdir(parents=True)
    pd.DataFrame(adata.X.toarray().astype(int), adata.obs_names, adata.var_names).to_csv(folder / "Roi1_CellxGene.csv")
    pd.DataFrame({"label": adata.obs_names, "area": 700, "center_x": adata.obsm["spatial"][:, 0],
                  "center_y": adata.obsm["spatial"][:, 1]}).to_csv(folder / "Roi1_CellCoordinates.csv", index=False)
    return adata


def write_starmap(folder):
    """Bare tables, as STARmap's data are often shared: cells x genes, and three-dimensional positions."""
    adata = tissue(random_state=5)
    adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], np.arange(adata.n_obs) % 5 * 10.0])
    folder.mkdir(parents=True)
    pd.DataFrame(adata.X.toarray().astype(int), adata.obs_names, adata.var_names).to_csv(folder / "counts.csv")
    pd.DataFrame(adata.obsm["spatial"], adata.obs_names, ["x", "y", "z"]).to_csv(folder / "positions.csv")
    return adata


def write_slide_seq(folder, n_genes=30):
    """The tables of Slide-seq: genes x beads, and the beads' locations; two beads have no location."""
    adata = tissue(random_state=6, n_genes=n_genes)
    folder.mkdir(parents=True)
    pd.DataFrame(adata.X.T.toarray().astype(int), adata.var_names, adata.obs_names).to_csv(folder / "MappedDGEForR.csv")
    pd.DataFrame({"barcodes": adata.obs_names, "xcoord": adata.obsm["spatial"][:, 0],
                  "ycoord": adata.obsm["spatial"][:, 1]}).iloc[2:].to_csv(folder / "BeadLocationsForR.csv", index=False)
    return adata[2:].copy()


def write_stereo_seq(folder, n_genes=30):
    """The GEM file of Stereo-seq with cells: a line for each gene at each spot of a cell; cell 0 is outside."""
    adata = tissue(random_state=7, n_genes=n_genes)
    adata.obs_names = [str(i + 1) for i in range(adata.n_obs)]
    centres = adata.obsm["spatial"].round()
    cell, gene = adata.X.nonzero()
    counts = np.asarray(adata.X[cell, gene]).ravel().astype(int)
    rows = [pd.DataFrame({"geneID": adata.var_names[gene], "x": centres[cell, 0].astype(int) + shift,
                          "y": centres[cell, 1].astype(int) - shift, "MIDCount": part, "CellID": cell + 1})
            for shift, part in ((1, counts - counts // 2), (-1, counts // 2))]
    table = pd.concat([*rows, rows[0].head(3).assign(CellID=0)])
    folder.mkdir(parents=True)
    text = "#FileFormat=GEMv0.2\n#SortedBy=None\n" + table[table["MIDCount"] > 0].to_csv(sep="\t", index=False)
    Path(folder, "tissue.cellbin.gem.gz").write_bytes(gzip.compress(text.encode()))
    return adata
