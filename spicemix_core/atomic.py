"""Files that are there whole or not at all."""

import os
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
