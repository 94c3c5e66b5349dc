"""Numbers of figures and equations, titles of pages and citations, for texts that are read outside the book."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from _tools import BOOK
from _tools.chapters import parts

EQUATION = re.compile(r"^\$\$ \((eq-[\w-]+)\)$", re.MULTILINE)
TITLE = re.compile(r"^##? (.+)$", re.MULTILINE)  # of a part, its first section


@dataclass
class Labels:
    """What the labels of the book stand for.

    Attributes
    ----------
    figures, equations : dict of str to (str, int)
        Chapter of each label and its number in this chapter, counted from 1.
    titles : dict of str to str
        Title of each page, by the name of its file.
    sources : dict of str to (str, str)
        For each key of ``references.bib``, authors with year, and the full reference.
    """

    figures: dict = field(default_factory=dict)
    equations: dict = field(default_factory=dict)
    titles: dict = field(default_factory=dict)
    sources: dict = field(default_factory=dict)

    def number(self, kind: str, label: str, chapter: str) -> str:
        """Number of a figure or an equation as seen from a chapter, with the title of another chapter."""
        known = self.figures if kind == "Figure" else self.equations
        if label not in known:
            raise ValueError(f"Chapter {chapter} refers to {label}, but no chapter defines it.")
        where, number = known[label]
        text = f"Figure {number}" if kind == "Figure" else f"({number})"
        return text if where == chapter else f"{text} of *{self.titles[where]}*"


def read_labels(chapters: dict[str, nbformat.NotebookNode]) -> Labels:
    """The labels of all chapters, by name, with the titles of the other pages and the list of references."""
    labels = Labels(titles={path.stem: match[1] for path in BOOK.rglob("*.md") if "_build" not in path.parts
                            if (match := TITLE.search(path.read_text(encoding="utf-8")))},
                    sources=read_sources(BOOK / "references.bib"))
    for chapter, notebook in chapters.items():
        for page, cells in parts(chapter, notebook.cells).items():
            title = cells[0].metadata.get("title") or next((match[1] for cell in cells if cell.cell_type == "markdown"
                          and (match := TITLE.search(cell.source))), labels.titles.get(page, page))
            labels.titles[page] = title
        figures = [name for cell in notebook.cells if (name := figure_of(cell).get("name"))]
        equations = [label for cell in notebook.cells if cell.cell_type == "markdown"
                     for label in EQUATION.findall(cell.source)]
        for known, found in ((labels.figures, figures), (labels.equations, equations)):
            known |= {label: (chapter, number) for number, label in enumerate(found, 1)}
    return labels


def figure_of(cell: nbformat.NotebookNode) -> dict:
    """Name and caption of the figure that a cell draws; empty for other cells."""
    return cell.metadata.get("mystnb", {}).get("figure", {})


def read_sources(path: Path) -> dict[str, tuple[str, str]]:
    """Authors with year, and the full reference, of each entry of a bibliography."""
    from pybtex.database import parse_file

    found = {}
    for key, entry in parse_file(str(path)).entries.items():
        people = entry.persons.get("author", entry.persons.get("editor", []))
        names = [" ".join(map(str, person.rich_last_names)) for person in people]
        fields = {name: re.sub(r"[{}]", "", text).replace("--", "-") for name, text in entry.fields.items()}
        whose = names[0] + (" et al." if len(names) > 2 else f" and {names[1]}" if len(names) == 2 else "")
        names = [name.replace("others", "et al.") for name in names]
        where = " ".join(filter(None, (fields.get("journal") or fields.get("booktitle") or fields.get("publisher"),
                                       fields.get("volume"))))
        parts = [f"{', '.join(names)} ({fields.get('year', 'n.d.')})", fields.get("title", ""),
                 ", ".join(filter(None, (f"*{where}*" if where else "", fields.get("pages")))),
                 f"<https://doi.org/{fields['doi']}>" if "doi" in fields else
                 f"<{fields['url']}>" if "url" in fields else ""]
        found[key] = f"{whose}, {fields.get('year', 'n.d.')}", ". ".join(filter(None, parts))
    return found
