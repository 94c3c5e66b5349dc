"""Progress bars for people who watch, and for nobody else."""

import sys

from tqdm import tqdm


def progress(iterable, description, total=None):
    """``iterable`` with a progress bar after two seconds, in a terminal or a notebook only.

    Silent too if the environment variable ``TQDM_DISABLE`` is set.
    """
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    hidden = {} if watched else {"disable": True}
    return tqdm(iterable, desc=description, total=total, leave=False, delay=2.0, **hidden)
