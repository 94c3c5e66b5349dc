"""Files that were compressed: as a whole with gzip or zip, or inside an HDF5 file with a filter of a plugin."""

import gzip
import importlib.util
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"  # first bytes
BYTES = 2**30  # that any file may unpack to
COMPRESSION = 200  # otherwise, at most so many times its size; tables with 99 % zeros reach 100
FILTERS = {307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd",
           32026: "blosc2"}  # registered with the HDF Group


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The content of a file that gzip or zip compressed, in a temporary place; any other path itself.

    Parameters
    ----------
    path : Path
        The first bytes of a file decide, not its name.

    Yields
    ------
    Path
        A file, or the folder that a zip file holds.

    Raises
    ------
    ValueError
        If the compressed file is damaged, is an archive of tar, or unpacks to far more than data do. Errors of the
        block that name the temporary place name ``path`` instead.

    Examples
    --------
    >>> import gzip, tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "counts.csv.gz")
    ...     _ = path.write_bytes(gzip.compress(b"1,2"))
    ...     with unpacked(path) as content:
    ...         content.name, content.read_text()
    ('counts.csv', '1,2')
    """
    first = b""
    if path.is_file():
        with path.open("rb") as file:
            first = file.read(4)
    if not first.startswith((GZIP, ZIP)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="spicemix-") as folder:
        unpack = _unzip if first.startswith(ZIP) else _gunzip
        try:
            place = unpack(path, Path(folder))
        except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is a damaged compressed file ({error}); copy or download it again.") from error
        try:
            yield place
        except ValueError as error:
            raise ValueError(str(error).replace(str(place), str(path))) from error


def _gunzip(path, folder):
    place = folder / (path.stem if path.suffix.lower() == ".gz" else path.name)
    n_bytes = 0
    with gzip.open(path) as packed, place.open("wb") as file:
        while piece := packed.read(2**20):
            n_bytes += len(piece)
            _check_size(path, n_bytes)  # the size that the file states need not be true
            file.write(piece)
    if tarfile.is_tarfile(place):
        raise ValueError(f"{path} is an archive of tar; unpack it (tar -xzf) and give the file or folder inside.")
    return place


def _unzip(path, folder):
    """The store or file in a zip file, which may hold it directly or in folders of its own."""
    with zipfile.ZipFile(path) as archive:
        _check_size(path, sum(member.file_size for member in archive.infolist()))  # no more than this is written
        archive.extractall(folder)
    while len(inside := [item for item in folder.iterdir() if item.name != "__MACOSX"]) == 1:
        folder = inside[0]
        if folder.is_file():
            break
    return folder


def _check_size(path, n_bytes):
    """Refuse a small file that would fill the disk or the memory."""
    if n_bytes > max(BYTES, COMPRESSION * path.stat().st_size):
        raise ValueError(f"{path} unpacks to more than {COMPRESSION} times its size, which expression data never do. "
                         "Check where it comes from; if you trust it, unpack it yourself and give its content.")


def load_filters(path: Path, file: h5py.File) -> None:
    """Load the plugins of the compression filters that an HDF5 file uses; ValueError if one cannot be loaded."""
    if _missing_filter(file) and importlib.util.find_spec("hdf5plugin"):
        importlib.import_module("hdf5plugin")
    if name := _missing_filter(file):
        raise ValueError(f"{path} is compressed with the filter {name} of HDF5, which needs the package hdf5plugin. "
                         "Install it with 'pip install hdf5plugin', or write the file again compressed with gzip.")


def _missing_filter(file):
    """Name of a compression filter that the file uses and the HDF5 library does not have; None without one."""
    def look(_, item):
        steps = item.id.get_create_plist() if isinstance(item, h5py.Dataset) else None
        codes = [steps.get_filter(i)[0] for i in range(steps.get_nfilters())] if steps else []
        return next((FILTERS.get(code, str(code)) for code in codes if not h5py.h5z.filter_avail(code)), None)

    return file.visititems(look)
