"""A lock that keeps two processes, or two threads, from using one file or folder."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows, where nothing is locked
    fcntl = None

_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # on some network file systems
_held: ContextVar[tuple[str, ...]] = ContextVar("held", default=())
P = ParamSpec("P")
R = TypeVar("R")


class LockedError(RuntimeError):
    """Another process uses a file or folder."""


@contextmanager
def locked(path: str | os.PathLike) -> Iterator[bool]:
    """Hold the lock of a file or folder, which need not exist, until the block ends.

    Parameters
    ----------
    path : path
        What is locked. The lock itself is the file with ``.lock`` added to this name; it is removed in the end.

    Yields
    ------
    bool
        Whether there is a lock. It is false on systems and file systems without locks.

    Raises
    ------
    LockedError
        Another process holds the lock, or another block of this process.

    Notes
    -----
    The operating system releases the lock of a killed process. The file that such a process leaves locks nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(f"{folder}/fit.checkpoint") as is_locked:
    ...     is_locked
    True
    """
    name = Path(f"{os.path.realpath(path)}.lock")
    if fcntl is None:
        yield False
        return
    while True:
        with name.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_locked = True
            except BlockingIOError as error:
                raise LockedError(f"Another process uses {path}. Wait until it has finished, or choose another name."
                                  ) from error
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    raise
                is_locked = False
            if not _is_at(file, name):  # the last holder removed the file between opening and locking
                continue
            try:
                yield is_locked
            finally:
                name.unlink(missing_ok=True)
            return


@contextmanager
def reserved(path: str | os.PathLike | None) -> Iterator[None]:
    """Like :func:`locked`, for a checkpoint or a folder of runs; a block within the block may reserve it again.

    A program can thus reserve what a function that it calls reserves, until it has saved the results. Without a path,
    nothing is reserved.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, reserved(f"{folder}/runs"), reserved(f"{folder}/runs"):
    ...     print(os.listdir(folder))
    ['runs.lock']
    """
    name = None if path is None else os.path.realpath(path)
    if name is None or name in _held.get():
        yield
        return
    if not Path(name).parent.is_dir():
        raise FileNotFoundError(f"The folder of {path} does not exist. Create it first.")
    with locked(path):
        token = _held.set((*_held.get(), name))
        try:
            yield
        finally:
            _held.reset(token)


def reserves_folder(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function reserve its folder of runs, the keyword ``folder``, whose parents are created."""
    @wraps(function)
    def reserving(*arguments: P.args, **keywords: P.kwargs) -> R:
        folder = keywords.get("folder")
        if folder is not None:
            Path(str(folder)).absolute().parent.mkdir(parents=True, exist_ok=True)
        with reserved(None if folder is None else str(folder)):
            return function(*arguments, **keywords)

    return reserving


def _is_at(file, name):
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False
