"""Checks of coordinates, sparse matrices and neighbour graphs, with the error of each defect."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.numerics.compressed import check_compressed


def check_coordinates(coordinates: ArrayLike) -> np.ndarray:
    """Return coordinates as float64 of shape (n_cells, 2 or 3); refuse other shapes and non-finite values."""
    points = np.asarray(coordinates, dtype=float)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise ValueError(f"Coordinates must have shape (n_cells, 2) or (n_cells, 3), not {points.shape}.")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ValueError(f"The coordinates of cell {bad[0]} are {points[bad[0]].tolist()} ({bad.size} such cells); "
                         "remove the cells without a position.")
    return points


def check_sparse(matrix: Any, name: str) -> None:
    """Refuse a sparse matrix whose indices do not fit its shape, before compiled code trusts them.

    Parameters
    ----------
    matrix : sparse matrix or other object
        Other objects pass.
    name : str
        Name of the matrix in the error message.

    Raises
    ------
    ValueError
        If an index lies outside the shape, the index pointers do not ascend, or arrays differ in length.
    """
    if not sparse.issparse(matrix):
        return
    if matrix.format in ("csr", "csc", "bsr"):
        check_compressed(matrix, name)
        return
    try:
        entries = matrix.tocoo()
        sparse.coo_array((entries.data, entries.coords), shape=entries.shape)  # checks each index
    except ValueError as error:
        raise ValueError(f"{name} is corrupt: its indices do not fit its shape {matrix.shape} ({error}). Build it or "
                         "read it again.") from error


def without_duplicates(matrix: np.ndarray | sparse.spmatrix | sparse.sparray,
                       ) -> np.ndarray | sparse.spmatrix | sparse.sparray:
    """The matrix itself or, if a sparse matrix stores an entry in several parts, a copy that stores their sum."""
    if sparse.issparse(matrix) and not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def check_graph(graph: ArrayLike | sparse.spmatrix | sparse.sparray, n_cells: int, where: str = "The graph",
                remedy: str | None = None, *, cell_names: Sequence | None = None) -> sparse.csr_array:
    """Return a neighbour graph as a CSR array of 0 and 1 with sorted indices; refuse anything else.

    Parameters
    ----------
    graph : (N, N) sparse or dense
        Symmetric adjacency matrix with 1 for every edge, in both directions. The graph of several samples is block
        diagonal (``scipy.sparse.block_diag``).
    n_cells : int
        N, the number of cells.
    where : str
        Name of the graph in the error messages.
    remedy : str, optional
        What the error messages advise for weights, self-loops and directed edges, instead of a change of the matrix.
    cell_names : sequence, optional
        Names of the cells in the error messages, by default their indices.

    Returns
    -------
    scipy.sparse.csr_array

    Raises
    ------
    ValueError
        If the graph is corrupt, or has another size, entries other than 0 and 1 (NaN included), a self-loop, or an
        edge in one direction only.
    """
    cells = range(n_cells) if cell_names is None else cell_names
    check_sparse(graph, where)
    graph = sparse.csr_array(graph, dtype=float, copy=True)
    if graph.shape != (n_cells, n_cells):
        raise ValueError(f"{where} has shape {graph.shape} for {n_cells} cells; build it from the same cells.")
    graph.sum_duplicates()
    graph.eliminate_zeros()
    if (graph.data != 1).any():
        raise ArgumentError(f"{where} has entries other than 0 and 1.",
                            remedy or "Pass an adjacency matrix without weights.")
    if graph.diagonal().any():
        cell = cells[int(np.flatnonzero(graph.diagonal())[0])]
        raise ArgumentError(f"{where} has self-loops, the first at cell {cell!r}.",
                            remedy or "Set its diagonal to zero.")
    one_way = (graph - graph.T).tocoo()
    one_way.eliminate_zeros()
    if one_way.nnz:
        i, j = cells[int(one_way.row[0])], cells[int(one_way.col[0])]
        raise ArgumentError(f"{where} is not symmetric, cells {i!r} and {j!r} are joined in one direction only.",
                            remedy or "Use graph.maximum(graph.T).")
    graph.sort_indices()
    return graph
