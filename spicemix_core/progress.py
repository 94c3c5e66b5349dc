"""Progress bars for people who watch, and for nobody else."""

import sys

from tqdm.auto import tqdm


def progress(iterable, description, total=None):
    """``iterable`` with a progress bar in a terminal or a notebook; silent elsewhere or if ``TQDM_DISABLE`` is set."""
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(iterable, desc=description, total=total, leave=False, **({} if watched else {"disable": True}))
