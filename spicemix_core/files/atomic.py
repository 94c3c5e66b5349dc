"""Files that are there whole or not at all."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path):
    """A temporary path beside ``path`` to write to, which takes its place when the block ends without an error.

    The bytes are on the disk before the name changes, so that a killed process or a full disk leaves ``path`` as it
    was. An error removes the temporary file; a killed process may leave it.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_any(path):
    """As :func:`replacing`, for a file or a folder, with a temporary path of the same ending.

    A folder that is there is put aside for the moment of the change, and comes back if it fails.
    """
    path = Path(path)
    temporary, old = (path.with_name(f".{path.stem}-{os.getpid()}-{word}{path.suffix}") for word in ("partial", "old"))
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            os.rename(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.is_dir():
                os.rename(old, path)
            raise
    finally:
        for left in (temporary, old):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
