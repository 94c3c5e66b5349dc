"""``spicemix fit --as-in-the-paper``: what it writes and prints, and that a stopped procedure resumes."""

import os
import signal
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from forked import run_forked
from models import Stopped, assert_same_model

from spicemix_core import SpiceMix, datasets, prepare, published_procedure
from spicemix_core.command_line import main
from spicemix_core.runs import published_procedure as module

SMALL = {"max_iter": 4, "random_state": 0}
COMMAND = ("fit", "tissue.h5ad", "-o", "m.h5", "-a", "a.h5ad", "--as-in-the-paper", "--sample-key", "sample", "-k", "3",
           "--max-iter", "4")


def tissue():
    """A small tissue in which three cells are so large that they are a cluster of their own."""
    adata = datasets.simulate_cortex(2, n_cells=60, n_genes=20, random_state=0)
    adata.X = abs(adata.X) * np.where(np.arange(adata.n_obs) < 3, 20.0, 1.0)[:, None]
    return adata


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder that holds a small tissue."""
    tissue().write_h5ad(tmp_path / "tissue.h5ad")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def expected():
    """The data and the result of the library, with its default number of runs."""
    adata = prepare(tissue(), sample_key="sample")
    return adata, published_procedure(adata, 3, sample_key="sample", **SMALL)


def test_the_best_run_of_the_library_is_written_with_its_clusters(here, expected):
    adata, result = expected
    assert main(COMMAND) == 0
    assert_same_model(SpiceMix.load("m.h5"), result.model)
    written = anndata.read_h5ad("a.h5ad")
    np.testing.assert_array_equal(written.obsm["X_spicemix"], adata.obsm["X_spicemix"])
    labels = written.obs["spicemix_cluster"].astype(object).fillna("-1").astype(int)
    np.testing.assert_array_equal(labels, result.labels)
    assert -1 in result.labels  # cells of small clusters have no label
    published = written.uns["spicemix"]["published"]
    assert published["best"] == result.best
    pd.testing.assert_frame_equal(published["run_summary"], result.run_summary, check_index_type=False)
    assert sorted(path.name for path in here.iterdir()) == ["a.h5ad", "m.h5", "tissue.h5ad"]


def test_the_confidence_of_an_earlier_consensus_is_not_kept(here):
    adata = tissue()
    adata.obs["spicemix_confidence"] = 1.0
    adata.write_h5ad("tissue.h5ad")
    assert main((*COMMAND, "--n-runs", "1")) == 0
    assert "spicemix_confidence" not in anndata.read_h5ad("a.h5ad").obs


def test_every_run_and_the_chosen_one_are_printed(here, expected, capsys):
    _, result = expected
    assert main(COMMAND) == 0
    said = capsys.readouterr().out.splitlines()[4:]  # after what was understood of the data
    runs = result.run_summary.itertuples()
    assert said[:5] == [f"run {number}: seed {run.random_state}, Q {run.Q:.6g}, {run.n_clusters} clusters"
                        for number, run in enumerate(runs, 1)]
    assert said[5] == f"chosen: run {result.best + 1}, which has the highest Q"
    assert said[6].startswith("120 cells, 20 genes, 3 metagenes: 4 iterations, noise ")
    assert said[7:] == ["model: m.h5", "annotated data: a.h5ad"]


def test_the_defaults_are_those_of_the_library(here, monkeypatch):
    given = {}

    def record(adata, **options):
        given.update(options)
        raise Stopped

    monkeypatch.setattr(module, "published_procedure", record)
    assert main(("fit", "tissue.h5ad", "-o", "m.h5", "--as-in-the-paper")) == 1
    assert given["n_runs"] == 5 and given["n_metagenes"] == 20 and given["affinity_penalty"] == 1e-4
    assert not given.keys() & {"max_iter", "tol", "device", "spatial"}


def interrupted_in_the_third_run():
    fitted = []

    def fit_and_stop(*arguments, fit=module.fit_as_published, **options):
        if len(fitted) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        fitted.append(None)
        return fit(*arguments, **options)

    module.fit_as_published = fit_and_stop
    return main(COMMAND)


@pytest.mark.subprocess
def test_an_interrupted_procedure_resumes_to_the_same_numbers(here, expected, monkeypatch):
    _, result = expected
    run = run_forked(interrupted_in_the_third_run)
    assert run.returncode == 130
    last = run.stderr.splitlines()[-1]
    assert last == "Error: The fit was interrupted. The same command resumes from m.h5.checkpoint."
    assert len(list(Path("m.h5.checkpoint").iterdir())) == 2 and not Path("m.h5").exists()
    fit, seeds = module.fit_as_published, []

    def counted(*arguments, random_state, **options):
        seeds.append(random_state)
        return fit(*arguments, random_state=random_state, **options)

    monkeypatch.setattr(module, "fit_as_published", counted)
    assert main(COMMAND) == 0
    assert seeds == [run.random_state for run in result.runs[2:]]
    assert_same_model(SpiceMix.load("m.h5"), result.model)
    assert sorted(path.name for path in here.iterdir()) == ["a.h5ad", "m.h5", "tissue.h5ad"]


def test_finished_runs_are_kept_until_the_outputs_are_written(here, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("The disk was removed.")

    with monkeypatch.context() as patch:
        patch.setattr("spicemix_core.command_line.fitting.write_data", fail)
        assert main(COMMAND) == 1
    assert len(list(Path("m.h5.checkpoint").iterdir())) == 5
    assert not Path("m.h5").exists() and not Path("a.h5ad").exists()
    with monkeypatch.context() as patch:
        patch.setattr(module, "fit_as_published", fail)  # nothing is fitted again
        assert main(COMMAND) == 0
    assert Path("m.h5").exists() and Path("a.h5ad").exists() and not Path("m.h5.checkpoint").exists()
