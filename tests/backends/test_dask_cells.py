"""A fit over Dask workers: the numbers of one process, small messages, and the loss of a worker."""

import logging
import os
import signal
import warnings

import anndata
import dask
import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context
from models import small_samples, stopped_fit
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix, affinity, algorithm, initialization
from spicemix_core.backends import dask_cells as distributed
from spicemix_core.backends.place import place_cells
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.runs.consensus import fit_consensus
from spicemix_core.runs.stored_tasks import run_stored

OPTIONS = dict(n_metagenes=4, random_state=0, max_iter=12, tol=0.0, affinity_iterations=3)


@pytest.fixture(scope="module")
def samples():
    return small_samples(0, n_cells=(61, 40, 50))  # the second worker's cells begin with the odd number 61


@pytest.fixture(scope="module")
def client():
    """Two workers, which are forked, as are those that replace them, from one process that has imported what they need.
    """
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(["distributed", "spicemix_core.backends.dask_cells",
                                                 "spicemix_core.runs.consensus"])
        yield from connected()


def connected():
    with (LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
          Client(cluster) as client):
        yield client


def fitted(samples, client=None, **options):
    checkpoint = options.pop("checkpoint", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SpiceMix(**OPTIONS | options).fit_arrays(*samples, client=client, checkpoint=checkpoint)


def assert_same(one, other, tolerance=1e-8):
    for name in ("metagenes_", "affinity_", "noise_"):
        ours, theirs = getattr(one, name), getattr(other, name)
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max(), name
    for ours, theirs in zip(one.latent_states_, other.latent_states_, strict=True):
        assert np.abs(ours - theirs).max() <= tolerance * theirs.max()
    np.testing.assert_allclose(one.history_["Q"], other.history_["Q"], rtol=tolerance)
    assert one.history_["n_sweeps"].tolist() == other.history_["n_sweeps"].tolist()


@pytest.mark.parametrize("options", [{}, dict(spatial=False), dict(affinity_iterations=None, random_state=3)])
def test_the_fit_is_that_of_one_process(samples, client, options):
    assert_same(fitted(samples, client, **options), fitted(samples, **options))


def test_subsets_of_the_cells_are_those_of_one_process(samples, client, monkeypatch):
    """k-means and the warm-up of the affinity use a subset of the cells if there are many."""
    monkeypatch.setattr(initialization, "KMEANS_CELLS", 50)
    monkeypatch.setattr(affinity, "SUBSET", 40)
    assert_same(fitted(samples, client), fitted(samples))


def bytes_of(caplog):
    """Bytes to and from the workers by call, the largest of each."""
    found = {}
    for record in caplog.records:
        if record.name == distributed.__name__ and record.levelno == logging.DEBUG:
            name, *numbers = record.args
            found[name] = max(found.get(name, 0), *numbers)
    return found


def test_messages_do_not_grow_with_the_number_of_cells(client, caplog):
    caplog.set_level(logging.DEBUG, logger=distributed.__name__)
    found = []
    for n_cells in (60, 600):
        caplog.clear()
        fitted(small_samples(0, n_cells=(n_cells, n_cells)), client, max_iter=5)
        found.append(bytes_of(caplog))
    of_cells = {"profiles", "states"}  # expression_of is called for at most KMEANS_CELLS cells
    small, large = ({name: n for name, n in f.items() if name not in of_cells} for f in found)
    assert small == large and {"update_states", "cluster_sums", "affinity_sums"} <= set(small)
    assert max(small.values()) <= 2 * 8 * (30 * 30 + 30 * 4)  # two workers; 30 genes, so 30 directions; 4 centroids
    assert all(found[1][name] > found[0][name] for name in of_cells)


def _row(number):
    return pd.DataFrame({"number": [number], "process": [os.getpid()]})


def test_stored_runs_and_consensus_run_on_the_workers_of_a_client(client, tmp_path):
    tasks = {str(i): (_row, (i,)) for i in range(4)}
    data = anndata.AnnData(small_samples(2, n_cells=(60,))[0][0])
    options = dict(n_runs=2, spatial=False, n_clusters=3, max_iter=5, tol=1.0, random_state=0)
    here = fit_consensus(data.copy(), 4, **options)
    with joblib.parallel_config("dask", client=client):
        table = run_stored(tasks, tmp_path)
        there = fit_consensus(data.copy(), 4, **options)
    assert table["number"].tolist() == [0, 1, 2, 3] and len(list(tmp_path.iterdir())) == 4
    assert set(table["process"]) <= set(client.run(os.getpid).values())
    np.testing.assert_array_equal(there.labels, here.labels)
    np.testing.assert_array_equal(there.model.metagenes_, here.model.metagenes_)


def test_errors_of_the_workers_are_raised_unchanged(samples, client, monkeypatch):
    parts = distributed.DaskCells(client, check_samples(*samples, 4), place_cells)
    with pytest.raises(AttributeError, match="no attribute 'dance'"):
        parts._ask("dance")
    with pytest.raises(ValueError, match="matmul"):
        parts.gram_times(np.ones((7, 2)))
    monkeypatch.setattr(distributed, "MOST_LOSSES", 1)
    monkeypatch.setattr(distributed.DaskCells, "_wait", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(distributed.WorkerLostError, match="lost 2 times during gram_times") as error:
        fitted(small_samples(1, n_genes=60), client)
    assert "\n" not in str(error.value)


def test_a_cluster_without_workers_is_refused(samples, monkeypatch):
    monkeypatch.setattr(distributed, "SECONDS", 0.1)
    with (LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster, Client(cluster) as empty,
          pytest.raises(distributed.WorkerLostError, match="no worker for 0 seconds: start workers")):
        fitted(samples, empty)


def test_a_scheduler_that_is_gone_is_named(samples):
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster, Client(cluster) as client:
        parts = distributed.DaskCells(client, check_samples(*samples, 4), place_cells)
        assert parts.gram_times(np.ones((30, 1))).shape == (30, 1)
        cluster.close()
        for ask in (lambda: parts.gram_times(np.ones((30, 1))),
                    lambda: distributed.DaskCells(client, check_samples(*samples, 4), place_cells)):
            with pytest.raises(distributed.SchedulerLostError, match="The Dask scheduler does not answer"):
                ask()


def test_whole_samples_are_distributed_evenly():
    expressions, graphs = small_samples(0, n_cells=(90, 30, 40, 80, 20))
    samples = check_samples(expressions, graphs, 4)
    parts = distributed._distribute(samples, 2)
    assert parts == [[0, 1, 4], [2, 3]]
    assert distributed._distribute(samples, 9) == [[0], [3], [2], [1], [4]]
    part = samples.take(parts[1])
    assert [y.shape[0] for y in part.expressions] == [40, 80]
    np.testing.assert_array_equal(part.scaling, samples.scaling[[2, 3]])
    np.testing.assert_array_equal(part.graph.toarray()[40:, 40:], graphs[3].toarray())
    assert samples.cells_of(parts[0]).tolist() == [*range(120), *range(240, 260)]


def test_progress_counts_iterations(samples, client, monkeypatch):
    seen = []
    monkeypatch.setattr(algorithm, "progress", lambda iterable, text: seen.append((len(iterable), text)) or iterable)
    fitted(samples, client, max_iter=3)
    assert seen == [(3, "SpiceMix")]


def killing(client, monkeypatch, at):
    """Kill the worker of the first part in an iteration, between its state step and the value of its objective."""
    ask, done = distributed.DaskCells._ask, []

    def counted(parts, name, *arguments):
        if name == "affinity_sums" and arguments[1] == 0:
            done.append(None)
            if len(done) == at:
                worker = parts._parts[0].worker
                os.kill(client.run(os.getpid, workers=[worker])[worker], signal.SIGKILL)
        return ask(parts, name, *arguments)

    monkeypatch.setattr(distributed.DaskCells, "_ask", counted)


def test_a_lost_worker_does_not_change_the_result(samples, client, monkeypatch, caplog):
    undisturbed = fitted(samples, client)
    killing(client, monkeypatch, at=6)
    disturbed = fitted(samples, client)
    assert [r.levelno for r in caplog.records if r.name == distributed.__name__].count(logging.WARNING) == 1
    assert_same(disturbed, undisturbed, tolerance=0.0)
    client.wait_for_workers(2, timeout=300)


def test_a_fit_resumes_from_a_checkpoint_on_a_cluster_that_loses_a_worker(samples, client, monkeypatch, tmp_path):
    path = tmp_path / "fit.h5"
    stopped_fit(samples, path, 4, **OPTIONS)
    killing(client, monkeypatch, at=3)
    assert_same(fitted(samples, client, checkpoint=path), fitted(samples))


# The last one, so that no other test needs the worker that replaces the killed one.
def test_an_error_of_a_lost_worker_is_told_from_that_of_a_call(samples, client, monkeypatch):
    client.wait_for_workers(2, timeout=300)
    parts = distributed.DaskCells(client, check_samples(*samples, 4), place_cells)
    part, other = parts._parts
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "_POLL", 0.0)
        assert not parts._is_lost(part, ValueError())
    monkeypatch.setattr(distributed, "_POLL", 100.0)
    os.kill(client.run(os.getpid, workers=[part.worker])[part.worker], signal.SIGKILL)
    assert parts._is_lost(part, ValueError())  # at once
    assert parts._is_lost(other, OSError())
