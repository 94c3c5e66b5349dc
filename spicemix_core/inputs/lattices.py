"""Positions on a lattice, such as the spots of Visium or the bins of Visium HD and Stereo-seq.

On a lattice the Delaunay triangulation is not unique: it halves each square along a diagonal that rounding chooses, and
it joins spots across holes and along the outline. A lattice is therefore recognised, and its positions are joined to
their own neighbours.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.checks import check_coordinates
from spicemix_core.inputs.edges import graph_of_positions
from spicemix_core.inputs.errors import ArgumentError

SMALLEST = 7  # positions: a hexagon with its centre
NEAREST = 0.1  # relative difference between the distance of neighbours and the spacing
COMPARED = 20_000  # positions, evenly chosen if there are more
WITHIN = 2.2  # spacings: the pairs of positions that are compared with the lattice
STEP = 0.15  # difference from a whole number of steps
PARALLEL = 0.99  # mean resultant length of the doubled directions of pairs that lie on parallel lines
FITTING = 0.99  # share of the pairs
NEIGHBORS = 1.2  # spacings: more than one, less than the next distance on both lattices
ANGLES: dict[Literal["hexagonal", "square"], float] = {"hexagonal": np.pi / 3, "square": np.pi / 2}


@dataclass(frozen=True)
class Lattice:
    """A lattice: its kind, and the distance between neighbours in the unit of the coordinates."""

    kind: Literal["hexagonal", "square"]
    spacing: float


def find_lattice(coordinates: ArrayLike) -> Lattice | None:
    """The lattice on which the positions of one sample lie, or None.

    The rule: the spacing is the median distance of a position to the nearest other one. Half of these distances or more
    differ from it by at most 10 %, and none is shorter by more than that. The directions of pairs at this distance,
    averaged modulo 60 degrees (hexagonal) or 90 degrees (square), give the two directions of the lattice. Of each
    position and its twelve nearest, as far as they are within 2.2 spacings, at least 99 % are whole numbers of steps
    apart along these directions, up to 0.15 of a step. Holes, missing positions, any rotation and rounding to
    pixels do not matter. Fewer than seven positions, or positions on one line, are not a lattice.

    Examples
    --------
    >>> find_lattice([[x, y] for x in range(5) for y in range(4)])
    Lattice(kind='square', spacing=1.0)
    >>> find_lattice(np.random.default_rng(0).random((100, 2))) is None
    True
    """
    from scipy.spatial import cKDTree

    points = check_coordinates(coordinates)
    positions = np.unique(points[:, np.ptp(points, axis=0) > 0] if len(points) else points, axis=0)
    if positions.shape[0] < SMALLEST or positions.shape[1] != 2:
        return None
    centers = positions[:: -(-len(positions) // COMPARED)]
    lengths, indices = cKDTree(positions).query(centers, k=min(13, len(positions)))  # itself and twelve others
    nearest = lengths[:, 1]
    spacing = float(np.median(nearest))
    alike = np.abs(nearest - spacing) <= NEAREST * spacing
    if alike.mean() < 0.5 or nearest.min() < (1 - NEAREST) * spacing:
        return None
    compared = (lengths > 0) & (lengths <= WITHIN * spacing)
    vectors, lengths = (positions[indices] - centers[:, None])[compared], lengths[compared]
    near = lengths <= NEIGHBORS * spacing
    spacing = float(lengths[near].mean())
    directions = np.arctan2(vectors[near, 1], vectors[near, 0])
    if np.abs(np.exp(2j * directions).mean()) > PARALLEL:
        return None
    for kind, angle in ANGLES.items():
        first = np.angle(np.exp(1j * directions * (2 * np.pi / angle)).mean()) / (2 * np.pi / angle)
        steps = spacing * np.array([[np.cos(a), np.sin(a)] for a in (first, first + angle)])
        numbers = vectors @ np.linalg.inv(steps)
        if (np.abs(numbers - np.round(numbers)) <= STEP).all(axis=1).mean() >= FITTING:
            return Lattice(kind, spacing)
    return None


def are_array_numbers(coordinates: ArrayLike) -> bool:
    """Whether positions on a lattice are the row and column numbers of a Visium array, not distances.

    Spots of a row are two columns apart, and those of the next row are shifted by one: row and column have an even sum.

    Examples
    --------
    >>> are_array_numbers([[0, 0], [2, 0], [1, 1], [3, 1]]), are_array_numbers([[0, 0], [2, 0], [0, 2], [2, 2]])
    (True, False)
    """
    points = np.asarray(coordinates, dtype=float)[:, :2]
    sums = points.sum(axis=1)
    whole = bool((points == np.round(points)).all() and (sums % 2 == sums[0] % 2).all())
    return whole and bool((points % 2 != points[0] % 2).any())


def lattice_graph(coordinates: ArrayLike) -> sparse.csr_matrix:
    """Graph of positions on a lattice: six neighbours on a hexagonal lattice, four on a square one.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells of one sample, in true distances (pixels or micrometres, not row and column numbers of
        an array). Cells at one position are neighbours of each other and have the same other neighbours.

    Returns
    -------
    scipy.sparse.csr_matrix of shape (n_cells, n_cells)

    Raises
    ------
    ValueError
        If a coordinate is not finite or the positions do not lie on a square or hexagonal lattice.

    Examples
    --------
    >>> from spicemix_core.inputs import lattice_graph
    >>> graph = lattice_graph([[x, y] for x in range(3) for y in range(3)])
    >>> graph.sum(axis=1).astype(int).reshape(3, 3)
    matrix([[2, 3, 2],
            [3, 4, 3],
            [2, 3, 2]])
    """
    lattice = find_lattice(coordinates)
    if lattice is None:
        raise ArgumentError("The positions do not lie on a square or hexagonal lattice.",
                            "Choose another {graph}, or check the coordinates.")
    return graph_on(lattice, coordinates)


def graph_on(lattice: Lattice, coordinates: ArrayLike) -> sparse.csr_matrix:
    """The graph of positions on a known lattice."""
    from scipy.spatial import cKDTree

    positions, position_of = np.unique(check_coordinates(coordinates), axis=0, return_inverse=True)
    pairs = cKDTree(positions).query_pairs(NEIGHBORS * lattice.spacing, output_type="ndarray")
    return graph_of_positions(pairs, position_of.ravel())
