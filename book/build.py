"""Execute the chapters of the book that changed, then build its pages.

    python book/build.py [--profile quick|full] [--jobs 2] [--chapter NAME ...] [-p KEY=VALUE ...] [--print]

A chapter is a MyST notebook ``book/chapters/NAME.md`` listed in ``book/_toc.yml``. It is processed in these steps:

0. Data that the chapters need and that no folder has are downloaded into the user's cache, and checked.
1. jupytext reads it, papermill executes it with the parameter ``profile`` (and those given by ``-p``) in a
   kernel of its own, and the result becomes ``build/RUN/notebooks/NAME.ipynb``. The file stores a digest of
   everything that the result depends on (``_tools/inputs.py``). While the digest is the same, the chapter is not
   executed again.
   RUN is the profile, followed by the parameters given, so that results of different runs never mix.
2. ``book/`` without the sources of executed chapters, plus these notebooks with their provenance, is laid out in
   ``build/RUN/book``, and jupyter-book turns it into pages, every warning an error. Complete pages replace
   ``book/_build/html``. With ``--chapter`` no pages are built: figures and tables are in ``build/RUN/downloads``.

Every file takes its final name only when it is complete, so an interrupted run loses only the chapters in
progress. Exit status: 0 done, 1 a chapter or the pages failed, 2 the request was refused, 130
interrupted.
"""

import argparse
import json
import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from _tools import ROOT
from _tools.alone import alone
from _tools.chapters import check_parameters, code_of, read_chapters
from _tools.execution import execute_changed
from _tools.fetching import fetch_data
from _tools.inputs import check_data, missing_data, used_data_sets
from _tools.pages import build_pages
from _tools.printing import build_print
from _tools.provenance import export


def parameter(text: str) -> tuple[str, object]:
    """KEY=VALUE from the command line; VALUE is JSON where it can be (numbers, true, null), else text."""
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals) or key == "profile":
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE; the profile has its own option")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def run_folder(profile: str, given: dict) -> Path:
    """Folder of the results of a run, named by its profile and its other parameters, if any."""
    names = [profile, *(f"{key}={value}" for key, value in sorted(given.items()))]
    return ROOT / "build" / re.sub(r"[^\w.,=+-]", "_", ",".join(names))


def command_line() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description="Execute the chapters that changed, then build the book's pages.")
    parser.add_argument("--profile", choices=("quick", "full"), default="full", help="default: full")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="chapters executed at a time (default: 2)")
    parser.add_argument("--chapter", action="append", metavar="NAME",
                        help="execute only this chapter, and build no pages (may be repeated)")
    parser.add_argument("-p", "--parameter", action="append", type=parameter, default=[], metavar="KEY=VALUE",
                        help="a parameter for the chapters executed (may be repeated)")
    parser.add_argument("--print", action="store_true", help="also print the whole book to one PDF (needs Chromium)")
    return parser


def checked(options: argparse.Namespace) -> tuple[dict, list[str], dict]:
    """All chapters, the names of the requested ones, and the parameters given; ValueError if something is wrong."""
    if options.jobs < 1:
        raise ValueError(f"--jobs is {options.jobs}, and must be at least 1.")
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
    data_sets = sorted({data_set for name in names for data_set in used_data_sets(code_of(chapters[name]))})
    fetch_data(data_sets)
    check_data(data_sets)
    if note := missing_data(data_sets):
        print(note, flush=True)
    return chapters, names, given


def carry_out(options: argparse.Namespace, chapters: dict, names: list[str], given: dict, run: Path) -> int:
    """Execute the requested chapters, then export them or build the pages; return the exit status."""
    failed = execute_changed(names, chapters, run, {"profile": options.profile, **given}, options.jobs)
    if failed:
        print(f"{failed} of {len(names)} chapters failed, so the pages were not rebuilt.", file=sys.stderr)
        return 1
    if options.chapter:
        for name in names:
            shutil.rmtree(run / "downloads" / name, ignore_errors=True)
            export(run, name, run / "downloads" / name)
            print(f"{name}: {(run / 'downloads' / name).relative_to(ROOT)}")
        return 0
    try:
        return build_pages(chapters, run, options.profile, given) or (build_print(run) if options.print else 0)
    except OSError as error:  # a full disk, for example
        print(f"The pages were not rebuilt: {error}", file=sys.stderr)
        return 1


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = command_line()
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        try:
            chapters, names, given = checked(options)
            run = run_folder(options.profile, given)
            stack.enter_context(alone(run))
        except ValueError as error:
            parser.error(str(error))
        return carry_out(options, chapters, names, given, run)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts a background job ignores Ctrl-C
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: the chapters executed so far are kept", file=sys.stderr, flush=True)
        os._exit(130)  # the workers end when this process ends
