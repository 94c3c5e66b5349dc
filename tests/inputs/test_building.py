"""Graph options: each one has an effect or is refused, and the graph in the data is replaced only on request."""

import anndata
import numpy as np
import pytest
from models import small_adata

from spicemix_core import prepare
from spicemix_core.inputs.graphs import delaunay_graph, knn_graph, radius_graph
from spicemix_core.inputs.neighbors import neighbor_graph


@pytest.fixture
def placed():
    """Cells with positions and without a graph."""
    rng = np.random.default_rng(0)
    return anndata.AnnData(rng.random((60, 8)) + 0.1, obsm={"spatial": 10 * rng.random((60, 2))})


@pytest.mark.parametrize(("options", "sentence"), [
    ({"radius": 60.0}, "radius has no effect on the graph 'auto'. Leave it out, or choose graph=radius."),
    ({"n_neighbors": 15}, "n_neighbors has no effect on the graph 'auto'. Leave it out, or choose graph=knn."),
    ({"n_neighbors": 15, "graph": "delaunay"}, "n_neighbors has no effect on the graph 'delaunay'."),
    ({"max_length": 20.0, "graph": "knn"}, "max_length has no effect on the graph 'knn'. Leave it out, or choose "
                                           "graph=delaunay."),
    ({"n_neighbors": 2, "graph": "radius", "radius": 60.0}, "n_neighbors has no effect on the graph 'radius'."),
    ({"radius": 60.0, "graph": None}, "radius has no effect without a graph. Leave it out, or choose graph=radius."),
    ({"rebuild_graph": True, "graph": None}, "rebuild_graph has no effect without a graph."),
    ({"graph": "voronoi"}, "graph must be 'auto', 'lattice', 'delaunay', 'knn', 'radius' or None, not 'voronoi'."),
    ({"graph": "lattice"}, "The positions do not lie on a square or hexagonal lattice."),
    ({"graph_key": "spatial_conectivities"}, "There is no neighbour graph 'spatial_conectivities' in obsp, which holds "
                                             "no graph. Correct graph_key, leave it out, or add rebuild_graph=True"),
    ({"max_length": "far"}, "max_length must be a positive length or a multiple of the median length such as '3x'"),
])
def test_an_option_without_effect_is_refused(placed, options, sentence):
    with pytest.raises((ValueError, KeyError)) as caught:
        prepare(placed, **options)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(("options", "name"), [
    ({"graph": "radius", "radius": 60.0}, "radius"), ({"graph": "knn"}, "graph"), ({"max_length": 1.0}, "max_length"),
    ({"graph": "delaunay"}, "graph"), ({"graph": "knn", "n_neighbors": 3}, "n_neighbors")])
def test_options_for_a_graph_are_refused_where_the_data_have_one(placed, options, name):
    placed.obsp["spatial_connectivities"] = delaunay_graph(placed.obsm["spatial"])
    with pytest.raises(ValueError) as caught:
        prepare(placed, **options)
    assert str(caught.value) == (
        f"{name} has no effect, because the neighbour graph in obsp['spatial_connectivities'] of the data is used. "
        "Leave it out to use that graph, or add rebuild_graph=True to build a new one.")


@pytest.mark.parametrize(("options", "build"), [
    ({}, neighbor_graph), ({"graph": "knn", "n_neighbors": 3}, lambda xy: knn_graph(xy, 3)),
    ({"graph": "radius", "radius": 2.0}, lambda xy: radius_graph(xy, 2.0)),
    ({"max_length": "1.5x"}, lambda xy: delaunay_graph(xy, "1.5x"))])
def test_rebuilding_replaces_the_graph_of_the_data_in_the_copy_only(placed, options, build):
    old = radius_graph(placed.obsm["spatial"], 1.0)
    placed.obsp["spatial_connectivities"] = old
    assert (prepare(placed).obsp["spatial_connectivities"] != old).nnz == 0
    ready = prepare(placed, rebuild_graph=True, **options)
    assert (ready.obsp["spatial_connectivities"] != build(placed.obsm["spatial"])).nnz == 0
    assert (placed.obsp["spatial_connectivities"] != old).nnz == 0


def test_a_graph_under_another_name_is_built_on_request_only(placed):
    placed.obsp["adjacency"] = delaunay_graph(placed.obsm["spatial"])
    with pytest.raises(KeyError, match="'adjacensy' in obsp, which holds 'adjacency'"):
        prepare(placed, graph_key="adjacensy")
    assert list(prepare(placed, graph_key="adjacency").obsp) == ["adjacency"]
    ready = prepare(placed, graph_key="other", graph="knn", rebuild_graph=True)
    assert (ready.obsp["other"] != knn_graph(placed.obsm["spatial"], 6)).nnz == 0


def test_a_field_with_too_few_cells_for_the_neighbours_is_named(placed):
    placed.obs["field"] = ["7"] * 4 + ["12"] * 56
    with pytest.raises(ValueError, match=r"^The sample '7' with 4 cells has no neighbour graph: 6 nearest neighbours "
                                         r"are asked for, but there are only 4 cells\. Lower n_neighbors to at most 3"):
        prepare(placed, graph="knn", sample_key="field")
    graph = prepare(placed, graph="knn", n_neighbors=3, sample_key="field").obsp["spatial_connectivities"]
    np.testing.assert_array_equal(graph[:4][:, :4].toarray(), 1 - np.eye(4))


def test_a_cell_without_a_position_is_named(placed):
    placed.obs_names = [f"cell-{i}" for i in range(60)]
    placed.obs["field"] = ["b"] * 30 + ["a"] * 30
    placed.obsm["spatial"][41] = np.nan
    with pytest.raises(ValueError, match=r"The coordinates of cell 'cell-41' are \[nan, nan\] \(1 such cells\)"):
        prepare(placed, sample_key="field")


# --- in place or not -------------------------------------------------------------------------------------------------


def counted(adata):
    adata.X = np.random.default_rng(0).poisson(5.0, size=adata.shape) + 1.0
    return adata


def test_preparing_in_place_gives_what_the_copy_holds_and_returns_nothing(placed):
    other = counted(placed).copy()
    ready = prepare(placed, normalize=True)
    assert prepare(other, normalize=True, copy=False) is None
    np.testing.assert_array_equal(other.X, ready.X)
    np.testing.assert_array_equal(other.layers["counts"], placed.X)
    assert (other.obsp["spatial_connectivities"] != ready.obsp["spatial_connectivities"]).nnz == 0
    assert not placed.obsp and not placed.layers and not placed.uns


@pytest.mark.parametrize("options", [{"normalize": False}, {"normalize": True, "graph": "knn", "n_neighbors": 99},
                                     {"normalize": True, "sample_key": "none"}])
def test_refused_data_are_unchanged_when_they_are_prepared_in_place(placed, options):
    before = counted(placed).copy()
    with pytest.raises((ValueError, KeyError)):
        prepare(placed, copy=False, **options)
    np.testing.assert_array_equal(placed.X, before.X)
    assert not placed.obsp and not placed.layers and not placed.uns


# --- what is remembered ----------------------------------------------------------------------------------------------


def test_the_preparation_is_recorded_with_what_differs_from_the_defaults(placed):
    placed.obs["slide"] = ["a"] * 30 + ["b"] * 30
    ready = prepare(counted(placed), sample_key="slide", normalize=True, graph="knn", n_neighbors=3)
    assert ready.uns["spicemix"]["preparation"] == {
        "sample_key": "slide", "normalize": True, "graph": "knn", "n_neighbors": 3,
        "graph_built": "3 nearest neighbours"}
    again = prepare(ready, sample_key="slide")  # the graph of the data, and the same expression
    assert again.uns["spicemix"]["preparation"] == {"sample_key": "slide", "normalize": True}
    counts = prepare(ready, layer="counts", normalize=True, sample_key="slide", rebuild_graph=True)
    assert counts.uns["spicemix"]["preparation"] == {
        "sample_key": "slide", "normalize": True, "layer": "counts", "graph_built": "Delaunay"}
    assert prepare(small_adata()).uns["spicemix"]["preparation"] == {}
