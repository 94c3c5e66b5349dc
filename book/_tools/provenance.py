"""How a page documents its origin: a line under every figure, files to download, references, the environment."""

import base64
import csv
import io
import json
import re
import shutil
import tomllib
from pathlib import Path

import nbformat

from _tools import BOOK, ROOT
from _tools.chapters import code_of, parts
from _tools.drawn_by import Function, drawing_function, imported_names
from _tools.execution import ENVIRONMENT, results, write_text
from _tools.labels import Labels, figure_of
from _tools.plain import Text, plain
from _tools.tables import tidy, with_subscripts

SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
PART_END = ("## Files and environment\n\nThis page shows a part of the chapter {{doc}}`/chapters/{name}`, which is "
            "executed as a whole: its code continues that of the chapter, and the chapter's page has the files and the "
            "environment of both.")
CODE = "downloads/code"  # copies of the modules that draw
PARAMETERS = {"parameters", "injected-parameters"}
EXERCISES = "_without_solutions"
CLAIM_COLUMNS = ("id", "claim", "paper")
VERDICT_COLUMNS = ("value", "runs", "verdict", "comment")  # of the paper's procedure and of the recommended fit


def version() -> str:
    """Version of the package, from ``pyproject.toml``."""
    path = ROOT / "pyproject.toml"
    return tomllib.loads(path.read_text())["project"]["version"] if path.exists() else ""


def figures(notebook: nbformat.NotebookNode) -> dict[int, tuple[str, dict[str, bytes]]]:
    """The figures of an executed notebook: number of the cell -> name and content by suffix."""
    found = {}
    for number, cell in enumerate(notebook.cells):
        images = [output.data for output in cell.get("outputs", []) if set(SUFFIXES) & set(output.get("data", {}))]
        if images:  # a cell has one figure, its last
            name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name", cell["id"])
            found[number] = name, {suffix: _content(images[-1][kind], suffix) for kind, suffix in SUFFIXES.items()
                                   if kind in images[-1]}
    return found


def _content(image: str, suffix: str) -> bytes:
    return base64.b64decode(image) if suffix == "png" else image.encode()


def export(run: Path, name: str, into: Path, labels: Labels) -> list[str]:
    """Write the downloads of an executed chapter to a folder, and return the names of its tables.

    That is the notebook ``NAME.ipynb`` for Jupyter, a copy without the solutions if there are any, each figure as SVG
    and PNG, the tables ``results/NAME_*.csv`` that the chapter wrote and its claims as ``claims_NAME.csv``.
    """
    into.mkdir(parents=True)
    executed = nbformat.read(run / f"notebooks/{name}.ipynb", as_version=4)
    nbformat.write(plain(executed, name, labels), into / f"{name}.ipynb")
    if has_solutions(executed):
        nbformat.write(plain(executed, name, labels, solutions=False), into / f"{name}{EXERCISES}.ipynb")
    for figure, contents in figures(executed).values():
        for suffix, content in contents.items():
            (into / f"{figure}.{suffix}").write_bytes(content)
    for path in results(run, name):
        if path.suffix == ".csv":
            shutil.copy(path, into)
        else:
            write_text(into / f"{path.stem}.csv", claims_table(json.loads(path.read_text(encoding="utf-8"))))
    return sorted(path.name for path in into.glob("*.csv"))


def has_solutions(notebook: nbformat.NotebookNode) -> bool:
    """Whether a chapter has cells with solutions of exercises."""
    return any("solution" in cell.metadata.get("tags", []) for cell in notebook.cells)


def claims_table(records: list[dict]) -> str:
    """The verdicts of a chapter as CSV, under the paper's procedure and under the recommended fit.

    The numbers of the seeds are in one column, "nan" for a seed without the number.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    ways = ("procedure", "recommended")
    table.writerow([*CLAIM_COLUMNS, *(f"{way}_{column}" for way in ways for column in VERDICT_COLUMNS)])
    for record in records:
        row = [record[column] for column in CLAIM_COLUMNS]
        for found in (record["procedure"], record):
            runs = " ".join("nan" if run is None else repr(run) for run in found["runs"])
            row += [{**found, "runs": runs}[column] for column in VERDICT_COLUMNS]
        table.writerow(row)
    return text.getvalue()


def pages(run: Path, name: str, tables: list[str], labels: Labels) -> dict[str, nbformat.NotebookNode]:
    """The pages of an executed chapter by name, with references and provenance; its files are in ``downloads``."""
    notebook = nbformat.read(run / f"notebooks/{name}.ipynb", as_version=4)
    record = json.loads((run / f"notebooks/{name}.run.json").read_text())
    drawn, cells, names = figures(notebook), [], imported_names(code_of(notebook))
    show_parameters(notebook, record["parameters"])
    for number, cell in enumerate(notebook.cells):
        if ENVIRONMENT in cell.metadata.get("tags", []):
            environment = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            continue
        for output in cell.get("outputs", []):
            if set(SUFFIXES) <= set(output.get("data", {})):
                del output.data["image/png"]  # the page shows the SVG; the PNG is a download
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = tidy(output.data["text/html"])
            for kind in {"text/html", "text/markdown"} & set(output.get("data", {})):
                output.data[kind] = with_subscripts(output.data[kind])
        cells.append(cell)
        if number in drawn:
            cells.append(_markdown(f"{cell['id']}-made", figure_line(record, cell, name, names, *drawn[number])))
    files = [name, *([name + EXERCISES] if has_solutions(notebook) else [])]
    ends = {name: page_end(record, name, files, tables, environment)}
    found = {}
    for page, own in parts(name, cells).items():
        if page != name:
            give_title(own, page)
        if listed := references(own, name, labels):
            own.append(_markdown(f"{page}-references", f"## References\n\n{listed}"))
        own.append(_markdown(f"{page}-files", ends.get(page, PART_END.format(name=name))))
        found[page] = nbformat.from_dict({**notebook, "cells": own})
    return found


def give_title(cells: list, page: str) -> None:
    """Begin a part of a chapter with a title, in place: that of its first line ``+++``, or else its first section."""
    if title := cells[0].metadata.get("title"):
        cells.insert(0, _markdown(f"{page}-title", f"# {title}"))
        return
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^##", "#", cell.source, flags=re.MULTILINE)


def references(cells: list, name: str, labels: Labels) -> str:
    """The works that the texts and captions of a chapter cite, as a list; "" if there are none."""
    text = Text(name, labels)
    for cell in cells:
        text.convert(cell.source if cell.cell_type == "markdown" else figure_of(cell).get("caption", ""))
    return text.references()


def show_parameters(notebook: nbformat.NotebookNode, parameters: dict[str, str]) -> None:
    """Write the parameters into the folded cell of imports, in place, so that the code of a page runs as pasted."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and not PARAMETERS & set(
        cell.metadata.get("tags", []))]
    if code and "hide-input" in code[0].metadata.get("tags", []):
        values = "\n".join(f"{key} = {value}" for key, value in parameters.items())
        code[0].source = f"{values}\n\n{code[0].source}"
        code[0].metadata["mystnb"] = {"code_prompt_show": "Imports and parameters",
                                      "code_prompt_hide": "Hide imports and parameters"}


def _markdown(name: str, text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=name)


def figure_line(record: dict, cell: nbformat.NotebookNode, chapter: str, names: dict[str, str], figure: str,
                contents: dict[str, bytes]) -> str:
    """The line under a figure: its files, the function that draws it, and the time of its cell."""
    files = " · ".join(f"{{download}}`{suffix.upper()} </downloads/{chapter}/{figure}.{suffix}>`"
                       for suffix in contents)
    function = drawing_function(cell.source, names)
    return (f":::{{div}} made\n{files} · {'' if function is None else f'{linked(function)} · '}"
            f"{record['cells'][cell['id']]:.1f} s\n:::")


def linked(function: Function) -> str:
    """A link to a function: its source for one of ``book/paper``, its description for a public one."""
    if function.module == "spicemix_core.pl":
        return f"drawn by {{py:obj}}`pl.{function.name} <spicemix_core.pl.{function.name}>`"
    path, line = function.source()
    return (f"drawn by {{download}}`{function.name} </{CODE}/{path.relative_to(BOOK).as_posix()}>` "
            f"(line {line} of `{path.relative_to(ROOT).as_posix()}`)")


def made_with(record: dict) -> str:
    """Package and commit, data and checksums, parameters: one sentence without its full stop."""
    source = f"commit `{record['commit']}`" if record["commit"] else "no git checkout"
    data = [f"{name} ({_checksums(files)})" if files else f"{name} (not found)"
            for name, files in record["data"].items()]
    parameters = ", ".join(f"`{key} = {value}`" for key, value in record["parameters"].items())
    return (f"Made by `spicemix_core` {version()} ({source}) from "
            f"{', '.join(data) if data else 'no data files'}, with {parameters}")


def _checksums(files: dict[str, str]) -> str:
    shown = ", ".join(f"{file} `{digest[:8]}…`" for file, digest in list(files.items())[:3])
    return f"SHA-256 of {shown}" + (f" and {len(files) - 3} more files" if len(files) > 3 else "")


def page_end(record: dict, name: str, notebooks: list[str], tables: list[str], environment: list[str]) -> str:
    """The last section of a page: files to download, and the environment that it was executed in."""
    files = [*(f"{{download}}`{text} </downloads/{name}/{notebook}.ipynb>`" for text, notebook in zip(
                 ("the executed notebook", "the notebook without the solutions"), notebooks, strict=False)),
             *(f"{{download}}`{table} </downloads/{name}/{table}>`" for table in tables)]
    system, versions = environment[:2], [line.split() for line in environment[2:]]
    rows = "\n".join(f"| {package} | {number} |" for package, number in versions)
    return (f"## Files and environment\n\nExecuted on {record['date']} in {record['seconds']:.0f} s. "
            f"{made_with(record)}. The line below each figure has its files, the function that draws it, and the time "
            "of its cell; {doc}`/reexecute` says how to run this page with other parameters.\n\n"
            f"{_bullets(files)}\n\n"
            f":::{{dropdown}} Environment: {', '.join(system)}, {len(versions)} packages\n"
            f":class-container: provenance\n:chevron: down-up\n\n| package | version |\n| - | - |\n{rows}\n:::")


def _bullets(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
