"""Two processes, or two threads, do not use one checkpoint or one folder of runs."""

import errno
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from models import small_adata

from spicemix_core import SpiceMix, fit_consensus, published_procedure, select
from spicemix_core.files import lock
from spicemix_core.files.lock import LockedError, locked, reserved


def _hold(path, pipe):
    with locked(path):
        pipe.send("held")
        pipe.recv()


@pytest.mark.parametrize("end", ["return", "kill"])
def test_a_lock_is_held_until_its_process_ends(tmp_path, end):
    path = tmp_path / "fit.checkpoint"
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(path, there))
    process.start()
    assert here.recv() == "held"
    with pytest.raises(LockedError, match=r"Another process uses .*fit\.checkpoint\. Wait"), locked(path):
        pass
    if end == "kill":
        process.kill()
    else:
        here.send("end")
    process.join()
    with locked(path):
        assert not path.exists()
    assert not list(tmp_path.iterdir())


def test_an_error_releases_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "fits"):
        raise ZeroDivisionError
    with locked(tmp_path / "fits"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_locks_nothing(tmp_path, monkeypatch, code):
    def without(*_):
        raise OSError(code, "There are no locks.")

    monkeypatch.setattr(lock.fcntl, "flock", without)
    with locked(tmp_path / "fits") as first, locked(tmp_path / "fits") as second:
        assert (first, second) == (False, False)
    assert not list(tmp_path.iterdir())


def reserve(path):
    with reserved(path):
        return "reserved"


def test_only_the_same_thread_can_reserve_a_path_again(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "fits")
    with ThreadPoolExecutor(1) as other, reserved(tmp_path / "fits"):
        assert reserve(tmp_path / "fits") == reserve(tmp_path / "link") == "reserved"
        with pytest.raises(LockedError, match=r"Another process uses .*fits\. Wait until"):
            other.submit(reserve, tmp_path / "fits").result()
    assert reserve(None) == "reserved"
    with pytest.raises(FileNotFoundError, match=r"The folder of .*no/fits does not exist\. Create it first"):
        reserve(tmp_path / "no" / "fits")


def fit_to(path):
    """Fits of the library that keep their state in ``path``."""
    adata = small_adata()
    yield lambda: SpiceMix(3, max_iter=2, random_state=0).fit(adata, checkpoint=path)
    yield lambda: SpiceMix(3, max_iter=2, random_state=0).fit_arrays([adata.X], checkpoint=path)
    yield lambda: fit_consensus(adata, 3, n_runs=2, max_iter=2, random_state=0, folder=path)
    yield lambda: published_procedure(adata, 3, n_runs=2, max_iter=2, random_state=0, folder=path)
    yield lambda: select(adata, n_metagenes=3, n_seeds=2, max_iter=2, random_state=0, folder=path)


@pytest.mark.filterwarnings("ignore")
def test_two_fits_of_the_library_cannot_keep_their_state_in_one_place(tmp_path):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path / "fit", there))
    process.start()
    assert here.recv() == "held"
    for fit in fit_to(tmp_path / "fit"):
        with pytest.raises(LockedError, match=r"Another process uses .*fit\. Wait until it has finished"):
            fit()
    assert [path.name for path in tmp_path.iterdir()] == ["fit.lock"]
    here.send("end")
    process.join()
    for number, fit in enumerate(fit_to(tmp_path / "fit")):
        fit()
        assert [path.name for path in tmp_path.iterdir()] == ["fit"] * (number == 4)  # select keeps its folder
