"""Neighbour graphs are symmetric and simple, also where the triangulation is degenerate."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial import Delaunay

from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.edges import graph_from_edges
from spicemix_core.inputs.graphs import (
    delaunay_graph,
    graph_by_sample,
    knn_graph,
    radius_graph,
)

BUILDERS = {"delaunay": delaunay_graph, "cut": partial(delaunay_graph, max_length=0.2),
            "knn": partial(knn_graph, n_neighbors=4), "radius": partial(radius_graph, radius=0.15)}


def points(n=60, seed=0, dim=2):
    return np.random.default_rng(seed).random((n, dim))


def assert_simple(graph, n):
    assert sparse.isspmatrix_csr(graph) and graph.shape == (n, n) and graph.dtype == float
    assert (graph != graph.T).nnz == 0
    assert not graph.diagonal().any()
    assert (graph.data == 1).all() and graph.has_sorted_indices


def degrees(graph):
    return np.asarray(graph.sum(axis=1)).ravel()


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("dim", [2, 3])
def test_graphs_are_symmetric_and_simple(build, dim):
    assert_simple(build(points(dim=dim)), 60)


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_graphs_follow_the_cells_when_these_are_reordered(build):
    xy, order = points(), np.random.default_rng(1).permutation(60)
    assert (build(xy[order]) != build(xy)[order][:, order]).nnz == 0


def test_delaunay_has_the_sides_of_all_triangles():
    xy = points()
    graph = delaunay_graph(xy).toarray()
    expected = np.zeros_like(graph)
    for a, b, c in Delaunay(xy).simplices:
        expected[[a, b, b, c, c, a], [b, a, c, b, a, c]] = 1
    np.testing.assert_array_equal(graph, expected)


def test_max_length_keeps_exactly_the_sides_not_longer():
    xy = points()
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    expected = delaunay_graph(xy).toarray() * (distance <= 0.13)
    np.testing.assert_array_equal(delaunay_graph(xy, max_length=0.13).toarray(), expected)
    assert delaunay_graph([[0.0, 0], [3, 0], [0, 4]], max_length=4).nnz == 4  # inclusive


def test_max_length_can_be_a_multiple_of_the_median_side():
    xy = points()
    sides = sparse.triu(delaunay_graph(xy)).tocoo()
    lengths = np.linalg.norm(xy[sides.row] - xy[sides.col], axis=1)
    for factor, word in ((1.5, "1.5x"), (2.0, "2x")):
        graph = delaunay_graph(xy, max_length=word)
        assert 0 < graph.nnz / 2 == (lengths <= factor * np.median(lengths)).sum() < len(lengths)
        assert (graph != delaunay_graph(xy, max_length=factor * np.median(lengths))).nnz == 0
    assert (delaunay_graph(7.3 * xy, max_length="2x") != delaunay_graph(xy, max_length="2x")).nnz == 0  # in any unit


def test_radius_joins_exactly_the_pairs_within():
    xy = points()
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    np.testing.assert_array_equal(radius_graph(xy, 0.15).toarray(), (distance <= 0.15) & ~np.eye(60, dtype=bool))


def test_nearest_neighbours_are_joined_from_either_side():
    xy = points()
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2) + np.diag(np.full(60, np.inf))
    nearest = np.zeros((60, 60), dtype=bool)
    np.put_along_axis(nearest, np.argsort(distance, axis=1)[:, :4], True, axis=1)
    np.testing.assert_array_equal(knn_graph(xy, 4).toarray(), nearest | nearest.T)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=25))
def test_graphs_of_repeated_and_collinear_positions_are_connected(grid):
    """Integer positions, most of which are repeated, collinear or cocircular."""
    xy = np.array(grid, dtype=float)
    if len(set(grid)) == 1:
        with pytest.raises(ValueError, match="at least two positions"):
            delaunay_graph(xy)
        return
    graph = delaunay_graph(xy)
    assert_simple(graph, len(xy))
    assert sparse.csgraph.connected_components(graph)[0] == 1


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_cells_at_one_position_have_the_same_neighbours(build):
    """Five cells at each of sixty positions."""
    spots = np.repeat(np.arange(60), 5)
    graph = build(points()[spots]).toarray()
    between = graph[::5, ::5]  # of the first cell of each position
    np.testing.assert_array_equal(graph + np.eye(300), np.maximum(between, np.eye(60))[spots][:, spots])
    nearest_are_at_the_position = build is BUILDERS["knn"]
    np.testing.assert_array_equal(between, 0 if nearest_are_at_the_position else build(points()).toarray())


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("xy", [points()[np.repeat(np.arange(60), 3)], np.indices((9, 9)).reshape(2, -1).T * 0.1],
                         ids=["shared", "lattice"])
def test_graphs_do_not_depend_on_the_order_of_cells_at_equal_distances(build, xy):
    order = np.random.default_rng(1).permutation(len(xy))
    assert (build(xy[order]) != build(xy)[order][:, order]).nnz == 0


@pytest.mark.parametrize("xy", [[[0, 0], [5, 5]], [[2, 2], [0, 0], [3, 3], [1, 1]], [[0, 3], [0, 1], [0, 2]]])
def test_cells_on_a_line_are_joined_in_order(xy):
    xy = np.array(xy, dtype=float)
    order = np.lexsort((xy[:, 1], xy[:, 0]))
    expected = {frozenset(pair) for pair in zip(order[:-1].tolist(), order[1:].tolist(), strict=True)}
    got = {frozenset(pair) for pair in np.argwhere(delaunay_graph(xy).toarray()).tolist()}
    assert got == expected


def test_flat_cells_in_three_dimensions_are_triangulated_in_their_plane():
    xy = points()
    assert (delaunay_graph(np.column_stack([xy, np.full(60, 3.0)])) != delaunay_graph(xy)).nnz == 0


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_cells_have_no_edges(n):
    assert delaunay_graph(np.zeros((n, 2))).shape == (n, n)


def test_samples_are_never_joined_and_keep_the_cells_in_order():
    xy, samples = points(60), np.array(["b", "a", "c"])[np.arange(60) % 3]
    graph = graph_by_sample(xy, samples, delaunay_graph)
    assert_simple(graph, 60)
    rows, columns = graph.nonzero()
    assert (samples[rows] == samples[columns]).all()
    for sample in "abc":
        cells = samples == sample
        assert (graph[cells][:, cells] != delaunay_graph(xy[cells])).nnz == 0


@pytest.mark.parametrize(("build", "sentence"), [
    (partial(knn_graph, n_neighbors=6), "The sample 'field 7' with 4 cells has no neighbour graph: 6 nearest "
                                        "neighbours are asked for, but there are only 4 cells. Lower "
                                        "n_neighbors to at most 3, or leave these cells out."),
    (lambda xy: delaunay_graph(np.ones_like(xy)) if len(xy) == 4 else delaunay_graph(xy),
     "The sample 'field 7' with 4 cells has no neighbour graph: All 4 cells lie at the point")])
def test_a_sample_that_has_no_graph_is_named(build, sentence):
    with pytest.raises(ValueError) as caught:
        graph_by_sample(points(30), ["field 2"] * 26 + ["field 7"] * 4, build)
    assert str(caught.value).startswith(sentence)


def test_an_edge_listed_once_or_in_both_directions_counts_once():
    graph = graph_from_edges(np.array([[0, 1], [1, 0], [1, 2], [1, 2]]), 4)
    assert_simple(graph, 4)
    assert degrees(graph).tolist() == [1, 2, 1, 0]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: delaunay_graph([[0, 0], [1, np.nan], [2, 2]]), "coordinates of cell 1"),
    (lambda: knn_graph([[0, 0], [np.inf, 1], [2, 2]], 1), "coordinates of cell 1"),
    (lambda: delaunay_graph([0.0, 1.0]), r"shape \(n_cells, 2\)"),
    (lambda: delaunay_graph(points(), max_length=0), "max_length must be positive"),
    (lambda: delaunay_graph([[1, 1], [1, 1], [1, 1]]), "at least two positions"),
    (lambda: knn_graph(points(5), 5), "there are only 5 cells. Lower n_neighbors to at most 4"),
    (lambda: knn_graph(points(5), 0), "n_neighbors must be an integer of at least 1, not 0"),
    (lambda: knn_graph(points(1), 3), "A single cell has no neighbours. Leave it out"),
    (lambda: delaunay_graph(points(), max_length="3"), "multiple of the median length such as '3x', not '3'"),
    (lambda: delaunay_graph(points(), max_length="0x"), "not '0x'"),
    (lambda: radius_graph(points(5), -1.0), "radius must be positive"),
    (lambda: graph_by_sample(points(5), ["a"] * 4, delaunay_graph), "5 cells"),
    (lambda: graph_from_edges(np.array([[0, 4]]), 4), "Edge 0 is .0, 4."),
    (lambda: graph_from_edges(np.array([[0, 1], [2, 2]]), 4), "joins cell 2 to itself"),
    (lambda: graph_from_edges(np.array([[0.0, 1.0]]), 4), "integer array"),
])
def test_bad_input_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_cell_without_a_sample_is_refused():
    with pytest.raises(ValueError, match="missing for 1 cells, the first is cell 2"):
        graph_by_sample(np.random.default_rng(0).random((4, 2)), ["a", "a", None, "b"], delaunay_graph)


def ring(n_cells):
    graph = np.eye(n_cells, k=1) + np.eye(n_cells, k=n_cells - 1)
    return graph + graph.T


@pytest.mark.parametrize(("change", "message"), [
    (lambda graph: graph[:5, :5], r"shape \(5, 5\) for 6 cells"),
    (lambda graph: 0.5 * graph, "other than 0 and 1"),
    (lambda graph: graph * np.nan, "other than 0 and 1"),
    (lambda graph: graph + np.eye(6), "self-loops, the first at cell 0"),
    (lambda graph: np.triu(graph), "not symmetric, cells 0 and 1"),
])
def test_bad_graphs_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        check_graph(change(ring(6)), 6)


def test_checking_a_graph_does_not_change_it():
    graph = sparse.csr_matrix(ring(6))
    graph.data[0] = graph[0, 1] = 0  # an explicit zero
    graph[1, 0] = 0
    before = graph.copy()
    assert check_graph(graph, 6).nnz == 10
    assert graph.nnz == before.nnz
