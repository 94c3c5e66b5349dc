"""Synthetic twins: draws from their parameters, and parameters fitted again to the measured data."""

import hashlib
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import twin_fitting
from paper.shared import twin_recovery
from paper.shared.annotation import all_markers
from paper.shared.scores import affinity_of_states
from scipy import sparse

from spicemix_core.datasets import load_seqfish_plus, load_starmap, registry, twin
from spicemix_core.datasets.count_model import RATES, log_moments, size_and_rates
from spicemix_core.datasets.fallback import TWINS
from spicemix_core.inputs.normalize import log_normalize

NAMES = tuple(TWINS)


def path_of(name):
    return registry.registry_path().with_name(TWINS[name])


@pytest.fixture(scope="module")
def drawn():
    return {name: twin.sample_twin(twin.load_twin(path_of(name)), genes="all") for name in NAMES}


@pytest.fixture
def small():
    """Two samples with two bins of depth, two types and three kinds, 30 genes of which two are not modelled."""
    rng = np.random.default_rng(0)
    metagenes = rng.gamma(0.5, size=(30, 3))
    return twin.Twin(
        genes=np.array([f"g{i}" for i in range(30)]), n_modelled=28, metagenes=metagenes / metagenes[:28].sum(axis=0),
        affinity=np.array([[-8.0, 8.0, 0.0], [8.0, -8.0, 0.0], [0.0, 0.0, 0.0]]), strength=1.0, dispersion=0.2,
        share_measured=0.8,
        samples=np.array(["a", "b"]), extents=np.array([[0.0, 10.0, 0.0, 5.0], [0.0, 20.0, 0.0, 5.0]]),
        slope=0.0, depths=np.array([[0.0, 10.0], [0.0, 20.0]]),
        cells=np.array([[[30, 5, 25], [0, 40, 10]], [[20, 20, 20], [10, 0, 0]]]), type_of_kind=np.array([0, 0, 1]),
        label_names=np.array(["cell_type"]), labels=np.array([["x"], ["y"], ["y"]]), types=np.array(["A", "B"]),
        proportions=np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), concentrations=np.array([20.0, 5.0]),
        log_totals=np.array([[6.0, 0.3], [5.0, 0.3]]), total_range=np.array([20.0, 2000.0]), max_length=5.0)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_files_are_small_and_hold_no_pickle(name):
    assert path_of(name).stat().st_size < 400_000
    with np.load(path_of(name), allow_pickle=False) as stored:
        assert all(stored[key].dtype.kind in "iufU" for key in stored.files)


def test_the_twins_have_the_genes_of_their_originals():
    starmap, seqfish = (twin.load_twin(path_of(name)) for name in ("starmap", "seqfish_plus"))
    listed = "".join(f"{gene}\n" for gene in starmap.genes).encode()
    assert hashlib.sha256(listed).hexdigest() == registry.entry("starmap")["shipped"]["starmap_genes.txt"]["sha256"]
    assert seqfish.n_modelled == 2470 and len(set(seqfish.genes)) == len(seqfish.genes) > 2540
    assert set(twin_fitting.NAMED_GENES) <= set(seqfish.genes) and len(set(all_markers()) & set(seqfish.genes)) > 80


@pytest.mark.parametrize("name", NAMES)
def test_expression_is_the_log_normalised_counts(drawn, name):
    adata = drawn[name]
    expected = log_normalize(adata.layers["counts"], 1e4, adata.obs["total_counts"].to_numpy())
    np.testing.assert_allclose(adata.X.toarray(), expected.toarray())
    counted = np.asarray(adata.layers["counts"].sum(axis=1)).ravel() / adata.obs["total_counts"]
    share = twin.load_twin(path_of(name)).share_measured
    assert counted.max() <= 1 and counted.mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_mean_and_noise_of_the_expression_are_those_of_the_model(drawn, name):
    parameters, adata = twin.load_twin(path_of(name)), drawn[name]
    expected = adata.obsm["true_latent_states"] @ adata.varm["true_metagenes"].T
    residual = adata.X.toarray() - expected
    assert abs(residual.mean()) < 0.01 * expected.mean()
    assert np.abs(residual.mean(axis=0)).max() < 6 * residual.std() / np.sqrt(adata.n_obs)
    means, squares = log_moments(adata.obs["total_counts"].to_numpy(dtype=float), parameters.dispersion)
    variance = np.mean([np.interp(row, m, s - m**2) for row, m, s in zip(expected, means.T, squares.T, strict=True)])
    assert residual.var() == pytest.approx(variance, rel=0.05)


def test_each_bin_has_its_cells_of_each_kind(small):
    adata = twin.sample_twin(small)
    kind = adata.obs["true_type"].astype(str) + adata.obs["cell_type"].astype(str)
    x, width = adata.obsm["spatial"][:, 0], np.array([10.0, 20.0])
    number = adata.obs["sample"].cat.codes.to_numpy()
    table = pd.crosstab([number, (x > width[number] / 2).astype(int)], kind.to_numpy())
    np.testing.assert_array_equal(table[["Ax", "Ay", "By"]].to_numpy(), small.cells.reshape(4, 3))
    assert (adata.obsm["spatial"] >= 0).all() and (adata.obsm["spatial"][:, 1] <= 5).all()


def test_slanted_bins_follow_the_slope_within_the_extent(small):
    """Depth x - y / 2 goes from -2.5 to 10 in the first sample, so its bins end at 3.75 and the corners are filled."""
    slanted = replace(small, slope=0.5, depths=np.array([[-2.5, 10.0], [-2.5, 20.0]]))
    samples, group, _, points = twin.draw_places(slanted, np.random.default_rng(0))
    depth = points @ (1.0, -0.5)
    np.testing.assert_array_equal(group[samples == 0], (depth[samples == 0] > 3.75).astype(int))
    assert (points.min(axis=0) >= 0).all() and points[samples == 0].max(axis=0)[0] <= 10 and points[:, 1].max() <= 5
    assert ((points[:, 0] < 1) & (points[:, 1] > 4)).any() and ((points[:, 0] < 1) & (points[:, 1] < 1)).any()
    places = twin_fitting._places(points, samples, np.zeros(len(points), int), 2, 0.5)
    np.testing.assert_allclose(places["depths"], slanted.depths, atol=0.6)
    assert places["cells"].sum() == 180 and np.abs(places["cells"][:, :, 0] - small.cells.sum(axis=2)).max() <= 6


def test_cells_keep_their_distance(small):
    nearest = []
    for candidates in (twin.CANDIDATES, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(twin, "CANDIDATES", candidates)
            _, _, _, points = twin.draw_places(small, np.random.default_rng(0))
        distance = np.linalg.norm(points[:110, None] - points[None, :110], axis=2) + 99 * np.eye(110)
        nearest.append(distance.min(axis=1).min())
    assert nearest[0] > 3 * nearest[1]


def test_types_that_attract_each_other_become_neighbours(small):
    def share_alike(affinity):
        adata = twin.sample_twin(replace(small, affinity=affinity))
        edges, types = adata.obsp["spatial_connectivities"].tocoo(), adata.obs["true_type"].to_numpy(dtype=str)
        return (types[edges.row] == types[edges.col]).mean()
    attracted, indifferent, repelled = (share_alike(sign * small.affinity) for sign in (1, 0, -1))
    assert attracted > indifferent + 0.1 and repelled < indifferent - 0.1


def test_swaps_draw_types_with_their_exact_probabilities():
    """Four cells in a ring, two of each kind: the arrangements differ only in energy."""
    ring = sparse.csr_matrix(np.roll(np.eye(4), 1, axis=1) + np.roll(np.eye(4), -1, axis=1))
    energy, rng = np.array([[-0.6, 0.3], [0.3, 0.5]]), np.random.default_rng(0)
    draws = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin, "SWEEPS", 12)
        for _ in range(4000):
            draws.append(twin.arrange_kinds(np.array([0, 0, 1, 1]), np.zeros(4, int), energy, ring, rng))
    alternate = np.mean([draw[0] == draw[2] for draw in draws])
    weights = 2 * np.exp(-4 * 0.3), 4 * np.exp(0.6 - 0.5 - 2 * 0.3)  # of the two and of the four arrangements
    assert alternate == pytest.approx(weights[0] / sum(weights), abs=0.025)


def test_rates_give_the_expression_asked_for_and_add_up(small):
    total = 60.0
    means, _ = log_moments(np.array([total]), small.dispersion)
    profile = small.metagenes @ small.proportions[0]
    size, rates = size_and_rates(profile, means[:, 0], 0.8 * total)
    assert rates.sum() == pytest.approx(0.8 * total)
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(1 / small.dispersion, 1 / (1 + small.dispersion * rates), size=(40_000, 30))
    error = np.log1p(counts * 1e4 / total).mean(axis=0) - size * profile
    assert np.abs(error[profile > 1e-4]).max() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_modelled_genes_are_the_same_with_and_without_the_others(drawn, name):
    fewer = twin.sample_twin(twin.load_twin(path_of(name)))
    np.testing.assert_array_equal(fewer.X, drawn[name][:, : fewer.n_vars].X.toarray())
    with pytest.raises(ValueError, match=r'"modelled" or "all", not \'some\''):
        twin.sample_twin(twin.load_twin(path_of(name)), genes="some")


def test_the_same_parameters_give_the_same_bytes(small, tmp_path):
    for file in ("a.npz", "b.npz"):
        twin.save_twin(small, tmp_path / file)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    read = twin.load_twin(tmp_path / "a.npz")
    np.testing.assert_allclose(read.metagenes, small.metagenes, rtol=1e-3, atol=1e-7)
    np.testing.assert_array_equal(read.cells, small.cells)
    assert read.types.tolist() == ["A", "B"] and read.dispersion == small.dispersion


def test_a_damaged_file_is_refused_in_one_sentence(small, tmp_path):
    path = tmp_path / "twin.npz"
    twin.save_twin(small, path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole.replace(b"PK\x03\x04", b"PK\x03\x05")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(f"{path} does not hold the parameters of a twin")):
            twin.load_twin(path)
    np.savez(path, genes=np.array(["g"], dtype=object))
    with pytest.raises(ValueError, match="does not hold"):
        twin.load_twin(path)
    with pytest.raises(FileNotFoundError):
        twin.load_twin(tmp_path / "none.npz")


# --- fitting ---------------------------------------------------------------------------------------------------------


def test_planted_distributions_are_found():
    rng = np.random.default_rng(0)
    alpha = np.array([[8.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    z = np.concatenate([rng.dirichlet(a, 2000) for a in alpha])
    logs = np.concatenate([rng.normal(5.0, 0.2, 2000), rng.normal(7.0, 0.5, 2000)])
    found = twin_fitting._distributions(z, logs, np.repeat([0, 1], 2000))
    np.testing.assert_allclose(found["concentrations"], alpha.sum(axis=1), rtol=0.05)
    np.testing.assert_allclose(found["proportions"], alpha / alpha.sum(axis=1, keepdims=True), atol=0.01)
    np.testing.assert_allclose(found["log_totals"], [[5.0, 0.2], [7.0, 0.5]], atol=0.02)


def test_the_planted_dispersion_is_found():
    rng = np.random.default_rng(0)
    totals, dispersion = rng.uniform(300, 800, 200), 0.4
    rates = rng.gamma(0.5, 2.0, size=(200, 300))
    counts = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * rates))
    means, _ = log_moments(totals, dispersion)
    expected = np.array([np.interp(row, RATES, mean) for row, mean in zip(rates, means.T, strict=True)])
    noise = np.square(np.log1p(counts * 1e4 / totals[:, None]) - expected).mean()
    assert twin_fitting._fit_dispersion(expected, totals, noise) == pytest.approx(dispersion, abs=0.03)


def test_the_strength_gives_neighbours_the_energy_asked_for(small):
    energies = []
    for strength in (0.0, 0.1, 1.0):
        adata = twin.sample_twin(replace(small, strength=strength))
        of_kind = {"Ax": 0, "Ay": 1, "By": 2}
        kinds = (adata.obs["true_type"].astype(str) + adata.obs["cell_type"].astype(str)).map(of_kind).to_numpy()
        energies.append(twin_fitting._mean_energy(small, kinds, adata.obsp["spatial_connectivities"]))
    assert energies[0] > energies[1] + 0.1 and energies[1] > energies[2] + 0.1
    found = twin_fitting._fit_strength(small, energies[1])
    assert found == pytest.approx(0.1, abs=0.06)
    assert twin_fitting._fit_strength(small, energies[0] + 5) < 0.01


def test_cells_of_tiny_clusters_join_the_nearest_type():
    z = np.array([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 5 + [[0.3, 0.7]])
    assert twin_fitting._common_types(np.repeat([0, 1, 2], [6, 5, 1]), z).tolist() == [0] * 6 + [1] * 6
    with pytest.raises(ValueError, match="None of the 2 clusters has 5 cells"):
        twin_fitting._common_types(np.array([0, 0, 1]), z[:3])


def test_the_twin_of_a_twin_is_similar_to_it(drawn):
    """A fit to a drawn twin recovers expression and positions, with the same numbers for the same seed."""
    original = twin.sample_twin(twin.load_twin(path_of("starmap")))[:, :300].copy()
    fit = [twin_fitting.fit_twin(original, "cluster", ["cluster", "cell_type"], n_bins=24, max_length=600.0,
                                 n_metagenes=12, random_state=3) for _ in range(2)]
    for key, value in vars(fit[0]).items():
        np.testing.assert_array_equal(value, vars(fit[1])[key])
    again = twin.sample_twin(fit[0])
    assert again.obs["cell_type"].value_counts().to_dict() == original.obs["cell_type"].value_counts().to_dict()
    assert np.corrcoef(np.asarray(original.X).mean(axis=0), again.X.mean(axis=0))[0, 1] > 0.98
    medians = [np.median(adata.obsm["spatial"][adata.obs["cell_type"] == "Oligo", 0]) for adata in (original, again)]
    assert medians[0] == pytest.approx(medians[1], rel=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_twin_is_the_one_made_from_the_measured_data(real_data, name, tmp_path):
    twin.save_twin(twin_fitting.measured_twin(name), tmp_path / "made.npz")
    made, shipped = twin.load_twin(tmp_path / "made.npz"), twin.load_twin(path_of(name))
    for key, value in vars(made).items():  # half precision may round the other way on another processor
        same = np.array_equal if np.asarray(value).dtype.kind in "iuU" else lambda a, b: np.allclose(a, b, 2e-3, 1e-6)
        assert same(value, getattr(shipped, key)), f"{key} differs: run data/make_twins.py and commit what it writes"


@pytest.mark.parametrize(("name", "load"), [("seqfish_plus", load_seqfish_plus), ("starmap", load_starmap)])
def test_marginals_are_close_to_the_measured_ones(real_data, drawn, name, load):
    real = load()
    adata = drawn[name][:, : real.n_vars]
    twin_x, x = adata.X.toarray(), real.X
    assert adata.var_names.equals(real.var_names) and adata.n_obs == real.n_obs
    assert np.corrcoef(x.mean(axis=0), twin_x.mean(axis=0))[0, 1] > 0.98
    assert np.corrcoef(x.std(axis=0), twin_x.std(axis=0))[0, 1] > 0.85
    assert (x == 0).mean() == pytest.approx((twin_x == 0).mean(), abs=0.03)
    assert x.std() == pytest.approx(twin_x.std(), rel=0.05)
    ratio = np.median(real.obs["total_counts"]) / np.median(adata.obs["total_counts"])
    assert 0.8 < ratio < 1.25


@pytest.mark.parametrize(("name", "load"), [("seqfish_plus", load_seqfish_plus), ("starmap", load_starmap)])
def test_no_measured_position_is_in_the_twin(real_data, drawn, name, load):
    measured, points = load().obsm["spatial"], drawn[name].obsm["spatial"]
    assert np.linalg.norm(measured[:, None] - points[None], axis=2).min() > 0


# --- recovery --------------------------------------------------------------------------------------------------------


def as_model(adata, order=slice(None), **changed):
    """The truth of a twin as a fitted model, metagenes in another order."""
    states = adata.obsm["true_latent_states"]
    affinity = affinity_of_states(states, adata.obsp["spatial_connectivities"], 1e-3)
    values = {"latent_states_": [states[:, order]], "metagenes_": adata.varm["true_metagenes"][:, order],
              "affinity_": affinity[order][:, order], "affinity_penalty": 1e-3}
    return SimpleNamespace(**(values | changed))


def test_the_truth_itself_scores_best(drawn):
    adata = drawn["starmap"]
    best = twin_recovery.score_twin(adata, adata.obs["true_type"], as_model(adata))
    assert best["ARI"] == 1 and best["metagenes found"] == 20 and best["clusters"] == best["types"]
    assert min(best[key] for key in ("states", "metagenes", "affinity")) > 0.999999
    order = np.random.default_rng(0).permutation(20)
    renamed = twin_recovery.score_twin(adata, adata.obs["true_type"].cat.codes, as_model(adata, order))
    assert renamed == pytest.approx(best)


def test_noise_lowers_the_score_and_nmf_has_no_affinity(drawn):
    adata = drawn["starmap"]
    rng, states = np.random.default_rng(0), adata.obsm["true_latent_states"].copy()
    states[:, :5] = rng.permutation(states[:, :5])
    worse = as_model(adata, latent_states_=[states], affinity_=np.zeros((20, 20)))
    labels = rng.integers(5, size=adata.n_obs)
    scores = twin_recovery.score_twin(adata, labels, worse)
    assert abs(scores["ARI"]) < 0.02 and scores["metagenes found"] <= 15 and np.isnan(scores["affinity"])
    table = twin_recovery.twin_table(adata, {"NMF": SimpleNamespace(labels=labels, model=worse)})
    assert table.loc["metagenes found", "NMF"] == str(scores["metagenes found"]) and table.loc["affinity", "NMF"] == ""
