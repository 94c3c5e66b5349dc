"""Commands of the program, run inside a chapter's kernel."""

import contextlib
import io
import shlex
from pathlib import Path

from spicemix_core.command_line import main


def run_command(line: str, folder: Path) -> str:
    r"""Run a command line of the program in a folder and return what it prints.

    Parameters
    ----------
    line : str
        For example ``"spicemix fit tissue.h5ad -o model.h5"``; a backslash continues it on the next line.
    folder : Path

    Raises
    ------
    RuntimeError
        If the command fails; the message is what it printed.
    """
    words, printed = shlex.split(line.replace("\\\n", " ")), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(words[1:])
    if status != 0:
        raise RuntimeError(f"The command {words[1]!r} failed with status {status}: {printed.getvalue()}")
    return printed.getvalue()
