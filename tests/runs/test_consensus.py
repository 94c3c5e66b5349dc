"""The consensus of runs: what it does not depend on, what it finds, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from models import neighbor_graph
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix, tl
from spicemix_core.runs.combination import combine_runs
from spicemix_core.runs.consensus import fit_consensus
from spicemix_core.tl import ClusteringWarning, adjusted_rand_index, cluster_states

pytestmark = pytest.mark.filterwarnings("ignore:no convergence", "ignore:expression has negative")
N_TYPES, OPTIONS = 6, {"n_metagenes": 6, "n_runs": 3, "sample_key": "sample", "random_state": 0, "max_iter": 30}


def tissue(n_cells=240, random_state=0):
    """Two interleaved samples of cells of six well separated types, in stripes."""
    rng = np.random.default_rng(random_state)
    coordinates, sample = rng.random((n_cells, 2)), np.arange(n_cells) % 2
    types = np.minimum((N_TYPES * coordinates[:, 0]).astype(int), N_TYPES - 1)
    metagenes = rng.gamma(0.4, size=(40, N_TYPES))
    metagenes /= metagenes.sum(axis=0)
    weights = 0.9 * np.eye(N_TYPES)[types] + 0.1 * rng.dirichlet(np.ones(N_TYPES), size=n_cells)
    expression = rng.gamma(20, 0.3, size=(n_cells, 1)) * weights @ metagenes.T + 0.003 * rng.random((n_cells, 40))
    graph = sparse.lil_array((n_cells, n_cells))
    for name in (0, 1):
        chosen = np.flatnonzero(sample == name)
        graph[np.ix_(chosen, chosen)] = neighbor_graph(coordinates[chosen]).toarray()
    obs = pd.DataFrame({"sample": sample.astype(str), "type": types}, index=[f"c{i}" for i in range(n_cells)])
    return AnnData(expression, obs=obs, obsp={"spatial_connectivities": sparse.csr_matrix(graph)})


@pytest.fixture(scope="module")
def fitted():
    adata = tissue()
    return adata, fit_consensus(adata, **OPTIONS)


def planted(rng, n_clusters=6, per_cluster=30, n_runs=4, n_columns=6, spread=0.05, unsure=0):
    """States of several runs around the same cluster centres, the metagenes of each in an order of its own.

    The last ``unsure`` cells lie between the first two clusters, nearer to either at random in each run.
    """
    truth = np.repeat(np.arange(n_clusters), per_cluster)
    centers = 0.1 + np.eye(n_clusters, n_columns)
    states = []
    for _ in range(n_runs):
        x = centers[truth] + spread * rng.random((len(truth), n_columns))
        share = rng.random((unsure, 1)).round() * 0.3 + 0.35
        between = share * centers[0] + (1 - share) * centers[1] + spread * rng.random((unsure, n_columns))
        states.append(np.concatenate([x, between])[:, rng.permutation(n_columns)])
    return states, truth


def same_partition(a, b):
    return adjusted_rand_index(a, b) == 1.0


def own_order(run, permutation):
    """A copy of a fitted run with its metagenes in another order."""
    other = SpiceMix(**run.get_params())
    other.__dict__.update(run.__dict__)
    other.metagenes_, other.affinity_ = run.metagenes_[:, permutation], run.affinity_[np.ix_(permutation, permutation)]
    other.latent_states_ = [x[:, permutation] for x in run.latent_states_]
    return other


def test_finds_planted_clusters(fitted):
    runs = fitted[1].runs
    states, truth = planted(np.random.default_rng(1), n_runs=len(runs))
    result = combine_runs(runs, states)
    assert result.clustering.n_clusters == 6
    assert same_partition(result.labels, truth)
    assert (result.confidence == 1.0).all()


def test_runs_without_structure_do_not_spoil_the_others(fitted):
    rng = np.random.default_rng(12)
    states, truth = planted(rng, n_runs=4)
    noise = [rng.random(states[0].shape) for _ in range(2)]
    result = combine_runs(fitted[1].runs * 2, [*states[:2], *noise, *states[2:]])
    assert same_partition(result.labels, truth)
    agreement = result.run_summary["ari_with_consensus"]
    assert agreement[[2, 3]].max() < 0.2 < 0.9 < agreement[[0, 1, 4, 5]].min()
    assert result.reference not in (2, 3)


def test_finds_the_types_of_interleaved_samples_in_the_order_of_the_cells(fitted):
    adata, result = fitted
    assert adjusted_rand_index(result.labels, adata.obs["type"]) > 0.95


def test_does_not_depend_on_the_order_of_runs(fitted):
    runs = fitted[1].runs
    states, _ = planted(np.random.default_rng(2), n_runs=3, spread=1.2)
    forward, backward = combine_runs(runs, states), combine_runs(runs[::-1], states[::-1])
    assert same_partition(forward.labels, backward.labels)
    np.testing.assert_allclose(forward.confidence, backward.confidence)
    np.testing.assert_allclose(forward.run_summary["ari_with_consensus"],
                               backward.run_summary["ari_with_consensus"][::-1])
    assert forward.model is backward.model


def test_does_not_depend_on_the_names_of_the_metagenes(fitted):
    _, result = fitted
    states = [np.concatenate(run.latent_states_) for run in result.runs]
    rng = np.random.default_rng(3)
    orders = [rng.permutation(6) for _ in result.runs]
    renamed = [own_order(run, order) for run, order in zip(result.runs, orders, strict=True)]
    before = combine_runs(result.runs, states)
    after = combine_runs(renamed, [x[:, order] for x, order in zip(states, orders, strict=True)])
    assert same_partition(before.labels, after.labels)
    np.testing.assert_allclose(before.confidence, after.confidence)
    assert before.reference == after.reference
    order = orders[before.reference]
    np.testing.assert_allclose(before.metagene_stability[order], after.metagene_stability)


def test_does_not_depend_on_the_order_of_cells(fitted):
    states, _ = planted(np.random.default_rng(4), n_runs=3, spread=1.2)
    order = np.random.default_rng(5).permutation(len(states[0]))
    before = combine_runs(fitted[1].runs, states)
    after = combine_runs(fitted[1].runs, [x[order] for x in states])
    assert same_partition(before.labels[order], after.labels)
    np.testing.assert_allclose(before.confidence[order], after.confidence)


def test_does_not_depend_on_the_number_of_workers(fitted):
    _, one = fitted
    two = fit_consensus(tissue(), **OPTIONS, n_jobs=2)
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_array_equal(one.confidence, two.confidence)
    for a, b in zip(one.runs, two.runs, strict=True):
        np.testing.assert_allclose(a.metagenes_, b.metagenes_, rtol=1e-10)
    assert one.run_summary["random_state"].tolist() == two.run_summary["random_state"].tolist()


def test_same_seed_same_answer_other_seed_other_runs(fitted):
    again = fit_consensus(tissue(), **OPTIONS)
    np.testing.assert_array_equal(fitted[1].labels, again.labels)
    other = fit_consensus(tissue(), **OPTIONS | {"random_state": 1, "max_iter": 2})
    assert set(other.run_summary["random_state"]).isdisjoint(again.run_summary["random_state"])


def test_confidence_is_a_share_and_lower_for_cells_between_clusters(fitted):
    runs = fitted[1].runs * 3
    states, truth = planted(np.random.default_rng(6), n_runs=len(runs), unsure=20)
    confidence = combine_runs(runs, states, n_clusters=6).confidence
    assert confidence.min() >= 0.0
    assert confidence.max() <= 1.0
    np.testing.assert_allclose(confidence * len(runs), np.round(confidence * len(runs)), atol=1e-9)
    assert confidence[len(truth):].mean() < confidence[:len(truth)].mean() - 0.1


def test_identical_runs_are_stable_and_certain(fitted):
    run = fitted[1].runs[0]
    states = np.concatenate(run.latent_states_)
    result = combine_runs([run] * 3, [states] * 3)
    np.testing.assert_allclose(result.metagene_stability, 1.0)
    np.testing.assert_allclose(result.affinity_stability["sd"], 0.0, atol=1e-12)
    np.testing.assert_allclose(result.run_summary["ari_with_consensus"], 1.0)
    assert (result.confidence == 1.0).all()


def test_different_runs_are_not_called_stable(fitted):
    runs = [own_order(run, np.arange(6)) for run in fitted[1].runs]
    rng = np.random.default_rng(7)
    for run in runs:
        run.metagenes_ = rng.dirichlet(np.ones(40), size=6).T
        run.affinity_ = rng.normal(size=(6, 6))
    result = combine_runs(runs, [np.concatenate(run.latent_states_) for run in runs])
    assert result.metagene_stability.max() < 0.9
    assert result.affinity_stability["sd"].mean() > 0.3


def test_every_run_has_its_own_clustering(fitted):
    runs = fitted[1].runs
    states, _ = planted(np.random.default_rng(5), n_runs=len(runs), spread=1.2)
    result = combine_runs(runs, states)
    assert len({tuple(labels) for labels in result.own_labels}) == len(runs)
    for labels, own, number in zip(result.own_labels, states, result.run_summary["n_clusters"], strict=True):
        np.testing.assert_array_equal(labels, cluster_states(own).labels)
        assert labels.max() + 1 == number


def test_writes_labels_confidence_and_the_reference_run(fitted):
    adata, result = fitted
    np.testing.assert_array_equal(adata.obs["spicemix_cluster"].astype(int), result.labels)
    np.testing.assert_array_equal(adata.obs["spicemix_confidence"], result.confidence)
    assert isinstance(adata.obs["spicemix_cluster"].dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(adata.varm["metagenes"], result.model.metagenes_)
    for name, states in zip(("0", "1"), result.model.latent_states_, strict=True):
        np.testing.assert_array_equal(adata.obsm["X_spicemix"][adata.obs["sample"] == name], states)
    assert len(result.run_summary) == len(result.runs) == OPTIONS["n_runs"]


def test_runs_use_the_starts_in_turn_unless_one_is_given(fitted):
    assert fitted[1].run_summary["init"].tolist() == ["weighted", "expression", "profiles"]
    one = fit_consensus(tissue(), **OPTIONS | {"n_runs": 2, "max_iter": 2}, init="profiles")
    assert one.run_summary["init"].tolist() == ["profiles", "profiles"]


def test_writes_coarse_types_curve_and_branches_and_warns_of_what_a_reader_must_know(fitted):
    adata, result = fitted
    np.testing.assert_array_equal(adata.obs["spicemix_cluster_coarse"].astype(int), result.clustering.coarse_labels)
    stored = adata.uns["spicemix"]["cluster"]
    np.testing.assert_array_equal(stored["table"]["separation"], result.clustering.separation)
    pd.testing.assert_frame_equal(stored["branches"], result.clustering.branches)
    with pytest.warns(ClusteringWarning, match="is the largest that was considered") as caught:
        fit_consensus(tissue(), **OPTIONS, n_clusters_range=(2, 3))
    assert __file__ in {warning.filename for warning in caught}


@pytest.mark.parametrize("n_runs", [1, 0, 2.5, "3", None])
def test_refuses_fewer_than_two_runs(n_runs):
    with pytest.raises(ValueError, match="n_runs must be an integer of at least 2"):
        fit_consensus(tissue(), **OPTIONS | {"n_runs": n_runs})


def test_input_that_a_fit_refuses_is_refused_and_nothing_is_written():
    adata = tissue()
    adata.X[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit_consensus(adata, **OPTIONS)
    with pytest.raises(KeyError, match="nosuch"):
        fit_consensus(tissue(), **OPTIONS | {"sample_key": "nosuch"})
    with pytest.raises(ValueError, match="n_metagenes"):
        fit_consensus(tissue(), **OPTIONS | {"n_metagenes": 1})
    assert not {"spicemix_cluster", "spicemix_confidence"} & set(adata.obs)


@pytest.mark.parametrize(("options", "message"), [
    ({"n_clusters": 1}, "240 cells into 1 clusters is impossible"),
    ({"n_clusters_range": (9, 5)}, "into 9 to 5 clusters is impossible"),
    ({"n_jobs": 0}, "n_jobs"),
])
def test_impossible_requests_are_refused_before_anything_is_fitted(fitted, options, message):
    with pytest.raises(ValueError, match=message):
        fit_consensus(fitted[0], 10**6, **options)  # the first fit would refuse this number of metagenes


def test_a_stopped_consensus_resumes_to_the_same_numbers(tmp_path, monkeypatch, fitted):
    whole, folder, fits = fitted[1], tmp_path / "runs", []
    fit = SpiceMix.fit_arrays

    def stops_at_the_third(model, *arrays, **options):
        fits.append(model.random_state)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return fit(model, *arrays, **options)

    monkeypatch.setattr(SpiceMix, "fit_arrays", stops_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit_consensus(tissue(), **OPTIONS, folder=folder)
    assert len(list(folder.glob("run-*.h5"))) == 2
    resumed = fit_consensus(tissue(), **OPTIONS, folder=folder)
    assert len(fits) == len(set(fits)) + 1 == len(whole.runs) + 1  # only the third was fitted again
    np.testing.assert_array_equal(resumed.labels, whole.labels)
    np.testing.assert_array_equal(resumed.model.metagenes_, whole.model.metagenes_)
    assert not folder.exists()


def test_consensus_keeps_other_files_of_its_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fit_consensus(tissue(), **OPTIONS | {"n_runs": 2, "max_iter": 2}, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_consensus_keeps_its_summary_and_names_with_the_data(fitted, tmp_path):
    adata, result = fitted
    adata.copy().write_h5ad(tmp_path / "fitted.h5ad")
    kept = read_h5ad(tmp_path / "fitted.h5ad").uns["spicemix"]["consensus"]
    np.testing.assert_array_equal(kept["run_summary"]["Q"], result.run_summary["Q"])
    np.testing.assert_array_equal(kept["metagene_stability"], result.metagene_stability)
    assert list(result.model.feature_names_in_) == list(adata.var_names)


def test_warnings_of_the_runs_are_issued_once():
    with pytest.warns(ConvergenceWarning) as caught:
        fit_consensus(tissue(), **OPTIONS | {"n_runs": 2, "max_iter": 2})
    assert len([w for w in caught if issubclass(w.category, ConvergenceWarning)]) == 1


def test_confidence_belongs_to_the_clusters_of_the_consensus(fitted):
    adata = fitted[0].copy()
    confidence = adata.obs["spicemix_confidence"].copy()
    tl.cluster(adata, n_clusters=7, key_added="others")
    pd.testing.assert_series_equal(adata.obs["spicemix_confidence"], confidence)
    tl.cluster(adata, n_clusters=7)
    assert not {"spicemix_confidence", "spicemix_cluster_coarse"} & set(adata.obs)
