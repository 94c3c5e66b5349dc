"""Sparse matrices whose indices do not fit their shape are refused before compiled code trusts them."""

import dataclasses
import shutil
import warnings

import anndata
import h5py
import numpy as np
import platforms
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import small_adata

from spicemix_core import SpiceMix, inputs, pl, prepare, read_data, steps, tl
from spicemix_core.exchange.conversion import write_data

some = settings(deadline=None, derandomize=True, max_examples=60, database=None,
                suppress_health_check=[HealthCheck.too_slow])
VALUES = (-(10**9), -(10**8), -1, 10**6, 2**31 - 1)


@pytest.fixture(scope="module")
def adata():
    adata = small_adata(n_cells=(30, 25), n_genes=20)
    adata.X = sp.csr_matrix(adata.X * (adata.X > 0.05))
    adata.obsp["spatial_connectivities"] = sp.csr_matrix(adata.obsp["spatial_connectivities"])
    adata.obsm["spatial"] = np.random.default_rng(0).random((55, 2))
    adata.obs["group"] = ["a", "b"] * 27 + ["a"]
    return adata


@pytest.fixture(scope="module")
def model(adata):
    return SpiceMix(3, max_iter=60, tol=0.5, random_state=0).fit(adata.copy())


@st.composite
def lies(draw):
    """A function that replaces an index, a pointer or the length or type of an array of a compressed matrix."""
    part, where = draw(st.sampled_from(["indices", "indptr"])), draw(st.floats(0.0, 1.0, exclude_max=True))
    kind, value = draw(st.sampled_from(["value", "value", "cut", "grow", "float"])), draw(st.sampled_from(VALUES))

    def lie(parts):
        parts = {name: np.array(array) for name, array in parts.items()}
        array = parts[part]
        if kind == "value":
            array[int(where * len(array))] = value
        parts[part] = {"value": array, "cut": array[:-1], "grow": np.append(array, array[-1]),
                       "float": array.astype(float) + 0.5}[kind]
        return parts
    return lie


def lying(matrix, lie):
    """A matrix whose arrays are replaced, which SciPy does not check."""
    matrix = matrix.copy()
    for name, array in lie({"indices": matrix.indices, "indptr": matrix.indptr}).items():
        setattr(matrix, name, array)
    return matrix


def with_lie(adata, place, form, lie):
    adata = adata.copy()
    if place == "X":
        adata.layers["log"] = adata.X.copy()
        adata.X = lying(adata.X.asformat(form), lie)
    elif place == "layer":
        adata.layers["log"] = lying(adata.X.asformat(form), lie)
    else:
        adata.obsp["spatial_connectivities"] = lying(adata.obsp["spatial_connectivities"].asformat(form), lie)
    return adata


def refused(call, *names):
    with warnings.catch_warnings(), pytest.raises(ValueError) as caught:
        warnings.simplefilter("ignore")
        call()
    message = str(caught.value)
    assert "its indices do not fit its shape" in message and any(name in message for name in names), message
    assert "\n" not in message


EXPRESSION = {
    "fit": lambda adata, model: SpiceMix(3, max_iter=2, tol=1.0).fit(adata),
    "transform": lambda adata, model: model.transform(adata, graph_key=None),
    "prepare": lambda adata, model: prepare(adata),
    "markers": lambda adata, model: tl.markers(adata, "group"),
    "residuals": lambda adata, model: tl.residuals(adata),
    "map of a gene": lambda adata, model: pl.spatial(adata, "Gene0"),
    "table of genes": lambda adata, model: inputs.expression_frame(adata, ["Gene0", "Gene1"]),
    "joined": lambda adata, model: inputs.join_dissociated(adata, adata),
}
GRAPH = {
    "fit": EXPRESSION["fit"],
    "transform": lambda adata, model: model.transform(adata),
    "prepare": lambda adata, model: prepare(adata),
    "symmetrize": lambda adata, model: prepare(adata, symmetrize=True),
    "type affinity": lambda adata, model: tl.type_affinity(adata, "group", n_permutations=9),
    "joined": EXPRESSION["joined"],
}


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("use", EXPRESSION)
@settings(some, max_examples=15)
@given(lie=lies())
def test_expression_with_impossible_indices_is_refused_by_everything_that_uses_it(adata, model, use, form, lie):
    wrong = with_lie(adata, "X", form, lie)
    wrong.obsm["X_spicemix"], wrong.varm["metagenes"] = np.ones((55, 3)), model.metagenes_
    refused(lambda: EXPRESSION[use](wrong, model), "X is corrupt", "adata.X")


@settings(some, max_examples=15)
@given(lie=lies())
def test_a_layer_with_impossible_indices_is_refused(adata, lie):
    wrong = with_lie(adata, "layer", "csr", lie)
    refused(lambda: SpiceMix(3, max_iter=2, tol=1.0).fit(wrong, layer="log"), "layers['log']")


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize("use", GRAPH)
@settings(some, max_examples=15)
@given(lie=lies())
def test_a_graph_with_impossible_indices_is_refused_by_everything_that_uses_it(adata, model, use, form, lie):
    wrong = with_lie(adata, "graph", form, lie)
    refused(lambda: GRAPH[use](wrong, model), "obsp['spatial_connectivities']")


@pytest.mark.parametrize("form", ["csr", "csc", "bsr"])
@some
@given(lie=lies(), of_graph=st.booleans())
def test_arrays_with_impossible_indices_are_refused_by_the_check_of_samples(adata, form, lie, of_graph):
    expression, graph = adata.X.copy(), adata.obsp["spatial_connectivities"].copy()
    if of_graph:
        graph = lying(graph.asformat(form), lie)
    else:
        expression = lying(expression.asformat(form), lie)
    refused(lambda: inputs.check_samples([expression], [graph], 3), "graph of sample 0", "expression of sample 0")
    refused(lambda: SpiceMix(3).fit_arrays([expression], [graph]), "graph of sample 0", "expression of sample 0")


@some
@given(lie=lies())
def test_counts_and_single_steps_refuse_impossible_indices(adata, lie):
    refused(lambda: inputs.log_normalize(lying(adata.X, lie)), "The count matrix")
    graph, start = lying(sp.csr_array(adata.obsp["spatial_connectivities"]), lie), np.full((55, 3), 1 / 3)
    refused(lambda: steps.update_latent_states(np.eye(3), start, np.eye(3), graph, start, np.ones(55),
                                               state_penalty=1.0), "The graph")


@some
@given(lie=lies(), of_graph=st.booleans())
def test_samples_with_impossible_indices_reach_no_backend(adata, lie, of_graph):
    """All places where cells can be, in this process, on a device or on a worker, are given samples."""
    sound = inputs.check_samples([adata.X], [adata.obsp["spatial_connectivities"]], 3)
    wrong = {"graph": lying(sound.graph, lie)} if of_graph else {"expressions": [lying(sound.expressions[0], lie)]}
    refused(lambda: dataclasses.replace(sound, **wrong), "A sparse matrix of the samples")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("axis", [0, 1])
def test_coordinates_of_a_list_of_entries_outside_its_shape_are_refused(adata, axis, value):
    wrong = adata.X.tocoo(copy=True)
    wrong.coords[axis][7] = value
    refused(lambda: inputs.check_samples([wrong], None, 3), "expression of sample 0")


def test_sound_matrices_of_every_form_give_the_same_samples(adata):
    expected = adata.X.toarray()
    graph = adata.obsp["spatial_connectivities"]
    for form in ("csr", "csc", "coo", "bsr", "lil", "dok", "dia"):
        samples = inputs.check_samples([adata.X.asformat(form)], [graph.asformat(form)], 3)
        np.testing.assert_array_equal(samples.expressions[0].toarray(), expected)
        assert (samples.graph != graph).nnz == 0


def test_unused_places_at_the_end_of_the_arrays_do_not_matter(adata):
    loose = sp.csr_matrix(adata.X)
    loose.indices, loose.data = np.append(loose.indices, 10**9), np.append(loose.data, np.nan)
    samples = inputs.check_samples([loose], None, 3)
    np.testing.assert_array_equal(samples.expressions[0].toarray(), adata.X.toarray())


# --- files ---------------------------------------------------------------------------------------------------------


def rewrite(path, group, lie):
    """Replace the arrays of a compressed matrix in a file."""
    if path.suffix == ".h5ad":
        with h5py.File(path, "r+") as file:
            parts = lie({name: file[group][name][...] for name in ("indices", "indptr")})
            for name, array in parts.items():
                del file[group][name]
                file[group][name] = array
    else:
        store = zarr.open_group(path, mode="r+", use_consolidated=False)[group]
        for name, array in lie({name: store[name][...] for name in ("indices", "indptr")}).items():
            store.create_array(name, data=array, overwrite=True)
        zarr.consolidate_metadata(path)


@pytest.fixture(scope="module")
def sound(adata, tmp_path_factory):
    """A file and a store with sparse matrices in all places."""
    folder, whole = tmp_path_factory.mktemp("sound"), adata.copy()
    whole.layers["log"], whole.obsm["sparse"] = whole.X.copy(), whole.X[:, :3].copy()
    whole.varp["genes"] = sp.csr_matrix(np.eye(20))
    whole.raw = whole
    for suffix in (".h5ad", ".zarr"):
        write_data(whole, folder / f"data{suffix}")
        assert read_data(folder / f"data{suffix}").raw.shape == whole.shape
    return folder


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("group", ["X", "layers/log", "obsp/spatial_connectivities", "obsm/sparse", "varp/genes",
                                   "raw/X"])
@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@settings(some, max_examples=5)
@given(lie=lies())
def test_a_file_with_impossible_indices_is_refused_by_its_name(sound, suffix, lie, group):
    path = sound / f"lying{suffix}"
    if path.is_dir():
        shutil.rmtree(path)
    (shutil.copy if suffix == ".h5ad" else shutil.copytree)(sound / f"data{suffix}", path)
    rewrite(path, group, lie)
    place = {"X": "X", "layers/log": "layers['log']", "raw/X": "raw.X"}.get(group, group.replace("/", "['") + "']")
    with pytest.raises(ValueError) as caught:
        read_data(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert place in message or "cannot be read as AnnData" in message


@pytest.mark.parametrize(("shape", "suffix"), [((55, 5), ".h5ad"), ((9, 20), ".h5ad"), ((55, 5), ".zarr")])
def test_a_file_with_another_shape_than_its_indices_is_refused(adata, tmp_path, shape, suffix):
    path = tmp_path / f"data{suffix}"
    write_data(anndata.AnnData(adata.X, layers={"log": adata.X}), path)
    if suffix == ".h5ad":
        with h5py.File(path, "r+") as file:
            file["layers/log"].attrs["shape"] = shape
    else:
        zarr.open_group(path, mode="r+", use_consolidated=False)["layers/log"].attrs["shape"] = shape
        zarr.consolidate_metadata(path)
    with pytest.raises(ValueError, match=str(path)):
        read_data(path)


@settings(some, max_examples=15)
@given(lie=lies())
def test_a_matrix_of_a_platform_with_impossible_indices_is_refused(tmp_path_factory, lie):
    """Indices that are no integers are rounded down, which here gives those that were written."""
    folder = tmp_path_factory.mktemp("visium")
    written = platforms.write_visium(folder)
    path = folder / "filtered_feature_bc_matrix.h5"
    path.rename(path := path.with_suffix(".h5ad"))  # for rewrite
    rewrite(path, "matrix", lie)
    path.rename(path := path.with_suffix(".h5"))
    try:
        np.testing.assert_array_equal(read_data(folder).X.toarray(), written.X.toarray())
    except ValueError as error:
        assert str(error).startswith(str(folder)) and "\n" not in str(error)


@pytest.mark.parametrize("kind", ["uint32", "uint64", "int64", "int16"])
def test_integer_indices_of_any_width_in_a_file_are_read(adata, tmp_path, kind):
    path = tmp_path / "data.h5ad"
    adata.write_h5ad(path)
    rewrite(path, "X", lambda parts: {name: array.astype(kind) for name, array in parts.items()})
    found = read_data(path)
    np.testing.assert_array_equal(found.X.toarray(), adata.X.toarray())
    SpiceMix(3, max_iter=60, tol=0.5, random_state=0).fit(found)
