"""STARmap of the mouse primary visual cortex (Wang et al. 2018), from the authors' files or the compact copy."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.datasets.recipes import starmap_recipe
from spicemix_core.datasets.registry import locate, shipped, source

SAMPLE = "20180410-BY3_1kgenes"
# Cortical layers as bands of depth (px from the white matter): the labels of Zhu et al. (SRTsim, 2023).
LAYER_BANDS = {"L6": (3937.0, 7247.0), "L5": (7247.0, 9667.0), "L4": (9667.0, 11914.0), "L2/3": (11914.0, 15376.0)}


def load_starmap(raw: bool = False, *, download: bool = True) -> anndata.AnnData:
    """STARmap as the paper models it: 930 cells x 1,020 genes of one section.

    Parameters
    ----------
    raw : bool
        Return all 973 cells with raw counts (CSR) in ``X`` and without a graph.
    download : bool
        Whether the files may be downloaded if no folder holds them.

    Returns
    -------
    AnnData
        ``X`` log-normalised; ``layers["counts"]``; ``obs``: ``sample``, ``cell_type`` (the authors' 16 classes),
        ``cluster`` (their number), ``layer`` (band of depth, missing outside L2/3-L6);
        ``obsm["spatial"]`` (px; x is depth, white matter at small x, pia at large x);
        ``obsp["spatial_connectivities"]``; ``uns["source"]``.

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders and cannot be downloaded.
    ValueError
        If a file is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("starmap"):
    ...     adata = datasets.load_starmap()
    ...     assert adata.shape == (930, 1020)
    """
    layout, folder = locate("starmap", download)
    adata = (read_compact if layout == "compact" else read_original)(folder)
    adata.uns["source"] = source("starmap", layout)
    return adata if raw else starmap_recipe(adata)


def read_compact(folder: Path) -> anndata.AnnData:
    """Raw counts from ``*.counts.npz``, ``genes.txt`` and ``*.cells.csv``."""
    cells = pd.read_csv(folder / f"{SAMPLE}.cells.csv", keep_default_na=False)
    genes = (folder / "genes.txt").read_text(encoding="utf-8").split()
    counts = sparse.load_npz(folder / f"{SAMPLE}.counts.npz")
    return _assemble(counts, genes, cells[["x", "y"]].to_numpy(), cells["cluster_id"], cells["cluster_name"])


def read_original(folder: Path) -> anndata.AnnData:
    """Raw counts from the authors' files.

    ``cell_barcode_count.csv``: cells x genes without a header; ``class_labels.csv``: CellID, ClusterID (-1: failed the
    quality filter), ClusterName; ``Centriods_extracted.csv``: image row and column of each cell, that is y and x.
    Centroids are rounded to 1e-4 px. The names of the genes, in the order of the columns, are shipped with the package.
    """
    counts = np.loadtxt(folder / "cell_barcode_count.csv", delimiter=",", dtype=np.int32)
    genes = shipped("starmap", "starmap_genes.txt").read_text(encoding="utf-8").split()
    labels = pd.read_csv(folder / "class_labels.csv", keep_default_na=False)
    rows_columns = pd.read_csv(folder / "Centriods_extracted.csv", sep=" ").to_numpy()
    names_ = labels["ClusterName"].replace("NA", "")
    return _assemble(sparse.csr_matrix(counts), genes, rows_columns[:, ::-1].round(4), labels["ClusterID"], names_)


def layers_by_depth(x) -> pd.Categorical:
    """Cortical layer at each x (px), missing outside ``LAYER_BANDS``."""
    layer = np.full(len(x), None, dtype=object)
    for band, (low, high) in LAYER_BANDS.items():
        layer[(x >= low) & (x < high)] = band
    return pd.Categorical(layer, list(LAYER_BANDS))


def _assemble(counts, genes, xy, cluster, name) -> anndata.AnnData:
    sizes = {"class labels": len(cluster), "centroids": len(xy)}
    for what, size in sizes.items():
        if size != counts.shape[0]:
            raise ValueError(f"STARmap has {counts.shape[0]} rows of counts but {size} {what}; take all files from "
                             "one release.")
    labelled = cluster.to_numpy() != -1
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(len(xy))])
    obs["sample"] = pd.Categorical([SAMPLE] * len(obs))
    obs["cell_type"] = pd.Categorical(np.where(labelled, name.to_numpy(), None))
    obs["cluster"] = pd.Categorical(np.where(labelled, cluster.astype(str).to_numpy(), None),
                                    [str(c) for c in sorted(set(cluster[labelled]))])
    obs["layer"] = layers_by_depth(np.where(labelled, xy[:, 0], np.nan))
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes),
                           obsm={"spatial": np.array(xy, dtype=float)})
