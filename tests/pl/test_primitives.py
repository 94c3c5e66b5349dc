"""Drawing functions: outlines of cells, panels of samples, and the pictures inside an SVG."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from spicemix_core import pl
from spicemix_core.pl import svg
from spicemix_core.pl.outlines import cell_outlines

mpl.use("agg")


def area(corners):
    x, y = corners.T
    return 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))


@pytest.fixture
def axes():
    figure, ax = plt.subplots()
    yield figure, ax
    plt.close(figure)


def test_an_isolated_cell_is_a_disc():
    (outline,) = cell_outlines([[2.0, 3.0]], 0.5, sides=200)
    np.testing.assert_allclose(np.linalg.norm(outline - [2, 3], axis=1), 0.5)
    assert area(outline) == pytest.approx(np.pi * 0.25, rel=1e-3)


def test_cells_on_a_grid_are_squares():
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    outline = cell_outlines(grid, 2.0)[12]
    np.testing.assert_allclose(np.abs(outline - [2, 2]).max(axis=0), 0.5)
    assert area(outline) == pytest.approx(1.0)


def test_outlines_hold_their_cell_and_do_not_overlap():
    points = np.random.default_rng(0).random((60, 2))
    outlines = cell_outlines(points, 0.1)
    for i, corners in enumerate(outlines):
        distances = np.linalg.norm(corners[:, None] - points, axis=2)
        assert (distances[:, i] <= distances.min(axis=1) + 1e-12).all()  # no corner is nearer to another cell
        assert distances[:, i].max() <= 0.1 + 1e-12
    assert sum(map(area, outlines)) < 60 * np.pi * 0.01


def test_many_points_become_a_picture_and_few_do_not(axes):
    figure, ax = axes
    cloud = ax.scatter(*np.zeros((2, svg.MANY_POINTS)))
    svg.rasterize_marks(figure)
    assert not cloud.get_rasterized()
    ax.scatter([0, 1], [0, 1])
    svg.rasterize_marks(figure)
    assert cloud.get_rasterized()


def test_large_heat_maps_become_a_picture_and_their_colour_bar_alone_does_not_count(axes):
    figure, ax = axes
    pl.draw_table(ax, pd.DataFrame(np.eye(3)), label="x")
    svg.rasterize_marks(figure)
    assert not any(mesh.get_rasterized() for mesh in ax.findobj(mpl.collections.QuadMesh))
    large, other = plt.subplots()
    pl.draw_table(other, pd.DataFrame(np.eye(30)), label="x")
    svg.rasterize_marks(large)
    assert all(mesh.get_rasterized() for mesh in other.findobj(mpl.collections.QuadMesh))
    plt.close(large)


def test_samples_are_drawn_with_equal_scales_as_points_or_outlines():
    points, samples, labels = np.random.default_rng(0).random((20, 2)), ["a"] * 12 + ["b"] * 8, ["x", "y"] * 10
    for outlines, kind in ((False, mpl.collections.PathCollection), (True, mpl.collections.PolyCollection)):
        figure, axes = plt.subplots(1, 2)
        pl.draw_samples(axes, points, samples, labels, {"x": "red", "y": "blue"}, outlines=outlines)
        drawn = [sum(len(artist.get_paths()) if outlines else len(artist.get_offsets()) for artist in ax.findobj(kind))
                 for ax in axes]
        assert drawn == [12, 8]
        assert [ax.get_title() for ax in axes] == ["a", "b"] and all(ax.get_aspect() == 1 for ax in axes)
        plt.close(figure)


def test_outlines_do_not_depend_on_the_unit_of_the_coordinates():
    points, drawn = np.random.default_rng(0).random((30, 2)), []
    for unit in (1.0, 1000.0):
        figure, ax = plt.subplots()
        pl.draw_samples([ax], unit * points, ["a"] * 30, ["x"] * 30, {"x": "red"}, outlines=True)
        (cells,) = ax.findobj(mpl.collections.PolyCollection)
        drawn.append(np.concatenate([path.vertices for path in cells.get_paths()]) / unit)
        plt.close(figure)
    np.testing.assert_allclose(*drawn)


def embedded(text):
    return [Image.open(io.BytesIO(base64.b64decode(code))).convert("RGBA")
            for code in re.findall(r"data:image/png;base64,([^\"]+)", text)]


def test_pictures_inside_an_svg_shrink_and_look_the_same(axes):
    figure, ax = axes
    rng = np.random.default_rng(0)
    pl.draw_values(ax, rng.random((900, 2)), rng.random(900)).set_rasterized(True)
    text = svg.printed(figure, "svg").decode()
    shrunk = svg.shrink_pictures(text)
    (before,), (after,) = embedded(text), embedded(shrunk)
    assert len(shrunk) < 0.5 * len(text) and before.size == after.size
    difference = np.abs(np.asarray(before, float) - np.asarray(after, float))
    assert difference.mean() < 4 and len(np.unique(np.asarray(after).reshape(-1, 4), axis=0)) <= svg.PICTURE_COLORS
    assert re.sub("base64,[^\"]+", "", text) == re.sub("base64,[^\"]+", "", shrunk)


def test_a_shortened_svg_is_a_fifth_shorter_and_draws_at_the_same_places(axes):
    figure, ax = axes
    rng = np.random.default_rng(0)
    ax.plot(rng.random(200), -rng.random(200))
    ax.set(xlabel="names of cells", ylabel="1e-3 $\\sigma_y$")
    text = svg.printed(figure, "svg").decode()
    short = svg.shorten(text)
    assert len(short) < 0.8 * len(text)
    elements = [re.findall(r"<(\w+)", content) for content in (text, short)]
    assert elements[0] == elements[1] and elements[0].count("use") > 40
    before, after = (re.findall(r"(?<![\w#-])-?\d+(?:\.\d+)?(?![\w-])", re.sub(
        r'translate\((\S+) 0\)"/>|x="(\S+)"/>', r" \1\2 ", content)) for content in (text, short))
    np.testing.assert_allclose(np.array(after, float), np.array(before, float), atol=0.0051)
    assert ET.fromstring(short).tag.endswith("svg")


def test_a_figure_is_shown_as_the_same_svg_and_png_each_time_and_closed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    for _ in range(2):
        pl.use_style()
        figure, ax = plt.subplots()
        ax.plot([0, 1], [1, 0])
        pl.show(figure)
    assert shown[0]["image/svg+xml"] == shown[1]["image/svg+xml"] and shown[0]["image/svg+xml"].startswith("<?xml")
    assert shown[0]["image/png"] == shown[1]["image/png"] and not plt.get_fignums()
