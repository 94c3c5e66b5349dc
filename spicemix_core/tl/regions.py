"""Tissue domains: regions in which the mixture of cells is alike, from states averaged over neighbours.

A cell type is a property of a cell, a domain one of its surroundings. The z-scored proportions of each cell are
averaged over the cell and its neighbours, once or more, and the averages are clustered by Ward's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.anndata import graph_of, states_of
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.tl._adata import store
from spicemix_core.tl.clustering import write_labels
from spicemix_core.tl.matching import match_labels
from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.trees import cells_of_tree, cut_tree, nearest_cluster, order_by_size, ward_tree

if TYPE_CHECKING:
    from anndata import AnnData

    from spicemix_core.model import SpiceMix

DOMAINS, CONFIDENCE = "spicemix_domain", "spicemix_domain_confidence"  # columns of obs
CELLS_IN_AVERAGE = 10  # effective number of cells that an average must have
LEAST_GAIN = 0.03  # share of the variation that the last domain must explain
MOST_SWEEPS = 100


@dataclass(frozen=True)
class Domains:
    """Result of :func:`domains`.

    Attributes
    ----------
    labels : (N,) array of int
        Domain of each cell. Domain 0 is the largest.
    n_domains : int
    n_averagings : int
        How often the states were averaged over the neighbours.
    explained : pandas.Series
        Share of the variation of the averaged states that Ward's clusters explain, by number of domains.
    confidence : (N,) array or None
        Share of the runs that agree with the domain of the cell, if there are runs.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> cortex = datasets.simulate_cortex(n_cells=300, random_state=0)
    >>> cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"]  # in place of a fit
    >>> tl.domains(cortex).n_domains
    4
    """

    labels: np.ndarray
    n_domains: int
    n_averagings: int
    explained: pd.Series
    confidence: np.ndarray | None = None


def domains(adata: AnnData, *, n_domains: int | None = None, n_domains_range: tuple[int, int] = (2, 20),
            n_averagings: int | None = None, smooth: bool = True, runs: Sequence[SpiceMix] | None = None,
            graph_key: str = "spatial_connectivities", key_added: str = DOMAINS) -> Domains:
    """Tissue domains of a fitted AnnData object: regions in which the mixture of cells is alike.

    The z-scored proportions of the metagenes are averaged over each cell and its neighbours and clustered. All samples
    are clustered together, so a domain has the same label in all of them.

    Parameters
    ----------
    adata : AnnData
        With ``obsm["X_spicemix"]`` and the neighbour graph ``obsp[graph_key]``, which joins no cells of different
        samples.
    n_domains : int, optional
        Number of domains. By default, the largest number in ``n_domains_range`` of which the last domain still
        explains at least 3 % of the variation of the averaged states.
    n_domains_range : (int, int), default=(2, 20)
        Smallest and largest number considered, both included.
    n_averagings : int, optional
        How often the states are averaged over the neighbours. By default, the smallest number for which the average of
        the median cell is over at least 10 cells in effect: 2 for graphs with six neighbours.
    smooth : bool, default=True
        Afterwards, give each cell the domain that most of its neighbours and itself have, until nothing changes.
    runs : sequence of SpiceMix, optional
        Fits of the same data from different seeds, for example ``fit_consensus(...).runs``. Each cell then gets the
        domain that most of the runs give it, and the share of these runs as its confidence.
    graph_key : str, default="spatial_connectivities"
    key_added : str, default="spicemix_domain"
        Column of ``obs`` for the labels, with categories "0" (the largest domain), "1", ...

    Returns
    -------
    Domains
        The function also writes the labels to ``obs[key_added]``, the confidence, if any, to
        ``obs["spicemix_domain_confidence"]``, and the explained shares to ``uns["spicemix"]["domains"]``.

    Raises
    ------
    KeyError
        If the object has no states or no graph.
    ValueError
        If a number is impossible, the graph has no edges, or the runs are of other cells.

    Notes
    -----
    The effective number of cells of an average with weights w is :math:`1 / \\sum w^2`. The averages are clustered by
    Ward's method; of more than 10,000 cells, a random subset (always the same) is clustered, and every cell is assigned
    to the domain with the nearest mean. The book, chapter "Human cortex", compares the choices that were considered.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> cortex = datasets.simulate_cortex(2, n_cells=200, random_state=0)
    >>> cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"]  # in place of a fit
    >>> found = tl.domains(cortex, n_domains=4)
    >>> tl.adjusted_rand_index(found.labels, cortex.obs["layer"]) > 0.8
    True
    """
    graph = sparse.csr_array(check_graph(graph_of(adata, graph_key), adata.n_obs), dtype=float)
    if graph.nnz == 0:
        raise ArgumentError(f"The graph obsp[{graph_key!r}] has no edges, so there are no neighbours to average over.",
                            "Build a graph with edges, or name another with {graph_key}.")
    weights = averaging_weights(graph)
    times = averagings_for(weights) if n_averagings is None else n_averagings
    check_integer("n_averagings", times, 0)
    labels, explained = _domains_of(states_of(adata), weights, times, n_domains_range, n_domains)
    n, confidence = last_worthwhile(explained), None
    if runs is not None:
        own = [_domains_of(states_of_run(run, adata), weights, times, n_domains_range, n)[0] for run in runs]
        labels, confidence = _vote(labels, own, n)
    if smooth:
        labels = smooth_labels(labels, graph)
    labels = order_by_size(labels, n)
    write_labels(adata, labels, key_added)
    if confidence is not None:
        adata.obs[CONFIDENCE] = confidence
    elif key_added == DOMAINS and CONFIDENCE in adata.obs:
        del adata.obs[CONFIDENCE]
    store(adata, "domains", explained.reset_index(), key=key_added, n_domains=n, n_averagings=times,
          smooth=bool(smooth))
    return Domains(labels, n, times, explained, confidence)


def averaging_weights(graph: sparse.csr_array) -> sparse.csr_array:
    """Weights of one averaging, (N, N): equal for a cell and its neighbours."""
    own = sparse.csr_array(graph + sparse.eye_array(graph.shape[0]))
    return sparse.csr_array(sparse.diags_array(1 / own.sum(axis=1)) @ own)


def averagings_for(weights: sparse.csr_array) -> int:
    """The smallest number of averagings for which the median cell's average is over at least 10 cells in effect."""
    largest = int(np.ceil(np.sqrt(weights.shape[0])))  # small pieces of tissue have no average over 10 cells
    power = weights
    for times in range(1, largest):
        if np.median(1 / power.power(2).sum(axis=1)) >= CELLS_IN_AVERAGE:
            return times
        power = sparse.csr_array(power @ weights)
    return largest


def average_over_neighbours(values: np.ndarray, weights: sparse.csr_array, times: int) -> np.ndarray:
    """``values`` (N, K) after so many averagings."""
    for _ in range(times):
        values = weights @ values
    return values


def explained_shares(tree: np.ndarray, smallest: int, largest: int) -> pd.Series:
    """Share of the variation between the clusters of a Ward tree, by their number.

    A merge at height h adds ``h^2 / 2`` to the variation within clusters.
    """
    gains = np.concatenate([[0.0], np.cumsum(tree[::-1, 2] ** 2)])
    numbers = pd.Index(range(smallest, largest + 1), name="n_domains")
    return pd.Series(gains[numbers - 1] / gains[-1], numbers, name="explained")


def last_worthwhile(explained: pd.Series) -> int:
    """The largest number of domains of which the last one explains at least 3 % of the variation."""
    worth = explained.index[1:][np.diff(explained) >= LEAST_GAIN]
    return int(worth[-1] if len(worth) else explained.index[0])


def smooth_labels(labels: ArrayLike, graph: sparse.csr_array) -> np.ndarray:
    """Give each cell the most frequent label of its neighbours and itself, until nothing changes.

    A cell keeps its label if no other is more frequent. Labels that go back and forth end after 100 sweeps.
    """
    labels = np.array(labels)
    around = sparse.csr_array(graph + sparse.eye_array(graph.shape[0]))
    for _ in range(MOST_SWEEPS):
        votes = around @ np.eye(labels.max() + 1)[labels]
        better = votes.max(axis=1) > votes[np.arange(len(labels)), labels]
        if not better.any():
            break
        labels = np.where(better, votes.argmax(axis=1), labels)
    return labels


def _domains_of(states, weights, times, n_domains_range, n_domains):
    """Domains of one fit, as labels, and the shares that the numbers considered explain."""
    rows = average_over_neighbours(normalize_states(states, "zscore_proportions"), weights, times)
    chosen = cells_of_tree(len(rows))
    tree = ward_tree(rows[chosen])
    smallest, largest = n_domains_range if n_domains is None else (n_domains, n_domains)
    largest = min(largest, len(chosen) - 1)
    if not 2 <= smallest <= largest:
        raise ArgumentError(f"A division of {len(chosen)} cells into {smallest} domains is impossible.",
                            f"Choose from 2 to {len(chosen) - 1} domains.")
    explained = explained_shares(tree, smallest, largest)
    labels = cut_tree(tree, last_worthwhile(explained))
    if len(chosen) < len(rows):
        labels = nearest_cluster(rows, chosen, labels)
    return labels, explained


def states_of_run(run, adata):
    """States (N, K) of a fitted run in the order of the cells of ``adata``."""
    names = np.concatenate(run.cell_names_)
    rows = pd.Index(names).get_indexer(adata.obs_names)
    if len(names) != adata.n_obs or (rows < 0).any():
        raise ArgumentError(f"A run has the states of {len(names)} cells, which are not the {adata.n_obs} cells of the "
                            "data.", "Pass {runs} that were fitted to these data.")
    return np.concatenate(run.latent_states_)[rows]


def _vote(labels, own, n_domains):
    """The domain that most runs give each cell, with the domains matched to ``labels``, and the share of these runs."""
    votes = np.zeros((len(labels), n_domains))
    for run in own:
        matched = match_labels(run, labels).loc[run].to_numpy()
        known = np.flatnonzero(pd.notna(matched))
        votes[known, matched[known].astype(int)] += 1 / len(own)
    return votes.argmax(axis=1), votes.max(axis=1)
