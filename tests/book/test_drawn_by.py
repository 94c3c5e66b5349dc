"""The function that draws a figure: found in the code of its cell, and where it is defined."""

import importlib
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
IMPORTS = """from paper.starmap import figures as section_figures
from paper.simulation.figures import draw_types
from spicemix_core import pl
import matplotlib.pyplot as plt"""


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(BOOK)
    for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("_tools.drawn_by")


@pytest.mark.parametrize(("cell", "found"), [
    ("section_figures.draw_section(ax)\npl.draw_legend(f)", ("paper.starmap.figures", "draw_section")),
    ("pl.show(draw_types(1))", ("paper.simulation.figures", "draw_types")),
    ("pl.show(pl.spatial(adata))", ("spicemix_core.pl", "spatial")),
    ("pl.spatial(a); section_figures.draw_section(ax)", ("paper.starmap.figures", "draw_section")),
    ("plt.plot([1]); pl.show(figure)", None), ("section_figures.no_such_function()", None)])
def test_the_function_is_the_one_that_the_cell_calls(tool, cell, found):
    names = tool.imported_names(IMPORTS)
    function = tool.drawing_function(cell, names)
    assert function == (None if found is None else tool.Function(*found))


def test_the_line_is_that_of_the_definition(tool):
    path, line = tool.Function("paper.starmap.figures", "draw_section").source()
    assert path.read_text().splitlines()[line - 1].startswith("def draw_section(")
    assert tool.Function("spicemix_core.pl", "spatial").source() is None
