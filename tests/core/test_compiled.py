"""A fit can do without numba's cache: what cannot be written or read is compiled again, and a warning says so."""

import errno

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

from spicemix_core.numerics import compiled
from spicemix_core.numerics.compiled import njit


@pytest.fixture
def double(tmp_path, monkeypatch):
    """Makes a function that is compiled with a cache in this test's folder."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def made():
        @njit(nogil=True)
        def double(x):
            return 2 * x
        return double

    return made


def hits(function):
    return sum(function.stats.cache_hits.values())


@pytest.mark.filterwarnings("error")
def test_a_compiled_function_is_kept(double):
    assert double()(1) == 2
    again = double()
    assert again(2) == 4 and hits(again) == 1


@pytest.mark.parametrize(("code", "reason"), [(errno.ENOSPC, "No space left on device"),
                                              (errno.EACCES, "Permission denied")])
def test_a_cache_that_cannot_be_written_is_named_and_not_used(double, tmp_path, monkeypatch, code, reason):
    def fail(*_):
        raise OSError(code, reason)

    function = double()
    monkeypatch.setattr(IndexDataCacheFile, "save", fail)
    with pytest.warns(UserWarning, match=rf"cannot be written in {tmp_path}\S* \({reason}\), so every") as caught:
        assert function(3) == 6
    assert len(caught) == 1


@pytest.mark.parametrize("content", [b"", b"\x80\x04K", b"no pickle"])
def test_a_damaged_cache_is_named_and_replaced(double, tmp_path, content):
    assert double()(1) == 2
    for path in tmp_path.rglob("*.nbc"):
        path.write_bytes(content)
    function = double()
    with pytest.warns(UserWarning, match="Compiled code cannot be read in"):
        assert function(3) == 6
    again = double()
    assert again(4) == 8 and hits(again) == 1


def test_without_any_writable_folder_the_function_is_compiled_all_the_same(double, monkeypatch):
    def fail(*_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiled._Cache, "__init__", fail)
    with pytest.warns(UserWarning, match=r"Compiled code cannot be written anywhere \(RuntimeError\)"):
        function = double()
    assert function(3) == 6
