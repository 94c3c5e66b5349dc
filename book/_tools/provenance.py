"""How a page documents its origin: a line under every figure, files to download, the executed environment."""

import base64
import csv
import io
import json
import shutil
import tomllib
from pathlib import Path

import nbformat

from _tools import ROOT
from _tools.execution import ENVIRONMENT, results, write_text
from _tools.labels import Labels
from _tools.plain import plain

SUFFIXES = {"image/svg+xml": "svg", "image/png": "png"}
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


def page(run: Path, name: str, tables: list[str]) -> nbformat.NotebookNode:
    """The executed chapter as its page shows it, with provenance; its files lie in ``downloads/NAME``."""
    notebook = nbformat.read(run / f"notebooks/{name}.ipynb", as_version=4)
    record = json.loads((run / f"notebooks/{name}.run.json").read_text())
    drawn, cells = figures(notebook), []
    show_parameters(notebook, record["parameters"])
    for number, cell in enumerate(notebook.cells):
        if ENVIRONMENT in cell.metadata.get("tags", []):
            environment = "".join(output.get("text", "") for output in cell.outputs).splitlines()
            continue
        for output in cell.get("outputs", []):
            if set(SUFFIXES) <= set(output.get("data", {})):
                del output.data["image/png"]  # the page shows the SVG; the PNG is a download
        cells.append(cell)
        if number in drawn:
            cells.append(_markdown(f"{cell['id']}-made", figure_line(record, cell["id"], name, *drawn[number])))
    notebooks = [name, *([name + EXERCISES] if has_solutions(notebook) else [])]
    cells.append(_markdown(f"{name}-files", page_end(record, name, notebooks, tables, environment)))
    return nbformat.from_dict({**notebook, "cells": cells})


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


def figure_line(record: dict, cell: str, chapter: str, figure: str, contents: dict[str, bytes]) -> str:
    """The folded line under a figure."""
    files = " and ".join(f"{{download}}`{suffix.upper()} </downloads/{chapter}/{figure}.{suffix}>`"
                         for suffix in contents)
    return (":::{dropdown} How this figure was made\n:class-container: provenance\n:chevron: down-up\n\n"
            f"{made_with(record)}. This cell took {record['cells'][cell]:.1f} s, the chapter {record['seconds']:.0f} s."
            f" Download: {files}.\n:::")


def made_with(record: dict) -> str:
    """Package and commit, data and checksums, parameters: one sentence without its full stop."""
    source = f"commit `{record['commit']}`" if record["commit"] else "no git checkout"
    data = [f"{name} ({_checksums(files)})" if files else f"{name} (not found)"
            for name, files in record["data"].items()]
    parameters = ", ".join(f"`{key} = {value}`" for key, value in record["parameters"].items())
    return (f"Made by `spicemix_core` {version()} ({source}) from "
            f"{', '.join(data) if data else 'data simulated on this page'}, with {parameters}")


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
            f"{made_with(record)}. Figures can be downloaded below each of them; {{doc}}`/reexecute` says how to run "
            f"this page with other parameters.\n\n{_bullets(files)}\n\n"
            f":::{{dropdown}} Environment: {', '.join(system)}, {len(versions)} packages\n"
            f":class-container: provenance\n:chevron: down-up\n\n| package | version |\n| - | - |\n{rows}\n:::")


def _bullets(items: list[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
