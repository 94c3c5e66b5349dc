"""What was understood of the input of a fit: stored with the results, and printed by the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from spicemix_core.inputs.anndata import expression_place, graph_of, labels_of
from spicemix_core.inputs.memory import preparation_of
from spicemix_core.inputs.positions import SPATIAL_KEY, has_positions, place_of, positions_of, spatial_key_of

if TYPE_CHECKING:
    from anndata import AnnData


def summarize_input(adata: AnnData, sample_key: str | None = None, graph_key: str | None = None,
                    layer: str | None = None) -> dict[str, Any]:
    """Cells, genes, samples, expression and neighbour graph, as a fit with these keys takes them.

    Returns
    -------
    dict
        The keys that are not None; ``n_cells``, ``n_genes``, ``n_samples``, and the numbers of cells and genes that
        were left out, unless zero; ``expression``, in words. With a graph:
        ``graph`` ("found", or what was built), ``n_edges``, ``mean_degree`` and ``n_isolated`` (cells without
        neighbours); with positions also ``median_edge`` and ``longest_edge``, in their unit.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> summary = summarize_input(datasets.simulate_cortex(n_cells=60, random_state=0), None, "spatial_connectivities")
    >>> summary["graph"], summary["n_cells"], summary["n_isolated"]
    ('found', 60, 0)
    """
    preparation = preparation_of(adata)
    sizes = np.array([adata.n_obs]) if sample_key is None else labels_of(adata, sample_key).value_counts().to_numpy()
    spatial_key = spatial_key_of(adata)
    keys = {"sample_key": sample_key, "graph_key": graph_key, "layer": layer}
    keys |= {"spatial_key": None if spatial_key == SPATIAL_KEY else spatial_key}
    summary = {name: key for name, key in keys.items() if key is not None}
    summary |= {"n_cells": adata.n_obs, "n_genes": adata.n_vars, "n_samples": int((sizes > 0).sum()),
                "expression": _expression(preparation, layer)}
    summary |= {name: preparation[name] for name in ("n_cells_left_out", "n_genes_left_out") if name in preparation}
    if graph_key is not None:
        summary |= {"graph": preparation.get("graph_built", "found")} | _edges(adata, sparse.coo_array(
            graph_of(adata, graph_key)), spatial_key)
    return summary


def _expression(preparation, layer):
    """Where the expression is from, and whether it was normalised here."""
    place = expression_place(layer or preparation.get("layer"))
    if layer is None and preparation.get("normalize"):
        return f"counts in {place}, log-normalised to {preparation.get('target_sum', 1e4):,.0f} per cell"
    return f"{place}, as it is"


def _edges(adata, graph, key):
    degrees = np.bincount(graph.row, minlength=adata.n_obs)
    found = {"n_edges": int(graph.nnz // 2), "mean_degree": float(degrees.mean()),
             "n_isolated": int((degrees == 0).sum())}
    if has_positions(adata, key) and graph.nnz:
        points = positions_of(adata, key)
        lengths = np.linalg.norm(points[graph.row] - points[graph.col], axis=1)
        if np.isfinite(lengths).any():
            found |= {"median_edge": float(np.nanmedian(lengths)), "longest_edge": float(np.nanmax(lengths))}
    return found


def describe_input(summary: dict[str, Any]) -> list[str]:
    """Lines of text that tell a user what was understood.

    Examples
    --------
    >>> for line in describe_input({"n_cells": 3639, "n_genes": 1125, "n_samples": 1, "graph": "hexagonal lattice",
    ...                             "expression": "X, as it is", "n_edges": 10562, "mean_degree": 5.8,
    ...                             "n_isolated": 1, "median_edge": 138.0, "longest_edge": 139.0}):
    ...     print(line)
    data: 3,639 cells, 1,125 genes, 1 sample
    expression: X, as it is
    graph: built (hexagonal lattice), 10,562 edges, 5.8 neighbours per cell on average, 1 cell without neighbours
    edges: median length 138, longest 139 (1.0 times the median)
    """
    samples = "1 sample" if summary["n_samples"] == 1 else f"{summary['n_samples']:,} samples"
    if "sample_key" in summary:
        samples += f" ({summary['sample_key']})"
    left_out = [f"{summary[f'n_{what}_left_out']:,} {what}" for what in ("cells", "genes")
                if f"n_{what}_left_out" in summary]
    lines = [f"data: {summary['n_cells']:,} cells, {summary['n_genes']:,} genes, {samples}"
             + (f" (left out: {' and '.join(left_out)})" if left_out else ""),
             f"expression: {summary['expression']}"]
    if "spatial_key" in summary:
        lines.append(f"positions: {place_of(summary['spatial_key'])}")
    if "graph" not in summary:
        return [*lines, "graph: none"]
    source = "found in the data" if summary["graph"] == "found" else f"built ({summary['graph']})"
    isolated = f"{summary['n_isolated']:,} cell{'s' * (summary['n_isolated'] != 1)} without neighbours"
    lines.append(f"graph: {source}, {summary['n_edges']:,} edges, {summary['mean_degree']:.1f} neighbours per cell on "
                 f"average, {isolated}")
    if "median_edge" in summary:
        median, longest = summary["median_edge"], summary["longest_edge"]
        times = f" ({longest / median:.1f} times the median)" if median else ""
        lines.append(f"edges: median length {median:.4g}, longest {longest:.4g}{times}")
    return lines
