"""Progress bars in terminals and notebooks."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(iterable: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
    """``iterable`` with a progress bar after two seconds, in terminals and notebooks only.

    The environment variable ``TQDM_DISABLE`` switches it off. ``description`` is the label of the bar.
    """
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    hidden = {} if watched else {"disable": True}
    return tqdm(iterable, desc=description, total=total, leave=False, delay=2.0, **hidden)
