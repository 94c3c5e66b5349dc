"""Which cell types are neighbours more often than expected from their numbers of contacts (Supplement A.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from spicemix_core.affinity import center
from spicemix_core.inputs.anndata import graph_of, labels_of
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.numerics.progress import progress
from spicemix_core.tl._adata import store
from spicemix_core.tl.clustering import CLUSTERS
from spicemix_core.tl.resampling import two_sided_p_value

if TYPE_CHECKING:
    from anndata import AnnData
    from scipy.sparse import sparray, spmatrix

    Graph: TypeAlias = ArrayLike | sparray | spmatrix
    Seed: TypeAlias = int | np.random.Generator | None

_TOLERANCE = 1e-9  # rounding errors of the expected contacts can separate affinities that are equal


def cell_type_affinity(graph: Graph, labels: ArrayLike, samples: ArrayLike | None = None) -> pd.DataFrame:
    r"""Observed minus expected contacts between cell types. **Positive values mean attraction.**

    The sign is opposite to that of the metagene affinity.

    Parameters
    ----------
    graph : (N, N) array_like or sparse matrix
        Symmetric neighbour graph of all cells.
    labels : (N,) array_like
        Cell type of each cell.
    samples : (N,) array_like, optional
        Sample of each cell. If given, edges between samples raise an error. Degrees and expected contacts are those of
        the whole graph in both cases.

    Returns
    -------
    DataFrame
        Types x types, symmetric.

    Raises
    ------
    ValueError
        If the graph does not fit the cells or has no edge, or if a label is missing.

    Notes
    -----
    .. math:: A_{ab} = \frac{2}{\sqrt{n_a n_b}} \Big( c_{ab} - \frac{k_a k_b}{m - 1} \Big), \qquad
              A_{aa} = \frac{1}{n_a} \Big( c_{aa} - \frac{k_a (k_a - 1)}{m - 1} \Big)

    c_ab is the number of ordered pairs of neighbours of types a and b, in which each edge within a type counts twice.
    ``k_a = sum_b c_ab`` is the total degree of the type, ``m = sum_a k_a``, and n_a its number of cells. The expected
    contacts are those of a random graph with the same degrees: one end of an edge of type a meets any of the other
    m - 1 ends, of which k_a - 1 belong to its own type.

    References
    ----------
    Supplement A.8 of the paper (book ``eq-cell-type-affinity``), and the authors' tutorial (branch NatureGenetics-2022
    of their repository).

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> line = np.eye(6, k=1) + np.eye(6, k=-1)
    >>> tl.cell_type_affinity(line, ["a", "a", "a", "b", "b", "b"]).round(2)
          a     b
    a  0.59 -1.19
    b -1.19  0.59
    """
    row, col, codes, types, _ = _inputs(graph, labels, samples)
    return pd.DataFrame(_statistic(row, col, codes, len(types))(codes), index=types, columns=types)


def affinity_permutation_test(graph: Graph, labels: ArrayLike, samples: ArrayLike | None = None, *,
                              n_permutations: int = 1000, random_state: Seed = None) -> pd.DataFrame:
    """Two-sided permutation p-values of :func:`cell_type_affinity`.

    Labels are permuted among the cells of each sample.

    Parameters
    ----------
    graph, labels, samples
        As for :func:`cell_type_affinity`. Without ``samples``, labels are permuted among all cells.
    n_permutations : int, default=1000
        The smallest possible p-value is ``2 / (1 + n_permutations)``.
    random_state : int, numpy Generator or None, default=None

    Returns
    -------
    DataFrame
        Types x types. The p-values are not corrected for the number of pairs.

    Raises
    ------
    ValueError
        If there is no permutation, and as :func:`cell_type_affinity`.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import tl
    >>> line = np.eye(40, k=1) + np.eye(40, k=-1)
    >>> p_values = tl.affinity_permutation_test(line, ["a"] * 20 + ["b"] * 20, n_permutations=99, random_state=0)
    >>> float(p_values.loc["a", "b"])
    0.02
    """
    check_integer("n_permutations", n_permutations, 1)
    row, col, codes, types, sample = _inputs(graph, labels, samples)
    rng = np.random.default_rng(random_state)
    statistic = _statistic(row, col, codes, len(types))
    observed = statistic(codes)
    order = np.argsort(sample, kind="stable")
    as_high, as_low = np.zeros_like(observed), np.zeros_like(observed)
    for _ in progress(range(n_permutations), "permutations"):
        # Sorting by sample, then by a random key, permutes the cells within each sample.
        permuted = np.empty_like(codes)
        permuted[order] = codes[np.lexsort((rng.random(len(codes)), sample))]
        affinity = statistic(permuted)
        as_high += affinity >= observed - _TOLERANCE
        as_low += affinity <= observed + _TOLERANCE
    return pd.DataFrame(two_sided_p_value(as_high, as_low, n_permutations), index=types, columns=types)


def metagene_affinity(affinity: ArrayLike | pd.DataFrame) -> np.ndarray | pd.DataFrame:
    """Metagene affinity S minus its mean. **Negative values mean attraction.**

    Parameters
    ----------
    affinity : (K, K) array_like or DataFrame
        Spatial affinity S of the metagenes. A constant added to all entries does not change the model, because
        proportions sum to one.

    Returns
    -------
    (K, K) array or DataFrame
        Of the type of ``affinity``.

    Raises
    ------
    ValueError
        If ``affinity`` is not a finite square matrix.

    Examples
    --------
    >>> from spicemix_core import tl
    >>> tl.metagene_affinity([[1.0, 2.0], [2.0, 3.0]])
    array([[-1.,  0.],
           [ 0.,  1.]])
    """
    values = np.asarray(affinity, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not np.isfinite(values).all():
        raise ValueError(f"affinity has shape {values.shape} or NaN entries. Pass the fitted K x K matrix.")
    return center(affinity if isinstance(affinity, pd.DataFrame) else values)


def type_affinity(adata: AnnData, groupby: str = CLUSTERS, sample_key: str | None = None, n_permutations: int = 1000,
                  random_state: Seed = None, *, graph_key: str = "spatial_connectivities") -> pd.DataFrame:
    """Which groups of cells are neighbours more often than expected. **Positive values mean attraction.**

    Parameters
    ----------
    adata : AnnData
        With the neighbour graph ``obsp[graph_key]``.
    groupby : str, default="spicemix_cluster"
        Column of ``obs`` with the groups.
    sample_key : str, optional
        Column of ``obs`` with the samples. Labels are permuted within each sample.
    n_permutations : int, default=1000
    random_state : int, numpy Generator or None, default=None
    graph_key : str, default="spatial_connectivities"

    Returns
    -------
    DataFrame
        One row per pair of groups, including each group with itself: ``first``, ``second``, ``affinity``
        (:func:`cell_type_affinity`), ``p_value`` (:func:`affinity_permutation_test`) and ``p_adjusted``
        (Benjamini-Hochberg over the pairs). The function also writes the table to ``uns["spicemix"]["type_affinity"]``.

    Raises
    ------
    KeyError
        If a column or the graph does not exist.
    ValueError
        If a cell has no group or sample, or the graph does not fit the cells.

    Examples
    --------
    >>> from spicemix_core import datasets, tl
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> table = tl.type_affinity(adata, "layer", "sample", n_permutations=99, random_state=0)
    >>> table.loc[table["first"] == table["second"], "affinity"].gt(0).all()
    np.True_
    """
    labels = labels_of(adata, groupby).to_numpy(dtype=str)
    samples = None if sample_key is None else labels_of(adata, sample_key).to_numpy(dtype=str)
    graph = graph_of(adata, graph_key)
    affinity = cell_type_affinity(graph, labels, samples)
    p_values = affinity_permutation_test(graph, labels, samples, n_permutations=n_permutations,
                                         random_state=random_state).to_numpy()
    rows, columns = np.triu_indices(len(affinity))
    table = pd.DataFrame({"first": affinity.index[rows], "second": affinity.index[columns],
                          "affinity": affinity.to_numpy()[rows, columns], "p_value": p_values[rows, columns],
                          "p_adjusted": false_discovery_control(p_values[rows, columns])})
    store(adata, "type_affinity", table, groupby=groupby, n_permutations=int(n_permutations))
    return table


def _codes(values, n_cells, name):
    codes, types = pd.factorize(np.asarray(values), sort=True)
    if n_cells is not None and len(codes) != n_cells:
        raise ValueError(f"{name} has {len(codes)} entries for {n_cells} cells. Pass one entry for each cell.")
    if (codes < 0).any():
        raise ValueError(f"{name} has no value for the cell in row {int((codes < 0).argmax())}. Leave such cells out.")
    return codes, types


def _inputs(graph, labels, samples):
    """The checked input: both ends of all edges, codes and names of the types, codes of the samples."""
    codes, types = _codes(labels, None, "labels")
    graph = check_graph(graph, len(codes)).tocoo()
    if graph.nnz == 0:
        raise ValueError("The graph has no edges, so no type has neighbours. Build the graph first.")
    sample = np.zeros_like(codes) if samples is None else _codes(samples, len(codes), "samples")[0]
    if (sample[graph.row] != sample[graph.col]).any():
        raise ValueError("The graph joins cells of different samples. Remove these edges or correct the samples.")
    return graph.row, graph.col, codes, types, sample


def _statistic(row, col, codes, n_types):
    """The affinity of permutations of the codes, none of which changes the number of cells of a type."""
    cells = np.bincount(codes, minlength=n_types)
    scale = (2 - np.eye(n_types)) / np.sqrt(np.outer(cells, cells))
    diagonal = np.diag_indices(n_types)

    def affinity(codes):
        contacts = np.bincount(codes[row] * n_types + codes[col], minlength=n_types**2).reshape(n_types, n_types)
        degree = contacts.sum(axis=1)
        expected = np.outer(degree, degree)
        expected[diagonal] -= degree
        return scale * (contacts - expected / (len(row) - 1))

    return affinity
