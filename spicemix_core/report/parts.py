"""Pieces of the report's page: figures and tables as HTML that holds all it needs."""

import base64
import html

import matplotlib.pyplot as plt
from IPython.display import HTML, display

from spicemix_core.pl.svg import svg_of


def show_figure(figure, alt, caption):
    """Show a figure with its caption, as an SVG inside the page."""
    code = base64.b64encode(svg_of(figure).encode()).decode()
    plt.close(figure)
    display(HTML(f'<figure><img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{code}">'
                 f"<figcaption>{caption}</figcaption></figure>"))


def show_table(table, caption, digits=3, words=False):
    """Show a DataFrame that scrolls inside its own box on a narrow screen; with ``words`` its last column is text."""
    rows = table.to_html(border=0, index=False, float_format=lambda value: f"{value:.{digits}g}")
    display(HTML(f'<p class="heading">{caption}</p><div class="table{" words" * words}" tabindex="0">{rows}</div>'))


def say(text):
    """Show a sentence that the code has made, as a paragraph."""
    display(HTML(f"<p>{text}</p>"))


def warn(text):
    """Show a sentence that the reader should not miss."""
    display(HTML(f'<div class="told"><p>{text}</p></div>'))
