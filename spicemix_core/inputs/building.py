"""The neighbour graph of an AnnData object: the one it holds, or one built from the positions of the cells."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs.anndata import graph_of, read_names, rows_by_sample
from spicemix_core.inputs.errors import ArgumentError, InputWarning, MissingDataError
from spicemix_core.inputs.graphs import delaunay_neighbors, graph_by_sample, knn_graph, radius_graph
from spicemix_core.inputs.lattices import are_array_numbers, lattice_graph
from spicemix_core.inputs.memory import GRAPH_KEY
from spicemix_core.inputs.neighbors import Neighbors, default_neighbors
from spicemix_core.inputs.parameters import check_choice
from spicemix_core.inputs.positions import place_of, positions_of

if TYPE_CHECKING:
    from anndata import AnnData

GRAPHS = ("auto", "lattice", "delaunay", "knn", "radius", None)
TAKES = {"auto": ("max_length",), "lattice": (), "delaunay": ("max_length",), "knn": ("n_neighbors",),
         "radius": ("radius",), None: ()}
GRAPH_OF = {"max_length": "delaunay", "n_neighbors": "knn", "radius": "radius"}
N_NEIGHBORS = 6


@dataclass(frozen=True)
class GraphOptions:
    """How to obtain a graph; the fields are parameters of :func:`spicemix_core.prepare`."""

    graph: str | None
    graph_key: str
    max_length: float | str | None
    n_neighbors: int | None
    radius: float | None
    symmetrize: bool
    rebuild_graph: bool
    spatial_key: str

    @property
    def lengths(self) -> dict:
        """The given parameters of single kinds of graphs."""
        return {name: getattr(self, name) for name in GRAPH_OF if getattr(self, name) is not None}

    def check(self, adata: AnnData) -> None:
        """Refuse options that contradict each other or the graphs of ``adata``, or that would have no effect."""
        check_choice("graph", self.graph, GRAPHS)
        for name in self.lengths:
            if name not in TAKES[self.graph]:
                where = "without a graph" if self.graph is None else f"on the graph {self.graph!r}"
                raise ArgumentError(f"{name} has no effect {where}.",
                                    f"Leave it out, or choose {{graph={GRAPH_OF[name]}}}.", name)
        if self.graph == "radius" and self.radius is None:
            raise ArgumentError("A radius graph needs a radius.", "Set {radius}, in the unit of the coordinates.")
        if self.rebuild_graph and self.graph is None:
            raise ArgumentError("rebuild_graph has no effect without a graph.", "Leave it out, or choose a {graph}.",
                                "rebuild_graph")
        if self.rebuild_graph:
            return
        if self.graph_key in adata.obsp:
            given = [*self.lengths, *(["graph"] if self.graph not in ("auto", None) else [])]
            if given:
                raise ArgumentError(f"{given[0]} has no effect, because the neighbour graph in "
                                    f"obsp[{self.graph_key!r}] of the data is used.",
                                    "Leave it out to use that graph, or add {rebuild_graph=True} to build a new one.",
                                    given[0])
        elif self.graph_key != GRAPH_KEY:
            names = ", ".join(map(repr, adata.obsp)) or "no graph"
            raise MissingDataError(f"There is no neighbour graph {self.graph_key!r} in obsp, which holds {names}.",
                                   "Correct {graph_key}, leave it out, or add {rebuild_graph=True} to build a graph "
                                   "and store it under this name.")


def obtain_graph(adata: AnnData, options: GraphOptions,
                 sample_key: str | None) -> tuple[sp.csr_matrix | None, str | None]:
    """The graph of the data, and what was built (``None`` for an existing graph)."""
    options.check(adata)
    if options.graph_key in adata.obsp and not options.rebuild_graph:
        graph = graph_of(adata, options.graph_key)
        return (_symmetric(graph) if options.symmetrize else graph), None
    return (None, None) if options.graph is None else _build(adata, options, sample_key)


def _symmetric(graph):
    graph = sp.csr_array(graph)
    either = sp.csr_matrix(((graph != 0) + (graph != 0).T).astype(float))
    either.setdiag(0.0)
    either.eliminate_zeros()
    return either


def _builder(options) -> Callable[[np.ndarray], Neighbors]:
    """A function that builds the graph of the positions of one sample."""
    if options.graph == "knn":
        n = options.n_neighbors or N_NEIGHBORS
        return lambda points: Neighbors(knn_graph(points, n), f"{n} nearest neighbours", 0)
    if options.graph == "radius":
        return lambda points: Neighbors(radius_graph(points, options.radius), f"radius {options.radius:g}", 0)
    if options.graph == "lattice":
        return lambda points: Neighbors(lattice_graph(points), "lattice", 0)
    if options.graph == "delaunay":
        return lambda points: Neighbors(delaunay_neighbors(points, options.max_length)[0], "Delaunay", 0)
    return lambda points: default_neighbors(points, options.max_length)


def _build(adata, options, sample_key):
    """The graph of the cells that have coordinates; a sample without any coordinates has no edges."""
    points = positions_of(adata, options.spatial_key)
    rows = rows_by_sample(adata, sample_key)
    _, names, _ = read_names(adata, sample_key, rows)
    placed = np.ones(len(points), dtype=bool)
    samples = np.empty(len(points), dtype=object)
    for name, r in zip(names, rows, strict=True):
        samples[r] = name
        placed[r] = not np.isnan(points[r]).all()
    if not placed.any():
        raise ArgumentError(f"All coordinates in {place_of(options.spatial_key)} are NaN.", "Pass {graph=None}.")
    _check_finite(points, placed, adata.obs_names)
    cells = np.flatnonzero(placed)
    build, built = _builder(options), []

    def build_sample(coordinates):
        built.append(build(coordinates))
        if built[-1].kind == "square lattice" and are_array_numbers(coordinates):
            warnings.warn(InputWarning(
                "The positions look like row and column numbers of a Visium array, which are no distances: of the six "
                "neighbours of a spot, four are used.",
                "Use positions in pixels or micrometres, or multiply the row numbers by the square root of 3."),
                stacklevel=7)
        return built[-1].graph

    edges = sp.coo_array(graph_by_sample(points[cells], samples[cells], build_sample))
    if not edges.nnz and len(cells) > 1:
        raise ArgumentError(f"The graph of the coordinates in {place_of(options.spatial_key)} has no edges.",
                            "Check the samples, and {max_length} or {radius}, which are in the unit of the "
                            "coordinates, or pass {graph=None}. A length such as '3x' is three times the median.")
    _warn_of_bridges(sum(found.n_bridges for found in built))
    graph = sp.csr_matrix((edges.data, (cells[edges.row], cells[edges.col])), shape=(len(points), len(points)))
    return graph, " and ".join(dict.fromkeys(found.kind for found in built if found.graph.nnz))


def _check_finite(points, placed, names):
    bad = np.flatnonzero(placed & ~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ArgumentError(f"The coordinates of cell {names[bad[0]]!r} are {points[bad[0]].tolist()} "
                            f"({bad.size} such cells).", "Remove the cells without a position.")


def _warn_of_bridges(n_bridges):
    if n_bridges:
        warnings.warn(InputWarning(
            f"The cells lie in separate pieces of tissue. {n_bridges} edges between the pieces, which are longer than "
            "five times the median edge, are left out.", "Choose {graph=delaunay} to keep them."), stacklevel=5)
