"""A killed fit resumes from its checkpoint and gives the same numbers; other files are not accepted as checkpoints."""

import multiprocessing
import os
import signal
import warnings
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from models import small_samples, stopped_fit
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix, algorithm
from spicemix_core.files import checkpoint

OPTIONS = dict(n_metagenes=4, random_state=0, max_iter=12, tol=0.0, affinity_iterations=3)


@pytest.fixture(scope="module")
def samples():
    return small_samples(0)


def fitted(samples, path=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SpiceMix(**OPTIONS | options).fit_arrays(*samples, checkpoint=path)


@pytest.fixture(scope="module")
def undisturbed(samples):
    """A function that gives the fit with these options, which nothing stopped; each is made once."""
    made = {}

    def fit(**options):
        key = tuple(sorted(options.items()))
        if key not in made:
            made[key] = fitted(samples, **options)
        return made[key]

    return fit


def stopped(samples, path, n, **options):
    stopped_fit(samples, path, n, **OPTIONS | options)


def same(one, other):
    for name in ("metagenes_", "affinity_", "noise_", "scaling_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(np.concatenate(one.latent_states_), np.concatenate(other.latent_states_))
    kept = [c for c in other.history_ if not c.startswith("seconds_")]
    assert one.history_[kept].equals(other.history_[kept]) and list(one.history_) == list(other.history_)
    assert (one.n_iter_, one.converged_) == (other.n_iter_, other.converged_)


@pytest.mark.parametrize("options", [{}, dict(spatial=False), dict(tol=1e-3, max_iter=300), dict(device="cpu")])
@pytest.mark.parametrize("n", [0, 1, 3, 7])
def test_a_stopped_fit_resumes_to_the_same_numbers(samples, undisturbed, tmp_path, n, options):
    path = tmp_path / "fit.h5"
    stopped(samples, path, n, **options)
    began = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithm, "initialize", lambda *arguments: began.append(arguments))  # must not start again
        resumed = fitted(samples, path, **options)
    assert not began
    same(resumed, undisturbed(**options))
    assert not path.exists()


def test_a_fit_can_be_stopped_repeatedly(samples, undisturbed, tmp_path):
    path = tmp_path / "fit.h5"
    for _ in range(3):
        stopped(samples, path, 2)
    same(fitted(samples, path), undisturbed())


def _killed_at_save(samples, path, n, moment):
    """Fit, and kill this process in its ``n``-th save: before the file is begun, half-way, or when it is complete."""
    checkpoint.SECONDS, whole, saves = 0.0, checkpoint.replacing, []

    @contextmanager
    def replacing(target):
        saves.append(target)
        if len(saves) < n:
            with whole(target) as temporary:
                yield temporary
            return
        with whole(target) as temporary:
            if moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            yield temporary
            if moment == "within":
                os.truncate(temporary, temporary.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.replacing = replacing
    fitted(samples, path)


@pytest.mark.subprocess
@pytest.mark.parametrize("moment", ["before", "within", "after"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_killed_fit_resumes_to_the_same_numbers(samples, undisturbed, tmp_path, n, moment):
    """kill -9 in the first, second or fifth save of a checkpoint."""
    path = tmp_path / "fit.h5"
    process = multiprocessing.get_context("fork").Process(target=_killed_at_save, args=(samples, path, n, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.exists() == (n > 1 or moment == "after")
    assert bool(list(tmp_path.glob(".fit.h5-partial-*/fit.h5"))) == (moment == "within")
    same(fitted(samples, path), undisturbed())
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_made_at_the_start_after_the_affinity_and_every_so_often(samples, tmp_path, monkeypatch):
    saved = []
    replacing = checkpoint.replacing
    monkeypatch.setattr(checkpoint, "replacing", lambda path: saved.append(path) or replacing(path))
    fitted(samples, tmp_path / "fit.h5")
    assert len(saved) == 2
    saved.clear()
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    fitted(samples, tmp_path / "fit.h5")
    assert len(saved) == 1 + OPTIONS["max_iter"]


def another_cell(samples):
    expressions, graphs = samples
    expressions = [y.copy() for y in expressions]
    expressions[1][3, 2] += 1e-12
    return expressions, graphs


def another_edge(samples):
    expressions, graphs = samples
    graph = graphs[0].tolil()
    i, j = graph.nonzero()
    graph[i[0], j[0]] = graph[j[0], i[0]] = 0.0
    return expressions, [graph.tocsr(), graphs[1]]


@pytest.mark.parametrize("change", [another_cell, another_edge])
def test_the_checkpoint_of_other_data_is_refused(samples, tmp_path, change):
    path = tmp_path / "fit.h5"
    stopped(samples, path, 1)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="checkpoint of a fit with other data") as error:
        fitted(change(samples), path)
    assert "\n" not in str(error.value) and path.read_bytes() == before


@pytest.mark.parametrize("options", [dict(n_metagenes=3), dict(random_state=1), dict(affinity_penalty=1e-3),
                                     dict(max_iter=13), dict(spatial=False)])
def test_the_checkpoint_of_other_parameters_is_refused(samples, tmp_path, options):
    path = tmp_path / "fit.h5"
    stopped(samples, path, 1)
    with pytest.raises(ValueError, match="other parameters"):
        fitted(samples, path, **options)


def test_an_incomplete_checkpoint_is_refused(samples, tmp_path):
    path = tmp_path / "fit.h5"
    stopped(samples, path, 2)
    whole = path.read_bytes()
    at = whole.index(h5py.File(path)["proportions"][...].tobytes()[:64])  # one byte of the states
    flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["metagenes"] = np.zeros(3)
    for content in (b"", b"some text", whole[: len(whole) // 2], whole[:-100], flipped,
                    (tmp_path / "other.h5").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not an intact checkpoint") as error:
            fitted(samples, path)
        assert "\n" not in str(error.value) and path.read_bytes() == content


@pytest.mark.parametrize("name", ["metagenes", "noise", "proportions"])
def test_a_checkpoint_with_a_number_that_is_not_finite_is_refused(samples, tmp_path, name):
    path = tmp_path / "fit.h5"
    stopped(samples, path, 2)
    with h5py.File(path, "r+") as file:
        file[name][..., 0] = np.nan
    with pytest.raises(ValueError, match=r"not an intact checkpoint \(It holds values that are not finite\)"):
        fitted(samples, path)


def test_a_checkpoint_that_cannot_be_stored_is_refused_before_the_fit(samples, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder of the checkpoint .* does not exist"):
        fitted(samples, tmp_path / "missing" / "fit.h5")
    with pytest.raises(ValueError, match="cannot use a Generator as random_state"):
        fitted(samples, tmp_path / "fit.h5", random_state=np.random.default_rng(0))
    with pytest.raises(ValueError, match="is not an intact checkpoint"):
        fitted(samples, tmp_path)
