"""From raw counts to the matrices that the paper models: one recipe per data set."""

from collections.abc import Sequence
from functools import partial

import anndata
import numpy as np
from scipy import sparse

from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample
from spicemix_core.inputs.normalize import log_normalize

SEQFISH_PLUS_FIELDS = ("0", "1", "2", "3", "4")


def seqfish_plus_recipe(raw: anndata.AnnData, *, genes: str = "modelled",
                        fields: Sequence[str] = SEQFISH_PLUS_FIELDS,
                        min_share: float = 0.4, target_sum: float = 1e4, max_length: float = 300.0,
                        ) -> anndata.AnnData:
    """The paper's seqFISH+ matrix: 523 cells of the cortex x 2,470 genes (paper, Methods).

    The cells are those of fields 0-4, and their totals are over **all** measured genes. The genes are those with a
    count in more than ``min_share`` of these cells. Each field has a Delaunay graph with sides of at most
    ``max_length`` px.

    Parameters
    ----------
    raw : AnnData
        Raw counts of all genes in ``X``, the field in ``obs["sample"]``, positions in px in ``obsm["spatial"]``.
    genes : {"modelled", "all"}
        ``"all"`` skips the gene filter and keeps ``X`` sparse, for marker genes outside the 2,470.
    fields : sequence of str
        Fields whose cells are kept.
    min_share : float
        Genes kept have a count in more than this share of the cells.
    target_sum, max_length : float
        Normalisation target, and the longest side (px) of the Delaunay graph.

    Returns
    -------
    AnnData
        ``X`` log-normalised, ``layers["counts"]``, ``obsp["spatial_connectivities"]``;
        ``var["share_of_cells"]`` is the share of the cells with a count of the gene.

    Raises
    ------
    ValueError
        If no cell passes the filter, or ``genes`` is neither of the two.
    """
    if genes not in ("modelled", "all"):
        raise ValueError(f'genes must be "modelled" or "all", not {genes!r}.')
    adata = _keep_cells(raw, raw.obs["sample"].isin(fields).to_numpy())
    totals = np.asarray(adata.X.sum(axis=1)).ravel()
    adata.var["share_of_cells"] = np.asarray((adata.X > 0).sum(axis=0)).ravel() / adata.n_obs
    if genes == "modelled":
        adata = adata[:, adata.var["share_of_cells"] > min_share].copy()
    return normalize_and_connect(adata, totals, target_sum, max_length, dense=genes == "modelled")


def starmap_recipe(raw: anndata.AnnData, *, min_total: float = 200, max_total: float = 3000,
                   target_sum: float = 1e4, max_length: float = 600.0) -> anndata.AnnData:
    """The paper's STARmap matrix: 930 cells with 200 < total <= 3000, all 1,020 genes (paper, Methods).

    Parameters
    ----------
    raw : AnnData
        Raw counts in ``X``, ``obs["sample"]``, positions in px in ``obsm["spatial"]``.
    min_total, max_total : float
        Cells kept have ``min_total < total <= max_total``.
    target_sum, max_length : float
        Normalisation target, and the longest side (px) of the Delaunay graph.

    Returns
    -------
    AnnData
        ``X`` log-normalised, ``layers["counts"]``, ``obsp["spatial_connectivities"]``.

    Raises
    ------
    ValueError
        If no cell passes the filter.
    """
    totals = np.asarray(raw.X.sum(axis=1)).ravel()
    kept = (totals > min_total) & (totals <= max_total)
    return normalize_and_connect(_keep_cells(raw, kept), totals[kept], target_sum, max_length, dense=True)


def _keep_cells(raw, kept) -> anndata.AnnData:
    if not kept.any():
        raise ValueError(f"None of the {raw.n_obs} cells passes the filter; check the thresholds and the sample names.")
    return raw[kept].copy()


def normalize_and_connect(adata: anndata.AnnData, totals: np.ndarray, target_sum: float, max_length: float,
                          dense: bool) -> anndata.AnnData:
    """The last step of each recipe, in place: counts to a layer, log-normalised ``X``, a Delaunay graph per sample.

    ``totals`` (N,) are the total counts of the cells over all measured genes, including genes that ``adata`` lacks.
    """
    adata.layers["counts"] = adata.X.copy()
    expression = log_normalize(adata.X, target_sum, totals)
    adata.X = expression.toarray() if dense and sparse.issparse(expression) else expression
    adata.obs["total_counts"] = totals
    adata.obs["sample"] = adata.obs["sample"].cat.remove_unused_categories()
    build = partial(delaunay_graph, max_length=max_length)
    graph = graph_by_sample(adata.obsm["spatial"], adata.obs["sample"].to_numpy(), build)
    adata.obsp["spatial_connectivities"] = graph
    return adata
