"""Pieces of the report: figures, tables and text as HTML without references to other files."""

import base64
import html

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, display
from matplotlib.figure import Figure

from spicemix_core.pl.svg import svg_of


def show_figure(figure: Figure, alt: str, caption: str) -> None:
    """Show a figure with an alternative text and a caption, as an SVG inside the page, and close it."""
    code = base64.b64encode(svg_of(figure).encode()).decode()
    plt.close(figure)
    display(HTML(f'<figure><img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{code}">'
                 f"<figcaption>{caption}</figcaption></figure>"))


def show_table(table: pd.DataFrame, caption: str, digits: int = 3, words: bool = False) -> None:
    """Show a table, which scrolls in a box of its own on a narrow screen.

    Parameters
    ----------
    table : DataFrame
    caption : str
    digits : int, default=3
        Significant digits of numbers.
    words : bool, default=False
        The last column holds text, which is broken into lines.
    """
    rows = table.to_html(border=0, index=False, float_format=lambda value: f"{value:.{digits}g}")
    display(HTML(f'<p class="heading">{caption}</p><div class="table{" words" * words}" tabindex="0">{rows}</div>'))


def show_text(text: str) -> None:
    """Show text (HTML) as a paragraph."""
    display(HTML(f"<p>{text}</p>"))


def show_warning(text: str) -> None:
    """Show text (HTML) in a highlighted box."""
    display(HTML(f'<div class="warning"><p>{text}</p></div>'))
