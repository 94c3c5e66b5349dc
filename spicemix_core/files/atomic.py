"""Files and folders that are written whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ATTEMPTS = 100  # to remove a folder into which other threads still write
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskFullError(OSError):
    """A file does not fit on its disk, or is larger than the system allows."""


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write to a temporary path, which replaces ``path`` when the block ends without an error.

    Parameters
    ----------
    path : path
        File or folder. A symbolic link is followed.

    Yields
    ------
    Path
        A path in the same folder and with the same suffix, which does not exist. The block writes a file or a folder
        there.

    Raises
    ------
    DiskFullError
        The disk has no space for the content.

    Notes
    -----
    The content is on the disk before the name changes, so ``path`` is unchanged if the disk is full or the process
    is killed. An error removes the temporary path; a killed process may leave it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/table.csv") as temporary:
    ...         _ = temporary.write_text("a,b")
    ...     [path.name for path in Path(folder).iterdir()]
    ['table.csv']
    """
    with replacing_together(path) as (temporary,):
        yield temporary


@contextmanager
def replacing_together(*paths: str | os.PathLike) -> Iterator[list[Path]]:
    """Like :func:`replacing`, for several paths: none is replaced before all are complete.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing_together(f"{folder}/a.csv", f"{folder}/b.csv") as (a, b):
    ...         _ = a.write_text("1"), b.write_text("2")
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['a.csv', 'b.csv']
    """
    targets = [Path(os.path.realpath(path)) for path in paths]
    temporaries = [_beside(target, "partial") for target in targets]
    try:
        yield temporaries
        for temporary in temporaries:
            _flush(temporary)
        for temporary, target in zip(temporaries, targets, strict=True):
            _replace(temporary, target)
    except Exception as error:
        if _is_disk_full(error):
            raise DiskFullError(f"The disk is full: {' and '.join(map(str, paths))} cannot be written. Free some space "
                                "and try again.") from error
        raise
    finally:
        for temporary in temporaries:
            _remove(temporary)


def partials_of(path: str | os.PathLike) -> list[Path]:
    """Temporary paths of ``path``, of this or another process."""
    path = Path(os.path.realpath(path))
    prefix, suffix = f".{path.stem}-", f"-partial{path.suffix}"
    return [found for found in path.parent.iterdir() if found.name.startswith(prefix) and found.name.endswith(suffix)
            and found.name[len(prefix):-len(suffix)].isdigit()]


def _is_disk_full(error):
    """Whether an error, or its cause, means a full disk; the HDF5 library writes the error number in its message."""
    seen = set()  # an error that is raised again can be its own context
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, DiskFullError) or getattr(error, "errno", None) in _FULL:
            return True
        if any(f"errno = {number}" in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def _beside(path, word):
    return path.with_name(f".{path.stem}-{os.getpid()}-{word}{path.suffix}")


def _flush(path):
    """Wait until a file is on the disk; files in folders are left to the operating system."""
    if path.is_dir():
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace(temporary, target):
    """Rename; an existing folder is moved aside first, and back if the renaming fails."""
    if not target.is_dir():
        os.replace(temporary, target)
        return
    old = _beside(target, "old")
    os.rename(target, old)
    try:
        os.replace(temporary, target)
    except OSError:
        os.rename(old, target)
        raise
    _remove(old)


def _remove(path):
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for _ in range(_ATTEMPTS):  # after an error, threads of the zarr library may still write a few chunks
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
    shutil.rmtree(path)
