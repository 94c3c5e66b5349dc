"""Reading and preparing data; bad input is refused in one sentence and changes nothing."""

import gzip
import json
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from models import small_adata

from spicemix_core import SpiceMix, fit_consensus, prepare, read_data, select
from spicemix_core.exchange.conversion import write_text
from spicemix_core.inputs.graphs import delaunay_graph, knn_graph, radius_graph
from spicemix_core.inputs.normalize import log_normalize
from spicemix_core.tl.clustering import cluster_states

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The files that squidpy and scanpy wrote."""
    folder = tmp_path_factory.mktemp("written")
    for path in FIXTURES.glob("*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return folder


@pytest.fixture
def adata():
    adata = small_adata()
    adata.obs["sample"] = adata.obs["slide"]
    adata.obsm["spatial"] = np.random.default_rng(0).random((140, 2)) * 10.0
    return adata


# --- objects of scanpy and squidpy -----------------------------------------------------------------------------------


def test_an_object_of_squidpy_is_fitted_with_its_own_neighbours_and_clustered(written):
    adata = prepare(read_data(written / "squidpy.h5ad"), sample_key="library")
    assert set(adata.uns["written_by"]) == {"anndata", "scanpy", "squidpy"}
    before = adata.obsp["spatial_connectivities"].copy()
    model = SpiceMix(3, random_state=0, max_iter=60, tol=1e-2).fit(adata, "library")
    assert (before != adata.obsp["spatial_connectivities"]).nnz == 0
    assert model.sample_names_ == ["left", "right"]  # and not "absent", the category without cells
    clusters = cluster_states(adata.obsm["X_spicemix"], n_clusters=3).labels
    types = adata.obs["cell_type"].cat.codes.to_numpy()
    assert pd.crosstab(clusters, types).max(axis=1).sum() / 60 > 0.8
    states = adata.obsm["X_spicemix"]
    np.testing.assert_allclose(model.transform(adata.copy(), "library"), states, atol=0.02 * states.max())


def test_a_directed_graph_of_squidpy_is_refused_and_made_symmetric_on_request(written):
    adata = read_data(written / "squidpy.h5ad")
    with pytest.raises(ValueError, match=r"obsp\['nearest_connectivities'\] is not symmetric, cells 0 and 7 .*"
                                         r"symmetrize=True"):
        prepare(adata, sample_key="library", graph_key="nearest_connectivities")
    with pytest.raises(ValueError, match=r"obsp\['spatial_distances'\] has entries other than 0 and 1.*symmetrize"):
        prepare(adata, sample_key="library", graph_key="spatial_distances")
    joined = prepare(adata, sample_key="library", graph_key="nearest_connectivities", symmetrize=True)
    directed = adata.obsp["nearest_connectivities"].toarray() > 0
    np.testing.assert_array_equal(joined.obsp["nearest_connectivities"].toarray(), directed | directed.T)
    assert adata.obsp["nearest_connectivities"].nnz == directed.sum()  # the object given is unchanged


def test_an_object_of_scanpy_gets_a_spatial_graph_and_is_fitted(written):
    adata = read_data(written / "scanpy.h5ad")
    assert "connectivities" in adata.obsp and "spatial_connectivities" not in adata.obsp
    ready = prepare(adata, sample_key="library")
    SpiceMix(3, random_state=0, max_iter=60, tol=1e-2).fit(ready, "library")
    assert ready.obsm["X_spicemix"].shape == (60, 3) and ready.raw is not None
    counts = adata.copy()
    counts.X = counts.layers["counts"]
    again = prepare(counts, sample_key="library", normalize=True)
    np.testing.assert_allclose(again.X.toarray(), adata.X.toarray(), rtol=1e-5)  # normalize_total and log1p


# --- preparing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "build"), [
    ({}, delaunay_graph), ({"max_length": 1.0}, lambda x: delaunay_graph(x, 1.0)),
    ({"graph": "knn"}, lambda x: knn_graph(x, 6)), ({"graph": "knn", "n_neighbors": 2}, lambda x: knn_graph(x, 2)),
    ({"graph": "radius", "radius": 2.0}, lambda x: radius_graph(x, 2.0))])
def test_the_graph_is_built_within_each_sample_and_the_input_left_alone(adata, options, build):
    mixed = adata[np.random.default_rng(1).permutation(140)].copy()
    del mixed.obsp["spatial_connectivities"]
    ready = prepare(mixed, sample_key="sample", **options)
    for name in ("left", "right"):
        part = ready[ready.obs["sample"] == name]
        assert (part.obsp["spatial_connectivities"] != build(part.obsm["spatial"])).nnz == 0
    assert not mixed.obsp
    SpiceMix(4, max_iter=40, tol=1.0, random_state=0).fit(ready, "sample")


def test_counts_are_normalised_and_kept(adata):
    counts = np.random.default_rng(0).poisson(3.0, size=(140, 30)) + 1
    adata.X = sp.csr_matrix(counts)
    ready = prepare(adata, sample_key="sample", normalize=True)
    np.testing.assert_allclose(ready.X.toarray(), np.log1p(1e4 * counts / counts.sum(1, keepdims=True)))
    assert (ready.layers["counts"].toarray() == counts).all() and (adata.X.toarray() == counts).all()


def transcripts(counts):
    """The same counts as a CSR matrix with an entry of one for each transcript."""
    rows, columns = (np.repeat(index, counts[counts > 0]) for index in counts.nonzero())
    indptr = np.r_[0, np.cumsum(np.bincount(rows, minlength=len(counts)))]
    return sp.csr_matrix((np.ones(len(rows)), columns, indptr), shape=counts.shape)


def test_entries_stored_in_parts_are_summed_before_anything_else(adata):
    counts = np.random.default_rng(0).poisson(3.0, size=(140, 30)) + 1
    adata.X = transcripts(counts)
    assert adata.X.nnz == counts.sum()
    right = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    ready = prepare(adata, sample_key="sample", normalize=True)
    np.testing.assert_allclose(ready.X.toarray(), right)
    np.testing.assert_array_equal(ready.layers["counts"].toarray(), counts)
    assert ready.layers["counts"].nnz == counts.size and adata.X.nnz == counts.sum()  # the input is unchanged
    np.testing.assert_allclose(log_normalize(transcripts(counts)).toarray(), right)
    adata.X = 0.5 * transcripts(2 * counts)  # whole numbers, each stored in halves
    with pytest.raises(ValueError, match="look like raw counts"):
        prepare(adata)


@pytest.mark.parametrize("use", [
    lambda a: SpiceMix(4, max_iter=2).fit(a, "slide"),
    lambda a: fit_consensus(a, 4, n_runs=2, sample_key="slide"),
    lambda a: select(a, n_metagenes=(3, 4), sample_key="slide"),
    lambda a: SpiceMix(4, max_iter=40, tol=1.0).fit(small_adata(), "slide").transform(a, "slide"),
], ids=["fit", "fit_consensus", "select", "transform"])
def test_raw_counts_are_refused_by_everything_that_fits(adata, use):
    adata.layers["log"], adata.X = adata.X, np.round(100 * adata.X)
    with pytest.raises(ValueError, match=r"X holds whole numbers only, which look like raw counts. Normalise"):
        use(adata)
    assert "X_spicemix" not in adata.obsm


def test_a_layer_with_the_expression_becomes_x_and_nothing_is_lost(adata):
    counts = np.random.default_rng(0).poisson(3.0, size=(140, 30)) + 1
    logged, adata.layers["log"], adata.X = adata.X, adata.X, counts
    ready = prepare(adata, layer="log")
    np.testing.assert_array_equal(ready.X, logged)
    np.testing.assert_array_equal(ready.layers["X"], counts)
    adata.layers["umi"], adata.X = counts, logged
    ready = prepare(adata, layer="umi", normalize=True)
    np.testing.assert_allclose(ready.X, np.log1p(1e4 * counts / counts.sum(1, keepdims=True)))
    np.testing.assert_array_equal(ready.layers["umi"], counts)
    adata.X = None
    assert set(prepare(adata, layer="log").layers) == {"log", "umi"}
    with pytest.raises(ValueError, match=r"layers\['umi'\] holds whole numbers only"):
        prepare(adata, layer="umi")


def test_a_sample_without_coordinates_has_no_edges(adata):
    del adata.obsp["spatial_connectivities"]
    adata.obsm["spatial"][80:] = np.nan
    ready = prepare(adata, sample_key="sample")
    graph = ready.obsp["spatial_connectivities"]
    assert graph[:80][:, :80].nnz == graph.nnz > 0
    adata.obsm["spatial"][3] = np.nan
    with pytest.raises(ValueError, match=r"The coordinates of cell 'cell3' are .nan, nan."):
        prepare(adata, sample_key="sample")


def test_without_a_graph_all_cells_are_dissociated(adata):
    del adata.obsp["spatial_connectivities"]
    assert not prepare(adata, graph=None).obsp


# --- bad input -------------------------------------------------------------------------------------------------------


def counts(a):
    a.X = np.round(a.X * 100)


def duplicate(axis):
    def change(a):
        names = list(getattr(a, axis))
        names[2] = names[0]
        setattr(a, axis, names)
    return change


def without_graph(change):
    def both(a):
        del a.obsp["spatial_connectivities"]
        change(a)
    return both


def spatial(value):
    return without_graph(lambda a: a.obsm.__setitem__("spatial", value))


def samples(values):
    return lambda a: a.obs.__setitem__("sample", values)


def entry(i, j, value):
    def change(a):
        graph = sp.lil_matrix(a.obsp["spatial_connectivities"])
        graph[i, j] = value
        a.obsp["spatial_connectivities"] = sp.csr_matrix(graph)
    return change


BAD = [  # change, options, part of the message
    (counts, {}, "X holds whole numbers only, which look like raw counts. Pass normalize=True"),
    (lambda a: setattr(a, "X", a.X - 0.01), {"normalize": True},
     "X is to be normalised but holds negative numbers, so no counts. Put raw counts there, or leave out"),
    (lambda a: setattr(a, "X", np.eye(140, 30)), {"normalize": True},
     "There are cells without counts: 110 of 140, the first is 'cell30'. Leave them out with min_counts=1."),
    (lambda a: setattr(a, "X", None), {}, "There is no expression in X; put normalised expression there"),
    (lambda a: (a.layers.__setitem__("log", a.X), setattr(a, "X", None)), {},
     "There is no expression in X. Choose one of the layers 'log' with layer."),
    (lambda a: setattr(a, "X", a.X.astype(complex)), {}, "The entries of X are of type complex128"),
    (lambda a: setattr(a, "X", a.X.astype(str).astype(object)), {}, "The entries of X are of type object"),
    (duplicate("var_names"), {}, "The gene names are not unique: 'Gene0' occurs again (1 such genes). Drop the "
                                 "repeated genes, or rename them."),
    (duplicate("obs_names"), {}, "The cell names are not unique: 'cell0' occurs again (1 such cells)"),
    (lambda a: setattr(a, "var_names", ["", *a.var_names[1:]]), {},
     "A gene has no name; give each gene a name in var_names"),
    (samples(pd.Categorical(["left"] * 130 + [None] * 10)), {"sample_key": "sample"},
     "The column 'sample' of obs is missing for 10 cells, the first is 'cell130'"),
    (lambda a: None, {"sample_key": "library"},
     "There is no column 'library' in obs; choose one of 'slide', 'sample'."),
    (samples(["a"] * 10 + ["b"] * 130), {"sample_key": "sample"}, "edges between cells of different samples. "
     "Build the graph of each sample separately, or prepare the data with rebuild_graph=True."),
    (without_graph(lambda a: a.obsm.__delitem__("spatial")), {},
     "There are no coordinates 'spatial' in obsm."),
    (spatial(np.full((140, 2), np.nan)), {}, "All coordinates in obsm['spatial'] are NaN. Pass graph=None"),
    (spatial(np.full((140, 2), "far")), {}, "obsm['spatial'] holds entries that are no numbers"),
    (spatial(np.ones((140, 5))), {}, "obsm['spatial'] has the shape (140, 5), but positions have "
                                     "two or three coordinates for each cell; keep these columns only."),
    (spatial(np.ones((140, 2))), {}, "All 140 cells lie at the point [1.0, 1.0]"),
    (spatial(np.full((140, 2), np.inf)), {}, "The coordinates of cell 'cell0' are [inf, inf]"),
    (without_graph(lambda a: None), {"graph": "radius"}, "A radius graph needs a radius. Set radius"),
    (without_graph(lambda a: None), {"graph": "radius", "radius": -1.0}, "radius must be positive, not -1.0"),
    (without_graph(lambda a: None), {"graph": "knn", "n_neighbors": 200}, "200 nearest neighbours are asked for, but"),
    (without_graph(lambda a: None), {"max_length": 0}, "max_length must be positive, not 0"),
    (without_graph(lambda a: None), {"graph": "nearest"}, "graph must be 'auto', 'lattice', 'delaunay', 'knn',"),
    (entry(0, 79, 0.5), {}, "obsp['spatial_connectivities'] has entries other than 0 and 1"),
    (entry(0, 0, 1.0), {}, "obsp['spatial_connectivities'] has self-loops, the first at cell 0"),
]


@pytest.mark.parametrize(("change", "options", "sentence"), BAD, ids=[sentence[:40] for *_, sentence in BAD])
def test_data_that_cannot_be_fitted_are_refused_in_one_sentence(adata, change, options, sentence):
    change(adata)
    keys = {name: list(getattr(adata, name)) for name in ("obs", "obsm", "obsp", "layers", "uns")}
    with pytest.raises((ValueError, KeyError)) as caught:
        prepare(adata, **options)
    assert sentence in caught.value.args[0] and "\n" not in caught.value.args[0]
    assert {name: list(getattr(adata, name)) for name in keys} == keys


@pytest.mark.parametrize(("values", "names"), [
    (pd.Categorical(["b"] * 80 + ["a"] * 60, ["unused", "a", "b"]), ["b", "a"]),
    (pd.Categorical([10] * 80 + [2] * 60), ["10", "2"]), ([1.0] * 80 + [0.0] * 60, ["1.0", "0.0"]),
    ([True] * 80 + [False] * 60, ["True", "False"])])
def test_samples_of_any_type_are_distinguished_and_unused_categories_ignored(adata, values, names):
    adata.obs["sample"] = values
    model = SpiceMix(4, max_iter=40, tol=1.0, random_state=0).fit(prepare(adata, sample_key="sample"), "sample")
    assert model.sample_names_ == names and [len(x) for x in model.latent_states_] == [80, 60]


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda a: a[:0].copy(), "The data have no cells; check how they were filtered or read"),
    (lambda a: a[:, :0].copy(), "The data have no genes; check how they were filtered or read"),
    (lambda a: a[:, [0, 0, 1]].copy(), "The gene names are not unique: 'Gene0' occurs again"),
    (lambda a: a[[0, 0, 1]].copy(), "The cell names are not unique: 'cell0' occurs again"),
    (lambda a: anndata.AnnData(a.X.astype(complex)),
     "The entries of X are of type complex128, but expression must be real numbers"),
])
@pytest.mark.filterwarnings("ignore:.*names are not unique", "ignore:Variable names", "ignore:Observation names")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_files_with_unusable_content_are_refused_by_their_name(adata, tmp_path, change, sentence, form):
    path = tmp_path / f"data.{form}"
    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        getattr(change(adata), f"write_{form}")(path)
    with pytest.raises(ValueError) as caught:
        read_data(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")


def cut(path):
    small_adata().write_h5ad(path)
    path.write_bytes(path.read_bytes()[:-100])


def hdf5(**groups):
    def write(path):
        with h5py.File(path, "w") as file:
            for name in groups:
                file.create_group(name)
    return write


@pytest.mark.parametrize(("write", "sentence"), [
    (lambda p: p.write_bytes(b""), "is empty; nothing was written to it."),
    (lambda p: p.write_bytes(b"%PDF-1.7 not this"), "is not an HDF5 file or is truncated; expression is read from"),
    (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n half a file"), "cannot be read: it is not an HDF5 file or is trunc"),
    (lambda p: p.write_text("Gene0,Gene1\n1,2\n"), "is not an HDF5 file or is truncated; expression is read from"),
    (cut, "cannot be read: it is not an HDF5 file or is truncated (Unable to synchronously open file (truncated file"),
    (hdf5(), "is an HDF5 file but not one of AnnData (it has no obs and var); write"),
    (hdf5(obs=1, var=1, mod=1), "is a file of MuData; write the data of one modality"),
    (hdf5(matrix=1, row_attrs=1, col_attrs=1), "is a loom file; read it with anndata.io.read_loom"),
    (hdf5(matrix=1), "cannot be read, because it is incomplete or was changed ("),
    (hdf5(parameters=1, hyperparameters=1), "is a result of the authors' program, not expression"),
    (hdf5(obs=1, var=1, X=1), "cannot be read as AnnData, it is damaged or incomplete"),
    (lambda p: p.mkdir(), "is a folder with neither zarr metadata nor files expression_*.txt"),
    (lambda p: SpiceMix(4, max_iter=40, tol=1.0).fit(small_adata()).save(p), "is a fitted model, not expression"),
])
def test_the_error_says_which_program_wrote_a_file(tmp_path, write, sentence):
    path = tmp_path / "data.h5ad"
    write(path)
    with pytest.raises(ValueError) as caught:
        read_data(path)
    assert str(caught.value).startswith(f"{path} {sentence}") and "\n" not in str(caught.value)


def spatialdata_store(path, adata, *tables, parts=("images",)):
    """A store of SpatialData: only the layout of its folders matters here."""
    for part in parts:
        (path / part).mkdir(parents=True)
    for name in tables:
        with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
            adata.write_zarr(path / "tables" / name)
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    return path


def test_the_only_table_of_a_spatialdata_store_is_read_and_several_are_named(adata, tmp_path):
    one = spatialdata_store(tmp_path / "one.zarr", adata, "table")
    np.testing.assert_array_equal(read_data(one).X, adata.X)
    assert read_data(one / "tables" / "table").shape == adata.shape
    two = spatialdata_store(tmp_path / "two.zarr", adata, "bins", "cells")
    with pytest.raises(ValueError, match=r"SpatialData with 2 tables; give the path of one: .*/bins or .*/cells\.$"):
        read_data(two)
    none = spatialdata_store(tmp_path / "none.zarr", adata, parts=("shapes", "points"))
    with pytest.raises(ValueError, match=r"without a table of expression \(it holds points and shapes\); add one"):
        read_data(none)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.h5ad\."):
        read_data(tmp_path / "none.h5ad")


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("genes_left.txt", b"G\xe4n\n" * 30, "is not text in UTF-8"),
    ("celltypes_left.txt", b"\xff\n" * 80, "is not text in UTF-8"),
    ("cells_left.txt", b"cell0\n" * 80, "The cell names are not unique: 'cell0' occurs again"),
    ("genes_left.txt", b"Gene1\n" * 30, "genes_right.txt differs from genes_left.txt"),
    ("genes_*.txt", b"Gene1\n" * 30, "genes_left.txt names the gene 'Gene1' again; make the gene names unique."),
    ("expression_left.txt", b"", "holds no numbers"),
    ("expression_left.txt", b"\xff\xfe1 2\n", "is not a table of numbers"),
    ("expression_left.txt", b"1 2\n3\n", "is not a table of numbers"),
    ("expression_left.txt", b"1+2j 2\n", "is not a table of numbers"),
    ("neighborhood_left.txt", "".join(f"{i} {i + 1}\n" for i in range(1, 80)).encode(),
     "seems to number the cells from 1 to 80; number them from 0."),
    ("neighborhood_left.txt", b"0 99999999999999999999999\n", "is not a table of numbers"),
    ("neighborhood_left.txt", b"0.5 1\n", "is not a table of numbers"),
    ("coordinates_left.txt", b"0 0\n" * 79, "has 79 x 2 entries, expected 80 x any"),
])
def test_text_files_that_do_not_fit_are_refused_by_name(adata, tmp_path, name, content, sentence):
    adata.obs["cell_type"] = "one"
    write_text(adata, tmp_path / "text")
    for path in (tmp_path / "text").glob(name):
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_data(tmp_path / "text")
    assert sentence in str(caught.value) and str(tmp_path / "text") in str(caught.value)


def test_edges_in_any_order_and_direction_are_the_same_graph(adata, tmp_path):
    write_text(adata, tmp_path / "text")
    path = tmp_path / "text" / "neighborhood_left.txt"
    edges = np.loadtxt(path, dtype=int)
    edges = np.random.default_rng(0).permutation(np.concatenate([edges, edges[::2, ::-1]]))
    np.savetxt(path, edges, fmt="%d")
    graph = read_data(tmp_path / "text").obsp["spatial_connectivities"]
    assert (graph != adata.obsp["spatial_connectivities"]).nnz == 0


def test_numbered_samples_are_in_the_order_of_their_numbers(adata, tmp_path):
    adata.obs["sample"] = ["10"] * 80 + ["9"] * 60
    write_text(adata, tmp_path / "text")
    assert list(read_data(tmp_path / "text").obs["sample"].cat.categories) == ["9", "10"]


def test_pickles_in_zarr_are_refused_before_anything_is_read(adata, tmp_path):
    path = tmp_path / "data.zarr"
    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False):
        adata.write_zarr(path)
    metadata = json.loads((path / "X" / "zarr.json").read_text())
    metadata["codecs"] = [{"name": "numcodecs.pickle", "configuration": {"protocol": 5}}]
    (path / "X" / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match="asks for pickled objects, which are never loaded"):
        read_data(path)
