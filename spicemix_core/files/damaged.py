"""Opening HDF5 files that may be empty, truncated or corrupt, or of another kind."""

import mmap
import os
import struct
from functools import partial
from pathlib import Path

import h5py

from spicemix_core.files.outside import leads_outside

_HEAP = b"GCOL\x01\0\0\0"  # signature and version of a global heap collection, which holds strings
_COMPRESSION = 2000  # deflate makes data at most about a thousand times smaller


def check_file(path: str | os.PathLike) -> Path:
    """Check that ``path`` is a file with content, and return it as a Path.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        It is a folder, a pipe, a device or a socket, or empty.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}. Check its name.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file. Give the name of a file.")
    if not path.is_file():
        raise ValueError(f"{path} is a pipe, a device or a socket, not a file. Save its content as a file first.")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty; nothing was written to it.")
    return path


def open_hdf5(path: str | os.PathLike) -> h5py.File:
    """Open an HDF5 file for reading, after checking what the HDF5 library does not check.

    Parameters
    ----------
    path : path
        Name of the file.

    Returns
    -------
    h5py.File

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    ValueError
        It is no file, empty, not HDF5 or truncated, leads to other files, or is corrupt in a way in which reading it
        would not end, fill the memory or crash.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".h5") as file:
    ...     with h5py.File(file.name, "w") as written:
    ...         written["numbers"] = [1, 2]
    ...     with open_hdf5(file.name) as opened:
    ...         list(opened)
    ['numbers']
    """
    path = check_file(path)
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file or is truncated.")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        unterminated = _unterminated_heap(content)
    if unterminated is not None:
        raise ValueError(f"{path} is corrupt: the string table at byte {unterminated} is not terminated.")
    try:
        file = h5py.File(path, "r")
    except PermissionError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read: it is not an HDF5 file or is truncated ({first_line(error)})."
                         ) from error
    try:
        outside = leads_outside(file)
        check = partial(_unreadable, n_bytes=path.stat().st_size)
        wrong = outside or check("the root", file) or file.visititems(check)  # visititems omits the root
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        file.close()
        raise ValueError(f"{path} is corrupt ({first_line(error)}).") from error
    if wrong:
        file.close()
        raise ValueError(f"{path} leads to other files, which are never read: {wrong}. Write the data again in one "
                         "file." if outside else f"{path} is corrupt: {wrong}.")
    return file


def first_line(error: Exception) -> str:
    """The first line of an error's message without its full stop, or the name of its class if it has no message."""
    lines = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _unreadable(name, item, n_bytes):
    """Why reading an item would fill the memory or crash; None if it can be read."""
    kinds = [item.attrs.get_id(key).get_type().get_class() for key in item.attrs]
    if h5py.h5t.VLEN in kinds:  # strings are of class STRING; no supported file has other types of variable length
        return f"{name} has an attribute of an unknown type"
    if isinstance(item, h5py.Dataset) and item.shape:
        factor = 1 if item.chunks is None else _COMPRESSION
        if item.size * item.dtype.itemsize > factor * n_bytes:
            return f"{name} claims more numbers than the file can hold"
        if item.id.get_type().get_class() == h5py.h5t.VLEN:
            return f"{name} has entries of an unknown type"
    return None


def _unterminated_heap(content):
    """Position of a heap entry of size zero, from which the HDF5 library would never advance; None without one.

    An entry has its index (2 bytes), 6 other bytes, its size (8 bytes) and its string, padded to 8 bytes. Index 0 is
    the free rest of the heap, whose size includes its own head.

    References
    ----------
    HDF5 file format specification 3.0, section III.E (global heap).
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
