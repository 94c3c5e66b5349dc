"""Names in figures are text: a dollar sign is no mathematics, and control characters are written as escapes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

F = TypeVar("F", bound=Callable[..., Any])
PLAIN = {"text.parse_math": False}
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")


def readable(text: str) -> str:
    r"""Text in which characters that XML and HTML cannot hold, such as control characters, are written as escapes.

    Examples
    --------
    >>> readable("a\x01b")
    'a\\x01b'
    """
    return _UNREADABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


@contextmanager
def names_as_text(*targets: Figure | Axes) -> Iterator[None]:
    """Take names that the block draws as text, also in labels and ticks that the targets have already."""
    before = {text: (text.get_text(), text.get_parse_math()) for target in targets for text in target.findobj(Text)}
    for text in before:
        text.set_parse_math(False)
    with mpl.rc_context(PLAIN):
        yield
    for text, (words, has_mathematics) in before.items():
        if text.get_text() == words:  # not drawn by the block
            text.set_parse_math(has_mathematics)
    for target in targets:
        make_readable(target)


def make_readable(drawn: Figure | Axes) -> None:
    """Apply :func:`readable` to all text of a figure or of axes, names at ticks included."""
    for text in drawn.findobj(Text):
        if (plain := readable(text.get_text())) != text.get_text():
            text.set_text(plain)
    for ax in [drawn] if isinstance(drawn, Axes) else drawn.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_formatter(), (mpl.ticker.FuncFormatter, mpl.ticker.FixedFormatter)):
                labels = axis.get_ticklabels()
                names = [label.get_text() for label in labels]
                if (plain := list(map(readable, names))) != names:
                    axis.set_ticks(axis.get_majorticklocs(), plain)
                for label in labels:
                    label.set_parse_math(False)


def plain_names(draw: F) -> F:
    """Let a function that draws on its first argument, axes or a figure, take names as text."""
    @wraps(draw)
    def drawn(target, *args, **options):
        with names_as_text(*([target] if isinstance(target, (Axes, Figure)) else np.ravel(target))):
            return draw(target, *args, **options)
    return cast(F, drawn)
