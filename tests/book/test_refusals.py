"""The list of all errors and warnings: it is read from the sources, complete, and says what the package says."""

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from spicemix_core import SpiceMix, datasets, tl
from spicemix_core.command_line import main
from spicemix_core.inputs import knn_graph

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "spicemix_core"


@pytest.fixture(scope="module")
def tools():
    """The modules of the book's builder."""
    sys.path.insert(0, str(ROOT / "book"))
    stored = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "_tools"}
    try:
        from _tools import pages, refusals
        yield pages, refusals
    finally:
        sys.path.remove(str(ROOT / "book"))
        for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
            del sys.modules[name]
        sys.modules.update(stored)


@pytest.fixture(scope="module")
def rows(tools):
    return tools[1].refusals()


def raised():
    """Everything that the sources raise or warn of, by another walk than that of the list.

    Module, line, and whether the message has words of its own: some pass on the message of another error.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_bytes())):
            made = node.exc if isinstance(node, ast.Raise) else node.value if isinstance(node, ast.Expr) else None
            if not isinstance(made, ast.Call) or not made.args:
                continue
            name = ast.unparse(made.func)
            if name == "warnings.warn" or (isinstance(node, ast.Raise) and name.split(".")[-1][0].isupper()):
                texts = [part.value for part in ast.walk(made.args[0]) if isinstance(part, ast.Constant)]
                yield module, made.lineno, any(re.search("[A-Za-z]{2}", str(text)) for text in texts)


def test_the_list_has_everything_that_the_sources_raise_or_warn_of(rows):
    listed = {place for row in rows for place in row.places}
    assert len(listed) > 150
    assert not [(module, line) for module, line, words in raised() if words and (module, line) not in listed]


def test_every_message_is_a_sentence_with_advice_and_a_source(rows):
    for row in rows:
        assert re.match(r"\S.*[.)*]$", row.sentence, re.S) and "{" not in row.sentence + row.remedy, row
        assert "**" not in row.sentence + row.remedy, row
        assert re.match(r"[A-Z`*].*[.)*]$", row.remedy, re.S), row
        assert row.commands or row.functions, row


def found(rows, message):
    """The rows whose sentence and advice are those of a message, with any text for a name in italics."""
    message = " ".join(str(message).split())
    for row in rows:
        plain = re.sub(r"\\(.)", r"\1", row.sentence.rstrip(".")), re.sub(r"\\(.)", r"\1", row.remedy.rstrip("."))
        patterns = [".+?".join(map(re.escape, re.split(r"\*[^*]+\*", re.sub(r" \(`--[^)]*\)|`", "", text))))
                    for text in plain]
        if re.fullmatch(rf"{patterns[0]}\W+{patterns[1]}\W*", message, re.I) or (
                row.remedy.startswith(("Change the value", "Copy the file")) and
                re.fullmatch(rf"{patterns[0]}\W*", message)):
            yield row


def too_many_metagenes():
    SpiceMix(9, max_iter=1).fit_arrays([np.ones((5, 20))])


def counts():
    cortex = datasets.simulate_cortex(n_cells=40, n_genes=20, random_state=0)
    cortex.X = np.round(abs(cortex.X) * 100)
    SpiceMix(3, max_iter=1).fit(cortex)


@pytest.mark.parametrize(("fails", "commands", "function"), [
    (too_many_metagenes, {"fit", "transform", "select"}, "SpiceMix.fit_arrays"),
    (counts, {"fit"}, "SpiceMix.fit"),
    (lambda: SpiceMix("many").fit_arrays([np.ones((5, 20))]), {"fit", "select"}, None),
    (lambda: tl.cluster_states(np.ones((20, 3))), {"cluster"}, "tl.cluster_states"),
    (lambda: tl.normalize_states(-np.ones((3, 3)), "proportions"), set(), "tl.normalize_states"),
    (lambda: knn_graph(np.zeros((3, 2)), 7), {"fit"}, "inputs.knn_graph"),
    (lambda: datasets.available("nope"), {"data list"}, "datasets.available"),
    (lambda: SpiceMix.load("nowhere.h5"), {"transform", "report"}, "SpiceMix.load")])
def test_a_real_error_is_in_the_list_with_its_sources(rows, fails, commands, function):
    with pytest.raises((ValueError, OSError)) as error:
        fails()
    own = list(found(rows, error.value))
    assert own
    assert any(commands <= set(row.commands) and (function is None or function in row.functions) for row in own), own


def test_an_error_of_the_command_line_is_in_the_list(rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(("simulate", "-o", "nowhere/a.h5ad")) == 1
    (row,) = found(rows, capsys.readouterr().err.removeprefix("Error: "))
    assert row.remedy == "Create it first." and {"simulate", "report"} <= set(row.commands)


def test_parameters_are_written_in_both_notations(rows):
    (row,) = [row for row in rows if row.sentence.startswith("There are *n metagenes* metagenes but only")]
    assert row.remedy == "Lower `n_metagenes` (`--n-metagenes`) to at most *count*."


def test_a_warning_is_marked_as_one(rows):
    (row,) = [row for row in rows if row.sentence.startswith("No convergence to a tolerance")]
    assert row.warning and {"fit", "select"} <= set(row.commands)


def test_the_page_shows_each_message_once_in_the_fold_of_its_topic(tools, rows):
    from markdown_it import MarkdownIt
    from mdit_py_plugins.deflist import deflist_plugin

    pages, refusals = tools
    assert pages.GENERATED["troubleshooting.md"] is refusals.refusal_table
    folds = re.findall(r"::::\{dropdown\} ([^\n]+) \((\d+)\)\n:class-container: refusals\n\n(.*?)\n::::",
                       refusals.refusal_table(), re.S)
    assert sum(int(number) for _, number, _ in folds) == len(rows)
    for topic, number, text in folds:
        tokens = MarkdownIt().use(deflist_plugin).parse(text)
        assert sum(token.type == "dt_open" for token in tokens) == int(number) == sum(
            token.type == "dd_open" for token in tokens), topic
    assert "all-messages" in (ROOT / "book/troubleshooting.md").read_text(encoding="utf-8")
