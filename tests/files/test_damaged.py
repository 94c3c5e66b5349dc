"""HDF5 files on which the library would hang, fill the memory or crash are refused before they are read."""

import struct

import h5py
import numpy as np
import pytest

from spicemix_core.files.damaged import open_hdf5


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file.attrs["note"] = "a text of varying length"
        file["texts"] = ["one", "two"]
        file["numbers"] = np.arange(6.0)
        file.create_dataset("packed", data=np.zeros(100_000), compression="gzip")
    return tmp_path / "file.h5"


def test_a_whole_file_is_opened(path):
    with open_hdf5(path) as file:
        assert set(file) == {"texts", "numbers", "packed"} and file["packed"].shape == (100_000,)


def test_a_heap_of_texts_without_an_end_is_refused(path):
    """The free space of the heap declares a shorter length; after it come zeros, an entry of length zero."""
    content = bytearray(path.read_bytes())
    at = content.find(b"GCOL") + 16
    while struct.unpack_from("<H", content, at)[0]:
        at += 16 + (struct.unpack_from("<Q", content, at + 8)[0] + 7) // 8 * 8
    free, = struct.unpack_from("<Q", content, at + 8)
    struct.pack_into("<Q", content, at + 8, free - 64)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"is corrupt: the string table at byte {at + free - 64} is not terminated"):
        open_hdf5(path)


def test_an_invalid_data_type_is_refused(path):
    """A sequence of varying length (class 9, kind 0) instead of a text (kind 1); h5py would read past the end."""
    content = bytearray(path.read_bytes())
    at = content.find(b"note\0") + 8
    assert content[at : at + 2] == b"\x19\x01"
    content[at + 1] = 9
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is corrupt: the root has an attribute of an unknown type"):
        open_hdf5(path)


def test_a_dataset_larger_than_its_file_is_refused(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("huge", (10**9,), "f8")
    with pytest.raises(ValueError, match="is corrupt: huge claims more numbers than the file can hold"):
        open_hdf5(path)
    with h5py.File(path, "r+") as file:
        del file["huge"]
        file.create_dataset("sequences", (2,), h5py.vlen_dtype(float))
        file["sequences"][0] = [1.0, 2.0]
    with pytest.raises(ValueError, match="is corrupt: sequences has entries of an unknown type"):
        open_hdf5(path)
