"""A temporary folder that does not outlive its process, even if the process is killed."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spicemix_core.files.atomic import naming_a_full_disk

# A process of its own: it reads from a pipe that nobody writes to, and which closes when this process ends.
_REMOVING = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for temporary files, removed at the end of the block or of the process.

    Raises
    ------
    DiskFullError
        The disk of the temporary files has no space.

    Examples
    --------
    >>> with temporary_folder() as folder:
    ...     _ = (folder / "data.txt").write_text("1")
    >>> folder.exists()
    False
    """
    with (naming_a_full_disk(tempfile.gettempdir()), tempfile.TemporaryDirectory(prefix="spicemix-") as folder,
          subprocess.Popen([sys.executable, "-I", "-S", "-c", _REMOVING, folder], stdin=subprocess.PIPE,
                           start_new_session=True)):
        yield Path(folder)
