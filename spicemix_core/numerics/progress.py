"""Progress bars in terminals and notebooks."""

import sys
from collections.abc import Iterable
from threading import RLock

from tqdm import tqdm


class _Bar(tqdm):
    """A bar without the lock between processes, which a process that is killed would leave behind."""


_Bar.set_lock(RLock())


def progress(iterable: Iterable, description: str, total: int | None = None) -> Iterable:
    """``iterable`` with a progress bar after two seconds, in terminals and notebooks only.

    The environment variable ``TQDM_DISABLE`` switches it off. ``description`` is the label of the bar.
    """
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    hidden = {} if watched else {"disable": True}
    return _Bar(iterable, desc=description, total=total, leave=False, delay=2.0, **hidden)
