"""One run at a time in one folder, so that no two of them mix what they write."""

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path

from _tools import ROOT

PATIENCE = 10  # seconds; the processes of a run that was killed need one or two to leave


@contextmanager
def alone(folder: Path, patience: float = PATIENCE):
    """Keep other runs out of a folder; ValueError if one is in it, or what is left of one that was killed.

    What is locked is an open file, which processes that inherit it hold as well; they free it when they end, however
    they end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        deadline = time.monotonic() + patience
        while not _locked(file):
            if time.monotonic() > deadline:
                raise ValueError(f"Another run, or what is left of one that was killed, is at work in "
                                 f"{folder.relative_to(ROOT)}: wait until it has ended.")
            time.sleep(0.2)
        yield


def _locked(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
