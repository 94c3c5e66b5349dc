"""Exchange of two paths in one step, which replaces a folder without a moment in which there is none."""

import ctypes
import os
import sys
from pathlib import Path

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD; RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS


def exchange(first: Path, second: Path) -> bool:
    """Exchange two existing files or folders of one file system.

    Parameters
    ----------
    first, second : path

    Returns
    -------
    bool
        False, and nothing is changed, if the system or the file system cannot exchange paths.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     old, new = Path(folder, "old"), Path(folder, "new")
    ...     _ = old.write_text("old"), new.write_text("new")
    ...     done = exchange(old, new)
    ...     old.read_text() == ("new" if done else "old")
    True
    """
    if sys.platform == "win32":
        return False
    names, library = (os.fsencode(first), os.fsencode(second)), ctypes.CDLL(None)
    if sys.platform == "darwin":
        function, arguments = getattr(library, "renamex_np", None), (*names, _EXCHANGE)
    else:
        function = getattr(library, "renameat2", None)
        arguments = (_HERE, names[0], _HERE, names[1], _EXCHANGE)
    return function is not None and function(*arguments) == 0
