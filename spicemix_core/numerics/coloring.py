"""A colouring of a graph: neighbours differ in colour, so cells of one colour can be updated at the same time."""

import numpy as np
import scipy.sparse as sp

from spicemix_core.numerics.compiled import njit
from spicemix_core.numerics.compressed import check_compressed


@njit()
def _greedy(indptr, indices):
    colors = np.full(indptr.size - 1, -1, np.int32)
    taken_by = np.full(indptr.size, -1, np.int64)  # the last cell with a neighbour of this colour
    for i in range(colors.size):
        for e in range(indptr[i], indptr[i + 1]):
            if colors[indices[e]] >= 0:
                taken_by[colors[indices[e]]] = i
        color = 0
        while taken_by[color] == i:
            color += 1
        colors[i] = color
    return colors


def color_classes(graph: sp.csr_array) -> list[np.ndarray]:
    """Cells of each colour of a greedy colouring, which is deterministic and needs at most max degree + 1 colours.

    ``graph`` is a symmetric adjacency (N, N) without self-loops. The arrays, each in ascending order, are a partition
    of ``range(N)``; no two cells of one array are neighbours.
    """
    check_compressed(graph, "The graph")
    colors = _greedy(graph.indptr, graph.indices)
    order = np.argsort(colors, kind="stable")
    return np.split(order, np.cumsum(np.bincount(colors))[:-1]) if colors.size else []
