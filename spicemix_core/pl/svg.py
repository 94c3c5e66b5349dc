"""Showing a figure as SVG and PNG; many marks become a picture inside the SVG."""

import base64
import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
from PIL import Image

PIXELS_PER_INCH = {"png": 160, "svg": 80}  # of pictures inside an SVG; its text and lines are vectors


MANY_POINTS, MANY_CELLS = 800, 400


PICTURE_COLORS = 48  # of pictures inside an SVG, with their transparency


def rasterize_marks(figure):
    """Make many points or cells of heat maps a picture inside the figure; text, axes and lines remain vectors.

    "Many" is more in the whole figure than `MANY_POINTS` and `MANY_CELLS`, beyond which they weigh less as a picture.
    """
    for kind, count, many in ((mpl.collections.PathCollection, lambda points: len(points.get_offsets()), MANY_POINTS),
                              (mpl.collections.QuadMesh, lambda mesh: mesh.get_array().size, MANY_CELLS)):
        marks = [artist for artist in figure.findobj(kind) if count(artist) > 1]
        if sum(map(count, marks)) > many:
            for artist in marks:
                artist.set_rasterized(True)


def show(figure):
    """Show a figure in a notebook, as SVG and, to download, as PNG, and close it.

    Many points or cells become a picture inside the SVG, of few colours.
    """
    from IPython.display import display

    pictures = {"image/svg+xml": svg_of(figure), "image/png": _printed(figure, "png")}
    display(pictures | {"text/plain": repr(figure)}, raw=True)
    plt.close(figure)


def svg_of(figure):
    """A figure as the text of an SVG that is the same from run to run, many marks as a picture of few colours."""
    rasterize_marks(figure)
    svg = _printed(figure, "svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    return shrink_pictures(re.sub(r">\s+<", "><", svg))  # texts are outlines, so white space says nothing


def _printed(figure, kind, **options):
    file = io.BytesIO()
    figure.savefig(file, format=kind, bbox_inches="tight", dpi=PIXELS_PER_INCH[kind], **options)
    return file.getvalue()


def shrink_pictures(svg):
    """An SVG whose embedded pictures have at most `PICTURE_COLORS` colours, about a third of their size before."""
    def shrunk(match):
        picture, file = Image.open(io.BytesIO(base64.b64decode(match[1]))).convert("RGBA"), io.BytesIO()
        picture.quantize(PICTURE_COLORS, method=Image.Quantize.FASTOCTREE).save(file, "png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"

    return re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", shrunk, svg)
