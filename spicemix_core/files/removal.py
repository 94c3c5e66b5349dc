"""Removal of checkpoints, which a program can postpone until it has saved the results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_put_off: ContextVar[list[Callable[[], None]] | None] = ContextVar("put_off", default=None)


@contextmanager
def until_saved() -> Iterator[None]:
    """Postpone the removal of checkpoints to the end of the block; after an error they are kept.

    Examples
    --------
    >>> with until_saved():
    ...     once_saved(lambda: print("removed"))
    ...     print("saved")
    saved
    removed
    """
    removals: list[Callable[[], None]] = []
    token = _put_off.set(removals)
    try:
        yield
    finally:
        _put_off.reset(token)
    for remove in removals:
        remove()


def once_saved(remove: Callable[[], None]) -> None:
    """Call ``remove`` now, or at the end of the enclosing block of :func:`until_saved`."""
    removals = _put_off.get()
    if removals is None:
        remove()
    else:
        removals.append(remove)
