"""The chapters of the book: which there are, and what parameters they take."""

import ast

import jupytext
import nbformat
import papermill
import yaml

from _tools import BOOK

KINDS = {int: "a whole number", type(None): "a whole number", float: "a number", bool: "true or false", str: "text"}
REQUIRED = {"profile", "random_state"}  # parameters that every chapter has


def listed_pages(toc: dict) -> list[str]:
    """Names of all pages in a table of contents, in reading order, the root first."""
    below = [entry for key in ("parts", "chapters", "sections") for entry in toc.get(key, [])]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [name for entry in below for name in listed_pages(entry)]


def read_chapters() -> dict[str, nbformat.NotebookNode]:
    """The chapters with code, by name; a page without code is left to jupyter-book.

    A page without a source of its own is a part of a chapter (:func:`parts`).
    """
    chapters, without_source = {}, []
    for page in listed_pages(yaml.safe_load((BOOK / "_toc.yml").read_text())):
        source = BOOK / f"{page}.md"
        if not source.is_file():
            without_source.append(page)
        elif source.parent == BOOK / "chapters":
            notebook = jupytext.read(source, fmt="md:myst")
            if any(cell.cell_type == "code" for cell in notebook.cells):
                notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
                chapters[source.stem] = notebook
    known = {f"chapters/{part}" for name, notebook in chapters.items() for part in parts(name, notebook.cells)}
    for page in without_source:
        if page not in known:
            raise ValueError(f"book/_toc.yml lists {page}, but there is no book/{page}.md: write it or unlist it.")
    return chapters


def parts(name: str, cells: list) -> dict[str, list]:
    """The cells of a chapter by the page that shows them; a chapter that is executed once can fill several pages.

    The line ``+++ {"page": "NAME", "title": "..."}`` in the source begins the cells of another page, up to the next
    such line. Without a title, the first section is the title of the page.
    """
    found, page = {name: []}, name
    for cell in cells:
        page = cell.metadata.get("page", page)
        found.setdefault(page, []).append(cell)
    return found


def check_parameters(name: str, notebook: nbformat.NotebookNode, given: dict) -> None:
    """Refuse what papermill only warns of: no cell tagged parameters, or a parameter that is not in it."""
    known = set(papermill.inspect_notebook(notebook))
    if not known >= REQUIRED:
        raise ValueError(f"Chapter {name} must set {' and '.join(sorted(REQUIRED))} in a cell tagged parameters.")
    if unknown := sorted(set(given) - known):
        raise ValueError(f"Chapter {name} has no parameter {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    for key, value in given.items():
        default = ast.literal_eval(papermill.inspect_notebook(notebook)[key]["default"])
        if not _fits(value, default):
            raise ValueError(f"Parameter {key} of chapter {name} must be {KINDS[type(default)]}, but {value!r} "
                             f"was given; by default it is {default!r}.")
        if key == "random_state" and value < 0:
            raise ValueError(f"Parameter {key} of chapter {name} must be at least 0, but {value} was given.")


def _fits(value, default) -> bool:
    """Whether a value has the type of a default; a whole number is also a number, and may replace None."""
    return type(value) is type(default) or (type(value) is int and (default is None or type(default) is float))


def code_of(notebook: nbformat.NotebookNode) -> str:
    """All code of a chapter as one Python program, the kernel's own commands (``%``, ``!``) translated."""
    from IPython.core.inputtransformer2 import TransformerManager

    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(map(TransformerManager().transform_cell, cells))
