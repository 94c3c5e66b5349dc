"""Neighbour graphs of one sample, and their union over samples.

Every graph is a ``scipy.sparse.csr_array``-compatible CSR matrix of float64 ones: symmetric, without
self-loops, with sorted indices. Edges never join cells of different samples.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import sparse

FLAT = 1e-9  # a direction whose spread is below this share of the largest counts as flat


def delaunay_graph(coordinates, max_length: float | None = None) -> sparse.csr_matrix:
    """Delaunay triangulation: cells i and j are neighbours if they share a side of a triangle.

    The paper's graph; sides longer than 300 px (seqFISH+) or 600 px (STARmap) are cut.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    max_length : float, optional
        Longest side kept (inclusive), in the unit of the coordinates.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite, or if several cells all lie at one point.

    Notes
    -----
    Two limits of the triangulation are made explicit. Cells on one line (or only two cells) are joined in their
    order along it. A cell that repeats another's position is no vertex of the triangulation: it is joined
    to the vertex that stands in its place, so that no cell loses its edges for having a twin.
    """
    points = check_coordinates(coordinates)
    n = len(points)
    if n < 2:
        return _from_pairs(np.empty((0, 2), int), n)
    centred = points - points.mean(axis=0)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    if spread[0] == 0:
        raise ValueError(f"All {n} cells lie at the point {points[0].tolist()}: a Delaunay graph needs at least "
                         "two positions, so give the cells' own coordinates.")
    rank = int((spread > FLAT * spread[0]).sum())
    if rank == 1:
        order = np.argsort(centred @ axes[0], kind="stable")
        pairs = np.column_stack([order[:-1], order[1:]])
    else:
        pairs = _triangle_sides(points if rank == points.shape[1] else centred @ axes[:rank].T)
    if max_length is not None:
        _check_positive("max_length", max_length)
        lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
        pairs = pairs[lengths <= max_length]
    return _from_pairs(pairs, n)


def knn_graph(coordinates, n_neighbors: int) -> sparse.csr_matrix:
    """Symmetric k-nearest-neighbour graph: an edge where either cell is among the other's nearest.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
    n_neighbors : int
        Neighbours looked up per cell; degrees are at least this.

    Raises
    ------
    ValueError
        If a coordinate is not finite or ``n_neighbors`` is not in 1..n_cells - 1.
    """
    points = check_coordinates(coordinates)
    if not 1 <= n_neighbors < len(points):
        raise ValueError(f"n_neighbors is {n_neighbors}, but {len(points)} cells allow 1 to {len(points) - 1}.")
    from sklearn.neighbors import kneighbors_graph

    directed = kneighbors_graph(points, n_neighbors, include_self=False)
    return _clean(directed.maximum(directed.T))


def radius_graph(coordinates, radius: float) -> sparse.csr_matrix:
    """Join all pairs of cells at most ``radius`` apart (unit of the coordinates, inclusive).

    Raises
    ------
    ValueError
        If a coordinate is not finite or ``radius`` is not positive.
    """
    points = check_coordinates(coordinates)
    _check_positive("radius", radius)
    from sklearn.neighbors import radius_neighbors_graph

    return _clean(radius_neighbors_graph(points, radius, include_self=False))


def graph_by_sample(coordinates, samples, build: Callable[[np.ndarray], sparse.spmatrix]) -> sparse.csr_matrix:
    """Union of one graph per sample, rows and columns in the order of the cells.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
    samples : sequence of length n_cells
        Sample of each cell, in any order.
    build : callable
        From the coordinates of one sample to its graph, for instance
        ``lambda xy: delaunay_graph(xy, max_length=300)``.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)
    """
    points = check_coordinates(coordinates)
    samples = np.asarray(samples)
    if samples.shape != (len(points),):
        raise ValueError(f"samples has shape {samples.shape}, but there are {len(points)} cells.")
    if pd.isna(samples).any():
        raise ValueError(f"samples is missing for {pd.isna(samples).sum()} cells, the first is cell "
                         f"{np.flatnonzero(pd.isna(samples))[0]}; name a sample for each cell or drop them")
    pairs = [np.empty((0, 2), int)]
    for sample in np.unique(samples):
        cells = np.flatnonzero(samples == sample)
        local = sparse.coo_array(build(points[cells]))
        pairs.append(np.column_stack([cells[local.row], cells[local.col]]))
    return _from_pairs(np.concatenate(pairs), len(points))


def graph_from_edges(edges, n_cells: int) -> sparse.csr_matrix:
    """Graph of a list of edges, each given once or in both directions (duplicates are merged).

    Parameters
    ----------
    edges : int array of shape (n_listed, 2)
        Row indices of the cells at both ends, from 0.
    n_cells : int

    Raises
    ------
    ValueError
        If an index is outside 0..n_cells - 1 or an edge joins a cell to itself.
    """
    edges = np.asarray(edges)
    if edges.ndim != 2 or edges.shape[1] != 2 or not np.issubdtype(edges.dtype, np.integer):
        raise ValueError(f"Edges must be an integer array of shape (n, 2), not {edges.dtype} {edges.shape}.")
    outside = np.flatnonzero(((edges < 0) | (edges >= n_cells)).any(axis=1))
    if outside.size:
        raise ValueError(f"Edge {outside[0]} is {tuple(edges[outside[0]].tolist())}, "
                         f"but the cells are numbered 0 to {n_cells - 1}.")
    loops = np.flatnonzero(edges[:, 0] == edges[:, 1])
    if loops.size:
        raise ValueError(f"Edge {loops[0]} joins cell {edges[loops[0], 0]} to itself; remove it.")
    return _from_pairs(edges, n_cells)


def check_coordinates(coordinates) -> np.ndarray:
    """Return coordinates as float64 of shape (n_cells, 2 or 3); refuse other shapes and non-finite values."""
    points = np.asarray(coordinates, dtype=float)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"Coordinates must have shape (n_cells, 2) or (n_cells, 3), not {points.shape}.")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ValueError(f"The coordinates of cell {bad[0]} are {points[bad[0]].tolist()} ({bad.size} such cells): "
                         "remove the cells without a position.")
    return points


def check_graph(graph, n_cells: int, where: str = "the graph",
                cell_names: Sequence[str] | None = None) -> sparse.csr_array:
    """A neighbour graph as a CSR array of 0 and 1 with sorted indices, or an error that says what is wrong with it.

    Parameters
    ----------
    graph : (N, N) sparse or dense
        Symmetric adjacency, every edge 1 in both directions. Several samples are one block-diagonal graph
        (``scipy.sparse.block_diag``).
    n_cells : int
        N, the number of cells that the graph must have.
    where : str
        How messages name the graph.
    cell_names : sequence of str, optional
        Names of the cells in messages; by default their indices.

    Raises
    ------
    ValueError
        Wrong size, NaN or weights other than 0 and 1, a cell that is its own neighbour, an edge in one
        direction only.
    """
    cells = range(n_cells) if cell_names is None else cell_names
    graph = sparse.csr_array(graph, dtype=float, copy=True)
    if graph.shape != (n_cells, n_cells):
        raise ValueError(f"{where} has shape {graph.shape} for {n_cells} cells; build it from the same cells")
    graph.sum_duplicates()
    graph.eliminate_zeros()
    if (graph.data != 1).any():
        raise ValueError(f"{where} has entries other than 0 and 1; pass adjacency without weights")
    if graph.diagonal().any():
        cell = cells[int(np.flatnonzero(graph.diagonal())[0])]
        raise ValueError(f"{where} has self-loops, the first at cell {cell!r}; set its diagonal to zero")
    one_way = (graph - graph.T).tocoo()
    one_way.eliminate_zeros()
    if one_way.nnz:
        i, j = cells[int(one_way.row[0])], cells[int(one_way.col[0])]
        raise ValueError(f"{where} is not symmetric, cells {i!r} and {j!r} are joined in one direction only; use "
                         "graph.maximum(graph.T)")
    graph.sort_indices()
    return graph


def _triangle_sides(points) -> np.ndarray:
    from scipy.spatial import Delaunay, QhullError

    try:
        triangulation = Delaunay(points)
    except QhullError as error:
        raise ValueError(f"The {len(points)} cells cannot be triangulated ({str(error).splitlines()[0]}); "
                         "check the coordinates or use knn_graph.") from error
    corners = range(triangulation.simplices.shape[1])
    sides = [triangulation.simplices[:, pair] for pair in map(list, combinations(corners, 2))]
    twins = triangulation.coplanar[:, [0, 2]]  # (dropped point, nearest vertex)
    return np.concatenate([*sides, twins])


def _check_positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value}.")


def _from_pairs(pairs, n: int) -> sparse.csr_matrix:
    i, j = np.asarray(pairs, dtype=int).T
    return _clean(sparse.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(n, n)))


def _clean(graph) -> sparse.csr_matrix:
    graph = sparse.csr_matrix(graph, dtype=float)
    graph.sum_duplicates()
    graph.data[:] = 1.0
    graph.sort_indices()
    return graph
