"""The cells of both ways to fit, the paper's procedure and the recommended fit, with named clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from paper.shared.fits import Solution, Way
from paper.shared.typed_cells import TypedCells

Naming = Callable[[np.ndarray, Solution], TypedCells]


@dataclass(frozen=True)
class TypedWay:
    """A :class:`paper.shared.fits.Way` with named clusters.

    Attributes
    ----------
    title : str
    chosen, nmf : Solution
    cells, nmf_cells : TypedCells
        Of these two solutions.
    equal_cells : TypedCells
        NMF, cut at the number of clusters of ``chosen``.
    repeats, nmf_repeats, equal_repeats : list of TypedCells
        The same for each seed or master seed.
    """

    title: str
    chosen: Solution
    nmf: Solution
    cells: TypedCells
    nmf_cells: TypedCells
    equal_cells: TypedCells
    repeats: list[TypedCells]
    nmf_repeats: list[TypedCells]
    equal_repeats: list[TypedCells]


def name_way(way: Way, name: Naming) -> TypedWay:
    """Name the clusters of all solutions of one way to fit.

    Parameters
    ----------
    way : Way
    name : callable
        ``name(labels, solution)`` returns the cells with the names of the clusters ``labels``.
    """
    pairs = [(way.chosen, way.nmf), *zip(way.repeats, way.nmf_repeats, strict=True)]
    cells = each_once(lambda solution: name(solution.labels, solution), [own for own, _ in pairs])
    nmf = each_once(lambda solution: name(solution.labels, solution), [other for _, other in pairs])
    equal = [name(other.cut(own.clustering.n_clusters), other) for own, other in pairs]
    return TypedWay(way.title, way.chosen, way.nmf, cells[0], nmf[0], equal[0], cells[1:], nmf[1:], equal[1:])


def each_once(function: Callable, values: Sequence) -> list:
    """``function`` of each value; a value that occurs more than once, as the same object, is computed once."""
    results = {id(value): function(value) for value in {id(value): value for value in values}.values()}
    return [results[id(value)] for value in values]
