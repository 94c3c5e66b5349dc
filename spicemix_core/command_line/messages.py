"""Messages of the command line: errors and warnings as one line that names options, not parameters of Python."""

import errno
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spicemix_core.command_line.options import RENAMED
from spicemix_core.command_line.process import say
from spicemix_core.inputs.errors import Explained

FULL = "The memory is full"
PACKAGE = Path(__file__).parents[1]
NON_SPATIAL = {("graph", "None"), ("graph_key", "None"), ("spatial", "False")}
FLAGS: dict[tuple[str, str | None], str] = dict.fromkeys(NON_SPATIAL, "--non-spatial") | {
    ("sample_key", "None"): "--one-sample", ("layer", "None"): "--layer X"}


class Interrupted(Exception):
    """The user stopped a command; the message says what is kept."""


@contextmanager
def resumable(what: str, kept: object):
    """Say what the same command does next after an interruption by the user, or if the memory is full.

    Parameters
    ----------
    what : str
        What was stopped, for example "fit".
    kept : path or str
        What the same command resumes from.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"The {what} was interrupted. The same command resumes from {kept}.") from stop
    except MemoryError as error:
        raise MemoryError(f"{one_line(error)} The same command resumes from {kept}.") from error
    except BrokenExecutor as error:
        raise RuntimeError(f"A process of the {what} was killed, as systems do when the memory is full. Close other "
                           f"programs, or lower --n-jobs. The same command resumes from {kept}.") from error


def option(name: str, value: str | None) -> str:
    """The option that corresponds to a parameter of the library.

    Examples
    --------
    >>> option("n_metagenes", None), option("normalize", "True"), option("graph", "radius"), option("spatial", "False")
    ('--n-metagenes', '--normalize', '--graph radius', '--non-spatial')
    """
    if (name, value) in FLAGS:
        return FLAGS[name, value]
    flag = f"--{name.replace('_', '-')}"
    return flag if value in (None, "True") else f"{flag} {value}"


def one_line(error: Exception | Warning) -> str:
    """The message of an error or a warning on one line.

    Errors of an unexpected kind are preceded by the name of their class.
    """
    if isinstance(error, Explained):
        text = error.message(option)
    else:
        text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if _is_memory_full(error) and not text.startswith(FULL):
        return f"{FULL}{f' ({text})' if text else ''}. Close other programs, or use a machine with more memory."
    text = " ".join(text.split()) or type(error).__name__
    expected = isinstance(error, (ValueError, KeyError, OSError, ImportError, RuntimeError, MemoryError, Warning,
                                  Interrupted))
    return text if expected else f"{type(error).__name__}: {text}"


def _is_memory_full(error):
    """Whether an error, or its cause, means a full memory, also while compiled libraries are loaded."""
    seen = set()  # an error that is raised again can be its own context
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or (isinstance(error, (ImportError, OSError)) and any(
                words in str(error) for words in ("failed to map segment", os.strerror(errno.ENOMEM)))):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def told_at_once() -> Iterator[None]:
    """Print the warnings of a step when it has succeeded, before the rest of the command."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield
    tell(caught)


def tell(caught: Sequence[warnings.WarningMessage]) -> None:
    """Print the warnings of this package to stderr, each different one once and on one line."""
    own = (warning.message for warning in caught if Path(warning.filename).is_relative_to(PACKAGE))
    for message in dict.fromkeys(one_line(warning) for warning in own if isinstance(warning, Warning)):
        say(f"Warning: {message}")


def with_present_names(arguments: Sequence[str], error: Any) -> list[str] | None:
    """The command line with the present name of an option that has been renamed; None if that is not the error."""
    given = getattr(error, "option_name", None)
    command = getattr(getattr(error, "ctx", None), "command", None)
    new = RENAMED.get(given)
    if new is None or not any(new in parameter.opts for parameter in getattr(command, "params", ())):
        return None
    return [new + word.removeprefix(given) if word.split("=")[0] == given else word for word in arguments]


def usage_message(error: Any) -> str:
    """The message for a command line that typer could not parse.

    An option of an earlier name is answered with its present name.
    """
    given = getattr(error, "option_name", None)
    if given in RENAMED:
        return f"The option {given} is now called {RENAMED[given]}."
    command = getattr(getattr(error, "ctx", None), "command_path", "spicemix")
    return f"{error.format_message().rstrip('.')}. See {command} --help."
