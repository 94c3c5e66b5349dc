"""An executed chapter as a notebook for Jupyter: roles, directives and labels of the book become plain Markdown."""

import re

import nbformat

from _tools.execution import ENVIRONMENT
from _tools.labels import EQUATION, Labels, figure_of

OPENING = re.compile(r"^(:{3,}|`{3,})\{([\w:-]+)\}\s*(.*)$")
CODE_FENCE = re.compile(r"^(`{3,}|~{3,})")
OPTION = re.compile(r"^:[\w-]+:( .*)?$")
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
EXPLICIT = re.compile(r"^(.*?)\s*<([^<>]+)>$", re.DOTALL)
ATTRIBUTES = re.compile(r"\[([^\[\]]+)\]\{\.[^}]*\}")
HIDING = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
BOXES = {"note": "Note", "warning": "Warning", "tip": "Tip", "important": "Important", "seealso": "See also"}


def plain(notebook: nbformat.NotebookNode, name: str, labels: Labels, solutions: bool = True) -> nbformat.NotebookNode:
    """The notebook of a chapter without markup that only the book understands.

    Figures are numbered in the chapter and have their caption below them, equations have their number, citations end in
    a list of references. JupyterLab folds the code that the page folds.

    Parameters
    ----------
    notebook : NotebookNode
        The executed chapter.
    name : str
        Its name.
    labels : Labels
        From :func:`_tools.labels.read_labels`.
    solutions : bool
        Whether the solutions of exercises stay.

    Returns
    -------
    NotebookNode
    """
    text, cells = Text(name, labels, solutions), []
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", []))
        if ENVIRONMENT in tags or ("solution" in tags and not solutions):
            continue
        if cell.cell_type == "markdown":
            if source := text.convert(cell.source):
                cells.append(nbformat.v4.new_markdown_cell(source, id=cell["id"]))
            continue
        kept = {"tags": sorted(tags)} if tags else {}
        kept |= {"jupyter": {"source_hidden": True}} if tags & HIDING else {}
        cells.append(nbformat.from_dict({**cell, "metadata": kept, "outputs": text.outputs(cell.get("outputs", []))}))
        if figure := figure_of(cell):
            caption = f"**{labels.number('Figure', figure['name'], name)}.** {text.convert(figure['caption'])}"
            cells.append(nbformat.v4.new_markdown_cell(caption, id=f"{cell['id']}-caption"))
    if listed := text.references():
        cells.append(nbformat.v4.new_markdown_cell(f"## References\n\n{listed}", id=f"{name}-references"))
    return nbformat.from_dict({**notebook, "cells": cells})


class Text:
    """Converts the texts of one chapter and collects the keys that they cite, in ``cited``."""

    def __init__(self, chapter: str, labels: Labels, solutions: bool = True):
        self.chapter, self.labels, self.solutions, self.cited = chapter, labels, solutions, set()

    def outputs(self, outputs: list) -> list:
        """Outputs with their Markdown converted."""
        return [nbformat.from_dict({**output, "data": {
            **output.data, "text/markdown": self.convert(output.data["text/markdown"])}})
            if "text/markdown" in output.get("data", {}) else output for output in outputs]

    def references(self) -> str:
        """The works cited so far, as a list in alphabetical order; "" if there are none."""
        return "\n".join(f"- {self.labels.sources[key][1]}" for key in sorted(self.cited, key=self.labels.sources.get))

    def convert(self, source: str) -> str:
        """MyST as Markdown that Jupyter shows."""
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._blocks(source.splitlines()))).strip()

    def _blocks(self, lines: list[str]) -> list[str]:
        found, number = [], 0
        while number < len(lines):
            line, start = lines[number], number + 1
            opening, code = OPENING.match(line), CODE_FENCE.match(line)
            if opening or code:
                fence = (opening or code)[1]
                end = next((n for n in range(start, len(lines)) if lines[n].strip() == fence), len(lines))
                inside = lines[start:end]
                found += self._directive(opening[2], opening[3], inside) if opening else lines[number:end + 1]
                number = end + 1
            else:
                stop = next((n for n in range(start, len(lines)) if OPENING.match(lines[n])
                             or CODE_FENCE.match(lines[n])), len(lines))
                found += self._prose("\n".join(lines[number:stop])).splitlines()
                number = stop
        return found

    def _directive(self, kind: str, title: str, lines: list[str]) -> list[str]:
        while lines and (OPTION.match(lines[0]) or not lines[0].strip()):
            lines = lines[1:]
        if title.startswith("Solution") and not self.solutions:
            return []
        if kind == "math":
            return ["$$", *lines, "$$"]
        inside, title = self._blocks(lines), self._prose(title)
        if kind == "dropdown":
            return ["", "<details>", f"<summary>{title}</summary>", "", *inside, "", "</details>", ""]
        if kind == "admonition" or kind in BOXES:
            return ["", '<div class="alert alert-info">', "", f"**{title or BOXES.get(kind, '')}**", "", *inside, "",
                    "</div>", ""]
        return [*([f"**{title}**", ""] if title else []), *inside]

    def _prose(self, source: str) -> str:
        source = re.sub(r"^\([\w-]+\)=\n?", "", source, flags=re.MULTILINE)
        source = EQUATION.sub(lambda label: f"\\tag{{{self.labels.equations[label[1]][1]}}}\n$$", source)
        return ATTRIBUTES.sub(r"\1", ROLE.sub(self._role, source))

    def _role(self, match: re.Match) -> str:
        kind, content = match[1], " ".join(match[2].split())
        explicit = EXPLICIT.match(content)
        shown, target = explicit.groups() if explicit else (content, content)
        if kind in ("cite:p", "cite:t"):
            keys = [key.strip() for key in target.split(",")]
            self.cited.update(keys)
            whose = [self.labels.sources[key][0] for key in keys]
            if kind == "cite:p":
                return f"({'; '.join(whose)})"
            return " and ".join("{} ({})".format(*text.rsplit(", ", 1)) for text in whose)
        if kind == "eq":
            return self.labels.number("Equation", target, self.chapter)
        if kind == "numref":
            return self.labels.number("Figure", target, self.chapter)
        if kind == "doc":
            return f"*{shown if explicit else self.labels.titles[target.rsplit('/', 1)[-1]]}*"
        if kind == "math":
            return f"${content}$"
        return shown if kind in ("term", "ref", "download") else f"`{shown}`"
