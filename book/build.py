"""Execute the chapters of the book that changed, then build its pages.

    python book/build.py [--profile quick|full] [--jobs 2] [--chapter NAME ...] [-p KEY=VALUE ...]

A chapter is a MyST notebook ``book/chapters/NAME.md`` listed in ``book/_toc.yml``. Its way into the book:

1. jupytext reads it, papermill executes it with the parameter ``profile`` (and those given by ``-p``) in a
   kernel of its own, and the result becomes ``build/PROFILE/notebooks/NAME.ipynb``. The file carries a digest
   of all that the result depends on; while that stays the same, the chapter is not executed again.
2. ``book/`` without the sources of executed chapters, plus these notebooks, is laid out in
   ``build/PROFILE/book``, and jupyter-book turns it into pages, every warning an error. Complete pages replace
   ``book/_build/html``.

Every file takes its final name only when it is complete, so an interrupted run loses the chapters under way
and nothing else. Exit status: 0 done, 1 a chapter or the pages failed, 2 the request was refused, 130
interrupted.
"""

import argparse
import hashlib
import json
import multiprocessing.connection
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import jupytext
import nbformat
import papermill
import yaml

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
REQUIRED = {"profile", "random_state"}  # parameters that every chapter has
QUICK_NOTE = "Quick profile: fewer seeds and iterations. The numbers differ from those of the full book."
KERNEL_ENV = {
    # One thread per kernel: chapters run side by side, and sums then come out alike whatever --jobs says.
    **dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")), "1"),
    # Nothing that differs from run to run: no hash order, no date in figures, no bars of progress, no complaint
    # that they lack their widget.
    "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0",
    "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress not found",
    # Nothing of the user's own settings.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline", "IPYTHONDIR": str(ROOT / "build/ipython"),
}


def listed_pages(toc: dict) -> list[str]:
    """Names of all pages in a table of contents, in reading order, the root first."""
    below = [entry for key in ("parts", "chapters", "sections") for entry in toc.get(key, [])]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [name for entry in below for name in listed_pages(entry)]


def read_chapters() -> dict[str, nbformat.NotebookNode]:
    """The chapters with code, by name; a chapter without any is an ordinary page and left to jupyter-book."""
    chapters = {}
    for page in listed_pages(yaml.safe_load((BOOK / "_toc.yml").read_text())):
        source = BOOK / f"{page}.md"
        if not source.is_file():
            raise ValueError(f"book/_toc.yml lists {page}, but there is no book/{page}.md: write it or unlist it.")
        if source.parent == BOOK / "chapters":
            notebook = jupytext.read(source, fmt="md:myst")
            if any(cell.cell_type == "code" for cell in notebook.cells):
                notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
                chapters[source.stem] = notebook
    return chapters


def check_parameters(name: str, notebook: nbformat.NotebookNode, given: dict) -> None:
    """Refuse what papermill only warns of: no cell tagged parameters, or a parameter that is not in it."""
    known = set(papermill.inspect_notebook(notebook))
    if not known >= REQUIRED:
        raise ValueError(f"Chapter {name} must set {' and '.join(sorted(REQUIRED))} in a cell tagged parameters.")
    if unknown := sorted(set(given) - known):
        raise ValueError(f"Chapter {name} has no parameter {', '.join(unknown)}; it has {', '.join(sorted(known))}.")


def files_digest(*paths: Path) -> str:
    """sha256 of the names and contents of files and of all files below folders."""
    digest = hashlib.sha256()
    for top in paths:
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{path.relative_to(top.parent).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def inputs_digests(names: list[str], parameters: dict) -> dict[str, str]:
    """For each chapter, sha256 of all its result depends on.

    That is its source and parameters, and for all alike this file, the package, the ledgers in ``book/*.yml``,
    the registry of data, the data that ``$SPICEMIX_DATA`` names, and the versions of everything installed.
    """
    data = [Path(os.environ["SPICEMIX_DATA"])] if os.environ.get("SPICEMIX_DATA") else []
    ledgers = sorted(BOOK.glob("[!_]*.yml"))  # those with a _ are jupyter-book's
    code = [Path(__file__), ROOT / "spicemix_core", ROOT / "requirements.lock"]
    shared = files_digest(*code, *ledgers, ROOT / "data", *data)
    shared += "{}.{}".format(*sys.version_info) + json.dumps(parameters, sort_keys=True)
    own = {name: files_digest(BOOK / "chapters" / f"{name}.md") for name in names}
    return {name: hashlib.sha256((shared + own[name]).encode()).hexdigest() for name in names}


def tidy(notebook: nbformat.NotebookNode, name: str, digest: str) -> nbformat.NotebookNode:
    """Make the same run give the same bytes: no times, no random cell names; hide the cells of parameters."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{number:03d}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if {"parameters", "injected-parameters"} & set(tags := cell.metadata.get("tags", [])):
            cell.metadata["tags"] = [*tags, "remove-cell"]
    notebook.metadata.pop("papermill", None)
    notebook.metadata["inputs_sha256"] = digest
    return notebook


def prepare_worker() -> None:
    """Set up a worker process; neither it nor its kernel outlives a runner that was interrupted or killed."""
    def leave_with_runner():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    os.environ.update(KERNEL_ENV)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_runner, daemon=True).start()


def execute(name: str, notebook: nbformat.NotebookNode, parameters: dict, digest: str,
            folder: Path) -> tuple[str, float]:
    """Execute one chapter into ``folder/NAME.ipynb``; return the error, or "", and the seconds it took."""
    start, partial, error = time.perf_counter(), folder / f"{name}.partial.ipynb", ""
    try:
        executed = papermill.execute_notebook(
            notebook, partial, parameters, kernel_name="python3", cwd=folder, progress_bar=False,
            extra_arguments=["--IPKernelApp.log_level=50"])  # no word on TCP or on being asked to leave
        nbformat.write(tidy(executed, name, digest), partial)
        partial.replace(folder / f"{name}.ipynb")
    except papermill.PapermillExecutionError as failure:
        error = re.sub(r"\x1b\[[0-9;]*m", "", f"{failure}\nThe outputs so far are in {partial.relative_to(ROOT)}.")
    return error, time.perf_counter() - start


def execute_changed(names: list[str], chapters: dict, profile: str, given: dict, jobs: int) -> int:
    """Execute the named chapters whose inputs changed, a line of progress for each; return how many failed."""
    folder = ROOT / "build" / profile / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {"profile": profile, **given}
    pool, running, failed = ProcessPoolExecutor(jobs, initializer=prepare_worker), {}, 0
    for name, digest in inputs_digests(names, parameters).items():
        done = folder / f"{name}.ipynb"
        if done.is_file() and nbformat.read(done, as_version=4).metadata["inputs_sha256"] == digest:
            print(f"{name:20} unchanged", flush=True)
        else:
            running[pool.submit(execute, name, chapters[name], parameters, digest, folder)] = name
    for future in as_completed(running):
        try:
            error, seconds = future.result()
        except Exception as failure:  # its kernel or worker died, which says nothing of the other chapters
            error, seconds = f"{type(failure).__name__}: {failure}", float("nan")
        print(f"{running[future]:20} {'FAILED' if error else 'executed'} {seconds:10.1f} s", flush=True)
        if error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
    pool.shutdown()
    return failed


def build_pages(chapters: dict, profile: str) -> int:
    """Build ``book/_build/html`` from the book's own pages and the executed chapters; return 0, or 1 on failure."""
    build = ROOT / "build" / profile
    stage, pages, final = build / "book", build / "pages", BOOK / "_build/html"
    for folder in (stage, pages):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(BOOK, stage, ignore=shutil.ignore_patterns("_build", "__pycache__", "build.py"))
    for name in chapters:
        (stage / "chapters" / f"{name}.md").unlink()
        shutil.copy(build / "notebooks" / f"{name}.ipynb", stage / "chapters")
    if profile == "quick":
        config = yaml.safe_load((stage / "_config.yml").read_text())
        config["sphinx"]["config"]["html_theme_options"]["announcement"] = QUICK_NOTE
        (stage / "_config.yml").write_text(yaml.safe_dump(config))
    program = Path(sys.executable).with_name("jupyter-book")
    command = [program, "build", stage, "--path-output", pages, "-W", "-n", "--keep-going", "--quiet"]
    run = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode:
        print(run.stdout, file=sys.stderr)
        return 1
    fresh, old = final.with_name("html.partial"), final.with_name("html.old")
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pages / "_build/html", fresh)
    if final.exists():
        final.rename(old)
    fresh.rename(final)
    shutil.rmtree(old, ignore_errors=True)
    print(f"pages: {final.relative_to(ROOT)}/index.html ({profile} profile)")
    return 0


def parameter(text: str) -> tuple[str, object]:
    """KEY=VALUE from the command line; VALUE is JSON where it can be (numbers, true, null), else text."""
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals) or key == "profile":
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE; the profile has its own option")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Execute the chapters that changed, then build the book's pages.")
    parser.add_argument("--profile", choices=("quick", "full"), default="full", help="default: full")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="chapters executed at a time (default: 2)")
    parser.add_argument("--chapter", action="append", metavar="NAME",
                        help="execute only this chapter, and build no pages (may be repeated)")
    parser.add_argument("-p", "--parameter", action="append", type=parameter, default=[], metavar="KEY=VALUE",
                        help="a parameter for the chapters executed (may be repeated)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}, and must be at least 1.")
    try:
        if data := os.environ.get("SPICEMIX_DATA"):
            if not Path(data).is_dir():
                raise ValueError(f"SPICEMIX_DATA is {data}, which is not a folder: correct it or unset it.")
            os.environ["SPICEMIX_DATA"] = str(Path(data).resolve())  # kernels run in another folder
        chapters, given = read_chapters(), dict(options.parameter)
        names = options.chapter or list(chapters)
        if strange := sorted(set(names) - set(chapters)):
            raise ValueError(f"There is no chapter {', '.join(strange)} with code; there are {', '.join(chapters)}.")
        for name in names:
            check_parameters(name, chapters[name], given)
    except ValueError as error:
        parser.error(str(error))
    failed = execute_changed(names, chapters, options.profile, given, options.jobs)
    if failed:
        print(f"{failed} of {len(names)} chapters failed, so the pages are not built anew.", file=sys.stderr)
        return 1
    return 0 if options.chapter else build_pages(chapters, options.profile)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: the chapters executed so far are kept", file=sys.stderr, flush=True)
        os._exit(130)  # the workers see this process go and follow
