"""Files and folders that are written whole or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spicemix_core.files.partial import OLD, is_unfinished, mark_published, partial_folder, remove
from spicemix_core.files.swap import exchange

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
        A path with the same name in a new folder next to ``path``. The block writes a file or a folder there.

    Raises
    ------
    DiskFullError
        The disk has no space for the content.

    Notes
    -----
    The content is on the disk before the name changes, so ``path`` is unchanged if the disk is full or the process
    is killed. An error removes the temporary path. That of a killed process is removed by the next call for ``path``.
    The permissions of an existing file or folder are kept.

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

    If the process is killed between two renames, :func:`spicemix_core.files.partial.is_unfinished` is true for the
    new files that have their names already.

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
    with ExitStack() as stack, naming_a_full_disk(*paths):
        temporaries = [stack.enter_context(partial_folder(target)) / target.name for target in targets]
        yield temporaries
        for temporary, target in zip(temporaries, targets, strict=True):
            _flush(temporary)
            _keep_mode(temporary, target)
        _publish(temporaries, targets)


@contextmanager
def naming_a_full_disk(*paths: str | os.PathLike) -> Iterator[None]:
    """Make an error of the block that means a full disk a :class:`DiskFullError` with the names of ``paths``."""
    try:
        yield
    except Exception as error:
        if is_disk_full(error):
            raise DiskFullError(f"The disk is full: {' and '.join(map(str, paths))} cannot be written. Free some space "
                                "and try again.") from error
        raise


def is_disk_full(error: BaseException | None) -> bool:
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


def _flush(path):
    """Wait until a file is on the disk; files in folders are left to the operating system."""
    if path.is_dir():
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _keep_mode(temporary, target):
    """Give new content the permissions of the old: those of a file, or of a folder and of the files in it."""
    if not target.exists():
        return
    mode = stat.S_IMODE(target.stat().st_mode)
    temporary.chmod(mode)
    files = [path for path in target.iterdir() if path.is_file()] if target.is_dir() else []
    if files and temporary.is_dir():
        mode_of_files = stat.S_IMODE(files[0].stat().st_mode)
        for path in temporary.rglob("*"):
            path.chmod(mode if path.is_dir() else mode_of_files)


def _publish(temporaries, targets):
    """Rename all; after an error or an interruption, those that did not exist before do not exist."""
    new = []
    try:
        for temporary, target in zip(temporaries, targets, strict=True):
            if not target.exists() or is_unfinished(target):
                mark_published(temporary, temporary.parent)
                new.append(target)
            _replace(temporary, target)
    except BaseException:
        for target in new:
            remove(target)
        raise


def _replace(temporary, target):
    """Rename; an existing folder is exchanged, or else moved aside first, and back if the renaming fails."""
    if not target.is_dir():
        os.replace(temporary, target)
    elif not exchange(temporary, target):
        old = temporary.with_name(OLD)
        os.rename(target, old)
        try:
            os.rename(temporary, target)
        except OSError:
            os.rename(old, target)
            raise
