r"""Synthetic twins of the measured data: tissue drawn from parameters of SpiceMix that were fitted to the data.

A twin has the layout and the gene names of its original and a known truth, but no measurement. It is drawn in four
steps:

1. *Positions.* In each sample, each bin of depth gets as many cells as in the original, at random points that keep a
   distance from each other. No measured position is used.
2. *Types.* Each bin has as many cells of each type as in the original. Within a bin, types are assigned to points by
   the energy of the model. With :math:`\bar z_t` the mean proportions of type t,
   :math:`p(t) \propto \exp(-\kappa \sum_{(i,j) \in E} \bar z_{t_i}^\top S \bar z_{t_j})` (Metropolis, swaps of two
   cells). The strength :math:`\kappa` is chosen such that neighbours have the same mean energy as in the original; with
   :math:`\kappa = 1` the types would be more separated.
3. *States.* :math:`z_i` has a Dirichlet distribution with mean :math:`\bar z_{t_i}` and a concentration of the type.
   The total count :math:`T_i` has a log-normal distribution of the type.
4. *Counts* are negative binomial with variance :math:`\lambda + \phi \lambda^2`. The rate of an entry is such that
   :math:`\log(1 + 10^4 c_{ig} / T_i)` has the mean :math:`(M x_i)_g` with :math:`x_i = s_i z_i`. The size :math:`s_i`
   is such that the rates add up to the cell's total. The dispersion :math:`\phi` is such that the mean variance equals
   that of the residuals of the fit. The recipe of the measured counts gives expression and graph.

``data/twin_fitting.py`` of the repository fits the parameters.
"""

from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial.distance import cdist

from spicemix_core.datasets.count_model import TARGET_SUM, log_moments, size_and_rates
from spicemix_core.datasets.recipes import normalize_and_connect
from spicemix_core.files.atomic import replacing
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample
from spicemix_core.numerics.compiled import njit

CANDIDATES = 10  # points drawn for a cell, of which the one farthest from all other cells is kept
SWEEPS = 100


@dataclass(frozen=True)
class Twin:
    """Parameters of a twin: S samples, B bins of depth, T types, K metagenes, G genes.

    The types are the truth of the twin. Its cells also have the kind of labels that the original has from earlier work:
    each of the P kinds of cells has one type and one label.

    Attributes
    ----------
    genes : (G,) array of str
        The modelled genes in the order of the original, then marker genes that were not modelled.
    n_modelled : int
        Number of modelled genes.
    metagenes : (G, K) array
        Columns sum to one over the modelled genes; the other rows are in the same unit.
    affinity : (K, K) array
        S.
    strength : float
        kappa.
    dispersion : float
        phi, positive.
    share_measured : float
        Share of the G genes in the counts of a cell.
    samples : (S,) array of str
        Names.
    extents : (S, 4) array
        Smallest and largest x, smallest and largest y.
    slope : float
        Depth is ``x - slope y``.
    depths : (S, 2) array
        Smallest and largest depth.
    cells : (S, B, P) int array
        Number of cells by sample, bin of depth and kind.
    type_of_kind : (P,) int array
        Type of each kind.
    label_names, labels : (L,) and (P, L) arrays of str
        Columns of ``obs`` with labels, and the label of each kind.
    types : (T,) array of str
        Names.
    proportions, concentrations : (T, K) and (T,) arrays
        Means and concentrations of the Dirichlet distributions.
    log_totals : (T, 2) array
        Mean and standard deviation of the logarithm of the total count.
    total_range : (2,) array
        Smallest and largest total count.
    max_length : float
        Longest side of the Delaunay graph.
    """

    genes: np.ndarray
    n_modelled: int
    metagenes: np.ndarray
    affinity: np.ndarray
    strength: float
    dispersion: float
    share_measured: float
    samples: np.ndarray
    extents: np.ndarray
    slope: float
    depths: np.ndarray
    cells: np.ndarray
    type_of_kind: np.ndarray
    label_names: np.ndarray
    labels: np.ndarray
    types: np.ndarray
    proportions: np.ndarray
    concentrations: np.ndarray
    log_totals: np.ndarray
    total_range: np.ndarray
    max_length: float

    @property
    def energy(self) -> np.ndarray:
        """Energy (P, P) of two neighbours by their kinds, from the mean proportions of their types."""
        means = self.proportions[self.type_of_kind]
        return means @ self.affinity @ means.T


def save_twin(twin: Twin, path: str | Path) -> None:
    """Write the parameters to a compressed ``.npz`` file; equal parameters give equal bytes."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **_small(asdict(twin)))


def load_twin(path: str | Path) -> Twin:
    """Read parameters written by :func:`save_twin`.

    Raises
    ------
    ValueError
        If the file is damaged or not of this kind.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {field.name: stored[field.name] for field in fields(Twin)}
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive raises errors of many types
        raise ValueError(f"{path} does not hold the parameters of a twin ({error}); fetch it again.") from error
    values["metagenes"] = values["metagenes"] / len(values["genes"])
    return Twin(**{name: value.item() if value.ndim == 0 else value if value.dtype.kind in "iuU"
                   else value.astype(float) for name, value in values.items()})


def _small(values):
    """Half precision where three digits suffice; metagenes times G, so that half precision can represent them."""
    metagenes = values["metagenes"] * len(values["genes"])
    return values | {"metagenes": metagenes.astype(np.float16), "cells": values["cells"].astype(np.uint16),
                     **{name: values[name].astype(np.float16) for name in ("affinity", "proportions")},
                     **{name: values[name].astype(np.float32) for name in ("concentrations", "log_totals")}}


def sample_twin(twin: Twin, *, genes: str = "modelled", random_state: int | np.random.Generator | None = 0,
                ) -> anndata.AnnData:
    """Draw tissue from the parameters of a twin in the four steps described at the top of this module.

    Parameters
    ----------
    twin : Twin
    genes : {"modelled", "all"}
        ``"all"`` keeps the marker genes that were not modelled; everything else is the same.
    random_state : int, numpy Generator or None
        Seed.

    Returns
    -------
    AnnData
        The fields of the loader of the original (without ``uns["source"]``), and the truth in ``obs["true_type"]``,
        ``obsm["true_latent_states"]`` (N, K) in the units of ``X`` and ``varm["true_metagenes"]``.

    Raises
    ------
    ValueError
        If ``genes`` is neither of the two.
    """
    if genes not in ("modelled", "all"):
        raise ValueError(f'genes must be "modelled" or "all", not {genes!r}.')
    rng = np.random.default_rng(random_state)
    sample, group, kinds, points = draw_places(twin, rng)
    graph = graph_by_sample(points, sample, partial(delaunay_graph, max_length=twin.max_length))
    kinds = arrange_kinds(kinds, group, twin.strength * twin.energy, graph, rng)
    types = twin.type_of_kind[kinds]
    z, totals = draw_proportions(twin, types, rng)
    means, _ = log_moments(totals, twin.dispersion)
    cells = zip(z @ twin.metagenes.T, means.T, twin.share_measured * totals, strict=True)
    sizes, rates = map(np.array, zip(*(size_and_rates(*cell) for cell in cells), strict=True))
    shape = 1 / twin.dispersion
    counts = sparse.csr_matrix(rng.poisson(rng.gamma(shape, rates / shape)))
    totals = np.asarray(counts.sum(axis=1)).ravel() + rng.poisson((1 - twin.share_measured) * totals)
    obs = pd.DataFrame({"sample": pd.Categorical(twin.samples[sample], twin.samples)},
                       index=[f"cell{i}" for i in range(len(types))])
    for name, labels in zip(twin.label_names, twin.labels.T, strict=True):
        obs[str(name)] = pd.Categorical(labels[kinds])
    obs["true_type"] = pd.Categorical(twin.types[types], twin.types)
    raw = anndata.AnnData(counts, obs=obs, var=pd.DataFrame(index=twin.genes), obsm={"spatial": points})
    raw.var["share_of_cells"] = np.asarray((counts > 0).mean(axis=0)).ravel()
    raw.obsm["true_latent_states"], raw.varm["true_metagenes"] = sizes[:, None] * z, twin.metagenes
    if genes == "modelled":
        raw = raw[:, : twin.n_modelled].copy()
    return normalize_and_connect(raw, totals, TARGET_SUM, twin.max_length, dense=genes == "modelled")


def draw_places(twin: Twin, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sample, bin (numbered over all samples) and kind of each cell, (N,) each, sorted by bin; and points (N, 2)."""
    samples, bins, kinds = (np.repeat(index, twin.cells.ravel()) for index in
                            np.indices(twin.cells.shape).reshape(3, -1))
    points, n_bins = np.empty((len(kinds), 2)), twin.cells.shape[1]
    for s, (nearest, farthest) in enumerate(twin.depths):
        placed = np.empty((0, 2))
        for i in rng.permutation(np.flatnonzero(samples == s)):
            depth = nearest + (farthest - nearest) * (bins[i] + rng.random(CANDIDATES)) / n_bins
            tries = _points_at(depth, twin.slope, twin.extents[s], rng)
            best = cdist(tries, placed).min(axis=1).argmax() if len(placed) else 0
            points[i] = tries[best]
            placed = np.vstack([placed, points[i]])
    return samples, samples * n_bins + bins, kinds, points


def _points_at(depth, slope, extent, rng):
    """A random point of each depth within the extent of a sample."""
    left, right, low, high = extent
    if slope:
        ends = np.sort([(left - depth) / slope, (right - depth) / slope], axis=0)
        low, high = np.maximum(ends[0], low), np.minimum(ends[1], high)
    y = rng.uniform(low, high, len(depth))
    return np.column_stack([np.clip(depth + slope * y, left, right), y])


def arrange_kinds(kinds: np.ndarray, group: np.ndarray, energy: np.ndarray, graph: sparse.csr_matrix,
                  rng: np.random.Generator) -> np.ndarray:
    """Redraw kinds (N,) by swaps within groups; cells are sorted by group, ``energy`` (P, P) counts once per edge."""
    start, size = np.searchsorted(group, group), np.bincount(group)[group]
    kinds = kinds.copy()
    for _ in range(SWEEPS):
        first = rng.integers(len(kinds), size=len(kinds))
        second = start[first] + rng.integers(size[first])
        _swap(kinds, energy, graph.indptr, graph.indices, first, second, rng.random(len(kinds)))
    return kinds


@njit()
def _swap(kinds, energy, indptr, indices, first, second, uniform):  # pragma: no cover
    """Metropolis steps that swap the kinds of two cells, in place; an edge between the two keeps its energy."""
    for step in range(len(first)):
        i, j = first[step], second[step]
        a, b = kinds[i], kinds[j]
        change = 0.0
        for n in indices[indptr[i]:indptr[i + 1]]:
            if n != j:
                change += energy[b, kinds[n]] - energy[a, kinds[n]]
        for n in indices[indptr[j]:indptr[j + 1]]:
            if n != i:
                change += energy[a, kinds[n]] - energy[b, kinds[n]]
        if uniform[step] < np.exp(-change):
            kinds[i], kinds[j] = b, a


def draw_proportions(twin: Twin, types: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Proportions (N, K) and totals (N,), given the types; the totals are clipped to the range of the original."""
    weights = rng.gamma(twin.concentrations[types, None] * twin.proportions[types])
    totals = np.exp(rng.normal(twin.log_totals[types, 0], twin.log_totals[types, 1]))
    return weights / weights.sum(axis=1, keepdims=True), np.clip(totals, *twin.total_range)
