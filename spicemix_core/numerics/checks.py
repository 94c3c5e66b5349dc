"""Checks of arguments."""

from numbers import Integral
from typing import Any


def is_integer(value: Any) -> bool:
    """Whether ``value`` is a Python or NumPy integer; a bool is not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_integer(name: str, value: Any, smallest: int, remedy: str = "") -> int:
    """Return ``value`` as an int.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
    smallest : int
        Smallest allowed value.
    remedy : str, default=""
        A sentence to add to the message.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If ``value`` is not an integer (a bool is not) or is below ``smallest``.

    Examples
    --------
    >>> check_integer("n_runs", 10, 2)
    10
    """
    if not is_integer(value) or value < smallest:
        raise ValueError(f"{name} must be an integer of at least {smallest}, not {value!r}. {remedy}".rstrip())
    return int(value)
