"""Opening files that may be empty, foreign, truncated or damaged, with a sentence that says so."""

import mmap
import struct
from functools import partial
from pathlib import Path

import h5py

_HEAP = b"GCOL\x01\0\0\0"  # signature and version of a collection of texts of varying length
_PACKING = 2000  # deflate makes data at most about a thousand times smaller


def check_file(path):
    """``path`` as a Path, if it is a file with something in it; a sentence that says what it is instead, if not."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file.")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; nothing was written to it.")
    return path


def open_hdf5(path):
    """An HDF5 file opened for reading.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is a folder, empty, no HDF5 file, truncated, or one that the HDF5 library would read for ever.
    """
    path = check_file(path)
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file or is truncated.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        endless = _endless_heap(content)
    if endless is not None:
        raise ValueError(f"{path} is damaged, its texts at byte {endless} have no end.")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read: it is not an HDF5 file or is truncated ({first_line(error)})."
                         ) from error
    try:
        check = partial(_unreadable, n_bytes=path.stat().st_size)
        wrong = check("root", file) or file.visititems(check)  # which leaves out the root
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        file.close()
        raise ValueError(f"{path} is damaged ({first_line(error)}).") from error
    if wrong:
        file.close()
        raise ValueError(f"{path} is damaged, its {wrong}.")
    return file


def _unreadable(name, item, n_bytes):
    """What would fill the memory or end the program if it were read; None of all that can be read."""
    kinds = [item.attrs.get_id(key).get_type().get_class() for key in item.attrs]
    if h5py.h5t.VLEN in kinds:  # not that of texts; no file that is read here has it
        return f"{name} has an attribute of an unknown type"
    if isinstance(item, h5py.Dataset) and item.shape:
        packed = 1 if item.chunks is None else _PACKING
        if item.size * item.dtype.itemsize > packed * n_bytes:
            return f"{name} claims more numbers than the file can hold"
        if item.id.get_type().get_class() == h5py.h5t.VLEN:
            return f"{name} has entries of an unknown type"
    return None


def first_line(error):
    """The first line of an error's message, or its kind where it has none."""
    lines = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _endless_heap(content):
    """Where a heap has an entry of no length, at which the HDF5 library's walk along its entries stands still.

    An entry is its index (2 bytes), 6 bytes, its size (8 bytes) and its text, padded to 8 bytes; index 0 is the rest of
    the heap, and its size counts its own head. Source: HDF5 file format specification 3.0, III.E (global heap).
    """
    start = content.find(_HEAP)
    while start >= 0:
        size, = struct.unpack_from("<Q", content, start + 8) if start + 16 <= len(content) else (0,)
        end, at = min(start + size, len(content)), start + 16
        while at + 16 <= end:
            index, length = struct.unpack_from("<H6xQ", content, at)
            step = length if index == 0 else (16 + (length + 7) // 8 * 8) % 2**64
            if step == 0:
                return at
            at += step
        start = content.find(_HEAP, start + 8)
    return None
