"""Functions in a process of their own, which is forked and so has imported and compiled everything already."""

import os
import sys
import traceback
from collections.abc import Callable
from subprocess import CompletedProcess


class Forked:
    """A function that runs in a forked process, with what it writes to ``stdout`` and ``stderr`` as open files."""

    def __init__(self, function: Callable[..., int | None], *arguments) -> None:
        pipes = [os.pipe() for _ in ("stdout", "stderr")]
        self.number = os.fork()
        if self.number == 0:
            _call(pipes, function, arguments)
        for _, writing in pipes:
            os.close(writing)
        self.stdout, self.stderr = (os.fdopen(reading, encoding="utf-8") for reading, _ in pipes)

    def wait(self) -> int:
        """The status with which the process ended: -n after the signal n."""
        return os.waitstatus_to_exitcode(os.waitpid(self.number, 0)[1])


def run_forked(function: Callable[..., int | None], *arguments) -> CompletedProcess:
    """Call a function in a forked process.

    Returns
    -------
    CompletedProcess
        ``returncode`` is what the function returns (None is 0), 70 after an exception, and -n after the signal n.
        ``stdout`` and ``stderr`` are the text that the process wrote, at most 64 kilobytes.
    """
    process = Forked(function, *arguments)
    with process.stdout, process.stderr:
        texts = process.stdout.read(), process.stderr.read()
    return CompletedProcess(function, process.wait(), *texts)


def _call(pipes, function, arguments):
    status = 70
    try:
        for number, (reading, writing) in enumerate(pipes, 1):
            os.dup2(writing, number)
            os.close(writing)
            os.close(reading)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        status = function(*arguments) or 0
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # nothing that belongs to the forking process is ended or written a second time
