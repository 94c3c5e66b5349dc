"""Neighbour graphs of one sample, and their union over samples.

Every graph is a CSR matrix of float64 ones: symmetric, without self-loops, with sorted indices. No edge joins cells of
different samples.
"""

import re
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.checks import check_coordinates
from spicemix_core.inputs.edges import graph_of_pairs, graph_of_positions, simple_graph
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.inputs.pieces import bridging

FLAT = 1e-9  # a direction whose spread is below this share of the largest spread counts as flat
TIE = 1e-9  # relative difference of distances that count as equal


def delaunay_graph(coordinates: ArrayLike, max_length: float | str | None = None, *,
                   bridges: bool = True) -> sparse.csr_matrix:
    """Delaunay triangulation: two cells are neighbours if they share a side of a triangle.

    This is the paper's graph, without the sides longer than 300 px (seqFISH+) or 600 px (STARmap).

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    max_length : float or str, optional
        Longest side that is kept (inclusive), in the unit of the coordinates, or as a multiple of the median length
        of all sides: ``"3x"`` is three times the median.
    bridges : bool
        Whether to keep the sides that join separate pieces of tissue, see
        :func:`spicemix_core.inputs.neighbor_graph`.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite, several cells all lie at one point, or ``max_length`` is not a positive length.

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
    return delaunay_neighbors(coordinates, max_length, bridges=bridges)[0]


def delaunay_neighbors(coordinates: ArrayLike, max_length: float | str | None = None, *,
                       bridges: bool = True) -> tuple[sparse.csr_matrix, int]:
    """The graph of :func:`delaunay_graph`, and the number of sides between pieces of tissue that it leaves out."""
    points = check_coordinates(coordinates)
    if len(points) < 2:
        return sparse.csr_matrix((len(points),) * 2), 0
    positions, position_of = np.unique(points, axis=0, return_inverse=True)  # sorted
    if len(positions) == 1:
        raise ValueError(f"All {len(points)} cells lie at the point {points[0].tolist()}, but a Delaunay graph needs "
                         "at least two positions; check the coordinates.")
    pairs = np.unique(np.sort(_triangle_sides(positions), axis=1), axis=0)
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    kept = np.ones(len(pairs), dtype=bool) if bridges else ~bridging(pairs, lengths, len(positions))
    n_bridges = int((~kept).sum())
    if max_length is not None:
        kept &= lengths <= _limit(max_length, lengths)
    return graph_of_positions(pairs[kept], position_of.ravel()), n_bridges


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
    check_integer("n_neighbors", n_neighbors, 1)
    if n_neighbors >= len(points):
        remedy = f"Lower {{n_neighbors}} to at most {len(points) - 1}, or leave these cells out." if len(points) > 1 \
            else "Leave it out, or choose another graph."
        raise ArgumentError(f"{n_neighbors} nearest neighbours are asked for, but there are only {len(points)} cells."
                            if len(points) > 1 else "A single cell has no neighbours.", remedy)
    tree = cKDTree(points)
    farthest = tree.query(points, [n_neighbors + 1])[0][:, 0]  # the nearest is the cell itself, or one at its position
    nearest = tree.query_ball_point(points, farthest * (1 + TIE))
    cells = np.repeat(np.arange(len(points)), list(map(len, nearest)))
    others = np.concatenate(nearest).astype(int)
    return graph_of_pairs(np.column_stack([cells, others])[cells != others], len(points))


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

    return simple_graph(radius_neighbors_graph(points, radius, include_self=False))


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
        If a coordinate is not finite, a cell has no sample, the lengths differ, or ``build`` refuses a sample, which
        the message names.

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
        local = sparse.coo_array(_build_of_sample(build, points[cells], sample, several=len(cells) < len(points)))
        pairs.append(np.column_stack([cells[local.row], cells[local.col]]))
    return graph_of_pairs(np.concatenate(pairs), len(points))


def _build_of_sample(build, points, sample, several):
    """The graph of one sample; if there are several, an error names it."""
    try:
        return build(points)
    except ValueError as error:
        if not several or getattr(error, "parameter", None):  # a parameter is wrong for every sample
            raise
        problem, remedy = (error.problem, error.remedy) if isinstance(error, ArgumentError) else (str(error), "")
        sizes = "1 cell" if len(points) == 1 else f"{len(points)} cells"
        raise ArgumentError(f"The sample {str(sample)!r} with {sizes} has no neighbour graph: {problem}",
                            remedy) from error


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
        raise ArgumentError(f"The {len(positions)} positions cannot be triangulated ({str(error).splitlines()[0]}).",
                            "Check the coordinates, or choose {graph=knn}.") from error
    corners = range(triangulation.simplices.shape[1])
    sides = [triangulation.simplices[:, pair] for pair in map(list, combinations(corners, 2))]
    nearly_equal = triangulation.coplanar[:, [0, 2]]  # (position that is no vertex, nearest vertex)
    return np.concatenate([*sides, nearly_equal])


def _check_positive(name: str, value: float) -> None:
    if isinstance(value, str) or not value > 0:
        raise ArgumentError(f"{name} must be positive, not {value}; it is in the unit of the coordinates.",
                            parameter=name)


def _limit(max_length: float | str, lengths: np.ndarray) -> float:
    """The longest side in the unit of the coordinates."""
    if not isinstance(max_length, str):
        _check_positive("max_length", max_length)
        return max_length
    multiple = re.fullmatch(r"(\d+\.?\d*|\.\d+)x", max_length)
    if multiple is None or not float(multiple[1]):
        raise ArgumentError(f"max_length must be a positive length or a multiple of the median length such as '3x', "
                            f"not {max_length!r}.", parameter="max_length")
    return float(multiple[1]) * float(np.median(lengths))
