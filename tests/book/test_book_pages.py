"""Pages of the book about the package: the messages, names and options that they mention exist."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from layout import FACES

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
MESSAGES = re.findall(r"(?m)^`(.+)`\n: ", (BOOK / "troubleshooting.md").read_text(encoding="utf-8"))
PARAMETER = "…"


def texts():
    """All texts in the sources of the package, with a placeholder for every value."""
    found = []
    for path in sorted((ROOT / "spicemix_core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else PARAMETER
                                     for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


SOURCES = texts()


@pytest.mark.parametrize("message", MESSAGES)
def test_message_on_the_troubleshooting_page_is_one_of_the_program(message):
    assert message.strip(PARAMETER + " ") in SOURCES


def test_troubleshooting_has_messages():
    assert len(MESSAGES) > 20


def test_chapters_that_reproduce_the_paper_leave_their_results_as_tables():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf-8"))
    (pages,) = [part["chapters"] for part in toc["parts"] if part["caption"] == "Reproduce the paper"]
    for page in [page for page in pages if (BOOK / f"{page['file']}.md").is_file() and "/" in page["file"]]:
        name = Path(page["file"]).name
        text = (BOOK / f"chapters/{name}.md").read_text(encoding="utf-8")
        assert re.search(rf'write_table\([^`]*"(\.\./results/)?{name}_\w+\.csv"\)', text), name


def test_commands_page_has_every_command_and_option(monkeypatch):
    import typer

    monkeypatch.syspath_prepend(BOOK)
    for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
        monkeypatch.delitem(sys.modules, name)
    from _tools.commands import command_reference

    from spicemix_core.command_line import app

    page = command_reference()
    program = typer.main.get_command(app)
    assert set(re.findall(r"(?m)^## spicemix (\w+)$", page)) == set(program.commands)
    for name, command in program.commands.items():
        section = page.split(f"\n## spicemix {name}\n" if name != "fit" else "## spicemix fit\n")[1].split("\n## ")[0]
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        assert not {option for option in options - {"-h", "--help"} if option not in section}
    assert command_reference() == page


def test_api_page_lists_all_that_is_public_and_nothing_else():
    import inspect
    import pydoc

    page = "".join(path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("api*.md")))
    named = re.findall(r"(?m)^\.\. auto\w+:: (\S+)$", page)
    assert len(named) == len(set(named)) > 40
    public = {f"{face}.{name}" for face in FACES for name in pydoc.locate(face).__all__
              if not inspect.ismodule(thing := pydoc.locate(f"{face}.{name}")) and callable(thing)}
    assert set(named) == public


def test_new_names_on_the_page_for_users_of_other_programs_exist():
    import typer

    from spicemix_core.command_line import app
    from spicemix_core.model import SpiceMix

    page = (BOOK / "coming_from.md").read_text(encoding="utf-8")
    here = "\n".join(row.split("|")[2] for row in page.splitlines() if row.startswith("| "))
    options = {option for command in typer.main.get_command(app).commands.values() for parameter in command.params
               for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)`", here)) <= options
    parameters = set(re.findall(r"`([a-z_]+)`", here)) - {"sample_key", "obs", "obsm", "var_names"}
    known = set(SpiceMix().get_params()) | set(re.findall(r"(?m)^    ([a-z_]+_)", SpiceMix.__doc__))
    assert parameters and not {name for name in parameters if name not in known and f"{name}_" not in known}


def test_punctuation_stays_with_its_formula_and_an_option_with_its_dashes(monkeypatch):
    from docutils import nodes, utils
    monkeypatch.syspath_prepend(BOOK)
    for name in [name for name in sys.modules if name.split(".")[0] == "_tools"]:
        monkeypatch.delitem(sys.modules, name)
    from _tools.line_breaks import LineBreaks

    paragraph = nodes.paragraph("", "", nodes.Text("of "), nodes.math("", "K"), nodes.Text("), by "),
                                nodes.literal("", "--n-runs"), nodes.Text(" or "), nodes.math("", "x"),
                                nodes.Text(" of "), nodes.literal("", "n_runs"))
    document = utils.new_document("page")
    document += paragraph
    LineBreaks(document).run()
    assert paragraph.astext() == "of K), by --n-runs or x of n_runs"
    assert [kept.astext() for kept in paragraph.findall(nodes.inline)] == ["K),"]
    assert [code["classes"] for code in paragraph.findall(nodes.literal)] == [["short"], []]
