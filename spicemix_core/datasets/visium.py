"""Visium sections of the human dorsolateral prefrontal cortex (Maynard et al. 2021), and their synthetic twin."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from spicemix_core.datasets.registry import locate, source
from spicemix_core.files.atomic import replacing
from spicemix_core.inputs.graphs import graph_by_sample, radius_graph
from spicemix_core.inputs.normalize import log_normalize

SECTIONS = ("151673", "151674")
LAYERS = ("L1", "L2", "L3", "L4", "L5", "L6", "WM")
TARGET_SUM = 1e4
SPACINGS = 1.2  # radius of the graph, in spacings of the lattice; the second neighbours are 1.7 spacings away


def load_visium_dlpfc(sections: Sequence[str] = SECTIONS, *, raw: bool = False, download: bool = True,
                      ) -> anndata.AnnData:
    """Two Visium sections of the human dorsolateral prefrontal cortex: 7,312 spots x 1,125 genes.

    The genes are those common to the 5,000 most variable genes of four sections, as the authors of BANKSY chose them;
    the study measured all genes.

    Parameters
    ----------
    sections : sequence of str
        Sections to return, "151673" (3,639 spots) and "151674" (3,673 spots) of one donor.
    raw : bool
        Return raw counts (CSR) in ``X``, without a graph.
    download : bool
        Whether the files may be downloaded if no folder holds them.

    Returns
    -------
    AnnData
        ``X`` log-normalised to a total of 10,000 over the 1,125 genes; ``layers["counts"]``; ``obs``: ``sample`` (the
        section), ``layer`` (L1 to L6 and WM, the white matter, drawn by hand by the authors; missing for 66 spots),
        ``array_row``, ``array_col``, ``total_counts``; ``var["gene_id"]`` (Ensembl); ``obsm["spatial"]`` (px of the
        image, y downwards); ``obsp["spatial_connectivities"]`` (the six nearest places of the hexagonal lattice);
        ``uns["source"]``.

    Raises
    ------
    DataNotFoundError
        If the files are in none of the folders.
    ValueError
        If a file is truncated or its checksum differs, or there is no such section.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> if datasets.available("visium_dlpfc"):
    ...     adata = datasets.load_visium_dlpfc()
    ...     assert adata.shape == (7312, 1125)
    """
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or not len(sections):
        raise ValueError(f"The sections are {', '.join(SECTIONS)}, not {list(sections)}. Choose one or both of them.")
    layout, folder = locate("visium_dlpfc", download)
    adata = anndata.concat([_read_section(folder, name) for name in sections], merge="same")
    adata.obs["sample"] = pd.Categorical(adata.obs["sample"], sections)
    adata.uns["source"] = source("visium_dlpfc", layout)
    return adata if raw else visium_recipe(adata)


def visium_recipe(raw: anndata.AnnData, target_sum: float = TARGET_SUM) -> anndata.AnnData:
    """Log-normalised expression and the lattice's own neighbours, from raw counts and ``obs["sample"]``."""
    adata = raw.copy()
    totals = np.asarray(adata.X.sum(axis=1)).ravel()
    adata.layers["counts"] = adata.X.copy()
    adata.X = log_normalize(adata.X, target_sum, totals).toarray()
    adata.obs["total_counts"] = totals
    points = adata.obsm["spatial"]
    spacing = np.median(np.concatenate([cKDTree(own).query(own, 2)[0][:, 1] for own in (
        points[(adata.obs["sample"] == name).to_numpy()] for name in adata.obs["sample"].cat.categories)]))
    adata.obsp["spatial_connectivities"] = graph_by_sample(
        points, adata.obs["sample"].to_numpy(), partial(radius_graph, radius=SPACINGS * spacing))
    return adata


def _read_section(folder: Path, name: str) -> anndata.AnnData:
    genes = pd.read_csv(folder / "genes.csv", keep_default_na=False)
    spots = pd.read_csv(folder / f"{name}.spots.csv", keep_default_na=False)
    counts = sparse.load_npz(folder / f"{name}.counts.npz")
    symbols = genes["symbol"].where(genes["symbol"] != "", genes["ensembl"])
    layer = pd.Categorical(spots["layer"].where(spots["layer"] != "", None), LAYERS)
    obs = pd.DataFrame({"sample": name, "layer": layer, "array_row": spots["array_row"].to_numpy(),
                        "array_col": spots["array_col"].to_numpy()}, index=name + "_" + spots["barcode"].to_numpy())
    return anndata.AnnData(counts, obs=obs, var=pd.DataFrame({"gene_id": genes["ensembl"].to_numpy()}, index=symbols),
                           obsm={"spatial": spots[["pxl_col", "pxl_row"]].to_numpy(dtype=float)})


@dataclass(frozen=True)
class LayeredTwin:
    """Parameters of the twin: R rows and C columns of a lattice, L layers, G genes, S sections.

    Attributes
    ----------
    genes, gene_ids : (G,) arrays of str
        Symbols and Ensembl identifiers.
    profiles : (L, G) array
        Share of each gene in the counts of a layer.
    log_totals : (L, 2) array
        Mean and standard deviation of the logarithm of a spot's total.
    dispersion : float
        phi: counts have the variance ``m + phi m^2``.
    spots : (S, L) int array
        Number of spots by section and layer.
    """

    genes: np.ndarray
    gene_ids: np.ndarray
    profiles: np.ndarray
    log_totals: np.ndarray
    dispersion: float
    spots: np.ndarray


def fit_layered_twin(raw: anndata.AnnData) -> LayeredTwin:
    """Parameters of the twin from the raw counts of the sections; sums over layers, and nothing of a single spot."""
    known = raw[raw.obs["layer"].notna()]
    layer = known.obs["layer"].cat.codes.to_numpy()
    counts, totals = sparse.csr_array(known.X, dtype=float), np.asarray(known.X.sum(axis=1)).ravel()
    sums = np.array([np.asarray(counts[layer == k].sum(axis=0)).ravel() for k in range(len(LAYERS))])
    profiles = sums / sums.sum(axis=1, keepdims=True)
    logs = np.array([[np.log(totals[layer == k]).mean(), np.log(totals[layer == k]).std()] for k in range(len(LAYERS))])
    expected = totals[:, None] * profiles[layer]
    squares = (np.square(counts.toarray() - expected) - expected).sum()
    spots = pd.crosstab(known.obs["sample"], layer).to_numpy()
    return LayeredTwin(np.array(raw.var_names, dtype=str), raw.var["gene_id"].to_numpy(dtype=str), profiles, logs,
                       float(squares / np.square(expected).sum()), spots)


def save_layered_twin(twin: LayeredTwin, path: str | Path) -> None:
    """Write the parameters to a compressed ``.npz`` file; equal parameters give equal bytes."""
    values = asdict(twin) | {"profiles": np.float16(twin.profiles * len(twin.genes)),
                             "log_totals": np.float32(twin.log_totals), "spots": twin.spots.astype(np.uint16)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **values)


def load_layered_twin(path: str | Path) -> LayeredTwin:
    """Read parameters written by :func:`save_layered_twin`; ValueError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {field.name: stored[field.name] for field in fields(LayeredTwin)}
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive raises errors of many types
        raise ValueError(f"{path} does not hold the parameters of a twin ({error}); fetch it again.") from error
    profiles = values["profiles"].astype(float)
    return LayeredTwin(**values | {
        "profiles": profiles / profiles.sum(axis=1, keepdims=True), "log_totals": values["log_totals"].astype(float),
        "dispersion": float(values["dispersion"]), "spots": values["spots"].astype(int)})


def sample_layered_twin(twin: LayeredTwin, random_state: int | np.random.Generator | None = 0) -> anndata.AnnData:
    """Draw sections with the lattice, layers and counts of the parameters.

    The layers lie on top of each other, with waves in their borders, from L1 to the white matter. A spot's total is
    log-normal, its counts are negative binomial around its layer's profile.
    """
    rng = np.random.default_rng(random_state)
    parts = []
    for name, spots in zip(SECTIONS, twin.spots, strict=True):
        n = int(spots.sum())
        columns = int(np.ceil(np.sqrt(n * np.sqrt(3) / 2)))
        row, column = np.divmod(np.arange(n), columns)
        x, y = column + 0.5 * (row % 2), row * np.sqrt(3) / 2
        depth = y + 0.04 * y.max() * np.sin(2 * np.pi * x / columns + rng.uniform(0, 2 * np.pi))
        layer = np.empty(n, dtype=int)
        layer[np.argsort(depth, kind="stable")] = np.repeat(np.arange(len(LAYERS)), spots)
        totals = np.exp(rng.normal(*twin.log_totals[layer].T))
        shape = 1 / twin.dispersion
        rates = rng.gamma(shape, totals[:, None] * twin.profiles[layer] / shape)
        obs = pd.DataFrame({"sample": name, "layer": pd.Categorical.from_codes(layer, LAYERS), "array_row": row,
                            "array_col": 2 * column + row % 2}, index=[f"{name}_spot{i}" for i in range(n)])
        parts.append(anndata.AnnData(
            sparse.csr_matrix(rng.poisson(rates)), obs=obs, obsm={"spatial": 100.0 * np.column_stack([x, y])},
            var=pd.DataFrame({"gene_id": twin.gene_ids}, index=twin.genes)))
    adata = anndata.concat(parts, merge="same")
    adata.obs["sample"] = pd.Categorical(adata.obs["sample"], SECTIONS)
    return visium_recipe(adata)
