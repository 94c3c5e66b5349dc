"""Pages about a chapter that was executed again: the chapter itself, and its verdicts next to those of the book."""

import html
import json
import re
import shutil
import string
from pathlib import Path

import nbformat

from _tools import BOOK, ROOT
from _tools.execution import write_text
from _tools.labels import Labels
from _tools.plain import plain

FRAME = Path(__file__).with_name("rerun_page.html")
PUBLISHED = BOOK / "verdicts.json"  # of the full book on measured data
MATHS = BOOK / "assets/mathjax/tex-svg.js"


def write_page(run: Path, name: str, labels: Labels, about: str) -> Path:
    """Write ``downloads/NAME/NAME.html``: an executed chapter as a page that needs no network and no Jupyter.

    Parameters
    ----------
    run : Path
        Folder of the run.
    name : str
        Name of the chapter.
    labels : Labels
        From :func:`_tools.labels.read_labels`.
    about : str
        How the chapter was executed, in words.

    Returns
    -------
    Path
        The page. The script that sets its formulas lies next to it.
    """
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    hidden = {"TagRemovePreprocessor": {"enabled": True, "remove_cell_tags": ["remove-cell"],
                                        "remove_input_tags": ["remove-input", "hide-input"]}}
    executed = nbformat.read(run / f"notebooks/{name}.ipynb", as_version=4)
    exporter = HTMLExporter(Config(hidden), template_name="basic", exclude_input_prompt=True,
                            exclude_output_prompt=True, exclude_anchor_links=True)
    body = described(exporter.from_notebook_node(plain(executed, name, labels))[0], executed)
    verdicts = stored_verdicts(run, name)
    table = comparison(published_verdicts(), {"here": verdicts}) if verdicts else ""
    folder = run / "downloads" / name
    if MATHS.is_file():
        shutil.copy(MATHS, folder / "mathjax.js")
    return _framed(folder / f"{name}.html", labels.titles.get(name, name), about, table, body)


def described(body: str, executed: nbformat.NotebookNode) -> str:
    """The page with the text for screen readers at each picture, which nbconvert does not know."""
    texts = iter([cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") for cell in executed.cells
                  if "remove-cell" not in cell.metadata.get("tags", [])
                  for output in cell.get("outputs", []) if "image/svg+xml" in output.get("data", {})])
    return re.sub(r'<img alt="[^"]*" src="data:image/svg',
                  lambda _: f'<img alt="{html.escape(next(texts))}" src="data:image/svg', body)


def write_seeds_page(runs: dict[int, Path], name: str, labels: Labels, about: str, folder: Path) -> Path:
    """Write ``folder/NAME_seeds.html``: the verdicts of a chapter on its claims for several seeds, and their counts."""
    verdicts = {f"seed {seed}": stored_verdicts(run, name) for seed, run in runs.items()}
    folder.mkdir(parents=True, exist_ok=True)
    table = comparison(published_verdicts(), verdicts)
    return _framed(folder / f"{name}_seeds.html", labels.titles.get(name, name), about, table, "")


def stored_verdicts(run: Path, name: str) -> dict[str, dict]:
    """The claims that a chapter has judged, by id; empty for a chapter without claims."""
    path = run / f"results/claims_{name}.json"
    return {claim["id"]: claim for claim in json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else {}


def published_verdicts() -> dict[str, str]:
    """Verdict of the book on each claim, by id; empty where none are stored."""
    return json.loads(PUBLISHED.read_text(encoding="utf-8")) if PUBLISHED.is_file() else {}


def publish_verdicts(run: Path) -> None:
    """Store the verdicts of a run of the whole book as those of the book."""
    claims = [claim for path in sorted((run / "results").glob("claims_*.json"))
              for claim in json.loads(path.read_text(encoding="utf-8"))]
    write_text(PUBLISHED, json.dumps({claim["id"]: claim["verdict"] for claim in claims}, indent=1) + "\n")
    print(f"verdicts: {PUBLISHED.relative_to(ROOT)}")


def comparison(book: dict[str, str], columns: dict[str, dict[str, dict]]) -> str:
    """Table in HTML: each claim, the book's verdict, that of each column, and how many agree with the book."""
    claims = next(iter(columns.values()))
    heads = ["claim", "verdict in the book", *(f"verdict {head}" if head == "here" else head for head in columns)]
    rows = []
    for name, claim in claims.items():
        found = [column[name]["verdict"] if name in column else "not judged" for column in columns.values()]
        cells = [f"{html.escape(claim['claim'])} <code>{html.escape(name)}</code>",
                 book.get(name, "not stored"), *found]
        changed = name in book and any(verdict != book[name] for verdict in found)
        rows.append(f'<tr{" class=changed" if changed else ""}>'
                    + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    same = [sum(column.get(name, {}).get("verdict") == book[name] for name in claims if name in book)
            for column in columns.values()]
    known = sum(name in book for name in claims)
    last = "".join(f"<td>{number} of {known}</td>" for number in same)
    foot = f"<tfoot><tr><td>as in the book</td><td></td>{last}</tr></tfoot>" if known else ""
    head = "".join(f"<th>{head}</th>" for head in heads)
    return ('<h2>Verdicts</h2><div class="table"><table class="verdicts">'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>{foot}</table></div>")


def _framed(path: Path, title: str, about: str, table: str, body: str) -> Path:
    frame = string.Template(FRAME.read_text(encoding="utf-8"))
    write_text(path, frame.substitute(title=html.escape(title), about=html.escape(about), table=table, body=body))
    return path
