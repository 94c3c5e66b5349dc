"""Matrices of counts without AnnData: HDF5 and Matrix Market of 10x Genomics, tables of text, GEM of Stereo-seq."""

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

from spicemix_core.exchange.packed import unpacked
from spicemix_core.files.damaged import first_line, open_hdf5
from spicemix_core.files.outside import check_part
from spicemix_core.inputs.checks import check_sparse

TEXT = (".csv", ".tsv", ".txt", ".gem")
ROWS = 2000  # of a table of text that are read at once


def read_tenx_hdf5(path: Path) -> anndata.AnnData:
    """Read the group ``matrix`` of an HDF5 file of 10x Genomics, all kinds of features."""
    with open_hdf5(path) as file:
        group = file["matrix"]
        features = group["features"]
        n_genes, n_cells = (int(n) for n in group["shape"][:2])
        counts = sp.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=(n_cells, n_genes))
        check_sparse(counts, f"{path}: the matrix")
        types = _texts(features["feature_type"]) if "feature_type" in features else None
        return _assembled(counts, _texts(group["barcodes"]), _texts(features["id"]), _texts(features["name"]), types)


def read_matrix_market(path: Path) -> anndata.AnnData:
    """Read ``matrix.mtx`` of genes x cells, with ``features.tsv`` (or ``genes.tsv``) and ``barcodes.tsv`` beside it.

    ``path`` is the file or its folder. Each file can be compressed with gzip and have a prefix in its name.
    """
    matrix = path if path.is_file() else only(path, "*matrix.mtx", "*matrix.mtx.gz")
    if matrix is None:
        raise FileNotFoundError(f"There is no matrix.mtx in {path}.")
    prefix = matrix.name.split("matrix.mtx")[0] if "matrix.mtx" in matrix.name else ""
    names = [(f"{prefix}{name}.tsv", f"{prefix}{name}.tsv.gz") for name in ("features", "genes", "barcodes")]
    features = only(matrix.parent, *names[0], *names[1])
    barcodes = only(matrix.parent, *names[2])
    if features is None or barcodes is None:
        raise FileNotFoundError(f"{matrix} has no names: put the files features.tsv and barcodes.tsv (or .tsv.gz) "
                                "beside it.")
    table, cells = _names_of(features), _names_of(barcodes)[0].to_numpy()
    with unpacked(matrix) as place:
        counts = sp.csr_matrix(scipy.io.mmread(place).T)
    if counts.shape != (len(cells), len(table)):
        raise ValueError(f"{matrix} holds {counts.shape[1]} genes x {counts.shape[0]} cells, but {features.name} names "
                         f"{len(table)} genes and {barcodes.name} {len(cells)} cells; give files of one data set.")
    ids, *rest = (table[i].to_numpy() for i in table.columns)
    return _assembled(counts, cells, ids, *(rest[:2] if rest else [ids]))


def _names_of(path):
    with unpacked(path) as place:
        return pd.read_csv(place, sep="\t", header=None, dtype=str, keep_default_na=False)


def read_text(path: Path) -> anndata.AnnData:
    """Read a table of text: cells x genes with names in the first row and column, or a file of a platform.

    These are the GEM of Stereo-seq, recognised by its column ``geneID``, and the counts of CosMx, recognised by ``fov``
    and ``cell_ID``.
    """
    separator = separator_of(path)
    try:
        columns = set(pd.read_csv(path, sep=separator, comment="#", nrows=0).columns)
        if {"geneID", "x", "y"} <= columns:
            return _read_gem(path)
        return _read_wide(path, separator, fields={"fov", "cell_ID"} <= columns)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a table of text ({first_line(error)}); correct the file.") from error


def separator_of(path: Path) -> str:
    """What separates the columns of a table of text, by its first line without a comment."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = next((line for line in file if not line.startswith("#")), "")
    return max(",\t; ", key=line.count)


def only(folder: Path, *patterns: str) -> Path | None:
    """The file of a folder that matches one of the patterns, the first pattern first; None without one.

    ValueError if several match, or the file is a link (:func:`spicemix_core.files.outside.check_part`).
    """
    for pattern in patterns:
        found = sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ValueError(f"{folder} holds several files that can be meant: {names}; leave one of them there.")
        if found:
            check_part(found[0])
            return found[0]
    return None


def field_and_cell(table: pd.DataFrame) -> pd.Index:
    """Names of the cells of CosMx, which numbers them within each field of view."""
    return pd.Index(table["fov"].astype(str) + "_" + table["cell_ID"].astype(str))


def _read_wide(path, separator, fields):
    """A dense table, read in parts as a sparse matrix; ``fields``: whether it is one of CosMx."""
    parts, cells = [], []
    options = {} if fields else {"index_col": 0, "dtype": {0: str}}
    for part in pd.read_csv(path, sep=separator, chunksize=ROWS, comment="#", **options):
        if fields:
            part = part.set_index(field_and_cell(part)).drop(columns=["fov", "cell_ID", "cell", "cell_id"],
                                                             errors="ignore")
        texts = [name for name, kind in part.dtypes.items() if kind.kind not in "fiub"]
        if texts:
            raise ValueError(f"{path} is not a table of counts: the column {texts[0]!r} holds text. The first row must "
                             "name the genes and the first column the cells.")
        parts.append(sp.csr_matrix(part.to_numpy(dtype=np.float32)))
        cells += list(part.index.astype(str))
    if not parts or not parts[0].shape[1]:
        raise ValueError(f"{path} holds no table with names in the first row and column; correct the file.")
    return anndata.AnnData(sp.vstack(parts, format="csr"), obs=pd.DataFrame(index=cells),
                           var=pd.DataFrame(index=part.columns.astype(str)))


def _read_gem(path):
    """Transcripts of Stereo-seq, summed per cell, at the mean position of its transcripts (in spots of the chip)."""
    table = pd.read_csv(path, sep="\t", comment="#")
    counts = next((name for name in ("MIDCount", "MIDCounts", "UMICount") if name in table), None)
    cells = next((name for name in ("CellID", "cell", "label") if name in table), None)
    if counts is None or cells is None:
        raise ValueError(f"{path} lists transcripts without the cells (CellID) or counts (MIDCount) that they belong "
                         "to. Use the GEM file of cell bins, or bin it with stereopy and write an .h5ad file.")
    table = table[table[cells] > 0]  # 0 is outside all cells
    cell, names = pd.factorize(table[cells], sort=True)
    gene, genes = pd.factorize(table["geneID"], sort=True)
    matrix = sp.coo_matrix((table[counts].astype(np.float32), (cell, gene)), shape=(len(names), len(genes))).tocsr()
    adata = anndata.AnnData(matrix, obs=pd.DataFrame(index=names.astype(str)),
                            var=pd.DataFrame(index=genes.astype(str)))
    adata.obsm["spatial"] = table.groupby(cells)[["x", "y"]].mean().to_numpy(dtype=float)
    return adata


def _texts(dataset: h5py.Dataset) -> np.ndarray:
    return dataset.asstr()[:].astype(object)


def _assembled(counts, cells, ids, names, types=None):
    """An AnnData object whose genes have their names, with the identifier added to names that occur several times."""
    names = pd.Series(names)
    names = names.where(~names.duplicated(keep=False), names + "_" + pd.Series(ids)).to_numpy()
    var = pd.DataFrame({"gene_ids": ids} | ({} if types is None else {"feature_types": types}), index=names)
    return anndata.AnnData(counts.astype(np.float32), obs=pd.DataFrame(index=cells), var=var)
