"""Files are written completely or not at all."""

import pytest

from spicemix_core.files.atomic import partials_of, replacing, replacing_together


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
def test_temporary_paths_keep_the_suffix_and_are_found(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.mkdir()
        assert temporary.suffix == (tmp_path / name).suffix and partials_of(tmp_path / name) == [temporary]
        assert partials_of(tmp_path / f"other{name}") == []


def test_an_error_that_is_its_own_context_is_raised_as_it_is(tmp_path):
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    with pytest.raises(ValueError, match="first"), replacing(tmp_path / "table.csv"):
        raise first
    assert not list(tmp_path.iterdir())
