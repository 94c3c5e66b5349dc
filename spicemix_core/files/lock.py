"""A lock that keeps two processes from using one checkpoint."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows, where nothing is locked
    fcntl = None


class LockedError(RuntimeError):
    """Another process uses a file or folder."""


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[None]:
    """Hold the lock of a file or folder, which need not exist, until the block ends.

    Parameters
    ----------
    path : path
        What is locked. The lock itself is the file with ``.lock`` added to this name; it is removed in the end.

    Raises
    ------
    LockedError
        Another process holds the lock.

    Notes
    -----
    The operating system releases the lock of a killed process. The file that such a process leaves locks nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/fit.checkpoint"):
    ...     try:
    ...         with locked(f"{folder}/fit.checkpoint"):
    ...             pass
    ...     except LockedError as error:
    ...         print(str(error).replace(folder, ""))
    Another process uses /fit.checkpoint. Wait until it has finished, or choose another name.
    """
    if fcntl is None:
        yield
        return
    name = Path(f"{path}.lock")
    while True:
        with name.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(f"Another process uses {path}. Wait until it has finished, or choose another name."
                                  ) from error
            if not _is_at(file, name):  # the last holder removed the file between opening and locking
                continue
            try:
                yield
            finally:
                name.unlink(missing_ok=True)
            return


def _is_at(file, name):
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False
