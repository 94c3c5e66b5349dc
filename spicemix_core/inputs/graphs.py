"""Neighbour graphs of one sample, and their union over samples.

Every graph is a CSR matrix of float64 ones: symmetric, without self-loops, with sorted indices. No edge joins cells of
different samples.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.checks import check_coordinates

FLAT = 1e-9  # a direction whose spread is below this share of the largest spread counts as flat
TIE = 1e-9  # relative difference of distances that count as equal


def delaunay_graph(coordinates: ArrayLike, max_length: float | None = None) -> sparse.csr_matrix:
    """Delaunay triangulation: two cells are neighbours if they share a side of a triangle.

    This is the paper's graph, without the sides longer than 300 px (seqFISH+) or 600 px (STARmap).

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    max_length : float, optional
        Longest side that is kept (inclusive), in the unit of the coordinates.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite, or if several cells all lie at one point.

    Notes
    -----
    The positions are triangulated, not the cells: cells at one position are neighbours of each other and have the same
    other neighbours. Positions on one line (or only two of them) are joined in their order along the line. The graph
    does not depend on the order of the cells.

    Examples
    --------
    >>> from spicemix_core.inputs import delaunay_graph
    >>> delaunay_graph([[0, 0], [3, 0], [0, 4]], max_length=4).toarray()
    array([[0., 1., 1.],
           [1., 0., 0.],
           [1., 0., 0.]])
    """
    points = check_coordinates(coordinates)
    if len(points) < 2:
        return sparse.csr_matrix((len(points),) * 2)
    if max_length is not None:
        _check_positive("max_length", max_length)
    positions, position_of = np.unique(points, axis=0, return_inverse=True)  # sorted
    if len(positions) == 1:
        raise ValueError(f"All {len(points)} cells lie at the point {points[0].tolist()}, but a Delaunay graph needs "
                         "at least two positions; check the coordinates.")
    pairs = _triangle_sides(positions)
    if max_length is not None:
        pairs = pairs[np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1) <= max_length]
    own = np.repeat(np.arange(len(positions))[:, None], 2, axis=1)
    joined = _from_pairs(np.concatenate([pairs, own]), len(positions))[position_of.ravel()][:, position_of.ravel()]
    joined.setdiag(0.0)
    joined.eliminate_zeros()
    return _clean(joined)


def knn_graph(coordinates: ArrayLike, n_neighbors: int) -> sparse.csr_matrix:
    """Symmetric k-nearest-neighbour graph: two cells are joined if either is among the other's nearest.

    Cells that are as far as the k-th nearest count as nearest, too, so that the graph does not depend on the order of
    the cells, for instance on a lattice or where cells share a position.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    n_neighbors : int
        k, the number of nearest cells that each cell is joined to; a cell can have more neighbours than this.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite, or ``n_neighbors`` is not between 1 and n_cells - 1.

    Examples
    --------
    >>> from spicemix_core.inputs import knn_graph
    >>> knn_graph([[0, 0], [1, 0], [3, 0]], n_neighbors=1).toarray()
    array([[0., 1., 0.],
           [1., 0., 1.],
           [0., 1., 0.]])
    """
    from scipy.spatial import cKDTree

    points = check_coordinates(coordinates)
    if not 1 <= n_neighbors < len(points):
        raise ValueError(f"n_neighbors is {n_neighbors}, but {len(points)} cells allow 1 to {len(points) - 1}.")
    tree = cKDTree(points)
    farthest = tree.query(points, [n_neighbors + 1])[0][:, 0]  # the nearest is the cell itself, or one at its position
    nearest = tree.query_ball_point(points, farthest * (1 + TIE))
    cells = np.repeat(np.arange(len(points)), list(map(len, nearest)))
    others = np.concatenate(nearest).astype(int)
    return _from_pairs(np.column_stack([cells, others])[cells != others], len(points))


def radius_graph(coordinates: ArrayLike, radius: float) -> sparse.csr_matrix:
    """Join all pairs of cells that are at most ``radius`` apart.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    radius : float
        Largest distance of neighbours (inclusive), in the unit of the coordinates.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite or ``radius`` is not positive.

    Examples
    --------
    >>> from spicemix_core.inputs import radius_graph
    >>> radius_graph([[0, 0], [1, 0], [3, 0]], radius=1.5).nnz  # one edge, stored in both directions
    2
    """
    from sklearn.neighbors import radius_neighbors_graph

    points = check_coordinates(coordinates)
    _check_positive("radius", radius)

    return _clean(radius_neighbors_graph(points, radius, include_self=False))


def graph_by_sample(coordinates: ArrayLike, samples: ArrayLike,
                    build: Callable[[np.ndarray], sparse.spmatrix]) -> sparse.csr_matrix:
    """Union of the graphs of several samples, with rows and columns in the order of the cells.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of all samples.
    samples : sequence of length n_cells
        Sample of each cell, in any order.
    build : callable
        Takes the coordinates of one sample and returns its graph, for instance
        ``lambda xy: delaunay_graph(xy, max_length=300)``.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite, a cell has no sample, the lengths differ, or ``build`` refuses a sample.

    Examples
    --------
    >>> from spicemix_core.inputs import delaunay_graph, graph_by_sample
    >>> graph_by_sample([[0, 0], [0, 0], [1, 0], [1, 0]], ["a", "b", "a", "b"], delaunay_graph).toarray()
    array([[0., 0., 1., 0.],
           [0., 0., 0., 1.],
           [1., 0., 0., 0.],
           [0., 1., 0., 0.]])
    """
    points = check_coordinates(coordinates)
    samples = np.asarray(samples)
    if samples.shape != (len(points),):
        raise ValueError(f"samples has shape {samples.shape}, but there are {len(points)} cells; name one sample for "
                         "each cell.")
    missing = np.flatnonzero(pd.isna(samples))
    if missing.size:
        raise ValueError(f"samples is missing for {missing.size} cells, the first is cell {missing[0]}; name a sample "
                         "for each cell, or leave these cells out.")
    pairs = [np.empty((0, 2), int)]
    for sample in np.unique(samples):
        cells = np.flatnonzero(samples == sample)
        local = sparse.coo_array(build(points[cells]))
        pairs.append(np.column_stack([cells[local.row], cells[local.col]]))
    return _from_pairs(np.concatenate(pairs), len(points))


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
    return _from_pairs(edges, n_cells)


def _triangle_sides(positions) -> np.ndarray:
    """Pairs of different positions that share a side; of positions on one line, pairs of consecutive positions."""
    from scipy.spatial import Delaunay, QhullError

    centred = positions - positions.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    rank = int((spread > FLAT * spread[0]).sum())
    if rank == 1:
        order = np.argsort(centred @ axes[0], kind="stable")
        return np.column_stack([order[:-1], order[1:]])
    try:
        triangulation = Delaunay(positions if rank == positions.shape[1] else centred @ axes[:rank].T)
    except QhullError as error:
        raise ValueError(f"The {len(positions)} positions cannot be triangulated ({str(error).splitlines()[0]}); check "
                         "the coordinates, or use knn_graph.") from error
    corners = range(triangulation.simplices.shape[1])
    sides = [triangulation.simplices[:, pair] for pair in map(list, combinations(corners, 2))]
    nearly_equal = triangulation.coplanar[:, [0, 2]]  # (position that is no vertex, nearest vertex)
    return np.concatenate([*sides, nearly_equal])


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value}; it is in the unit of the coordinates.")


def _from_pairs(pairs, n: int) -> sparse.csr_matrix:
    i, j = np.asarray(pairs, dtype=int).T
    return _clean(sparse.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(n, n)))


def _clean(graph) -> sparse.csr_matrix:
    graph = sparse.csr_matrix(graph, dtype=float)
    graph.sum_duplicates()
    graph.data[:] = 1.0
    graph.sort_indices()
    return graph
