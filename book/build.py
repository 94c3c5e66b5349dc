"""Execute the chapters of the book that changed, then build its pages.

    python book/build.py [--profile quick|full] [--jobs 2] [--chapter NAME ...] [--seeds 0,1,2] [-p KEY=VALUE ...]
                         [--print] [--store-verdicts]

A chapter is a MyST notebook ``book/chapters/NAME.md`` listed in ``book/_toc.yml``. It is processed in these steps:

0. Data that the chapters need and that no folder has are downloaded into the user's cache, and checked.
1. jupytext reads it, papermill executes it with the parameter ``profile`` (and those given by ``-p``) in a
   kernel of its own, and the result becomes ``build/RUN/notebooks/NAME.ipynb``. The file stores a digest of
   everything that the result depends on (``_tools/inputs.py``). While the digest is the same, the chapter is not
   executed again.
   RUN is the profile, followed by the parameters given and by "twin" where measured data are missing, so that
   results of different runs never mix.
2. ``book/`` without the sources of executed chapters, plus these notebooks with their provenance, is laid out in
   ``build/RUN/book``, and jupyter-book turns it into pages, every warning an error. Complete pages replace
   ``book/_build/html``; those of a twin do not replace those of measured data. With ``--chapter`` no pages of the book
   are built: figures, tables, the notebook and a page of the chapter are in ``build/RUN/downloads``. With ``--seeds``
   the chapter is executed once for each seed, and one more page compares the verdicts.

Every file takes its final name only when it is complete, so an interrupted run loses only the chapters in
progress. Exit status: 0 done, 1 a chapter or the pages failed, 2 the request was refused, 130
interrupted.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__":  # Ctrl-C while the packages below are imported; a shell's background job ignores it
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"interrupted: nothing was executed\n"), os._exit(130)))

from _tools import ROOT
from _tools.alone import alone
from _tools.chapters import check_parameters, code_of, read_chapters
from _tools.execution import execute_changed
from _tools.fetching import fetch_data
from _tools.inputs import check_data, claims_of, lacks_measurements, missing_data, used_data_sets
from _tools.labels import read_labels
from _tools.pages import build_pages, lay_out
from _tools.printing import build_print
from _tools.provenance import export
from _tools.rerun_page import publish_verdicts, write_page, write_seeds_page


def parameter(text: str) -> tuple[str, object]:
    """KEY=VALUE from the command line; VALUE is JSON where it can be (numbers, true, null), else text."""
    key, equals, value = text.partition("=")
    if not (key.isidentifier() and equals) or key == "profile":
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE; the profile has its own option")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def seeds(text: str) -> list[int]:
    """Seeds from the command line, separated by commas."""
    try:
        found = [int(seed) for seed in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers, for example 0,1,2,3,4") from None
    if len(set(found)) != len(found) or min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} names a seed twice, or one below zero")
    return found


def run_folder(profile: str, given: dict, twin: bool = False) -> Path:
    """Folder of the results of a run, named by its profile, its other parameters, and "twin" without measured data."""
    names = [profile, *(f"{key}={value}" for key, value in sorted(given.items())), *(["twin"] if twin else [])]
    return ROOT / "build" / re.sub(r"[^\w.,=+-]", "_", ",".join(names))


def command_line() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description="Execute the chapters that changed, then build the book's pages.")
    parser.add_argument("--profile", choices=("quick", "full"), default="full", help="default: full")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1),
                        help="chapters executed at a time (default: 2)")
    parser.add_argument("--limit", type=float, default=120.0, metavar="MINUTES",
                        help="stop a chapter of which one cell takes longer (default: 120)")
    parser.add_argument("--chapter", action="append", metavar="NAME",
                        help="execute only this chapter, and build no pages (may be repeated)")
    parser.add_argument("-p", "--parameter", action="append", type=parameter, default=[], metavar="KEY=VALUE",
                        help="a parameter for the chapters executed (may be repeated)")
    parser.add_argument("--seeds", type=seeds, metavar="0,1,2,...",
                        help="with --chapter: execute it once for each of these seeds, and compare the verdicts")
    parser.add_argument("--store-verdicts", action="store_true",
                        help="keep the verdicts of this full book on measured data as those that reruns compare with")
    parser.add_argument("--print", action="store_true",
                        help="also print the book to one PDF, a download of the page About this book (needs Chromium)")
    return parser


@dataclass(frozen=True)
class Request:
    """What to execute.

    Attributes
    ----------
    chapters : dict
        All chapters of the book.
    names : list of str
        Those to execute.
    given : dict
        Parameters besides the profile.
    twin : bool
        Whether a chapter runs on a twin, because measured data are missing.
    """

    chapters: dict
    names: list[str]
    given: dict
    twin: bool


def checked(options: argparse.Namespace) -> Request:
    """The request, with all data that can be had; ValueError if something is wrong with it."""
    if options.jobs < 1:
        raise ValueError(f"--jobs is {options.jobs}, and must be at least 1.")
    if not 0 < options.limit < math.inf:
        raise ValueError(f"--limit is {options.limit:g}, and must be a positive number of minutes.")
    if options.seeds and not options.chapter:
        raise ValueError("--seeds is for one or more chapters: name them with --chapter.")
    if data := os.environ.get("SPICEMIX_DATA"):
        if not Path(data).is_dir():
            raise ValueError(f"SPICEMIX_DATA is {data}, which is not a folder: correct it or unset it.")
        os.environ["SPICEMIX_DATA"] = str(Path(data).resolve())  # kernels run in another folder
    chapters, given = read_chapters(), dict(options.parameter)
    if options.seeds and "random_state" in given:
        raise ValueError("--seeds sets random_state: leave this parameter out.")
    names = options.chapter or list(chapters)
    if strange := sorted(set(names) - set(chapters)):
        raise ValueError(f"There is no chapter {', '.join(strange)} with code; there are {', '.join(chapters)}.")
    for name in names:
        check_parameters(name, chapters[name], given)
        if options.seeds and not claims_of(name):
            raise ValueError(f"Chapter {name} judges no claims, so there is nothing to compare over seeds.")
    data_sets = sorted({data_set for name in names for data_set in used_data_sets(code_of(chapters[name]))})
    fetch_data(data_sets)
    check_data(data_sets)
    if note := missing_data(data_sets):
        print(note, flush=True)
    twin = lacks_measurements(data_sets)
    if options.store_verdicts and (twin or given or options.chapter or options.profile != "full"):
        raise ValueError("--store-verdicts is for the full book with its own parameters, on measured data.")
    return Request(chapters, names, given, twin)


def carry_out(options: argparse.Namespace, request: Request, run: Path) -> int:
    """Execute the requested chapters, then export them or build the pages; return the exit status."""
    chapters, names, given = request.chapters, request.names, request.given
    failed = execute_changed(names, chapters, run, {"profile": options.profile, **given}, options.jobs,
                             math.ceil(60 * options.limit))
    if failed:
        print(f"{failed} of {len(names)} chapters failed, so the pages were not rebuilt.", file=sys.stderr)
        return 1
    if options.chapter:
        labels, note = read_labels(chapters), twin_note(request.twin)
        for name in names:
            folder = run / "downloads" / name
            shutil.rmtree(folder, ignore_errors=True)
            export(run, name, folder, labels)
            page = write_page(run, name, labels, description(options.profile, given, request.twin))
            print(f"{name}: {page.relative_to(ROOT)}{note}")
        return 0
    try:
        pdf = None
        if options.print:
            lay_out(chapters, run, options.profile, given, request.twin)
            if (pdf := build_print(run)) is None:
                return 1
        status = build_pages(chapters, run, options.profile, given, request.twin, pdf)
        if status == 0 and options.store_verdicts:
            publish_verdicts(run)
        return status
    except OSError as error:  # a full disk, for example
        print(f"The pages were not rebuilt: {error}", file=sys.stderr)
        return 1


def carry_out_seeds(options: argparse.Namespace, request: Request, stack: ExitStack) -> int:
    """Execute the requested chapters once for each seed, then write a page for each with all verdicts."""
    runs = {}
    for seed in options.seeds:
        one = replace(request, given={**request.given, "random_state": seed})
        runs[seed] = run_folder(options.profile, one.given, request.twin)
        stack.enter_context(alone(runs[seed]))
        if status := carry_out(options, one, runs[seed]):
            return status
    labels, words = read_labels(request.chapters), description(options.profile, request.given, request.twin)
    folder = run_folder(options.profile, {**request.given, "seeds": ",".join(map(str, options.seeds))}, request.twin)
    for name in request.names:
        page = write_seeds_page(runs, name, labels, f"{words} Seeds: {', '.join(map(str, options.seeds))}.", folder)
        print(f"{name}: {page.relative_to(ROOT)}{twin_note(request.twin)}")
    return 0


def description(profile: str, given: dict, twin: bool) -> str:
    """How a chapter was executed, in a few sentences."""
    values = ", ".join(f"{key} = {value}" for key, value in given.items())
    return " ".join(filter(None, (f"Executed in the {profile} profile{f' with {values}' if values else ''}.",
                                  "The data are a synthetic twin, not measurements." if twin else "")))


def twin_note(twin: bool) -> str:
    """What the last line of a run says of its data."""
    return " (twin: the measured data were not found)" if twin else ""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = command_line()
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        try:
            request = checked(options)
            if options.seeds:
                return carry_out_seeds(options, request, stack)
            run = run_folder(options.profile, request.given, request.twin)
            stack.enter_context(alone(run))
        except ValueError as error:
            parser.error(str(error))
        return carry_out(options, request, run)


if __name__ == "__main__":
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted: the chapters executed so far are kept", file=sys.stderr, flush=True)
        os._exit(130)  # the workers end when this process ends
