"""Two processes do not use one checkpoint."""

import multiprocessing

import pytest

from spicemix_core.files.lock import LockedError, locked


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
