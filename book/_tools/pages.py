"""From executed chapters to pages: the layout of a book for jupyter-book, its build, and its publication."""

import html
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

from _tools import BOOK, ROOT, home, provenance, repository
from _tools.alone import alone
from _tools.commands import command_reference
from _tools.labels import read_labels
from _tools.refusals import refusal_table
from _tools.times import times_table

QUICK_NOTE = "Quick profile: fewer seeds and iterations. The numbers differ from those of the full book."
OTHER_NOTE = "Executed with other parameters than the book: {}."
MADE_FROM = "data.txt"  # says in the finished pages whether they show measured data or a twin
PDF_LINK = "- **The whole book** as {download}`one PDF <downloads/spicemix.pdf>`, to read offline or to print."
NO_PDF = "- **The whole book** as one PDF: `make print` makes it and puts it here. It needs Chromium, and no LaTeX."
NOT_PAGES = ("_build", "__pycache__", "_tools", "build.py", "paper")
ICON_FONT = re.compile(r"@font-face\{[^}]*fontawesome[^}]*\}")
ICON_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:[^}]*\}')
ICON = re.compile(r'(?:"([a-z0-9-]+)"|\b([a-z][a-z0-9]*)):\[\d+,\d+,\[([^\]]*)\],"[0-9a-f]+",'
                  r'(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?')


def changelog() -> str:
    """The list of changes without its title."""
    path = ROOT / "CHANGELOG.md"
    return path.read_text(encoding="utf-8").partition("\n")[2].strip() if path.exists() else ""


GENERATED = {"commands.md": command_reference, "troubleshooting.md": refusal_table,
             "changelog.md": changelog}  # the end of these pages


def lay_out(chapters: dict, run: Path, profile: str, given: dict, twin: bool = False,
            pdf: Path | None = None) -> Path:
    """Lay out in ``run/book`` what jupyter-book reads: the book's own pages, the executed chapters, and the PDF if any.
    """
    stage = run / "book"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(BOOK, stage, ignore=shutil.ignore_patterns(*NOT_PAGES))
    labels = read_labels(chapters)
    for name in chapters:
        tables = provenance.export(run, name, stage / "downloads" / name, labels)
        (stage / f"chapters/{name}.md").unlink()
        for page, notebook in provenance.pages(run, name, tables, labels).items():
            nbformat.write(notebook, stage / f"chapters/{page}.ipynb")
    if (BOOK / "paper").is_dir():
        shutil.copytree(BOOK / "paper", stage / provenance.CODE / "paper", ignore=shutil.ignore_patterns(*NOT_PAGES))
    for name, generated in GENERATED.items():
        if (path := stage / name).exists():
            path.write_text(f"{path.read_text(encoding='utf-8')}\n{generated()}\n", encoding="utf-8")
    if (citation := ROOT / "CITATION.cff").exists():
        shutil.copy(citation, stage / "downloads")
    config = yaml.safe_load((stage / "_config.yml").read_text())
    others = html.escape(", ".join(f"{key} = {value}" for key, value in given.items()))
    notes = [*([QUICK_NOTE] if profile == "quick" else []), *([OTHER_NOTE.format(others)] if given else [])]
    config["sphinx"]["config"]["html_theme_options"]["announcement"] = " ".join(notes)
    config["parse"]["myst_substitutions"] = {
        **home.substitutions(run / "results", profile), **repository.add_links(config),
        "chapter_times": times_table(run, chapters, labels.titles), "pdf": PDF_LINK if pdf else NO_PDF}
    if pdf:
        shutil.copy(pdf, stage / "downloads")
    home.draw_scheme(stage / "_static")
    (stage / "_static" / MADE_FROM).write_text("twin" if twin else "measured")
    (stage / "_config.yml").write_text(yaml.safe_dump(config))
    return stage


def build_pages(chapters: dict, run: Path, profile: str, given: dict, twin: bool = False,
                pdf: Path | None = None) -> int:
    """Build ``book/_build/html``; return 0, or 1 on failure, which keeps the existing pages.

    Pages of a twin go to ``book/_build/html-twin`` if ``html`` has pages of measured data. A PDF of the book becomes
    one of the downloads.
    """
    built = build(lay_out(chapters, run, profile, given, twin, pdf), run / "pages", "html")
    if built is None:
        return 1
    keep_used_icons(built)
    with alone(ROOT / "build", patience=math.inf):  # of another profile, for example
        final = destination(twin)
        publish(built, final)
    print(f"pages: {final.relative_to(ROOT)}/index.html ({profile} profile{', twin' if twin else ''})")
    return 0


def destination(twin: bool) -> Path:
    """Folder of the finished pages; those of a twin never replace those of measured data."""
    final = BOOK / "_build/html"
    made_from = final / "_static" / MADE_FROM
    measured = made_from.is_file() and made_from.read_text() == "measured"
    return final.with_name("html-twin") if twin and measured else final


def build(stage: Path, pages: Path, builder: str) -> Path | None:
    """Run jupyter-book, every warning an error: the folder of the pages, or None after printing the error."""
    shutil.rmtree(pages, ignore_errors=True)
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", stage, "--path-output", pages, "-W", "-n", "--keep-going", "--quiet",
               "--builder", builder]
    paths = os.pathsep.join(filter(None, [str(ROOT), str(BOOK), os.environ.get("PYTHONPATH")]))  # for autodoc
    run = subprocess.run(command, text=True, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, close_fds=False)  # it holds the run's lock until it ends
    if run.returncode:
        print(run.stdout, file=sys.stderr)
        return None
    return pages / "_build" / builder


def keep_used_icons(built: Path) -> None:
    """Remove the theme's icons that no page or script names, and their fonts: 1.9 MB of every page.

    A script draws the others as pictures, so the fonts have no use.
    """
    script = built / "_static/scripts/fontawesome.js"
    texts = [path.read_text(encoding="utf-8") for path in built.rglob("*")
             if path.suffix in (".html", ".js") and path != script]
    used = set(re.findall(r"\bfa-([a-z0-9-]+)", " ".join(texts)))

    def kept(match):
        return match[0] if used & {match[1], match[2], *re.findall(r'"([^"]+)"', match[3])} else ""

    script.write_text(ICON.sub(kept, script.read_text(encoding="utf-8")), encoding="utf-8")
    style = built / "_static/styles/pydata-sphinx-theme.css"
    rules = ICON_FONT.sub("", style.read_text(encoding="utf-8"))
    rules = ICON_RULE.sub(lambda rule: rule[0] if used & set(re.findall(r"fa-([a-z0-9-]+)", rule[1])) else "", rules)
    style.write_text(rules, encoding="utf-8")


def publish(built: Path, final: Path) -> None:
    """Replace a folder by a complete one; the old folder exists until the moment of replacement."""
    fresh, old = final.with_name(f"{final.name}.partial"), final.with_name(f"{final.name}.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    final.parent.mkdir(exist_ok=True)
    try:
        shutil.move(built, fresh)  # a copy where the two folders are on different disks
    except OSError:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if final.exists():
        final.rename(old)
    fresh.rename(final)
    shutil.rmtree(old, ignore_errors=True)
