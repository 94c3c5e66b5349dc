"""Files appear whole or not at all."""

import pytest

from spicemix_core.files.atomic import replacing, replacing_any


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
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
    with pytest.raises(OSError, match="disk full"), replacing_any(path) as temporary:
        temporary.mkdir()
        raise OSError("disk full")
    assert [*path.iterdir()] == [path / "old"]
    with replacing_any(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [*path.iterdir()] == [path / "new"] and [*tmp_path.iterdir()] == [path]
