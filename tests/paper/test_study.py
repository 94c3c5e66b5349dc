"""The simulation study: seeds, the table, storing and resuming, paired tests."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from paper.simulation.methods import PUBLISHED, Fit, cluster_co_association, score_fits
from paper.simulation.sensitivity import sweep
from paper.simulation.study import (
    COLUMNS,
    RELEASED,
    RELEASED_TRUTH,
    SCENARIOS,
    Scenario,
    Settings,
    compare,
    draw_replicate,
    run_replicate,
    run_study,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import silhouette_score

import spicemix_core
from spicemix_core import SpiceMix
from spicemix_core.runs import stored_tasks as stored_runs
from spicemix_core.runs.sources import ROOT, sources_of, sources_of_code

ROOTS = (ROOT, ROOT / "book")
matplotlib.use("agg")
SMALL = Settings(n_cells=130, n_metagenes=6, n_runs=2, betas=(0.0, 1.0), n_states=(8,), published_iterations=3)
STUDY = {"scenarios": (RELEASED_TRUTH, RELEASED), "n_replicates": 2, "settings": SMALL}


def without_times(table):
    return table.drop(columns="seconds")


@pytest.fixture(scope="module")
def one_go(tmp_path_factory):
    """A small study in one run on one worker: its folder and its table."""
    folder = tmp_path_factory.mktemp("study")
    return folder, run_study(folder, **STUDY)


# --- seeds -------------------------------------------------------------------------------------------------------


def test_a_replicate_depends_on_its_scenario_and_number_alone():
    first, seed = draw_replicate(RELEASED, 1, SMALL)
    draw_replicate(RELEASED, 0, SMALL)
    again, same_seed = draw_replicate(RELEASED, 1, SMALL)
    np.testing.assert_array_equal(first.X, again.X)
    assert seed == same_seed


@pytest.mark.parametrize("scenario, replicate, settings", [
    (RELEASED, 2, SMALL), (Scenario(3.0, 3.0), 1, SMALL), (RELEASED, 1, replace(SMALL, random_state=1))])
def test_other_replicates_scenarios_and_seeds_give_other_cells(scenario, replicate, settings):
    first, seed = draw_replicate(RELEASED, 1, SMALL)
    other, other_seed = draw_replicate(scenario, replicate, settings)
    assert not np.array_equal(first.obsm["spatial"], other.obsm["spatial"])
    assert seed != other_seed


def test_scenarios_are_two_levels_by_two_with_the_released_ones():
    assert {(s.sigma_x, s.sigma_y) for s in SCENARIOS} == {(1.5, 2.0), (1.5, 3.0), (3.0, 2.0), (3.0, 3.0)}
    assert RELEASED in SCENARIOS
    assert RELEASED_TRUTH in SCENARIOS


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table_has_every_method_once_per_replicate(one_go):
    _, table = one_go
    assert list(table.columns) == COLUMNS
    assert not table.duplicated(["scenario", "replicate", "method", "normalization"]).any()
    counts = table.groupby(["scenario", "replicate"]).size()
    assert counts.tolist() == [17] * 4
    assert table["ari"].between(-0.5, 1).all()
    assert table[["n_clusters", "ari", "excitatory_share", "scattered_share", "seconds"]].notna().all().all()


def test_the_best_cut_is_never_below_the_cut_chosen_without_truth(one_go):
    wide = one_go[1].pivot(index=["scenario", "replicate", "normalization"], columns="method", values="ari")
    wide = wide[["NMF", "NMF*"]].dropna()
    assert len(wide) == 12
    assert (wide["NMF*"] >= wide["NMF"]).all()


def test_co_association_has_no_model(one_go):
    rows = one_go[1][one_go[1]["method"].str.startswith("SpiceMix,")]
    rows = rows[rows["method"] != PUBLISHED]
    assert rows["method"].value_counts().to_dict() == {"SpiceMix, co-association": 4}
    assert rows[["state_correlation", "layer_morans_i", "silhouette_gain", "n_iter"]].isna().all(axis=None)


def test_the_gain_in_silhouette_is_over_the_z_scored_expression():
    adata, _ = draw_replicate(RELEASED, 0, SMALL)
    adata.X[:, 0] *= 1000.0  # a scale that a z-score takes away
    types = adata.obs["cell_type"].to_numpy()
    model = SpiceMix(4, max_iter=2, random_state=0)
    with pytest.warns((ConvergenceWarning, UserWarning)):
        model.fit(adata, sample_key="sample")
    gain = score_fits(adata, [Fit("m", "zscore", np.zeros(130, int), 0.0, model)])["silhouette_gain"].item()
    scores = [(x - x.mean(axis=0)) / x.std(axis=0) for x in (model.latent_states_[0], adata.X)]
    assert gain == pytest.approx(silhouette_score(scores[0], types) - silhouette_score(scores[1], types))


def test_co_association_joins_what_most_runs_join():
    a, b = np.repeat([0, 1, 2], 4), np.repeat([0, 1, 1], 4)
    assert cluster_co_association([a, a, b]).tolist() == a.tolist()
    assert cluster_co_association([a, b, b]).tolist() == [1] * 4 + [0] * 8  # the median number is two
    moved = np.where(np.arange(12) == 5, 0, a)  # one run puts a cell elsewhere
    assert cluster_co_association([a, moved, 2 - a]).tolist() == a.tolist()


def test_stored_numbers_are_those_computed(one_go):
    stored = one_go[1].query("sigma_x == 3 and replicate == 1").reset_index(drop=True)
    fresh = run_replicate(RELEASED, 1, SMALL)
    pd.testing.assert_frame_equal(without_times(stored), without_times(fresh), check_exact=True)


# --- storing and resuming ----------------------------------------------------------------------------------------


def test_the_table_does_not_depend_on_the_number_of_workers(one_go, tmp_path):
    two = run_study(tmp_path, **STUDY | {"n_replicates": 1}, n_jobs=2)
    one = one_go[1].query("replicate == 0").reset_index(drop=True)
    pd.testing.assert_frame_equal(without_times(one), without_times(two), check_exact=True)


def test_a_stopped_study_resumes_and_gives_the_table_of_an_uninterrupted_one(one_go, tmp_path, monkeypatch):
    folder, table = one_go
    done = sorted(folder.iterdir())[:2]
    for path in done:
        shutil.copy(path, tmp_path)

    def stopped(rows, path, write=stored_runs.write_table):
        if len(list(tmp_path.iterdir())) == len(done) + 1:
            raise KeyboardInterrupt
        write(rows, path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stored_runs, "write_table", stopped)
        run_study(tmp_path, **STUDY)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == len(done) + 1
    resumed = run_study(tmp_path, **STUDY)
    pd.testing.assert_frame_equal(without_times(table), without_times(resumed), check_exact=True)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_no_replicate_is_run_twice_and_the_first_ones_are_kept(one_go):
    folder, table = one_go
    before = set(folder.iterdir())
    fewer = run_study(folder, **STUDY | {"n_replicates": 1})
    assert set(folder.iterdir()) == before
    expected = table[table["replicate"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, expected, check_exact=True)  # the times too: they were read


def test_other_settings_have_other_files(one_go, tmp_path):
    name = "replicate"
    for settings in (SMALL, replace(SMALL, random_state=1), replace(SMALL, n_runs=3)):
        stored_runs.run_stored({name: (_small_table, (settings,))}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def _small_table(settings):
    return pd.DataFrame({"value": [0.1 + 0.2, np.nan], "note": ["", "seed " + str(settings.random_state)]})


_small_table.__module__ = "paper.simulation.study"


def test_tables_are_read_back_digit_by_digit(tmp_path):
    read = stored_runs.run_stored({"a": (_small_table, (SMALL,))}, tmp_path)
    pd.testing.assert_frame_equal(read, _small_table(SMALL), check_exact=True)


def test_sources_are_those_that_a_module_needs():
    names = {path.name for path in sources_of("paper.simulation.study", ROOTS)}
    needed = {"study.py", "model.py", "simplex.py", "hmrf.py", "consensus.py", "recovery.py", "__init__.py"}
    assert needed <= names
    assert not {"claims.py", "primitives.py", "annotation.py", "figures.py"} & names
    sources = sources_of("paper.simulation.sensitivity", ROOTS)
    assert {path.parent.name for path in sources} >= {"datasets", "baselines"}  # imported as names of the package


@pytest.mark.parametrize("name", spicemix_core._MODULES)
@pytest.mark.parametrize("code", ["from spicemix_core import {}", "import spicemix_core\nprint(spicemix_core.{})"])
def test_a_name_that_the_package_imports_when_asked_is_traced_to_its_module(code, name):
    home = Path(spicemix_core.__file__).parents[1].joinpath(*spicemix_core._MODULES[name].split("."))
    assert {home.with_suffix(".py"), home / "__init__.py"} & sources_of_code(code.format(name))


def test_code_does_not_depend_on_what_only_type_checkers_import():
    assert "model.py" not in {path.name for path in sources_of_code("from spicemix_core import pl")}


def test_a_change_of_a_source_that_matters_changes_the_digest(tmp_path, monkeypatch):
    package = tmp_path / "spicemix_core"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "fit.py").write_text("def f():\n    from spicemix_core.step import g\n")
    (package / "step.py").write_text("g = 1\n")
    (package / "drawing.py").write_text("h = 1\n")
    monkeypatch.setattr(stored_runs, "ROOT", tmp_path)
    monkeypatch.setitem(sys.modules, "spicemix_core.fit", SimpleNamespace(__file__=package / "fit.py"))

    def digest():
        stored_runs.source_digest.cache_clear()
        return stored_runs.source_digest("spicemix_core.fit")

    try:
        first = digest()
        (package / "drawing.py").write_text("h = 2\n")
        assert digest() == first
        (package / "step.py").write_text("g = 2\n")
        assert digest() != first
    finally:
        stored_runs.source_digest.cache_clear()


def test_a_damaged_file_is_refused_by_name(tmp_path):
    task = {"a": (_small_table, (SMALL,))}
    stored_runs.run_stored(task, tmp_path)
    path, = tmp_path.iterdir()
    path.write_text("")
    with pytest.raises(ValueError, match=f"{path.name} is not a stored result"):
        stored_runs.run_stored(task, tmp_path)


@pytest.mark.parametrize("options, said", [
    ({"n_replicates": 0}, "n_replicates"), ({"n_replicates": 1.5}, "n_replicates"), ({"n_jobs": 0}, "n_jobs"),
    ({"scenarios": ()}, "scenarios"), ({"scenarios": (RELEASED, RELEASED)}, "scenarios")])
def test_bad_requests_are_refused_before_anything_is_written(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        run_study(tmp_path, **{"settings": SMALL} | options)
    assert not list(tmp_path.iterdir())


# --- paired tests ------------------------------------------------------------------------------------------------


def study_table(gain, n=6):
    base = np.linspace(0.3, 0.6, n)
    methods = {"A": base + gain * np.linspace(1, 2, n), "B": base}
    return pd.concat([pd.DataFrame({"scenario": "s", "replicate": range(n), "method": name, "normalization": "z",
                                    "ari": ari}) for name, ari in methods.items()])


@pytest.mark.parametrize("gain, wins, p", [(0.1, 6, 1 / 64), (-0.1, 0, 1.0), (0.0, 0, 1.0)])
def test_paired_test_by_hand(gain, wins, p):
    found = compare(study_table(gain), "A", "z").loc["s", "B", "z"]
    assert found["wins"] == wins
    assert found["p"] == pytest.approx(p)
    assert found["difference"] == pytest.approx(1.5 * gain)


def test_compare_names_an_unknown_method():
    with pytest.raises(KeyError, match="no method 'nosuch' with normalisation 'z': choose another"):
        compare(study_table(0.1), "nosuch", "z")


# --- sweeps -----------------------------------------------------------------------------------------------------


def test_a_sweep_fits_every_combination_from_every_seed(tmp_path):
    grid = {"n_metagenes": [4, 5], "affinity_iterations": [0, None], "max_iter": [5]}
    found = sweep(tmp_path, RELEASED, grid, range(2), settings=SMALL)
    assert len(found) == 2 * 2 * 2 * 2  # metagenes, iterations, seeds, normalisations
    assert set(found["affinity_iterations"].astype(str)) == {"0", "all"}
    assert found.groupby(["n_metagenes", "seed"])["Q"].nunique().gt(1).all()
    assert len(list(Path(tmp_path).glob("*.csv"))) == 8
