"""seqFISH+ of the mouse cortex (Eng et al. 2019), from the authors' files or the compact copy."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from spicemix_core.datasets.recipes import seqfish_plus_recipe
from spicemix_core.datasets.registry import locate, source

# Giotto's coarse type of the authors' 26 Louvain clusters (drieslab/spatial-datasets, MIT).
COARSE_CLUSTERS = {
    "Choroid Plexus": (1,), "Endothelial": (2,), "Excitatory neuron": (3, 4, 5, 6, 9, 11, 13, 18),
    "Interneuron": (7, 23), "Neural Stem": (8, 14), "Astrocyte": (10, 19), "Neuroblast": (12, 15, 17, 21, 24),
    "Oligodendrocyte": (16, 25), "Microglia": (20, 26), "Ependymal": (22,),
}


def load_seqfish_plus(raw: bool = False, *, genes: str = "modelled", download: bool = True) -> anndata.AnnData:
    """seqFISH+ as the paper models it: 523 cortex cells x 2,470 genes in five fields.

    Parameters
    ----------
    raw : bool
        Return all 913 cells x 10,000 genes with raw counts (CSR) in ``X`` and without a graph.
    genes : {"modelled", "all"}
        ``"all"`` keeps all 10,000 genes of the 523 cells (``X`` is CSR), for marker genes outside the 2,470.
    download : bool
        Whether the files may be downloaded if no folder holds them.

    Returns
    -------
    AnnData
        ``X`` log-normalised; ``layers["counts"]``; ``obs``: ``sample`` (field, "0" superficial to "4" deep),
        ``cell_type`` (the authors' cluster names), ``cluster`` (their Louvain number), ``coarse_type``,
        ``region``; ``obsm["spatial"]`` (px, each field with its own origin); ``obsp["spatial_connectivities"]``;
        ``uns["source"]``.

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders and cannot be downloaded.
    ValueError
        If a file is truncated or its checksum differs.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("seqfish_plus"):
    ...     adata = datasets.load_seqfish_plus()
    ...     assert adata.shape == (523, 2470)
    """
    layout, folder = locate("seqfish_plus", download)
    adata = (read_compact if layout == "compact" else read_original)(folder)
    adata.uns["source"] = source("seqfish_plus", layout)
    return adata if raw else seqfish_plus_recipe(adata, genes=genes)


def read_compact(folder: Path) -> anndata.AnnData:
    """Raw counts from ``counts.npz``, ``genes.txt`` and ``cells.csv``."""
    cells = pd.read_csv(folder / "cells.csv", keep_default_na=False)
    genes = (folder / "genes.txt").read_text(encoding="utf-8").split()
    names = cells.groupby("louvain")["louvain_name"].first()
    return _assemble(sparse.load_npz(folder / "counts.npz"), genes, cells, names)


def read_original(folder: Path) -> anndata.AnnData:
    """Raw counts from the authors' files ``cortex_svz_*.csv`` (members of their archives).

    Columns of ``counts``: genes, with a header; of ``cellcentroids``: Field of View, Cell ID, X, Y, Region; of
    ``cell_type_annotations``: index, louvain; of ``cluster_names``: Louvain number, name.
    """
    counts = pd.read_csv(folder / "cortex_svz_counts.csv", dtype=np.int32)
    cells = pd.read_csv(folder / "cortex_svz_cellcentroids.csv")
    cells.columns = ["fov", "cell_in_fov", "x", "y", "region"]
    cells["louvain"] = pd.read_csv(folder / "cortex_svz_cell_type_annotations.csv")["louvain"].to_numpy()
    names = pd.read_csv(folder / "cortex_svz_cluster_names.csv", encoding="utf-8-sig", keep_default_na=False)
    names = names.set_index(names.columns[0]).iloc[:, 0].str.strip()
    return _assemble(sparse.csr_matrix(counts.to_numpy()), list(counts.columns), cells, names)


def _assemble(counts, genes: list[str], cells: pd.DataFrame, names: pd.Series) -> anndata.AnnData:
    if counts.shape != (len(cells), len(genes)):
        raise ValueError(f"The seqFISH+ counts are {counts.shape}, but there are {len(cells)} cells and {len(genes)} "
                         "gene names; take all files from one release.")
    coarse = {cluster: name for name, clusters in COARSE_CLUSTERS.items() for cluster in clusters}
    index = "fov" + cells["fov"].astype(str) + "_cell" + cells["cell_in_fov"].astype(str)
    labels = {"sample": cells["fov"].astype(str), "cell_type": cells["louvain"].map(names),
              "coarse_type": cells["louvain"].map(coarse), "region": cells["region"]}
    obs = pd.DataFrame({key: pd.Categorical(values) for key, values in labels.items()}, index=index.to_numpy())
    obs.insert(2, "cluster", pd.Categorical(cells["louvain"].astype(str), [str(c) for c in sorted(names.index)]))
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes),
                           obsm={"spatial": cells[["x", "y"]].to_numpy(dtype=float)})
