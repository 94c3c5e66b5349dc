"""Downloaded notebooks: Jupyter shows every text of every chapter, with numbers and references in place of labels."""

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = sorted(path.stem for path in (BOOK / "chapters").glob("*.md"))
MARKUP = re.compile(r"\{[\w:]+\}`|^\s*:{3,}|\]\{\.|^\([\w-]+\)=|\{\{|^\$\$ \(", re.MULTILINE)


@pytest.fixture(scope="module")
def tools():
    """The modules, and all chapters with their labels."""
    sys.path.insert(0, str(BOOK))
    try:
        for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
            del sys.modules[name]
        found = SimpleNamespace(**{name: importlib.import_module(f"_tools.{name}")
                                   for name in ("chapters", "labels", "plain")})
        found.notebooks = found.chapters.read_chapters()
        found.known = found.labels.read_labels(found.notebooks)
        yield found
    finally:
        sys.path.remove(str(BOOK))


def texts(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_markup_of_the_book_is_left(tools, name):
    converted = tools.plain.plain(tools.notebooks[name], name, tools.known)
    nbformat.validate(converted)
    assert not MARKUP.findall(texts(converted))
    assert MARKUP.findall(texts(tools.notebooks[name]))  # the pattern finds what is to be converted
    code = [cell.source for cell in tools.notebooks[name].cells if cell.cell_type == "code"]
    assert [cell.source for cell in converted.cells if cell.cell_type == "code"] == code


def test_without_solutions_the_exercises_stay(tools):
    whole, exercises = (tools.plain.plain(tools.notebooks["nmf"], "nmf", tools.known, solutions)
                        for solutions in (True, False))
    assert texts(whole).count("<summary>Solution") == 4 and "Solution" not in texts(exercises)
    assert texts(exercises).count("**Exercise") == 4
    assert len(whole.cells) - len(exercises.cells) >= 4
    assert not [cell for cell in exercises.cells if "solution" in cell.metadata.get("tags", [])]


@pytest.fixture
def text(tools):
    known = tools.labels.Labels(
        figures={"fig-a": ("here", 2), "fig-b": ("there", 1)}, equations={"eq-x": ("here", 3), "eq-y": ("there", 4)},
        titles={"here": "Here", "there": "There"},
        sources={"a2020": ("A et al., 2020", "A, B, C (2020). T"), "b2021": ("B and C, 2021", "B, C (2021). U")})
    return tools.plain.Text("here", known)


@pytest.mark.parametrize(("source", "shown"), [
    ("see {numref}`fig-a` and {numref}`fig-b`", "see Figure 2 and Figure 1 of *There*"),
    ("by {eq}`eq-x`, {eq}`eq-y`", "by (3), (4) of *There*"),
    ("{doc}`there` or {doc}`this one </chapters/there>`", "*There* or *this one*"),
    ("the {term}`sizes <size>` of a {term}`cell`", "the sizes of a cell"),
    ("known {cite:p}`a2020,b2021`", "known (A et al., 2020; B and C, 2021)"),
    ("{cite:t}`b2021` show", "B and C (2021) show"),
    ("[partly]{.verdict .partly} `a` {math}`x^2` {py:func}`f`", "partly `a` $x^2$ `f`"),
    ("(label)=\n## Title", "## Title"),
    ("$$\nx\n$$ (eq-x)", "$$\nx\n\\tag{3}\n$$"),
    ("```python\n:::{note}\n```", "```python\n:::{note}\n```"),
    (":::{dropdown} More\n:class: a\n\nText\n:::", "<details>\n<summary>More</summary>\n\nText\n\n</details>"),
    ("::::{note}\n:::{div} a\nin {eq}`eq-x`\n:::\n::::",
     '<div class="alert alert-info">\n\n**Note**\n\n**a**\n\nin (3)\n\n</div>')])
def test_each_kind_of_markup_becomes_markdown(text, source, shown):
    assert text.convert(source) == shown


def test_cited_works_are_listed_once(tools, text):
    cells = [nbformat.v4.new_markdown_cell("{cite:p}`b2021` {cite:p}`b2021`", id="a")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert tools.plain.plain(notebook, "here", text.labels).cells[-1].source == "## References\n\n- B, C (2021). U"


def test_a_figure_has_its_caption_and_hidden_code_is_folded(tools, text):
    figure = {"mystnb": {"figure": {"name": "fig-a", "caption": "Curves {eq}`eq-x`."}}, "tags": ["hide-input"]}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("draw()", metadata=figure, id="a")])
    code, caption = tools.plain.plain(notebook, "here", text.labels).cells
    assert caption.source == "**Figure 2.** Curves (3)."
    assert code.metadata == {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}


def test_a_label_that_no_chapter_defines_is_refused(text):
    with pytest.raises(ValueError, match="Chapter here refers to eq-z, but no chapter defines it"):
        text.convert("{eq}`eq-z`")
