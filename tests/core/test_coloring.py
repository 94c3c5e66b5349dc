"""Colours of a neighbour graph: cells of one colour can be updated at the same time."""

import numpy as np
import pytest
import scipy.sparse as sp
from models import neighbor_graph

from spicemix_core.numerics.coloring import color_classes


@pytest.mark.parametrize("seed", range(5))
def test_no_two_neighbours_have_one_color(seed):
    graph = neighbor_graph(np.random.default_rng(seed).random((400, 2)))
    classes = color_classes(graph)
    np.testing.assert_array_equal(np.sort(np.concatenate(classes)), np.arange(400))
    assert len(classes) <= np.diff(graph.indptr).max() + 1
    for cells in classes:
        assert graph[cells][:, cells].nnz == 0 and (np.diff(cells) > 0).all()


def test_cells_without_neighbours_share_the_first_color():
    assert [c.tolist() for c in color_classes(sp.csr_array((3, 3)))] == [[0, 1, 2]]


def test_a_clique_needs_as_many_colors_as_cells():
    assert len(color_classes(sp.csr_array(np.ones((5, 5)) - np.eye(5)))) == 5


def test_a_hub_does_not_cost_its_neighbours_colors():
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = 1.0
    assert [c.tolist() for c in color_classes(sp.csr_array(star))] == [[0], [1, 2, 3, 4, 5]]
