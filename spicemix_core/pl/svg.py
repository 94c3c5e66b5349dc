"""Figures as SVG and PNG. Where a figure has many marks, they become a picture inside the SVG."""

import base64
import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from spicemix_core.pl.names import readable

PIXELS_PER_INCH = {"png": 160, "svg": 80}  # of a PNG, and of the pictures inside an SVG
MANY_POINTS, MANY_CELLS = 800, 400  # a figure with more marks than this is smaller with a picture
PICTURE_COLORS = 48  # of a picture inside an SVG, transparency included
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
LETTER = re.compile(r'(<use xlink:href="#[^"]+") transform="translate\(([-\d.]+) 0\)"/>')


def rasterize_marks(figure: Figure) -> None:
    """Make the points and the cells of heat maps a picture, if the figure has many; text and lines remain vectors.

    "Many" is more than `MANY_POINTS` points or `MANY_CELLS` cells in the whole figure.
    """
    for kind, count, many in ((mpl.collections.PathCollection, lambda points: len(points.get_offsets()), MANY_POINTS),
                              (mpl.collections.QuadMesh, lambda mesh: mesh.get_array().size, MANY_CELLS)):
        marks = [artist for artist in figure.findobj(kind) if count(artist) > 1]
        if sum(map(count, marks)) > many:
            for artist in marks:
                artist.set_rasterized(True)


def show(figure: Figure) -> None:
    """Show a figure in a notebook as SVG, with a PNG to download, and close it.

    Many points, or many cells of a heat map, become one picture inside the SVG, which keeps pages small.

    Parameters
    ----------
    figure : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from spicemix_core import pl
    >>> figure, ax = plt.subplots()
    >>> pl.show(figure)  # doctest: +SKIP
    """
    from IPython.display import display

    pictures = {"image/svg+xml": svg_of(figure), "image/png": printed(figure, "png")}
    display(pictures | {"text/plain": repr(figure)}, raw=True)
    plt.close(figure)


def svg_of(figure: Figure) -> str:
    """Return a figure as an SVG that is the same in every run, with many marks as a picture of few colours."""
    rasterize_marks(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout takes longer than the drawing, and is computed only once
    svg = readable(printed(figure, "svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode())
    return shrink_pictures(shorten(svg))


def shorten(svg: str) -> str:
    """The same drawing in fewer characters: numbers to a hundredth of a point, and places of letters as x."""
    svg = re.sub(r">\s+<", "><", svg)  # text is drawn as outlines, so white space has no meaning
    svg = LONG_NUMBER.sub(lambda number: f"{float(number[0]):.{2 if abs(float(number[0])) >= 1 else 4}f}", svg)
    return LETTER.sub(r'\1 x="\2"/>', svg).replace("DejaVuSans", "D")


def printed(figure: Figure, kind: str, **options) -> bytes:
    """Return the content of an image file of the figure; ``kind`` is "png" or "svg"."""
    file = io.BytesIO()
    figure.savefig(file, format=kind, bbox_inches="tight", dpi=PIXELS_PER_INCH[kind], **options)
    return file.getvalue()


def shrink_pictures(svg: str) -> str:
    """Reduce the pictures inside an SVG to `PICTURE_COLORS` colours, about a third of their size."""
    def shrunk(match):
        picture, file = Image.open(io.BytesIO(base64.b64decode(match[1]))).convert("RGBA"), io.BytesIO()
        picture.quantize(PICTURE_COLORS, method=Image.Quantize.FASTOCTREE).save(file, "png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", shrunk, svg)
