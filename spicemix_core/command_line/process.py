"""State of the process that a command needs, independent of the program that started it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress


@contextmanager
def process_state(debug: bool, quiet: bool = False) -> Iterator[None]:
    """Run a command with usable signals, streams and hooks, and restore the earlier ones.

    - Ctrl-C interrupts the command, also if the program was started in the background by a script, which makes it
      inherit an ignored SIGINT.
    - Output to a closed stream is discarded. Its number is taken by the null device, not by a file of data that a
      library would then write its messages into. Standard output and progress are discarded if ``quiet``.
    - Errors in destructors are not shown unless ``debug``: the HDF5 library raises one for each open object when the
      disk is full, after the error that the command reports.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            stack.callback(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))
        _open_standard_streams()
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None or (quiet and stream is sys.stdout):
                stack.enter_context(redirect(stack.enter_context(open(os.devnull, "w"))))
        if quiet:
            stack.enter_context(_variable("TQDM_DISABLE", "1"))
        if not debug:
            for name in ("excepthook", "unraisablehook"):  # Cython calls both
                stack.callback(setattr, sys, name, getattr(sys, name))
                setattr(sys, name, lambda *_: None)
        yield


def say(message: str) -> None:
    """Print a line to stderr; if nobody reads it any more, it is lost."""
    with suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)


def has_open_hdf5_files() -> bool:
    """Whether the HDF5 library has an open file."""
    h5py = sys.modules.get("h5py")
    return h5py is not None and h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) > 0


def _open_standard_streams():
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


@contextmanager
def _variable(name, value):
    """Set an environment variable for a while."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


@contextmanager
def stage(description: str) -> Iterator[None]:
    """Show in a terminal what is being done while it cannot be counted."""
    shown = sys.stderr.isatty() and "TQDM_DISABLE" not in os.environ
    if shown:
        print(f"{description} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # clear the line


def end_process(status: int) -> None:
    """End the process at once.

    The HDF5 library keeps a file that it could not close, because the disk is full, and crashes when it tries to close
    it at the end of the process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
