"""The neighbour graph that is built by default."""

from typing import NamedTuple

from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.graphs import delaunay_neighbors
from spicemix_core.inputs.lattices import find_lattice, graph_on


class Neighbors(NamedTuple):
    """A graph, its kind in words, and the number of sides between pieces of tissue that it leaves out."""

    graph: sparse.csr_matrix
    kind: str
    n_bridges: int


def neighbor_graph(coordinates: ArrayLike, max_length: float | str | None = None) -> sparse.csr_matrix:
    """The default graph: neighbours on the lattice if the positions form one, otherwise Delaunay neighbours.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample.
    max_length : float or str, optional
        As for :func:`spicemix_core.inputs.delaunay_graph`.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        As for :func:`spicemix_core.inputs.delaunay_graph`.

    Notes
    -----
    A lattice is recognised if half of the positions or more have their nearest neighbour at one spacing (within 10 %),
    none has a nearer one, and 99 % of the pairs within 2.2 spacings are whole numbers of steps apart along the
    directions of a hexagonal or a square lattice. A position on it has up to six or four neighbours.

    Otherwise two cells are neighbours if they share a side of a Delaunay triangle, except where the side bridges the
    space between two pieces of tissue. A piece consists of at least ten positions that are connected by sides of at
    most five times the median length.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core.inputs import delaunay_graph, neighbor_graph
    >>> lattice = np.array([[x, y] for x in range(10) for y in range(10)])
    >>> neighbor_graph(lattice).nnz // 2, delaunay_graph(lattice).nnz // 2
    (180, 261)
    >>> cells = np.random.default_rng(0).random((100, 2))
    >>> (neighbor_graph(cells) != delaunay_graph(cells)).nnz
    0
    """
    return default_neighbors(coordinates, max_length).graph


def default_neighbors(coordinates: ArrayLike, max_length: float | str | None = None) -> Neighbors:
    """The graph of :func:`neighbor_graph`, and what it is."""
    lattice = find_lattice(coordinates)
    if lattice is None:
        return Neighbors(*_delaunay(coordinates, max_length))
    return Neighbors(graph_on(lattice, coordinates), f"{lattice.kind} lattice", 0)


def _delaunay(coordinates, max_length):
    graph, n_bridges = delaunay_neighbors(coordinates, max_length, bridges=False)
    return graph, "Delaunay", n_bridges
