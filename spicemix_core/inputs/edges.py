"""Neighbour graphs from pairs of cells.

Every graph is a CSR matrix of float64 ones: symmetric, without self-loops, with sorted indices.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse


def graph_from_edges(edges: ArrayLike, n_cells: int) -> sparse.csr_matrix:
    """Graph of a list of edges, each given once or in both directions; duplicates are merged.

    Parameters
    ----------
    edges : int array of shape (n_listed, 2)
        Row numbers, from 0, of the two cells that each edge joins.
    n_cells : int
        Number of cells.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a row number is not between 0 and n_cells - 1, or an edge joins a cell to itself.

    Examples
    --------
    >>> from spicemix_core.inputs import graph_from_edges
    >>> graph_from_edges([[0, 1], [1, 0], [1, 2]], n_cells=3).toarray()
    array([[0., 1., 0.],
           [1., 0., 1.],
           [0., 1., 0.]])
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or not np.issubdtype(edges.dtype, np.integer):
        raise ValueError(f"Edges must be an integer array of shape (n, 2), not {edges.dtype} {edges.shape}.")
    outside = np.flatnonzero(((edges < 0) | (edges >= n_cells)).any(axis=1))
    if outside.size:
        raise ValueError(f"Edge {outside[0]} is {tuple(edges[outside[0]].tolist())}, but the cells are numbered 0 to "
                         f"{n_cells - 1}; correct the edge.")
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if loops.size:
        raise ValueError(f"Edge {loops[0]} joins cell {edges[loops[0], 0]} to itself; remove it.")
    return graph_of_pairs(edges, n_cells)


def graph_of_pairs(pairs: ArrayLike, n: int) -> sparse.csr_matrix:
    """Graph of pairs of different cells, (n_pairs, 2), each listed at least once."""
    i, j = np.asarray(pairs, dtype=int).T
    return simple_graph(sparse.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(n, n)))


def graph_of_positions(pairs: np.ndarray, position_of: np.ndarray) -> sparse.csr_matrix:
    """Graph of cells of which several can lie at one position.

    Parameters
    ----------
    pairs : int array of shape (n_pairs, 2)
        Pairs of different positions that are neighbours.
    position_of : int array of shape (n_cells,)
        Number of the position of each cell.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)
        Cells at neighbouring positions are joined, and so are the cells at one position.
    """
    n = int(position_of.max()) + 1
    own = np.repeat(np.arange(n)[:, None], 2, axis=1)
    joined = graph_of_pairs(np.concatenate([pairs, own]), n)[position_of][:, position_of]
    joined.setdiag(0.0)
    joined.eliminate_zeros()
    return simple_graph(joined)


def simple_graph(graph: sparse.spmatrix | sparse.sparray) -> sparse.csr_matrix:
    """A symmetric graph whose entries are one, with sorted indices."""
    graph = sparse.csr_matrix(graph, dtype=float)
    graph.sum_duplicates()
    graph.data[:] = 1.0
    graph.sort_indices()
    return graph
