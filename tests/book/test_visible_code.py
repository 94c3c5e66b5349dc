"""Code that a page shows runs as pasted: every name it uses is defined in code that the page shows as well."""

import builtins
import symtable
from pathlib import Path

import jupytext
import nbformat
import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = sorted(path.stem for path in (BOOK / "chapters").glob("*.md"))
HIDDEN = {"remove-cell", "remove-input"}
KNOWN = {*dir(builtins), "display"}


def names(code):
    """Global names that some code uses, and those that it defines."""
    def used(table):
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (table.get_type() == "module" or symbol.is_global()):
                yield symbol.get_name()
        for child in table.get_children():
            yield from used(child)

    table = symtable.symtable(code, "chapter", "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols()
               if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()}
    return set(used(table)), defined


def missing_names(notebook):
    """Names that the visible cells use and do not define, each with the number of the first cell that uses it."""
    known, missing = set(KNOWN), {}
    for number, cell in enumerate(notebook.cells):
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type == "code" and ("parameters" in tags or not HIDDEN & tags):
            used, defined = names(cell.source)
            missing |= dict.fromkeys(used - defined - known - set(missing), number)
            known |= defined
    return missing


@pytest.mark.parametrize("name", CHAPTERS)
def test_names_in_visible_code_are_defined_in_visible_code(name):
    notebook = jupytext.read(BOOK / f"chapters/{name}.md", fmt="md:myst")
    assert any(cell.cell_type == "code" for cell in notebook.cells)
    assert missing_names(notebook) == {}


def test_a_hidden_definition_is_found():
    cells = [nbformat.v4.new_code_cell("import math", metadata={"tags": ["remove-cell"]}),
             nbformat.v4.new_code_cell("def f(x):\n    return math.pi * x + y"), nbformat.v4.new_code_cell("y = f(1)")]
    assert missing_names(nbformat.v4.new_notebook(cells=cells)) == {"math": 1, "y": 1}


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_first_cell_after_the_parameters_is_folded(name):
    """The page writes the parameters into it."""
    notebook = jupytext.read(BOOK / f"chapters/{name}.md", fmt="md:myst")
    code = [cell.metadata.get("tags", []) for cell in notebook.cells if cell.cell_type == "code"]
    assert "parameters" in code[0] and "hide-input" in code[1]
