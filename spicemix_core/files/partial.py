"""Folders next to a file, in which its next content is written; the next run clears those of killed processes.

The folder ``.NAME-partial-XXXXXXXX`` holds the content under its final name. While its process runs, it also holds a
lock. Two more entries are for the case that the process is killed while it renames files: ``published`` identifies
a target that took its name before the other outputs of the same command did, and ``old`` is the former content of a
target on file systems that cannot exchange two folders.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spicemix_core.files.lock import LockedError, locked

PUBLISHED, OLD = "published", "old"
_ATTEMPTS = 100  # to remove a folder into which other threads still write


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """A new folder next to ``target``, removed at the end of the block; those of killed processes are removed first.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder, partial_folder(Path(folder, "table.csv")) as place:
    ...     place.name[:-8], place.parent == Path(folder)
    ('.table.csv-partial-', True)
    """
    was_unfinished = is_unfinished(target)
    with ExitStack() as stack:
        while True:
            place = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
            try:
                stack.enter_context(locked(place / "writer"))
                break
            except (FileNotFoundError, LockedError):  # another process took it for the folder of a killed one
                continue
        try:
            if was_unfinished:
                mark_published(target, place)
            clear_partials(target)  # not this one, which is locked
            yield place
        finally:
            remove(place)


def partials_of(target: Path) -> list[Path]:
    """Partial folders of ``target``, of this or another process."""
    if not target.parent.is_dir():
        return []
    return [place for place in target.parent.iterdir() if place.name.startswith(_prefix(target)) and place.is_dir()]


def clear_partials(target: Path) -> None:
    """Remove the partial folders of ``target`` that killed processes left; restore a target that was moved aside."""
    for place in partials_of(target):
        try:
            with locked(place / "writer") as is_locked:
                if is_locked:  # its process has ended
                    if (place / OLD).exists() and not target.exists():
                        os.rename(place / OLD, target)
                    remove(place)
        except (FileNotFoundError, LockedError):  # another process removes it, or writes to it
            continue


def mark_published(content: Path, place: Path) -> None:
    """Note in a partial folder that ``content`` takes the name of its target before other outputs take theirs."""
    with (place / PUBLISHED).open("a", encoding="utf-8") as note:
        note.write(f"{_identity(content)}\n")


def is_unfinished(target: str | os.PathLike) -> bool:
    """Whether a process wrote ``target``, and was killed before the other outputs of the same command had their names.

    Examples
    --------
    >>> is_unfinished("model.h5")
    False
    """
    target = Path(os.path.realpath(target))
    if not target.exists():
        return False
    notes = [place / PUBLISHED for place in partials_of(target)]
    return any(note.exists() and _identity(target) in note.read_text(encoding="utf-8").splitlines() for note in notes)


def remove(path: Path) -> None:
    """Remove a file or a folder if it exists."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for _ in range(_ATTEMPTS):  # after an error, threads of the zarr library may still write a few chunks
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
    shutil.rmtree(path)


def _prefix(target):
    return f".{target.name}-partial-"


def _identity(path):
    found = path.stat()
    return f"{found.st_ino} {0 if path.is_dir() else found.st_mtime_ns}"
