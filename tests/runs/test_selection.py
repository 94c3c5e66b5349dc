"""Choice of K and the penalty: masked entries are not used, the rule is as documented, and it finds a known K."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from models import small_samples
from paper.choosing.dissociated_gain import ARMS, gain_of_seed
from paper.choosing.selection_study import Draw, suggested_numbers
from scipy import sparse

from spicemix_core import SpiceMix
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.inputs.dissociated import join_dissociated
from spicemix_core.runs import cross_validation
from spicemix_core.runs.cross_validation import Data, fit_without_fold
from spicemix_core.runs.selection import compare_errors, select, suggest

pytestmark = pytest.mark.filterwarnings("ignore:expression has negative", "ignore:no convergence")
SETTING = {"n_metagenes": 3, "affinity_penalty": 1e-3}
QUICK = {"max_iter": 5, "tol": 1e-2}


def small(**options):
    expressions, graphs = small_samples(**options)
    return Data(expressions, graphs)


def as_adata(data):
    adata = AnnData(np.concatenate(data.expressions))
    adata.obs["sample"] = np.repeat(["a", "b"], [len(y) for y in data.expressions])
    adata.obsp["spatial_connectivities"] = sparse.csr_array(sparse.block_diag(data.graphs))
    return adata


@pytest.fixture(scope="module")
def adata():
    return as_adata(small())


def numbers(result):
    return result.table.drop(columns="seconds")


def test_the_number_of_metagenes_of_a_model_is_suggested():
    draw = Draw("model", n_metagenes=4, n_cells=150, n_genes=50)
    found = [suggested_numbers(0, draw, replicate, 1).iloc[0] for replicate in range(2)]
    assert [row["rule"] for row in found] == [4, 4]
    assert [row["truth"] for row in found] == [4, 4]


def test_same_numbers_from_one_worker_or_two_and_from_a_folder(adata, tmp_path, monkeypatch):
    grid = {"n_metagenes": (2, 3), "n_seeds": 2, "sample_key": "sample", "random_state": 0, **QUICK}
    kept = adata.copy()
    first = select(adata, **grid)
    assert not set(adata.obsm) and not set(adata.uns) and (adata.X == kept.X).all()
    two = select(adata, **grid, n_jobs=2, folder=tmp_path)
    pd.testing.assert_frame_equal(numbers(first), numbers(two))
    pd.testing.assert_frame_equal(first.curves, two.curves)
    assert (first.suggestion, first.reason) == (two.suggestion, two.reason)

    def refuse(*_):
        raise AssertionError("this was stored")
    monkeypatch.setattr(SpiceMix, "fit_arrays", refuse)
    pd.testing.assert_frame_equal(select(adata, **grid, folder=tmp_path).table, two.table)
    with pytest.raises(AssertionError, match="this was stored"):  # other data are other runs
        adata_changed = adata.copy()
        adata_changed.X[0, 0] += 1e-9
        select(adata_changed, **grid, folder=tmp_path)


def test_an_interrupted_selection_resumes_with_the_missing_fits(adata, tmp_path, monkeypatch):
    grid = {"n_metagenes": (2, 3), "n_seeds": 2, "sample_key": "sample", "random_state": 0, **QUICK}
    whole, fit, done = select(adata, **grid), SpiceMix.fit_arrays, []

    def interrupted(model, *data):
        done.append(model.n_metagenes)
        if len(done) == 6:
            raise KeyboardInterrupt
        return fit(model, *data)
    monkeypatch.setattr(SpiceMix, "fit_arrays", interrupted)
    with pytest.raises(KeyboardInterrupt):
        select(adata, **grid, folder=tmp_path)
    again = select(adata, **grid, folder=tmp_path)
    pd.testing.assert_frame_equal(numbers(again), numbers(whole))
    assert len(done) == 6 + 14 - 5  # two settings, each five folds and two seeds, of which five fits were stored


def test_neither_parameters_nor_states_see_the_masked_entries(monkeypatch):
    data, seen = small(), []
    solve = cross_validation.states_without

    def spy(model, expressions, graphs, genes):
        states = solve(model, expressions, graphs, genes)
        seen.append((model.metagenes_, model.affinity_, model.noise_, *states))
        return states
    monkeypatch.setattr(cross_validation, "states_without", spy)
    before = fit_without_fold(data, SETTING, QUICK, 2, 7, 0)
    rng = np.random.default_rng(7)
    held = [rng.permutation(len(y)) % 5 == 2 for y in data.expressions]
    gene_fold = rng.permutation(30) % 5
    changed = [y.copy() for y in data.expressions]
    for y, out in zip(changed, held, strict=True):
        y[np.ix_(out, gene_fold == 0)] *= 3.0
    after = fit_without_fold(Data(changed, data.graphs), SETTING, QUICK, 2, 7, 0)
    assert after["squares"][0] != before["squares"][0]
    for x, y in zip(seen[0], seen[5], strict=True):  # the first fold of genes, before and after
        np.testing.assert_array_equal(x, y)
    assert any((x != y).any() for x, y in zip(seen[1][3:], seen[6][3:], strict=True))  # the other genes are seen


def test_every_entry_is_masked_once_and_its_error_is_that_of_the_definition(monkeypatch):
    data = small()
    monkeypatch.setattr(cross_validation, "states_without",
                        lambda model, expressions, *_: [np.zeros((len(y), 3)) for y in expressions])
    rows = pd.concat([fit_without_fold(data, SETTING, QUICK, fold, 7, 0) for fold in range(5)])
    assert rows["squares"].sum() == pytest.approx(sum((y**2).sum() for y in data.expressions))  # all predicted as 0
    rng = np.random.default_rng(7)
    held = [rng.permutation(len(y)) % 5 for y in data.expressions]
    baseline = sum(((y[out == fold] - y[out != fold].mean(axis=0)) ** 2).sum() for fold in range(5)
                   for y, out in zip(data.expressions, held, strict=True))
    assert rows["baseline"].sum() == pytest.approx(baseline)


def test_sparse_and_dense_expression_give_the_same_error():
    data = small()
    stored = Data([sparse.csr_array(y) for y in data.expressions], data.graphs)
    dense, compressed = (fit_without_fold(d, SETTING, QUICK, 0, 1, 2)["error"][0] for d in (data, stored))
    assert dense == pytest.approx(compressed, rel=1e-6)


def test_too_few_metagenes_predict_worse():
    data = small()
    errors = [fit_without_fold(data, {"n_metagenes": k, "affinity_penalty": 1e-4}, {}, 0, 1, 2)["error"][0]
              for k in (2, 4)]
    assert errors[1] < 0.8 * errors[0] < 0.8


def test_the_digest_of_data_depends_on_values_types_and_graph():
    data = small()
    others = [Data([data.expressions[0] + 1e-12, data.expressions[1]], data.graphs), Data(data.expressions, None),
              Data([y.astype(np.float32) for y in data.expressions], data.graphs),
              Data([y.view(np.int64) for y in data.expressions], data.graphs),
              Data([sparse.csr_array(y) for y in data.expressions], data.graphs),
              Data(data.expressions[::-1], data.graphs[::-1])]
    assert len({repr(one) for one in [data, *others]}) == 7
    assert repr(small()) == repr(data)


def test_standard_errors_are_paired_over_the_folds():
    folds = np.array([0.1, 0.2, 0.3, 0.4, 0.5])  # folds differ far more than settings
    rows = [{"n_metagenes": k, "affinity_penalty": 1e-4, "fold": i, "error": value + shift[i]}
            for k, shift in ((5, [0.01, 0.011, 0.012, 0.01, 0.011]), (10, [0] * 5), (15, [0.01, -0.01, 0.011, 0, 0]))
            for i, value in enumerate(folds)]
    table = compare_errors(pd.DataFrame(rows)).reset_index()
    assert list(table["as_good"]) == [False, True, True]
    assert table["difference_se"][1] == 0
    assert table["difference_se"][0] == pytest.approx(np.std([0.01, 0.011, 0.012, 0.01, 0.011], ddof=1) / 5**0.5)
    assert table["error_se"][1] == pytest.approx(np.std(folds, ddof=1) / 5**0.5)


def settings(rows):
    columns = ["n_metagenes", "affinity_penalty", "error", "as_good", "ari"]
    return pd.DataFrame(rows, columns=columns).assign(difference_se=0.01)


@pytest.mark.parametrize(("rows", "expected", "words"), [
    ([(5, 1e-4, 0.3, False, 1.0), (10, 1e-4, 0.201, True, 0.5), (15, 1e-4, 0.2, True, 0.9), (20, 1e-4, 0.3, False, 1)],
     (10, 1e-4), "smallest number of metagenes whose held-out error, 0.2010, is within one standard error"),
    ([(5, 1e-4, 0.3, False, 1.0), (10, 1e-4, 0.2, True, 0.5), (15, 1e-4, 0.3, False, 0.9)], (10, 1e-4), "the lowest"),
    ([(5, 1e-4, 0.21, True, 0.5), (5, 1e-2, 0.21, True, 0.8), (5, 1e-1, 0.4, False, 1.0), (9, 1e-4, 0.2, True, 1.0)],
     (5, 1e-2), "the most stable"),
    ([(5, 1e-4, 0.2, True, 0.5), (5, 1e-2, 0.2, True, 0.5), (9, 1e-4, 0.3, False, 0.5)], (5, 1e-2), "try smaller"),
    ([(5, 1e-4, 0.3, False, 0.5), (9, 1e-4, 0.2, True, 0.5)], (9, 1e-4), "try larger")])
def test_suggestion_follows_the_rule_and_states_the_reason(rows, expected, words):
    suggestion, reason = suggest(settings(rows))
    assert tuple(suggestion.values()) == expected
    assert words in reason
    assert reason.startswith(f"{expected[0]} metagenes (affinity penalty {expected[1]:g}) ")
    assert reason.endswith(".") and "\n" not in reason


def test_table_has_a_row_per_setting_and_one_suggestion(adata):
    found = select(adata, n_metagenes=[3, 2], affinity_penalty=(1e-2, 1e-4), n_seeds=2, sample_key="sample",
                   random_state=1, **QUICK)
    assert len(found.table) == 4
    assert found.table["suggested"].sum() == 1
    chosen = found.table[found.table["suggested"]].iloc[0]
    assert found.suggestion == {"n_metagenes": chosen["n_metagenes"], "affinity_penalty": chosen["affinity_penalty"]}
    assert found.table["ari"].between(-1, 1).all() and (found.table["seconds"] > 0).all()
    best = found.curves.groupby(["n_metagenes", "affinity_penalty", "random_state"])["separation"].max()
    means = best.groupby(["n_metagenes", "affinity_penalty"]).mean()
    np.testing.assert_allclose(found.table["separation"], means)
    SpiceMix(**found.suggestion)


def test_data_without_coordinates_are_selected_without_a_graph(adata):
    cells = AnnData(adata.X[:80])
    found = select(cells, n_metagenes=(2, 3), n_seeds=2, random_state=0, spatial=False, **QUICK)
    assert found.suggestion["n_metagenes"] in (2, 3)


@pytest.mark.parametrize(("options", "message"), [
    ({"n_metagenes": ()}, "n_metagenes must be a list of integers"),
    ({"n_metagenes": (2.5,)}, "n_metagenes must be a list of integers"),
    ({"n_metagenes": (3, 3)}, "without repeats"), ({"n_metagenes": (25,)}, "at most 24 metagenes can be fitted"),
    ({"affinity_penalty": ()}, "affinity_penalty must be a list of numbers"),
    ({"affinity_penalty": (-1.0,)}, "must be a positive number"),
    ({"n_seeds": 1}, "Stability needs at least two seeds"),
    ({"n_metagenes": (1,)}, "at least 2"), ({"n_jobs": 0}, "n_jobs must be"),
    ({"folder": "x", "random_state": None}, "needs an integer as random_state"),
    ({"sample_key": "tiny"}, "Sample 'few' has 3 cells")])
def test_impossible_grids_are_refused_before_anything_is_fitted(adata, options, message, monkeypatch):
    monkeypatch.setattr(SpiceMix, "fit_arrays", lambda *_: pytest.fail("something was fitted"))
    cells = adata.copy()
    cells.obs["tiny"] = np.where(np.arange(cells.n_obs) < cells.n_obs - 3, "rest", "few")
    cells.obsp["spatial_connectivities"] = sparse.csr_array((cells.n_obs,) * 2)
    arguments = {"n_metagenes": (2,), "random_state": 0, "sample_key": "sample"} | options
    with pytest.raises(ValueError, match=message):
        select(cells, **arguments)


def test_joined_cells_keep_their_graph_and_have_no_neighbours():
    spatial = simulate_cortex(2, n_cells=40, n_genes=12, random_state=0)
    others = simulate_cortex(n_cells=30, n_genes=12, random_state=1)
    others.obs_names = [f"single-{i}" for i in range(30)]
    others = others[:, [f"gene{g}" for g in (11, *range(9))]].copy()
    joined = join_dissociated(spatial, others)
    assert list(joined.var_names) == [f"gene{g}" for g in (*range(9), 11)]
    np.testing.assert_array_equal(joined.X[80:], others[:, joined.var_names].X)
    graph = joined.obsp["spatial_connectivities"]
    assert (graph[:80][:, :80] != spatial.obsp["spatial_connectivities"]).nnz == 0
    assert graph[80:].nnz == 0
    assert list(joined.obs["sample"].unique()) == ["0", "1", "dissociated"]
    np.testing.assert_array_equal(joined.obsm["spatial"][:80], spatial.obsm["spatial"])
    assert np.isnan(joined.obsm["spatial"][80:]).all()
    model = SpiceMix(3, random_state=0, max_iter=2).fit(joined, sample_key="sample")
    assert len(model.scaling_) == 3


def test_matched_means_are_those_of_the_spatial_cells_sparse_or_dense():
    spatial, others = (simulate_cortex(n_cells=40, n_genes=12, random_state=seed) for seed in (0, 1))
    others.obs_names = [f"single-{i}" for i in range(40)]
    dense = join_dissociated(spatial, others, match_means=True)
    np.testing.assert_allclose(dense.X[40:].mean(axis=0), spatial.X.mean(axis=0))
    others.X = sparse.csr_matrix(others.X)
    stored = join_dissociated(spatial, others, match_means=True)
    np.testing.assert_allclose(stored.X.toarray(), dense.X)


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda a, b: b.var_names.__class__([f"X{g}" for g in b.var_names]), ValueError, "and none is in both"),
    (None, ValueError, "occurs twice"), ("name", ValueError, "There is already a sample '0'"),
    ("graph", KeyError, "no neighbour graph")])
def test_cells_that_cannot_be_joined_are_refused(change, error, message):
    spatial, others = (simulate_cortex(n_cells=20, n_genes=6, random_state=seed) for seed in (0, 1))
    if change is None:
        pass
    elif change == "graph":
        del spatial.obsp["spatial_connectivities"]
    elif change != "name":
        others.var_names = change(spatial, others)
    with pytest.raises(error, match=message):
        join_dissociated(spatial, others, name="0" if change == "name" else "dissociated")


def test_gain_is_measured_on_tissue_that_no_fit_has_seen():
    rows = gain_of_seed(0, 40, 60, 10, 0.3)
    assert list(rows["arm"]) == list(ARMS)
    assert (rows["held_out_error"] > 0).all()
    assert rows[["metagene_correlation", "state_correlation"]].abs().to_numpy().max() <= 1
    pd.testing.assert_frame_equal(rows, gain_of_seed(0, 40, 60, 10, 0.3))
