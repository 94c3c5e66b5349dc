"""Functions in a process of their own, which is forked and so has imported and compiled everything already."""

import os
import sys
import traceback
from collections.abc import Callable
from subprocess import CompletedProcess


def run_forked(function: Callable[..., int | None], *arguments) -> CompletedProcess:
    """Call a function in a forked process.

    Returns
    -------
    CompletedProcess
        ``returncode`` is what the function returns (None is 0), 70 after an exception, and -n after the signal n.
        ``stdout`` and ``stderr`` are the text that the process wrote, at most 64 kilobytes.
    """
    pipes = [os.pipe() for _ in ("stdout", "stderr")]
    number = os.fork()
    if number == 0:
        _call(pipes, function, arguments)
    texts = []
    for reading, writing in pipes:
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            texts.append(pipe.read())
    return CompletedProcess(function, os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), *texts)


def _call(pipes, function, arguments):
    status = 70
    try:
        for number, (reading, writing) in enumerate(pipes, 1):
            os.dup2(writing, number)
            os.close(writing)
            os.close(reading)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
        status = function(*arguments) or 0
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)  # nothing that belongs to the forking process is ended or written a second time
