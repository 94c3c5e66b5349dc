"""Which cell types are neighbours more often than their numbers of contacts make likely (Supplement A.8)."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from spicemix_core.inputs.graphs import check_graph
from spicemix_core.numerics.progress import progress
from spicemix_core.tl._adata import labels_of, store


def _codes(values, n_cells, name):
    codes, types = pd.factorize(np.asarray(values), sort=True)
    if n_cells is not None and len(codes) != n_cells:
        raise ValueError(f"{name} has {len(codes)} entries for {n_cells} cells: pass one for each cell.")
    if (codes < 0).any():
        raise ValueError(f"{name} is missing for cell {int((codes < 0).argmax())}: leave such cells out.")
    return codes, types


def _inputs(graph, labels, samples):
    codes, types = _codes(labels, None, "labels")
    graph = check_graph(graph, len(codes)).tocoo()
    if graph.nnz == 0:
        raise ValueError("The graph has no edges, so no type has neighbours: build the graph first.")
    sample = np.zeros_like(codes) if samples is None else _codes(samples, len(codes), "samples")[0]
    if (sample[graph.row] != sample[graph.col]).any():
        raise ValueError("The graph joins cells of different samples: remove those edges or correct samples.")
    return graph.row, graph.col, codes, types, sample


def _affinity(row, col, codes, n_types):
    pairs = np.bincount(codes[row] * n_types + codes[col], minlength=n_types**2)
    contacts = pairs.reshape(n_types, n_types)
    degree = contacts.sum(axis=1)
    expected = (np.outer(degree, degree) - np.diag(degree)) / (degree.sum() - 1)
    cells = np.bincount(codes, minlength=n_types)
    return (2 - np.eye(n_types)) * (contacts - expected) / np.sqrt(np.outer(cells, cells))


def cell_type_affinity(graph, labels, samples=None):
    r"""Observed minus expected contacts between cell types; **positive = attraction** (unlike metagenes').

    .. math:: A_{ab} = \frac{2}{\sqrt{n_a n_b}} \Big( c_{ab} - \frac{k_a k_b}{m - 1} \Big), \qquad
              A_{aa} = \frac{1}{n_a} \Big( c_{aa} - \frac{k_a (k_a - 1)}{m - 1} \Big)

    c_ab counts ordered pairs of neighbours of types a and b, so that each edge within a type counts twice;
    ``k_a = sum_b c_ab`` is the type's total degree, ``m = sum_a k_a``, n_a its number of cells. The expected
    contacts are those of a random graph with the same degrees: one end of an edge of type a meets any of the
    other m - 1 ends, k_a - 1 of which are of its own type.

    Parameters
    ----------
    graph : (N, N) sparse or dense
        Neighbour graph of all cells, see `spicemix_core.inputs.graphs.check_graph`.
    labels : (N,) array_like
        Cell types.
    samples : (N,) array_like, optional
        Sample of each cell; given, an edge between samples is refused. Degrees and expected contacts are of
        the whole graph either way.

    Returns
    -------
    pandas.DataFrame
        Types x types, symmetric.

    Raises
    ------
    ValueError
        A graph that is no graph of these cells or has no edge, or missing labels.

    Source: supplement A.8 of the paper (book ``eq-cell-type-affinity``); the authors' tutorial, branch
    NatureGenetics-2022.
    """
    row, col, codes, types, _ = _inputs(graph, labels, samples)
    return pd.DataFrame(_affinity(row, col, codes, len(types)), index=types, columns=types)


def affinity_permutation_test(graph, labels, samples=None, *, n_permutations=1000, random_state=None):
    """Two-sided permutation p-values of `cell_type_affinity`, labels permuted among the cells of each sample.

    ``p = min(1, 2 min(p_attraction, p_avoidance))`` with ``p = (1 + #{permuted as extreme}) / (1 + n)`` on
    each side, so that no p-value is 0 (Phipson and Smyth 2010). The smallest possible is 2 / (1 + n).

    Parameters
    ----------
    graph, labels, samples
        As for `cell_type_affinity`; without ``samples`` labels are permuted among all cells.
    n_permutations : int
    random_state : int, numpy.random.Generator or None

    Returns
    -------
    pandas.DataFrame
        Types x types, not corrected for the number of pairs.

    Raises
    ------
    ValueError
        As `cell_type_affinity`, or fewer than one permutation.
    """
    if n_permutations < 1:
        raise ValueError(f"n_permutations is {n_permutations}: ask for at least 1, better 1000.")
    row, col, codes, types, sample = _inputs(graph, labels, samples)
    rng = np.random.default_rng(random_state)
    observed = _affinity(row, col, codes, len(types))
    order = np.argsort(sample, kind="stable")
    higher, lower = np.ones_like(observed), np.ones_like(observed)
    for _ in progress(range(n_permutations), "permutations"):
        # Sorting by sample, then by a random key, permutes the cells within each sample.
        permuted = np.empty_like(codes)
        permuted[order] = codes[np.lexsort((rng.random(len(codes)), sample))]
        affinity = _affinity(row, col, permuted, len(types))
        # Equal contacts can differ in the last digits through the expected ones.
        higher += affinity >= observed - 1e-9
        lower += affinity <= observed + 1e-9
    p_values = np.minimum(1.0, 2 * np.minimum(higher, lower) / (1 + n_permutations))
    return pd.DataFrame(p_values, index=types, columns=types)


def metagene_affinity(affinity):
    """S minus its mean, for a heat map with symmetric colour limits; **negative = attraction**.

    Parameters
    ----------
    affinity : (K, K) array_like or pandas.DataFrame
        Spatial affinity S of the metagenes; a constant added to all entries changes nothing in the model,
        whose proportions sum to one.

    Returns
    -------
    (K, K) array or pandas.DataFrame
        Of the kind that was passed.
    """
    values = np.asarray(affinity, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not np.isfinite(values).all():
        raise ValueError(f"affinity has shape {values.shape} or NaN entries: pass the fitted K x K matrix.")
    return affinity - values.mean() if isinstance(affinity, pd.DataFrame) else values - values.mean()


def type_affinity(adata, groupby="spicemix_cluster", sample_key=None, n_permutations=1000, random_state=None, *,
                  graph_key="spatial_connectivities") -> pd.DataFrame:
    """Which groups of cells are neighbours more often than their contacts make likely; **positive = attraction**.

    Parameters
    ----------
    adata : AnnData
        With the neighbour graph ``obsp[graph_key]``.
    groupby : str
        Column of ``obs``.
    sample_key : str, optional
        Column of ``obs``; labels are permuted within each sample.
    n_permutations : int
    random_state : int, numpy Generator or None
    graph_key : str

    Returns
    -------
    DataFrame
        A row per pair of groups, a group with itself included: ``first``, ``second``, ``affinity``
        (:func:`spicemix_core.tl.cell_type_affinity.cell_type_affinity`), ``p_value`` (two-sided, by permutation) and
        ``p_adjusted`` (Benjamini-Hochberg over the pairs).

    Raises
    ------
    KeyError, ValueError
        An unknown column or graph, cells without a group, or a graph that is none of these cells.
    """
    labels = labels_of(adata, groupby).to_numpy(dtype=str)
    samples = None if sample_key is None else labels_of(adata, sample_key).to_numpy(dtype=str)
    if graph_key not in adata.obsp:
        raise KeyError(f"obsp has no neighbour graph {graph_key!r}; build one with spicemix_core.inputs.graphs")
    graph = adata.obsp[graph_key]
    affinity = cell_type_affinity(graph, labels, samples)
    p_values = affinity_permutation_test(graph, labels, samples, n_permutations=n_permutations,
                                         random_state=random_state).to_numpy()
    rows, columns = np.triu_indices(len(affinity))
    table = pd.DataFrame({"first": affinity.index[rows], "second": affinity.index[columns],
                          "affinity": affinity.to_numpy()[rows, columns], "p_value": p_values[rows, columns],
                          "p_adjusted": false_discovery_control(p_values[rows, columns])})
    store(adata, "type_affinity", table, groupby=groupby, n_permutations=int(n_permutations))
    return table
