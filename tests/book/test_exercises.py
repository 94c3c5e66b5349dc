"""The chapters that teach: every exercise has a folded solution that is executed and can fail.

A solution is a cell tagged ``solution`` and ``hide-cell`` below its exercise; its asserts fail the build of the book,
and here the whole chapter is executed in one process.
"""

import ast
import re
import warnings
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import pytest
import yaml

from spicemix_core import pl

BOOK = Path(__file__).resolve().parents[2] / "book"
TOC = yaml.safe_load((BOOK / "_toc.yml").read_text())
TEACHING = [Path(page["file"]).name for part in TOC["parts"] if part["caption"] == "Learn the method"
            for page in part["chapters"] if page["file"] != "chapters/method"]
EXERCISE = re.compile(r"^:::\{admonition\} Exercise (\d+): .+\n:class: exercise$", re.MULTILINE)


def cells(name):
    """The cells of a chapter, each with the line of the file on which its code starts."""
    path = BOOK / f"chapters/{name}.md"
    source, start, found = path.read_text(), 0, []
    for cell in jupytext.read(path, fmt="md:myst").cells:
        if cell.cell_type == "code":
            start = source.index(cell.source, start)
            found.append((cell, source[:start].count("\n")))
        else:
            found.append((cell, None))
    return found


def tags(cell):
    return cell.metadata.get("tags", []) if cell.cell_type == "code" else []


def exercises(name):
    """Number of each exercise and the cells between it and the next exercise or section."""
    found = []
    for cell, _ in cells(name):
        if cell.cell_type != "code":
            for block in re.split(r"(?=^\(exercise-)|(?=^## )", cell.source, flags=re.MULTILINE):
                if match := EXERCISE.search(block):
                    found.append((int(match[1]), block, []))
                elif block.startswith("## "):
                    found.append((None, block, []))
        elif found:
            found[-1][2].append(cell)
    return [entry for entry in found if entry[0] is not None]


def can_fail(statement):
    """An assert about something that was computed: its test contains a name that is not a constant."""
    return isinstance(statement, ast.Assert) and any(isinstance(node, ast.Name) for node in ast.walk(statement.test))


def test_six_chapters_teach():
    assert len(TEACHING) == 6


@pytest.mark.parametrize("name", TEACHING)
def test_chapter_has_goals_a_plan_and_three_to_five_exercises(name):
    source = (BOOK / f"chapters/{name}.md").read_text()
    assert "{admonition} Learning goals" in source
    assert re.search(r"^:::\{dropdown\} For teachers: (\d × )?\d+ minutes", source, re.MULTILINE)
    numbers = [number for number, *_ in exercises(name)]
    assert numbers == list(range(1, len(numbers) + 1)) and 3 <= len(numbers) <= 5
    assert len(re.findall(r"^\(exercise-[a-z]+-\d\)=$", source, re.MULTILINE)) == len(numbers)


@pytest.mark.parametrize("name", TEACHING)
def test_chapter_states_level_time_and_what_it_needs(name):
    source = (BOOK / f"chapters/{name}.md").read_text()
    head = source[:source.index("```{code-cell}")]
    (box,) = re.findall(r"^:::\{admonition\} Before you start\n(.*?)^:::$", head, re.MULTILINE | re.DOTALL)
    level, minutes = re.search(r"\*\*Level:\*\* (\w+)", box)[1], re.findall(r"(\d+)\s+(?:minutes|more)", box)
    assert level in ("introductory", "intermediate", "advanced") and "**You need:**" in box and len(minutes) == 2
    assert ("may skip" in box) == (name == "pseudo_likelihood")


@pytest.mark.parametrize("name", TEACHING)
def test_chapter_asks_for_predictions_and_ends_with_three_questions(name):
    source = (BOOK / f"chapters/{name}.md").read_text()
    predictions = [match.end() for match in re.finditer(r"\{admonition\} Predict before you run", source)]
    figures = [match.start() for match in re.finditer(r"^    name: fig-", source, re.MULTILINE)]
    assert predictions and all(any(place < figure for figure in figures) for place in predictions)
    quiz = source[source.index("\n## Quiz\n"):]
    assert re.findall(r"^:::\{dropdown\} (\d)\. .+\?$", quiz, re.MULTILINE) == ["1", "2", "3"]
    assert "```{code-cell}" not in quiz


@pytest.mark.parametrize("name", TEACHING)
def test_chapter_speaks_of_genes_and_cells(name):
    source = (BOOK / f"chapters/{name}.md").read_text()
    assert name == "nmf" or "{admonition} In the tissue" in source
    assert len(set(re.findall(r"\*([A-Z][a-z0-9]+\d?)\*", source))) >= 2  # genes


@pytest.mark.parametrize("name", TEACHING)
def test_every_exercise_has_one_folded_solution_with_asserts_that_can_fail(name):
    for number, words, code in exercises(name):
        solutions = [cell for cell in code if "solution" in tags(cell)]
        assert len(solutions) == 1, f"exercise {number}"
        assert "hide-cell" in tags(solutions[0]), f"exercise {number}"
        assert f":::{{dropdown}} Solution {number}\n" in words
        assert solutions[0].metadata["mystnb"]["code_prompt_show"] == f"Solution {number}, executed"
        asserts = [node for node in ast.walk(ast.parse(solutions[0].source)) if isinstance(node, ast.Assert)]
        assert len(asserts) >= 2 and all(map(can_fail, asserts)), f"exercise {number}"


@pytest.mark.parametrize("name", TEACHING)
def test_solutions_belong_to_exercises(name):
    solutions = [cell for cell, _ in cells(name) if "solution" in tags(cell)]
    assert len(solutions) == len(exercises(name))


@pytest.mark.parametrize("name", TEACHING)
def test_solutions_are_right_and_the_chapter_runs_without_them(name, monkeypatch):
    """Execute a chapter from top to bottom; tracebacks point into its file.

    Each solution sees the names of the chapter, and the chapter none of the solution's: a class that is given no
    solutions can run it. (The build of the book executes all cells in one namespace.) Cells whose code the page does
    not show are left out, so that what a reader copies from the page runs.
    """
    monkeypatch.setattr(pl, "show", plt.close)
    monkeypatch.chdir(BOOK)
    namespace = {"__name__": "__main__"}
    with warnings.catch_warnings(), plt.rc_context():
        warnings.simplefilter("error")
        for cell, line in cells(name):
            if cell.cell_type == "code" and not {"remove-cell", "remove-input"} & set(tags(cell)):
                code = compile("\n" * line + cell.source, str(BOOK / f"chapters/{name}.md"), "exec")
                exec(code, dict(namespace) if "solution" in tags(cell) else namespace)


@pytest.mark.parametrize("name", [*TEACHING, "method"])
def test_code_fits_the_page(name):
    assert not [line for cell, _ in cells(name) if cell.cell_type == "code" and "solution" not in tags(cell)
                for line in cell.source.splitlines() if len(line) > 78]


def test_equations_that_docstrings_name_are_in_the_book():
    labels = {label for page in BOOK.rglob("*.md") if "_build" not in page.parts
              for label in re.findall(r"^\$\$ \((eq-[a-z-]+)\)$", page.read_text(), re.MULTILINE)}
    named = {label for module in (BOOK.parent / "spicemix_core").rglob("*.py")
             for label in re.findall(r"``(eq-[a-z-]+)``", module.read_text())}
    assert named and named <= labels


def test_every_term_of_the_glossary_is_defined_once_and_sorted():
    glossary = (BOOK / "glossary.md").read_text()
    terms = re.findall(r"^(?![`#{ ])(\S.*)$", glossary.split("```{glossary}")[1], re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(set(terms), key=str.lower)
