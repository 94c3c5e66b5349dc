"""State of the process that a command needs, independent of the program that started it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def process_state(debug: bool) -> Iterator[None]:
    """Run a command with usable signals, streams and hooks, and restore the earlier ones.

    - Ctrl-C interrupts the command, also if the program was started in the background by a script, which makes it
      inherit an ignored SIGINT.
    - Output to a closed stream is discarded.
    - Errors in destructors are not shown unless ``debug``: the HDF5 library raises one for each open object when the
      disk is full, after the error that the command reports.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None:
                stack.enter_context(redirect(stack.enter_context(open(os.devnull, "w"))))
        if not debug:
            for name in ("excepthook", "unraisablehook"):  # Cython calls both
                stack.callback(setattr, sys, name, getattr(sys, name))
                setattr(sys, name, lambda *_: None)
        yield


def end_process(status: int) -> None:
    """End the process at once.

    The HDF5 library keeps a file that it could not close, because the disk is full, and crashes when it tries to close
    it at the end of the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
