r"""What differs between two groups of samples, for example between treatment and control.

Cells of one sample are not independent, so the samples are the observations. Each quantity is first computed for every
sample; the difference of its means over the two groups is then compared with that of all ways to divide the samples
into groups of these sizes, or of a random choice of them. Four kinds of quantities are compared:

- ``metagene``: the mean proportion of each metagene;
- ``metagene contact``: for each pair of metagenes, the covariance of their proportions at the two ends of an edge,

  .. math:: C_{kl} = \frac{1}{|\vec E|} \sum_{(i, j) \in \vec E} (z_{ik} - m_k) (z_{jl} - m_l), \qquad
            m = \frac{1}{|\vec E|} \sum_{(i, j) \in \vec E} z_i ;

- ``type``: the share of each cell type;
- ``type affinity``: for each pair of types, :func:`spicemix_core.tl.cell_type_affinity` of the sample.

A positive contact or affinity is an attraction. The model itself has one affinity for all samples.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from spicemix_core.inputs.anndata import graph_of, labels_of, states_of
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.tl._adata import store
from spicemix_core.tl.clustering import CLUSTERS
from spicemix_core.tl.contacts import cell_type_affinity
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.resampling import permutation_p_value

if TYPE_CHECKING:
    from anndata import AnnData

LEVEL = 0.05  # a warning states that no p-value can be below it
_TOLERANCE = 1e-12


def conditions(adata: AnnData, condition_key: str, sample_key: str, groupby: str | None = CLUSTERS, *,
               n_permutations: int = 10_000, random_state: int | np.random.Generator | None = None,
               graph_key: str = "spatial_connectivities") -> pd.DataFrame:
    """Compare metagenes, cell types and their contacts between two groups of samples.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]`` and the neighbour graph ``obsp[graph_key]``.
    condition_key : str
        Column of ``obs`` with two values, each sample having one.
    sample_key : str
        Column of ``obs`` with the samples.
    groupby : str or None, default="spicemix_cluster"
        Column of ``obs`` with cell types. With None, only metagenes are compared.
    n_permutations : int, default=10,000
        All divisions of the samples into two groups are used if there are no more than this. Otherwise, this number of
        random ones.
    random_state : int, numpy Generator or None, default=None
        Used for random divisions only.
    graph_key : str, default="spatial_connectivities"

    Returns
    -------
    DataFrame
        One row per quantity: ``kind``, ``first``, ``second`` (the metagenes or types; the second is empty for single
        ones), ``mean_first`` and ``mean_second`` (means over the samples of the two conditions in sorted order),
        ``difference`` (first minus second), ``p_value`` (two-sided) and ``p_adjusted`` (Benjamini-Hochberg over the
        rows of one kind). Pairs of types that do not occur in every sample are left out. The function also writes the
        table to ``uns["spicemix"]["conditions"]``, with the names of the two conditions.

    Raises
    ------
    KeyError
        If a column, the states or the graph do not exist.
    ValueError
        If there are not two conditions, one has fewer than two samples, or a sample has both.

    Warns
    -----
    UserWarning
        If there are too few samples for any p-value below 0.05.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(8, n_cells=60, random_state=0)
    >>> adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]  # in place of a fit
    >>> adata.obs["group"] = adata.obs["sample"].astype(int) % 2
    >>> table = tl.conditions(adata, "group", "sample", "cell_type")
    >>> table["kind"].unique().tolist()
    ['metagene', 'metagene contact', 'type', 'type affinity']
    """
    check_integer("n_permutations", n_permutations, 1)
    samples = labels_of(adata, sample_key).to_numpy(dtype=str)
    names, first = _groups(labels_of(adata, condition_key).to_numpy(dtype=str), samples, condition_key, sample_key)
    proportions, graph = normalize_states(states_of(adata), "proportions"), graph_of(adata, graph_key)
    types = None if groupby is None else labels_of(adata, groupby).to_numpy(dtype=str)
    values = pd.DataFrame({sample: _quantities(proportions[inside], graph[inside][:, inside],
                                               None if types is None else types[inside])
                           for sample in first.index for inside in [np.flatnonzero(samples == sample)]})
    counted = values.index.get_level_values("kind") == "type"
    values[counted] = values[counted].fillna(0.0)  # a type that a sample lacks has the share zero
    values = values.dropna().sort_index(sort_remaining=False, level="kind", kind="stable")
    table = values.index.to_frame(index=False)
    table["mean_first"] = values.loc[:, first.to_numpy()].mean(axis=1).to_numpy()
    table["mean_second"] = values.loc[:, ~first.to_numpy()].mean(axis=1).to_numpy()
    table["difference"] = table["mean_first"] - table["mean_second"]
    table["p_value"] = permutation_test(values.to_numpy(), first.to_numpy(), n_permutations, random_state)
    table["p_adjusted"] = table.groupby("kind")["p_value"].transform(false_discovery_control)
    store(adata, "conditions", table, first=names[0], second=names[1], condition_key=condition_key,
          sample_key=sample_key, groupby=groupby or "")
    return table


def permutation_test(values: np.ndarray, first: np.ndarray, n_permutations: int,
                     random_state: int | np.random.Generator | None = None) -> np.ndarray:
    """Two-sided p-values of the difference of the means of two groups of columns.

    Parameters
    ----------
    values : array, shape (Q, S)
        One row per quantity, one column per sample.
    first : array of bool, shape (S,)
        The samples of the first group.
    n_permutations : int
        See :func:`conditions`.
    random_state : int, numpy Generator or None

    Returns
    -------
    array, shape (Q,)
        The observed division counts as one of all. The smallest possible value is one over the number of divisions,
        twice that for groups of equal size.
    """
    n_samples, n_first = len(first), int(first.sum())
    every = math.comb(n_samples, n_first)
    if every <= n_permutations:
        chosen = np.zeros((every, n_samples), dtype=bool)
        for row, members in zip(chosen, itertools.combinations(range(n_samples), n_first), strict=True):
            row[list(members)] = True
    else:
        rng = np.random.default_rng(random_state)
        chosen = rng.permuted(np.tile(first, (n_permutations, 1)), axis=1)
    smallest = (1 + (2 * n_first == n_samples)) / every
    if smallest > LEVEL:
        warnings.warn(f"With {n_first} and {n_samples - n_first} samples no p-value can be below {smallest:.2g}. More "
                      "samples are needed to show a difference.", UserWarning, stacklevel=3)
    weights = np.where(chosen, 1 / n_first, -1 / (n_samples - n_first))
    differences = np.abs(values @ weights.T)
    observed = np.abs(values @ np.where(first, 1 / n_first, -1 / (n_samples - n_first)))
    scale = np.abs(values).max(axis=1, initial=1.0)
    as_extreme = (differences >= (observed - _TOLERANCE * scale)[:, None]).sum(axis=1)
    return as_extreme / every if every <= n_permutations else permutation_p_value(as_extreme, n_permutations)


def _groups(labels, samples, condition_key, sample_key):
    """The two conditions, and whether each sample is of the first."""
    pairs = pd.DataFrame({"sample": samples, "condition": labels}).drop_duplicates()
    names = sorted(pairs["condition"].unique())
    if len(names) != 2:
        raise ValueError(f"obs[{condition_key!r}] has {len(names)} values. Pass a column with two, and leave out the "
                         "cells of other conditions.")
    if (twice := pairs["sample"].duplicated()).any():
        raise ValueError(f"Sample {pairs['sample'][twice].iloc[0]!r} has cells of both values of "
                         f"obs[{condition_key!r}]. Each sample must have one condition; check obs[{sample_key!r}].")
    counts = pairs["condition"].value_counts()
    if counts.min() < 2:
        raise ValueError(f"Condition {counts.idxmin()!r} has {counts.min()} sample. Two samples of each are the least.")
    return names, (pairs.set_index("sample")["condition"] == names[0]).sort_index()


def _quantities(proportions, graph, types):
    """All quantities of one sample: Series by kind and names."""
    numbers = [f"metagene {k}" for k in range(proportions.shape[1])]
    found = [_series("metagene", numbers, None, proportions.mean(axis=0))]
    rows, columns = np.triu_indices(len(numbers))
    edges = graph.tocoo()
    if edges.nnz:
        centred = proportions - proportions[edges.row].mean(axis=0)
        contacts = centred[edges.row].T @ centred[edges.col] / edges.nnz
        found.append(_series("metagene contact", np.take(numbers, rows), np.take(numbers, columns),
                             contacts[rows, columns]))
    if types is not None:
        shares = pd.Series(types).value_counts(normalize=True).sort_index()
        found.append(_series("type", shares.index, None, shares.to_numpy()))
        if edges.nnz:
            affinity = cell_type_affinity(graph, types)
            rows, columns = np.triu_indices(len(affinity))
            found.append(_series("type affinity", affinity.index[rows], affinity.index[columns],
                                 affinity.to_numpy()[rows, columns]))
    return pd.concat(found)


def _series(kind, first, second, values):
    second = [""] * len(values) if second is None else second
    return pd.Series(values, pd.MultiIndex.from_arrays([[kind] * len(values), first, second],
                                                       names=["kind", "first", "second"]))
