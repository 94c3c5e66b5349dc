"""Files are written completely or not at all, also by processes that are killed."""

import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from spicemix_core.files import atomic, swap
from spicemix_core.files.atomic import replacing, replacing_together
from spicemix_core.files.partial import is_unfinished, partials_of


def test_the_old_file_remains_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and [*tmp_path.iterdir()] == [path]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]


def test_a_folder_takes_the_place_of_another_only_when_it_is_whole(tmp_path):
    path = tmp_path / "store.zarr"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OSError, match="disk full"), replacing(path) as temporary:
        temporary.mkdir()
        raise OSError("disk full")
    assert [*path.iterdir()] == [path / "old"]
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [*path.iterdir()] == [path / "new"] and [*tmp_path.iterdir()] == [path]


def test_paths_are_replaced_together_or_not_at_all(tmp_path):
    table, store = tmp_path / "table.csv", tmp_path / "store.zarr"
    table.write_text("old")
    with pytest.raises(FileNotFoundError), replacing_together(table, store) as (first, second):
        first.write_text("new")  # and nothing is written to the second
    assert table.read_text() == "old" and [*tmp_path.iterdir()] == [table]
    with replacing_together(table, store) as (first, second):
        first.write_text("new")
        second.mkdir()
        assert table.read_text() == "old"
    assert table.read_text() == "new" and store.is_dir() and len([*tmp_path.iterdir()]) == 2


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "model.h5", tmp_path / "disk" / "model.h5"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and target.read_text() == "new"


@pytest.mark.parametrize("name", ["model.h5", "folder", "m.h5.checkpoint"])
def test_temporary_paths_keep_the_name_and_are_found(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.mkdir()
        assert temporary.name == name and partials_of(tmp_path / name) == [temporary.parent]
        assert partials_of(tmp_path / f"other{name}") == []


def test_an_error_that_is_its_own_context_is_raised_as_it_is(tmp_path):
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    with pytest.raises(ValueError, match="first"), replacing(tmp_path / "table.csv"):
        raise first
    assert not list(tmp_path.iterdir())


def write(path, text):
    """Make a file, or a folder with a file, of this content."""
    if path.suffix == ".zarr":
        path.mkdir()
        path = path / "content"
    path.write_text(text)


def read(path):
    return (path / "content" if path.is_dir() else path).read_text()


def in_a_process(function, *arguments):
    """Run a function in a process of its own; the exit code."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_be_killed_before_rename(number, *paths):
    """Write "new" to all paths, and be killed when a name is about to change for the ``number``-th time."""
    def counted(rename):
        def changed(*arguments):
            calls.append(None)
            return kill() if len(calls) == number else rename(*arguments)
        return changed

    calls = []
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((os, "rename"), (os, "replace"), (atomic, "exchange")):
            patch.setattr(module, name, counted(getattr(module, name)))
        with replacing_together(*paths) as temporaries:
            for temporary in temporaries:
                write(temporary, "new")


@pytest.mark.subprocess
@pytest.mark.parametrize("name", ["table.csv", "store.zarr"])
def test_what_a_killed_process_left_is_removed_by_the_next_one_and_of_a_running_one_kept(tmp_path, name):
    path = tmp_path / name
    assert in_a_process(write_and_be_killed_before_rename, 1, path) == -signal.SIGKILL
    assert not path.exists() and len(partials_of(path)) == 1
    with replacing(path) as running:
        write(running, "first")
        with replacing(path) as temporary:
            write(temporary, "second")
            assert sorted(partials_of(path)) == sorted([running.parent, temporary.parent])
        assert read(path) == "second"
    assert read(path) == "first" and [*tmp_path.iterdir()] == [path]


@pytest.mark.subprocess
@pytest.mark.parametrize("second", ["table.csv", "store.zarr"])
def test_outputs_of_a_process_that_was_killed_between_their_names_are_unfinished(tmp_path, second):
    paths = tmp_path / "model.h5", tmp_path / second
    for _ in range(2):  # also if it is killed again
        assert in_a_process(write_and_be_killed_before_rename, 2, *paths) == -signal.SIGKILL
        assert read(paths[0]) == "new" and not paths[1].exists()
        assert [is_unfinished(path) for path in paths] == [True, False]
    with replacing_together(*paths) as temporaries:
        for temporary in temporaries:
            write(temporary, "newer")
        assert is_unfinished(paths[0])
    assert [read(path) for path in paths] == ["newer", "newer"]
    assert not any(map(is_unfinished, paths)) and sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.subprocess
def test_a_file_of_the_user_is_never_unfinished(tmp_path):
    paths = tmp_path / "model.h5", tmp_path / "table.csv"
    paths[0].write_text("mine")
    assert in_a_process(write_and_be_killed_before_rename, 2, *paths) == -signal.SIGKILL
    assert read(paths[0]) == "new" and not is_unfinished(paths[0])  # it was replaced on purpose, and complete
    paths[0].unlink()
    assert in_a_process(write_and_be_killed_before_rename, 2, *paths) == -signal.SIGKILL
    assert is_unfinished(paths[0])
    paths[0].unlink()
    paths[0].write_text("mine again")
    assert not is_unfinished(paths[0])


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_between_the_names_leaves_none_of_the_new_files(tmp_path, monkeypatch, error):
    rename, paths = os.replace, (tmp_path / "model.h5", tmp_path / "table.csv")

    def fail(source, target):
        if Path(target) == paths[1]:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error), replacing_together(*paths) as temporaries:
        for temporary in temporaries:
            write(temporary, "new")
    assert not [*tmp_path.iterdir()]


@pytest.mark.subprocess
@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("number", [1, 2])
def test_a_folder_is_under_its_name_after_a_kill_at_any_moment(tmp_path, monkeypatch, number, can_exchange):
    """Without an exchange of folders, the next process to write it restores it."""
    path = tmp_path / "store.zarr"
    write(path, "old")
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda *_: False)
    killed = can_exchange * (number - 1) == 0
    code = in_a_process(write_and_be_killed_before_rename, number + (not can_exchange), path)
    assert code == (-signal.SIGKILL if killed else 0)
    if can_exchange or number == 1:
        assert read(path) == ("old" if killed else "new")
    with pytest.raises(ZeroDivisionError), replacing(path):
        raise ZeroDivisionError
    assert read(path) == ("old" if killed else "new") and [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_a_system_whose_library_cannot_exchange_folders_is_told_and_replaces_them(tmp_path, monkeypatch, system):
    path, other = tmp_path / "store.zarr", tmp_path / "other.zarr"
    write(path, "old")
    write(other, "other")
    library = SimpleNamespace()  # neither renameat2, as musl, nor renamex_np
    monkeypatch.setattr(swap, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(swap, "ctypes", SimpleNamespace(CDLL=lambda _: library))
    assert not swap.exchange(path, other) and (read(path), read(other)) == ("old", "other")
    with replacing(path) as temporary:
        write(temporary, "new")
    assert read(path) == "new" and sorted(tmp_path.iterdir()) == [other, path]
    calls = []
    library.renamex_np = lambda first, second, flags: calls.append((first, second, flags)) or 0
    assert swap.exchange(path, other) == (system == "darwin")
    assert calls == [(os.fsencode(path), os.fsencode(other), 2)] * (system == "darwin")


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_behind_its_link_with_its_permissions(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(atomic, "exchange", lambda *_: False)
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "store.zarr", tmp_path / "disk" / "store.zarr"
    write(target, "old")
    (target / "content").chmod(0o600)
    target.chmod(0o750)
    link.symlink_to(target)
    with replacing(link) as temporary:
        write(temporary, "new")
        (temporary / "c").mkdir()
    assert link.is_symlink() and read(target) == "new" and [*target.parent.iterdir()] == [target]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (target, *target.iterdir())}
    assert modes == {"store.zarr": 0o750, "content": 0o600, "c": 0o750}


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "model.h5"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == mode
