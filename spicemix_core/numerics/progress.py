"""Progress in terminals and notebooks, on standard error; the environment variable ``TQDM_DISABLE`` switches it off."""

import sys
from collections.abc import Iterable
from threading import RLock

from tqdm import tqdm


class _Bar(tqdm):
    """A bar without the lock between processes, which a process that is killed would leave behind."""


_Bar.set_lock(RLock())


def progress(iterable: Iterable, description: str, total: int | None = None) -> Iterable:
    """``iterable`` with a progress bar, in notebooks after two seconds; ``description`` is its label."""
    notebook = {"delay": 2.0} if "ipykernel" in sys.modules else {"disable": True}
    return _Bar(iterable, desc=description, total=total, leave=False, **{} if sys.stderr.isatty() else notebook)
