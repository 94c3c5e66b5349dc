"""The comparison with other methods: what methods are given, how their answers are scored, and the stored table."""

import sys
from pathlib import Path
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

RIVALS = Path(__file__).parents[2] / "benchmarks/rivals"
RESULTS = RIVALS.parent / "results"
MODULES = ("run", "scores", "data_sets", "hand_over", "methods", "methods.hand_over", "cell_types", "labelled_panel")


@pytest.fixture(scope="module", autouse=True)
def modules():
    """The programs import each other by name; other benchmarks have a module ``run`` as well."""
    for name in MODULES:
        sys.modules.pop(name, None)
    with pytest.MonkeyPatch.context() as patch:
        for folder in (RIVALS.parent, RIVALS / "methods", RIVALS):
            patch.syspath_prepend(folder)
        yield
    for name in MODULES:
        sys.modules.pop(name, None)


def field(n=12, n_samples=2):
    rng = np.random.default_rng(0)
    adata = anndata.AnnData(rng.random((n, 4)), layers={"counts": sparse.csr_array(rng.poisson(2.0, (n, 4)))},
                            obsm={"spatial": rng.random((n, 2))})
    adata.obs["sample"] = pd.Categorical([str(i * n_samples // n) for i in range(n)])
    adata.obs["cell_type"] = pd.Categorical(["a"] * (n // 2) + ["b"] * (n - n // 2 - 1) + [None])
    adata.obsp["spatial_connectivities"] = sparse.csr_array(np.eye(n, k=1) + np.eye(n, k=-1))
    return adata


def rivalry(adata, **n_groups):
    from data_sets import Rivalry

    return Rivalry("toy", "toy", lambda: adata, 3, {"types": "cell_type"}, n_groups=n_groups)


def test_a_method_gets_everything_but_the_labels(tmp_path):
    from data_sets import give
    from methods.hand_over import read_data

    adata = field()
    give(rivalry(adata), tmp_path / "toy.npz")
    found = read_data(tmp_path / "toy.npz")
    np.testing.assert_allclose(found.X, adata.X, rtol=1e-6)
    np.testing.assert_array_equal(found.layers["counts"], adata.layers["counts"].toarray())
    np.testing.assert_array_equal(found.obsp["spatial_connectivities"].toarray(),
                                  adata.obsp["spatial_connectivities"].toarray())
    assert list(found.obs) == ["sample"] and found.uns["facts"]["n_groups"] == {"types": 2}
    texts = [str(value) for value in np.load(tmp_path / "toy.npz").values() if value.dtype.kind == "U"]
    assert not any("cell_type" in text for text in texts)


def test_samples_lie_beside_each_other_and_keep_their_distances():
    from methods.hand_over import beside_each_other

    points, names = np.array([[5.0, 1.0], [6.0, 2.0], [5.0, 1.0], [7.0, 4.0]]), np.array(["b", "b", "a", "a"])
    moved = beside_each_other(points, names)
    for name in "ab":
        assert np.ptp(moved[names == name], axis=0) == pytest.approx(np.ptp(points[names == name], axis=0))
    assert moved[names == "b"][:, 0].min() - moved[names == "a"][:, 0].max() >= np.ptp(points[:, 0])


def test_a_resolution_is_searched_for_the_number_of_groups():
    from methods.hand_over import at_number

    tried = []

    def cluster(resolution):
        tried.append(resolution)
        return np.arange(100) % max(1, round(10 * resolution))

    assert len(np.unique(at_number(cluster, 7))) == 7 and len(tried) < 15
    never = at_number(lambda resolution: np.arange(100) % (2 if resolution < 1 else 9), 7)
    assert len(np.unique(never)) == 9  # nearer to 7 than 2


def test_an_answer_is_scored_over_the_labelled_cells_and_the_best_candidate_counts(tmp_path):
    from data_sets import labels_of
    from methods.hand_over import write_answer
    from scores import score_answer

    adata = field()
    truth = labels_of(rivalry(adata), adata)
    right = np.array(["x"] * 6 + ["y"] * 5 + ["z"])  # the last cell has no label
    answers = {"types/same/beta 0": np.array(["x"] * 12), "types/same/beta 1": right, "types/own": right[::-1]}
    write_answer(str(tmp_path / "a.npz"), answers, {"seconds": 2.0, "peak_mib": 10.0, "version": "v"})
    rows = {row["number"]: row for row in score_answer(tmp_path / "a.npz", truth)}
    assert rows["same"]["ari"] == rows["same"]["f1"] == 1.0 and rows["same"]["found"] == 3
    assert rows["own"]["ari"] < 1.0 and rows["own"]["seconds"] == 2.0


def test_a_run_that_fails_leaves_its_reason_and_the_next_one_runs(tmp_path, monkeypatch):
    from data_sets import give
    from methods import hand_over

    give(rivalry(field()), tmp_path / "toy.npz")

    def run(adata, seed, variant):
        if seed == 0:
            raise RuntimeError("no memory")
        yield "types/same", np.zeros(adata.n_obs, dtype=int)

    tasks = [(str(tmp_path / "toy.npz"), str(tmp_path / f"toy-{seed}.npz"), seed) for seed in (0, 1)]
    monkeypatch.setattr(sys, "argv", ["method", hand_over.json.dumps(tasks)])
    hand_over.main(run)
    assert "no memory" in (tmp_path / "toy-0.failed").read_text() and not (tmp_path / "toy-0.npz").exists()
    labels, facts = hand_over.read_answer(tmp_path / "toy-1.npz")
    assert list(labels) == ["types/same"] and facts["peak_mib"] > 1.0


def test_medians_and_ranges_are_over_seeds_and_gaps_need_a_reason():
    from scores import as_markdown, summarise, with_remarks

    rows = [{"method": "A", "column": "c", "target": "types", "number": "same", "ari": ari, "f1": 0.5, "found": 4,
             "wanted": 4, "seconds": seconds, "peak_mib": 100.0 * seconds}
            for ari, seconds in ((0.2, 9.0), (0.4, 1.0), (0.9, 2.0))]
    table = summarise(rows)
    assert table.loc[0, ["runs", "ari", "ari_low", "ari_high", "seconds", "peak_mib"]].tolist() == [
        3, 0.4, 0.2, 0.9, 2.0, 900.0]
    remarks = pd.DataFrame({"method": ["B"], "column": ["c"], "remark": ["too slow"]})
    full = with_remarks(table, remarks, [("c", "types")])
    lines = "\n".join(as_markdown(full, [("c", "types")], "made"))
    assert "| A | 0.40 (0.20 to 0.90) |" in lines and "| B | not run |" in lines and "- B on c: too slow" in lines
    with pytest.raises(ValueError, match="A on d, types"):
        with_remarks(table, remarks, [("c", "types"), ("d", "types")])


def test_every_method_has_a_script_and_every_other_environment_its_pins():
    from run import METHODS

    for method in METHODS.values():
        text = (RIVALS / f"methods/{method.script}.py").read_text()
        assert text.startswith('"""') and "hand_over.main(run" in text
        if method.requirements:
            pins = (RIVALS / f"requirements/{method.requirements}.txt").read_text().splitlines()
            assert pins and all("==" in pin for pin in pins)


def test_a_method_runs_in_a_process_of_its_own(tmp_path):
    from data_sets import give
    from methods.hand_over import read_answer
    from run import METHODS, run_tasks

    from spicemix_core import datasets

    adata = datasets.simulate_cortex(n_cells=80, n_genes=20, random_state=0)
    give(rivalry(adata), tmp_path / "toy.npz")
    tasks = [(str(tmp_path / "toy.npz"), str(tmp_path / "answer.npz"), 0)]
    assert list(run_tasks(METHODS["HMRF, best beta"], tasks, None)) == []  # it prints paths in the store alone
    labels, facts = read_answer(tmp_path / "answer.npz")
    assert {name.rsplit(" ")[0] for name in labels} == {"types/same/beta"} and len(labels) == 6
    assert facts["seconds"] > 0.0 and SimpleNamespace(**facts).version.startswith("spicemix-core")


def test_an_environment_is_made_once_and_an_older_python_is_asked_for(tmp_path, monkeypatch):
    import run

    monkeypatch.setattr(run, "STORE", tmp_path / "store")
    monkeypatch.setattr(run, "HERE", tmp_path)
    commands = []
    monkeypatch.setattr(run.subprocess, "run", lambda command, check: (
        commands.append([str(part) for part in command]), (tmp_path / "store/environments/toy").mkdir(
            parents=True, exist_ok=True)))
    toy = run.Method("toy", requirements="toy")
    folder = tmp_path / "store/environments/toy"
    assert run.interpreter(toy, None) == run.interpreter(toy, None) == folder / "bin/python"
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]
    assert commands[1][-2:] == ["-r", str(tmp_path / "requirements/toy.txt")]
    assert run.interpreter(run.Method("own"), None) == Path(sys.executable)
    with pytest.raises(SystemExit, match=r"needs Python 3\.10"):
        run.interpreter(run.Method("old", requirements="old", newest_python="3.10"), None)
