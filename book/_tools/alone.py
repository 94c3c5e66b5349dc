"""One run at a time in one folder, so that the outputs of two runs are never mixed."""

import fcntl
import math
import os
import signal
from contextlib import contextmanager
from pathlib import Path

from _tools import ROOT

PATIENCE = 10.0  # seconds; the processes of a run that was killed need one or two to end


@contextmanager
def alone(folder: Path, patience: float = PATIENCE):
    """Keep other runs out of a folder; ValueError if another run, or a process of a killed one, is still in it.

    An open file is locked. Processes that inherit it hold the lock as well and free it when they end, however they
    end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            _lock(file, patience)
        except (BlockingIOError, TimeoutError):
            raise ValueError(f"Another run, or a process that remains of one that was killed, uses "
                             f"{folder.relative_to(ROOT)}: wait until it has ended.") from None
        yield


def _lock(file, patience: float) -> None:
    """Lock a file, waiting for at most ``patience`` seconds; from the main thread, because an alarm ends the wait."""
    if patience == 0 or math.isinf(patience):
        fcntl.flock(file, fcntl.LOCK_EX | (0 if patience else fcntl.LOCK_NB))
        return

    def end_wait(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end_wait)
    signal.setitimer(signal.ITIMER_REAL, patience)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
