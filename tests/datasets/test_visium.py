"""The Visium sections: known facts, the graph of the lattice, and the twin."""

import numpy as np
import pytest
from scipy import sparse

from spicemix_core import datasets
from spicemix_core.datasets import fallback, registry, visium


@pytest.fixture(scope="module")
def measured(real_data):
    return datasets.load_visium_dlpfc(download=False)


@pytest.fixture(scope="module")
def twin():
    path = registry.registry_path().with_name(fallback.LAYERED_TWIN)
    return visium.sample_layered_twin(visium.load_layered_twin(path))


def test_the_sections_have_their_published_spots_layers_and_markers(measured):
    assert measured.obs["sample"].value_counts(sort=False).to_dict() == {"151673": 3639, "151674": 3673}
    assert measured.n_vars == 1125 and measured.obs["layer"].isna().sum() == 66
    assert list(measured.obs["layer"].cat.categories) == ["L1", "L2", "L3", "L4", "L5", "L6", "WM"]
    layers = list(measured.obs["layer"].cat.categories)
    highest = {gene: layers[np.argmax([measured[measured.obs["layer"] == k, gene].X.mean() for k in layers])]
               for gene in ("MBP", "PCP4", "HPCAL1")}
    assert highest == {"MBP": "WM", "PCP4": "L5", "HPCAL1": "L2"}


def test_expression_is_the_logarithm_of_counts_per_ten_thousand(measured):
    counts = measured.layers["counts"]
    assert sparse.issparse(counts) and (counts.data == np.round(counts.data)).all()
    totals = np.asarray(counts.sum(axis=1)).ravel()
    np.testing.assert_array_equal(measured.obs["total_counts"], totals)
    np.testing.assert_allclose(measured.X[:5], np.log1p(1e4 * counts[:5].toarray() / totals[:5, None]))


def test_neighbours_are_the_six_nearest_places_of_the_lattice_in_the_same_section(measured):
    graph = measured.obsp["spatial_connectivities"].tocoo()
    row, column = (measured.obs[name].to_numpy() for name in ("array_row", "array_col"))
    assert (measured.obs["sample"].to_numpy()[graph.row] == measured.obs["sample"].to_numpy()[graph.col]).all()
    steps = {(abs(a), abs(b)) for a, b in zip(row[graph.row] - row[graph.col], column[graph.row] - column[graph.col],
                                              strict=True)}
    assert steps == {(0, 2), (1, 1)}
    degree = np.asarray(measured.obsp["spatial_connectivities"].sum(axis=1)).ravel()
    assert degree.max() == 6 and np.median(degree) == 6


def test_one_section_is_that_part_of_both(real_data, measured):
    one = datasets.load_visium_dlpfc(["151674"], raw=True, download=False)
    both = measured[measured.obs["sample"] == "151674"]
    assert (both.layers["counts"] != one.X).nnz == 0 and list(one.obs_names) == list(both.obs_names)
    assert "spatial_connectivities" not in one.obsp


@pytest.mark.parametrize("sections", [["151507"], []])
def test_other_sections_are_refused(sections):
    with pytest.raises(ValueError, match="The sections are 151673, 151674, not"):
        datasets.load_visium_dlpfc(sections, download=False)


def test_without_the_files_the_error_says_where_to_put_them_and_the_twin_is_returned(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "search_path", lambda: [tmp_path])
    with pytest.raises(datasets.DataNotFoundError, match=r"no address to download from.*spatialLIBD"):
        datasets.load_visium_dlpfc()
    adata = datasets.load_or_simulate_visium_dlpfc()
    assert adata.uns["source"]["measured"] is False and adata.uns["source"]["stands_for"] == "visium_dlpfc"


def test_the_twin_has_the_layers_genes_and_totals_of_the_original(twin, measured):
    assert list(twin.var_names) == list(measured.var_names)
    for name in measured.obs["sample"].cat.categories:
        own, drawn = (data.obs.loc[data.obs["sample"] == name, "layer"].value_counts() for data in (measured, twin))
        assert own.to_dict() == drawn.to_dict()
    assert np.corrcoef(measured.X.mean(axis=0), twin.X.mean(axis=0))[0, 1] > 0.99
    assert abs(np.median(twin.obs["total_counts"]) / np.median(measured.obs["total_counts"]) - 1) < 0.1
    assert abs((twin.X > 0).mean() - (measured.X > 0).mean()) < 0.02


def test_layers_of_the_twin_are_bands_of_a_hexagonal_lattice(twin):
    degree = np.asarray(twin.obsp["spatial_connectivities"].sum(axis=1)).ravel()
    assert degree.max() == 6 and np.median(degree) == 6
    edges = twin.obsp["spatial_connectivities"].tocoo()
    code = twin.obs["layer"].cat.codes.to_numpy()
    assert abs(code[edges.row].astype(int) - code[edges.col]).max() == 1  # layers touch the next ones only


def test_the_parameters_of_the_twin_are_those_of_the_data_and_make_the_same_file(real_data, tmp_path):
    path = tmp_path / "twin.npz"
    visium.save_layered_twin(visium.fit_layered_twin(datasets.load_visium_dlpfc(raw=True, download=False)), path)
    assert path.read_bytes() == registry.registry_path().with_name(fallback.LAYERED_TWIN).read_bytes()


def test_a_damaged_file_of_the_twin_is_refused(tmp_path):
    (tmp_path / "twin.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="does not hold the parameters of a twin"):
        visium.load_layered_twin(tmp_path / "twin.npz")
