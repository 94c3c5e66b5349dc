"""Data converted between formats and back, and the authors' results as models."""

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from models import small_adata, write_authors_result

from spicemix_core import SpiceMix, convert, convert_result, read_data
from spicemix_core.exchange.conversion import write_text


@pytest.fixture
def adata():
    adata = small_adata()
    adata.obs = adata.obs.rename(columns={"slide": "sample"})
    adata.obs["cell_type"] = ["one", "two"] * 70
    adata.obsm["spatial"] = np.random.default_rng(0).random((140, 2))
    adata.layers["other"] = adata.X + 1.0
    adata.X = sp.csr_matrix(np.where(adata.X > 0.05, adata.X, 0.0))
    return adata


@pytest.fixture
def source(adata, tmp_path):
    adata.write_h5ad(tmp_path / "source.h5ad")
    return tmp_path / "source.h5ad"


def dense(adata):
    return adata.X.toarray() if sp.issparse(adata.X) else adata.X


def assert_same(first, second):
    """Equal in everything that the text layout can represent."""
    np.testing.assert_array_equal(dense(first), dense(second))
    assert list(first.obs_names) == list(second.obs_names) and list(first.var_names) == list(second.var_names)
    for key in ("sample", "cell_type"):
        assert list(first.obs[key].astype(str)) == list(second.obs[key].astype(str))
    np.testing.assert_array_equal(first.obsm["spatial"], second.obsm["spatial"])
    graphs = [x.obsp["spatial_connectivities"] for x in (first, second)]
    assert (graphs[0] != graphs[1]).nnz == 0 and graphs[0].nnz == graphs[1].nnz > 0


def test_data_pass_through_all_forms_unchanged(source, adata, tmp_path):
    last = source
    for name in ("one.zarr", "text", "two.zarr", "two.h5ad", "text2", "three.h5ad"):
        convert(last, tmp_path / name)
        last = tmp_path / name
        assert_same(read_data(last), adata)
    assert not list(tmp_path.glob("*partial*"))
    assert "other" in read_data(tmp_path / "one.zarr").layers


def test_the_authors_layout_has_the_files_and_conventions_of_their_programs(source, tmp_path):
    convert(source, tmp_path / "text")
    kinds = ("cells", "celltypes", "coordinates", "expression", "genes", "neighborhood")
    assert sorted(p.name for p in (tmp_path / "text").iterdir()) == [
        f"{kind}_{sample}.txt" for kind in kinds for sample in ("left", "right")]
    edges = np.loadtxt(tmp_path / "text" / "neighborhood_right.txt", dtype=int)
    assert edges.min() == 0 and edges.max() == 59 and (edges[:, 0] < edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)


def test_interleaved_cells_are_written_sample_by_sample(adata, tmp_path):
    mixed = adata[np.random.default_rng(0).permutation(140)].copy()
    write_text(mixed, tmp_path / "text")
    back = read_data(tmp_path / "text")
    assert_same(back[mixed.obs_names].copy(), mixed)


def test_single_precision_is_restored_exactly(adata, tmp_path):
    adata.X = adata.X.astype(np.float32)
    write_text(adata, tmp_path / "text")
    np.testing.assert_array_equal(read_data(tmp_path / "text").X, adata.X.toarray().astype(float))


def test_dissociated_samples_have_no_coordinates_and_no_edges(adata, tmp_path):
    loose = (adata.obs["sample"] == "right").to_numpy()
    kept = sp.diags_array((~loose).astype(float))
    adata.obsp["spatial_connectivities"] = sp.csr_matrix(kept @ adata.obsp["spatial_connectivities"] @ kept)
    adata.obsm["spatial"][loose] = np.nan
    write_text(adata, tmp_path / "text")
    assert not (tmp_path / "text" / "coordinates_right.txt").exists()
    assert_same(read_data(tmp_path / "text"), adata)


def test_data_without_samples_and_graph_are_one_dissociated_sample(adata, tmp_path):
    adata.obs = adata.obs[[]]
    del adata.obsp["spatial_connectivities"], adata.obsm["spatial"]
    write_text(adata, tmp_path / "text")
    assert not read_data(tmp_path / "text").obsp["spatial_connectivities"].nnz
    assert (tmp_path / "text" / "expression_0.txt").exists()


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda a: a.obs.__setitem__("sample", ["../up"] * 140), ValueError, "The sample '../up' cannot be written"),
    (lambda a: a.obs.__setitem__("cell_type", ["a\nb"] * 140), ValueError, r"The cell type 'a\\nb' cannot be written"),
    (lambda a: setattr(a, "var_names", [" Gene", *a.var_names[1:]]), ValueError, "The gene ' Gene' cannot be written"),
    (lambda a: a.obs.__setitem__("sample", [np.nan] * 140), ValueError, "missing for 140 cells"),
    (lambda a: a.obsp["spatial_connectivities"].data.__setitem__(0, 2.0), ValueError, "entries other than 0 and 1"),
    (lambda a: a.obsm["spatial"].__setitem__(3, np.nan), ValueError, "coordinates of cell 3 are"),
    (lambda a: a.obsm.__setitem__("spatial", np.ones((140, 1))), ValueError, r"has the shape \(140, 1\), but"),
    (lambda a: a.obsm.__setitem__("spatial", np.full((140, 2), "far")), ValueError, "but coordinates are numbers"),
])
def test_data_that_the_text_layout_cannot_represent_are_refused(adata, tmp_path, change, error, message):
    change(adata)
    with pytest.raises(error, match=message):
        write_text(adata, tmp_path / "text")
    assert not list(tmp_path.iterdir())


def test_existing_text_files_are_never_replaced(adata, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "mine").touch()
    with pytest.raises(FileExistsError, match="text exists; remove it"):
        write_text(adata, tmp_path / "text")
    assert [path.name for path in (tmp_path / "text").iterdir()] == ["mine"]


def test_targets_that_cannot_be_written_are_refused(source, tmp_path):
    for name in ("there.zarr", "there"):
        (tmp_path / name).mkdir()
    for name in ("there.zarr", "there", "source.h5ad"):
        with pytest.raises(FileExistsError, match="exists; remove it, or choose another name"):
            convert(source, tmp_path / name)
    with pytest.raises(ValueError, match=r"has an unknown ending; use \.h5ad, \.zarr"):
        convert(source, tmp_path / "data.csv")
    with pytest.raises(FileNotFoundError, match=r"none of data\.zarr does not exist"):
        convert(source, tmp_path / "none" / "data.zarr")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        convert(tmp_path / "none.h5ad", tmp_path / "data.zarr")
    with pytest.raises(KeyError, match="There is no column 'slide' in obs"):
        convert(source, tmp_path / "data", sample_key="slide")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.h5ad", "there", "there.zarr"]


# --- the authors' results --------------------------------------------------------------------------------------------


def test_a_result_becomes_a_model_in_scaled_units(tmp_path):
    write_authors_result(tmp_path / "result.h5")
    convert(tmp_path / "result.h5", tmp_path / "model.h5")
    model = SpiceMix.load(tmp_path / "model.h5")
    assert model.n_metagenes == 3 and model.affinity_penalty == 1e-3 and model.spatial and model.max_iter == 20
    assert model.n_iter_ == 20 and not model.converged_ and (model.affinity_ == -1).all()
    assert [x.shape for x in model.latent_states_] == [(6, 3), (2, 3)] and model.latent_states_[0].min() > 20
    assert list(model.scaling_) == [1, 1] and not hasattr(model, "feature_names_in_")
    assert model.noise_ == pytest.approx(np.sqrt((6 * 0.1**2 + 2 * 0.3**2) / 8))
    assert list(model.history_.index) == [1, 10, 20] and list(model.history_["Q"]) == [1, 10, 20]


def test_a_result_without_affinity_is_one_of_nmf(tmp_path):
    write_authors_result(tmp_path / "result.h5", affinity=0.0)
    assert convert_result(tmp_path / "result.h5", tmp_path / "model.h5").spatial is False


def test_the_stored_run_of_the_authors_means_the_same_as_a_model_of_ours(real_data, tmp_path):
    """Scaling, noise and states: their noise is our residual, and our states under their metagenes are theirs."""
    folder = real_data / "synthetic_cortex"
    stored = folder / "results" / "NMF_nFOVs4_K10_rs4_NMF.h5"
    convert_result(stored, tmp_path / "model.h5", data=folder / "files")
    model, adata = SpiceMix.load(tmp_path / "model.h5"), read_data(folder / "files")
    assert model.sample_names_ == ["0", "1", "2", "3"] and list(model.feature_names_in_) == list(adata.var_names)
    assert list(np.concatenate(model.cell_names_)) == list(adata.obs_names) and not model.spatial
    states = np.concatenate(model.latent_states_)
    scaling = np.repeat(model.scaling_, 500)[:, None]
    residual = scaling * (adata.X - states @ model.metagenes_.T)
    assert model.noise_ == pytest.approx(np.sqrt((residual**2).mean()), rel=1e-9)
    found = model.transform(adata, "sample")
    assert np.corrcoef(found.ravel(), states.ravel())[0, 1] > 0.9999
    assert np.median(abs(found - states)) < 1e-3 * states.max()


def test_a_result_and_data_of_another_run_are_refused(tmp_path, adata):
    write_authors_result(tmp_path / "result.h5")
    adata.write_h5ad(tmp_path / "data.h5ad")
    with pytest.raises(ValueError, match="has a sample 'a', but the samples of the data are left, right"):
        convert_result(tmp_path / "result.h5", tmp_path / "model.h5", data=tmp_path / "data.h5ad")
    adata.obs["sample"] = ["a"] * 6 + ["b"] * 134
    with pytest.raises(ValueError, match=r"have \[.6, 5., .2, 5.\] cells and genes, but those of the "
                                         r"data have \[.6, 30."):
        convert_result(tmp_path / "result.h5", tmp_path / "model.h5", data=adata)
    for name, value, message in (("hyperparameters/K", 4, "metagenes have shape"),
                                 ("parameters/sigma_yx_invs/0/20", 0.0, "division by zero"),
                                 ("parameters/M/20", np.full((5, 3), np.nan), "values that are not finite numbers")):
        write_authors_result(tmp_path / "odd.h5")
        with h5py.File(tmp_path / "odd.h5", "r+") as file:
            del file[name]
            file[name] = value
        with pytest.raises(ValueError, match=f"odd.h5 is a damaged result of the authors' program: .*{message}"):
            convert(tmp_path / "odd.h5", tmp_path / "model.h5")
    with pytest.raises(ValueError, match="is not a result of the authors' program"):
        convert(tmp_path / "data.h5ad", tmp_path / "model.h5")
    assert not (tmp_path / "model.h5").exists()
