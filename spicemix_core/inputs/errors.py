"""Errors and warnings that name parameters in the notation of the interface in use.

The package is used from Python and from the command line, which writes parameters as options. Such a message is
therefore stored in parts, and the command line joins them in its own notation.
"""

import re
from collections.abc import Callable

_PARAMETER = re.compile(r"\{(\w+)(?:=(\w+))?\}")


class Explained(Exception):
    """Base of errors and warnings whose message names parameters.

    Parameters
    ----------
    problem : str
        What is wrong and where, as a full sentence. If ``parameter`` is given, the sentence begins with its name.
    remedy : str
        What to do, as a full sentence. ``{name}`` stands for a parameter and ``{name=value}`` for a parameter with a
        value.
    parameter : str, optional
        The parameter that the problem is about.

    Examples
    --------
    >>> from spicemix_core.inputs.errors import ArgumentError
    >>> error = ArgumentError("X holds whole numbers only.", "Set {normalize=True}, or store log-normalised values.")
    >>> str(error)
    'X holds whole numbers only. Set normalize=True, or store log-normalised values.'
    >>> error.message(lambda name, value: f"--{name}")
    'X holds whole numbers only. Set --normalize, or store log-normalised values.'
    >>> error = ArgumentError("radius must be positive, not 0.", parameter="radius")
    >>> error.message(lambda name, value: f"--{name}")
    '--radius must be positive, not 0.'
    """

    def __init__(self, problem: str, remedy: str = "", parameter: str | None = None):
        self.problem = problem
        self.remedy = remedy
        self.parameter = parameter
        super().__init__(self.message(lambda name, value: name if value is None else f"{name}={value}"))

    def __str__(self) -> str:
        return self.args[0]  # KeyError would add quotes

    def __reduce__(self):
        return type(self), (self.problem, self.remedy, self.parameter)

    def message(self, notation: Callable[[str, str | None], str]) -> str:
        """Join the parts; ``notation(name, value)`` writes a parameter, with ``None`` for no value."""
        problem = self.problem
        if self.parameter is not None:
            problem = notation(self.parameter, None) + problem.removeprefix(self.parameter)
        remedy = _PARAMETER.sub(lambda match: notation(match[1], match[2]), self.remedy)
        return f"{problem} {remedy}".strip()


class ArgumentError(Explained, ValueError):
    """An argument, or data that an argument describes, cannot be used."""


class MissingDataError(Explained, KeyError):
    """The data lack a part that an argument names."""


class InputWarning(Explained, UserWarning):
    """The data can be used, but possibly not as the user means."""
