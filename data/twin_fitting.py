"""The parameters of a synthetic twin, from measured data and one fit of SpiceMix to them.

``data/make_twins.py`` writes the files that are shipped. They hold sums over many cells, and no count, position or
state of a single cell.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from anndata import AnnData
from paper.seqfish_plus.findings import NAMED_GENES
from paper.shared.annotation import all_markers, name_by_reference
from paper.shared.typed_cells import states_in_order
from paper.starmap.layer_borders import layer_borders
from scipy import sparse
from scipy.optimize import brentq

from spicemix_core.datasets.count_model import log_moments
from spicemix_core.datasets.seqfish_plus import load_seqfish_plus
from spicemix_core.datasets.starmap import load_starmap
from spicemix_core.datasets.twin import Twin, arrange_kinds, draw_places
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.active_set import nonnegative_least_squares
from spicemix_core.tl import cluster_states, normalize_states
from spicemix_core.tl.clustering import MIN_CELLS

DISPERSIONS = (1e-3, 2.0)
STRENGTH_STEPS = 8


def measured_twin(name: str) -> Twin:
    """Parameters of the twin of a measured data set, ``"seqfish_plus"`` or ``"starmap"``, as they are shipped.

    Raises
    ------
    DataNotFoundError
        If the measured data are not found.
    """
    if name == "starmap":
        adata = load_starmap()
        borders = layer_borders(adata.obsm["spatial"], adata.obs["cell_type"], 7, slopes=np.linspace(-0.8, 0.8, 33))
        return fit_twin(adata, "cluster", ["cluster", "cell_type"], n_bins=24, slope=borders.slope, max_length=600.0)
    adata, panel = load_seqfish_plus(), load_seqfish_plus(genes="all")
    rare = [gene for gene in dict.fromkeys([*all_markers(), *NAMED_GENES])
            if gene in panel.var_names and gene not in adata.var_names]
    return fit_twin(adata, "cluster", ["cluster", "cell_type", "coarse_type", "region"], n_bins=4, max_length=300.0,
                    panel=panel[:, rare])


def fit_twin(adata: AnnData, label_key: str, label_keys: Sequence[str], *, n_bins: int, max_length: float,
             slope: float = 0.0, panel: AnnData | None = None, n_metagenes: int = 20, random_state: int = 0) -> Twin:
    """Parameters of the twin of a data set.

    Parameters
    ----------
    adata : AnnData
        The result of a loader: log-normalised ``X``, ``layers["counts"]``, ``obs["sample"]``,
        ``obs["total_counts"]``, positions and neighbour graph.
    label_key : str
        Column of ``obs`` with the cells' earlier labels.
    label_keys : sequence of str
        Columns of ``obs`` that depend on this label only, itself included.
    n_bins : int
        Number of bins of depth in each sample.
    max_length : float
        Longest side of the Delaunay graph.
    slope : float
        Depth is ``x - slope y``.
    panel : AnnData, optional
        The same cells with other genes. Their rows of the metagenes are non-negative least-squares fits on the states.
    n_metagenes, random_state : int
        See :class:`spicemix_core.SpiceMix`.

    Returns
    -------
    Twin

    Raises
    ------
    ValueError
        If no cluster of the states has ``MIN_CELLS`` cells.
    """
    model = SpiceMix(n_metagenes, random_state=random_state).fit(adata.copy(), sample_key="sample")
    sample, totals = adata.obs["sample"].to_numpy(dtype=str), adata.obs["total_counts"].to_numpy(dtype=float)
    states = states_in_order(model, sample)
    z = normalize_states(states, "proportions")
    types = _common_types(cluster_states(states).labels, z)
    earlier = adata.obs[list(label_keys)].astype(str)
    kinds = earlier.assign(type=types).groupby([label_key, "type"], sort=True)
    of_kind = kinds.first().reset_index()
    metagenes, genes, counts = model.metagenes_, adata.var_names, adata.layers["counts"]
    if panel is not None:
        others = nonnegative_least_squares(states.T @ states, np.asarray(panel.X.T @ states))
        metagenes, genes = np.vstack([metagenes, others]), genes.append(panel.var_names)
        counts = sparse.hstack([counts, panel.layers["counts"]])
    kind = kinds.ngroup().to_numpy()
    places = _places(adata.obsm["spatial"], sample, kind, n_bins, slope)
    expected = states @ model.metagenes_.T
    twin = Twin(
        genes=genes.to_numpy(dtype=str), n_modelled=adata.n_vars, metagenes=metagenes, affinity=model.affinity_,
        dispersion=_fit_dispersion(expected, totals, np.square(adata.X - expected).mean()),
        share_measured=float(counts.sum() / totals.sum()), **places,
        type_of_kind=of_kind["type"].to_numpy(), label_names=np.array(label_keys),
        labels=of_kind[list(label_keys)].to_numpy(dtype=str), types=_names(types, earlier["cell_type"]),
        **_distributions(z, np.log(totals), types),
        total_range=np.array([totals.min(), totals.max()]), max_length=max_length, strength=1.0)
    return replace(twin, strength=_fit_strength(twin, _mean_energy(twin, kind, adata.obsp["spatial_connectivities"])))


def _mean_energy(twin, kinds, graph):
    """Mean energy of two neighbours, from the kinds of the cells."""
    edges = sparse.coo_array(graph)
    return twin.energy[kinds[edges.row], kinds[edges.col]].mean()


def _fit_strength(twin, energy):
    """The strength, at most 1, with which neighbours in the twin have this mean energy; by bisection with one seed."""
    sample, group, kinds, points = draw_places(twin, np.random.default_rng(0))
    graph = graph_by_sample(points, sample, partial(delaunay_graph, max_length=twin.max_length))
    low, high = 0.0, 1.0
    for _ in range(STRENGTH_STEPS):
        strength = (low + high) / 2
        drawn = arrange_kinds(kinds, group, strength * twin.energy, graph, np.random.default_rng(0))
        low, high = (strength, high) if _mean_energy(twin, drawn, graph) > energy else (low, strength)
    return (low + high) / 2


def _common_types(clusters, z):
    """Type of each cell, from 0: its cluster or, if it has fewer than ``MIN_CELLS`` cells, the nearest larger one."""
    sizes = np.bincount(clusters)
    common = np.flatnonzero(sizes >= MIN_CELLS)
    if not common.size:
        raise ValueError(f"None of the {len(sizes)} clusters has {MIN_CELLS} cells; give more cells.")
    means = np.array([z[clusters == t].mean(axis=0) for t in range(len(sizes))])
    return np.square(means[:, None] - means[common]).sum(axis=2).argmin(axis=1)[clusters]


def _names(types, labels):
    """Name of each type: the most frequent label of its cells, with a number if several types have the same label."""
    naming = name_by_reference(types, labels, labels, min_cells=1)
    return naming["name"].sort_index().to_numpy(dtype=str)


def _distributions(z, log_totals, types):
    """Distributions of each type: Dirichlet of the proportions, by moments, and log-normal of the totals.

    With concentration c, proportions with mean m have the variance m (1 - m) / (c + 1).
    """
    members = [types == t for t in range(types.max() + 1)]
    means = np.array([z[own].mean(axis=0) for own in members])
    variance = np.array([z[own].var(axis=0, ddof=1).sum() for own in members])
    return {"proportions": means, "concentrations": (means * (1 - means)).sum(axis=1) / variance - 1,
            "log_totals": np.array([[log_totals[own].mean(), log_totals[own].std(ddof=1)] for own in members])}


def _places(coordinates, sample, kinds, n_bins, slope):
    """Names, extents and depths of the samples, and their cells by bin of depth and kind."""
    samples, number = np.unique(sample, return_inverse=True)
    depth = coordinates @ (1.0, -slope)
    x, y, depths = (np.array([(values[number == s].min(), values[number == s].max()) for s in range(len(samples))])
                    .round() for values in (*coordinates.T, depth))
    nearest, farthest = depths[number].T
    bins = np.clip((depth - nearest) / (farthest - nearest) * n_bins, 0, n_bins - 1).astype(int)
    cells = np.zeros((len(samples), n_bins, kinds.max() + 1), dtype=int)
    np.add.at(cells, (number, bins, kinds), 1)
    return {"samples": samples, "extents": np.hstack([x, y]), "slope": slope, "depths": depths, "cells": cells}


def _fit_dispersion(expected, totals, noise_variance):
    """phi for which the mean variance of the expression about its mean is ``noise_variance``."""
    def excess(dispersion):
        means, squares = log_moments(totals, dispersion)
        variance = 0.0
        for row, mean, square in zip(expected, means.T, squares.T, strict=True):
            variance += np.interp(row, mean, square - mean**2).sum()
        return variance / expected.size - noise_variance
    return float(brentq(excess, *DISPERSIONS, xtol=1e-3))
