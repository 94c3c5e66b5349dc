"""Lattices get their own neighbours and separate pieces of tissue no bridges; all other positions keep their graph."""

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.spatial import cKDTree

from spicemix_core import datasets, prepare
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample
from spicemix_core.inputs.lattices import find_lattice, lattice_graph
from spicemix_core.inputs.neighbors import neighbor_graph

NUMBERS = np.indices((14, 11)).reshape(2, -1).T
LATTICES = {"square": NUMBERS.astype(float),
            "hexagonal": np.column_stack([NUMBERS[:, 0] + NUMBERS[:, 1] % 2 / 2, NUMBERS[:, 1] * np.sqrt(3) / 2])}
STEPS = {"square": [(1, 0), (0, 1), (-1, 0), (0, -1)],
         "hexagonal": [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]}
MOST = {"square": 4, "hexagonal": 6}


def rotated(xy, degrees=0.0, scale=1.0, offset=0.0):
    angle = np.deg2rad(degrees)
    return scale * xy @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]] + offset


def expected_graph(kind, kept):
    """Neighbours by the numbers of columns and rows, without any distance."""
    columns, rows = NUMBERS.T
    axial = np.column_stack([columns - rows // 2, rows]) if kind == "hexagonal" else NUMBERS
    index = {tuple(place): cell for cell, place in enumerate(axial[kept].tolist())}
    graph = np.zeros((kept.sum(),) * 2)
    for (a, b), cell in index.items():
        for da, db in STEPS[kind]:
            other = index.get((a + da, b + db))
            if other is not None:
                graph[cell, other] = 1
    return graph


@pytest.mark.parametrize("place", [{}, {"degrees": 17.0, "scale": 137.0, "offset": 4000.0}, {"degrees": 90.0}], ids=str)
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("kind", LATTICES)
def test_positions_on_a_lattice_have_exactly_its_neighbours(kind, missing, place):
    kept = np.random.default_rng(0).random(len(NUMBERS)) >= missing
    xy = rotated(LATTICES[kind], **place)[kept]
    lattice = find_lattice(xy)
    assert lattice.kind == kind and lattice.spacing == pytest.approx(place.get("scale", 1.0))
    graph = neighbor_graph(xy)
    np.testing.assert_array_equal(graph.toarray(), expected_graph(kind, kept))
    assert (graph != lattice_graph(xy)).nnz == 0 and graph.sum(axis=1).max() == MOST[kind]


@pytest.mark.parametrize("kind", LATTICES)
def test_pixels_and_slight_distortions_do_not_hide_a_lattice(kind):
    xy = np.round(rotated(LATTICES[kind], 3.0, 20.0)) * [1.0, 1.005]  # rounding moves a position by up to 3.5 %
    np.testing.assert_array_equal(neighbor_graph(xy).toarray(), expected_graph(kind, np.ones(len(xy), dtype=bool)))


def test_a_lattice_in_a_plane_in_space_and_cells_at_one_position_of_it():
    flat = np.column_stack([LATTICES["square"], np.full(len(NUMBERS), 7.0)])
    assert (neighbor_graph(flat) != neighbor_graph(LATTICES["square"])).nnz == 0
    twice = neighbor_graph(np.repeat(LATTICES["square"], 2, axis=0)).toarray()
    once = neighbor_graph(LATTICES["square"]).toarray()
    np.testing.assert_array_equal(twice + np.eye(len(twice)), np.kron(once + np.eye(len(once)), np.ones((2, 2))))


def test_the_lattice_does_not_depend_on_the_order_of_the_cells():
    xy = rotated(LATTICES["hexagonal"], 11.0, 55.0)
    order = np.random.default_rng(1).permutation(len(xy))
    assert (neighbor_graph(xy[order]) != neighbor_graph(xy)[order][:, order]).nnz == 0


def jittered(kind, amount):
    return LATTICES[kind] + amount * np.random.default_rng(0).normal(size=(len(NUMBERS), 2))


@pytest.mark.parametrize("xy", [
    np.random.default_rng(0).random((300, 2)), jittered("square", 0.2), jittered("hexagonal", 0.2),
    np.column_stack([np.arange(30.0), np.zeros(30)]),  # a line
    NUMBERS * [1.0, 3.0],  # rows far apart
    np.concatenate([LATTICES["square"], rotated(LATTICES["square"], 20.0, offset=13.0)]),  # two directions
    np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]), np.empty((0, 2)), np.indices((5, 5, 5)).reshape(3, -1).T,
], ids=["random", "jittered square", "jittered hexagonal", "line", "rows", "two lattices", "four", "none", "cube"])
def test_other_positions_are_no_lattice_and_keep_the_delaunay_graph(xy):
    assert find_lattice(xy) is None
    assert (neighbor_graph(xy) != delaunay_graph(xy)).nnz == 0
    with pytest.raises(ValueError, match=r"do not lie on a square or hexagonal lattice\. Choose another graph"):
        lattice_graph(xy)


@pytest.mark.parametrize("section", ["151673", "151674"])
def test_visium_has_the_neighbours_of_its_array(real_data, section):
    """By rows and columns of the array, whose columns are counted in half steps."""
    spots = pd.read_csv(real_data / f"visium_dlpfc/{section}.spots.csv")
    array = np.column_stack([spots["array_col"], spots["array_row"] * np.sqrt(3)])
    pairs = cKDTree(array).query_pairs(2.1, output_type="ndarray")
    expected = sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(len(spots),) * 2)
    pixels = spots[["pxl_col", "pxl_row"]].to_numpy(dtype=float)
    assert (neighbor_graph(pixels) != expected + expected.T).nnz == 0
    assert delaunay_graph(pixels).nnz / 2 - len(pairs) > 300  # along the outline and across holes


def test_the_measured_cells_and_simulations_keep_their_graphs(real_data):
    fields = pd.read_csv(real_data / "seqfish_plus/cells.csv")
    starmap = pd.read_csv(real_data / "starmap/20180410-BY3_1kgenes.cells.csv")
    cortex = datasets.simulate_cortex(2, n_cells=200, random_state=0)
    of = [(starmap[["x", "y"]].to_numpy(), np.zeros(len(starmap))), (fields[["x", "y"]].to_numpy(), fields["fov"]),
          (cortex.obsm["spatial"], cortex.obs["sample"].to_numpy())]
    of += [(np.loadtxt(path), np.zeros(len(np.loadtxt(path)))) for path in
           sorted(real_data.glob("synthetic_*/files/coordinates_*.txt"))]
    assert len(of) > 6
    for xy, samples in of:
        graphs = [graph_by_sample(xy, samples, build) for build in (neighbor_graph, delaunay_graph)]
        assert (graphs[0] != graphs[1]).nnz == 0 and graphs[0].nnz > 0


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_row_and_column_numbers_of_a_visium_array_give_a_warning(order):
    columns, rows = NUMBERS.T
    array = np.column_stack([2 * columns + rows % 2, rows])[:, order].astype(float)
    adata = anndata.AnnData(np.random.default_rng(0).random((len(array), 5)), obsm={"spatial": array})
    with pytest.warns(UserWarning, match="row and column numbers of a Visium array") as caught:
        prepare(adata)
    assert caught[0].filename == __file__
    adata.obsm["spatial"] = array * ([1.0, np.sqrt(3)] if order == [0, 1] else [np.sqrt(3), 1.0])
    for positions in (adata.obsm["spatial"], 2 * LATTICES["square"], LATTICES["square"]):
        adata.obsm["spatial"] = positions
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            prepare(adata)


# --- pieces of tissue ------------------------------------------------------------------------------------------------


def pieces(gap):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.random((150, 2)), rng.random((100, 2)) * [0.7, 0.7] + [1.0 + gap, 0.2]])


def test_edges_that_bridge_two_pieces_of_tissue_are_left_out_and_counted():
    xy = pieces(gap=1.0)
    full, graph = delaunay_graph(xy), neighbor_graph(xy)
    piece = np.repeat([0, 1], [150, 100])
    rows, columns = full.nonzero()
    bridges = int((piece[rows] != piece[columns]).sum() / 2)
    assert bridges > 5
    expected = full.toarray() * (piece[:, None] == piece)
    np.testing.assert_array_equal(graph.toarray(), expected)  # long edges within a piece stay
    adata = anndata.AnnData(np.random.default_rng(0).random((250, 5)), obsm={"spatial": xy})
    with pytest.warns(UserWarning, match=f"separate pieces of tissue. {bridges} edges between the pieces") as caught:
        ready = prepare(adata)
    assert caught[0].filename == __file__
    assert (ready.obsp["spatial_connectivities"] != graph).nnz == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = prepare(adata, graph="delaunay")
    assert (whole.obsp["spatial_connectivities"] != full).nnz == 0


def test_a_single_piece_and_single_distant_cells_keep_all_edges():
    for xy in (pieces(gap=0.05), np.concatenate([pieces(0.0), [[9.0, 0.5], [9.1, 0.6]]])):
        assert (neighbor_graph(xy) != delaunay_graph(xy)).nnz == 0
