"""Executing chapters: papermill in worker processes, results that are the same bytes from run to run."""

import datetime
import json
import multiprocessing.connection
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError

from _tools import BOOK, ROOT
from _tools.chapters import code_of
from _tools.inputs import data_files, file_digest, inputs_digest, used_data_sets

KERNEL_ENV = {
    # One thread per kernel: chapters run in parallel, and sums must not depend on --jobs.
    **dict.fromkeys((f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")), "1"),
    # Suppress everything that differs from run to run: hash order, dates in figures, progress bars, and the warning
    # that their widget is missing.
    "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0",
    "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress not found",
    # The packages of this checkout, of whose files the digests are, even if another version is installed.
    "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(BOOK), os.environ.get("PYTHONPATH")])),
    # Ignore the user's own settings.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline", "IPYTHONDIR": str(ROOT / "build/ipython"),
}
ENVIRONMENT = "executed-environment"  # tag of the cell that the runner adds at the end
ENVIRONMENT_CODE = """\
# Added by book/build.py: what this notebook was executed with.
import importlib.metadata
import platform
import sys

print(f"Python {platform.python_version()}")
print(f"{platform.system()} {platform.machine()}")
_loaded = {name.partition(".")[0] for name in sys.modules}
_packages = importlib.metadata.packages_distributions()
for _name in sorted({name for key in _loaded for name in _packages.get(key, [])},
                    key=str.lower):
    print(_name, importlib.metadata.version(_name))"""


def prepare(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The chapter with a last cell that prints the versions of all that it has loaded."""
    cell = nbformat.v4.new_code_cell(ENVIRONMENT_CODE, metadata={"tags": ["remove-cell", ENVIRONMENT]})
    return nbformat.from_dict({**notebook, "cells": [*notebook.cells, cell]})


def tidy(notebook: nbformat.NotebookNode, name: str, digest: str) -> dict[str, float]:
    """Make the same run give the same bytes: no times, no random cell names; hide the cells of parameters.

    Returns the seconds that each cell took, by its new name.
    """
    seconds = {}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{number:03d}"
        if cell.cell_type == "code":
            seconds[cell["id"]] = round(cell.metadata.get("papermill", {}).get("duration") or 0.0, 3)
            cell["outputs"] = joined(cell["outputs"])
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if {"parameters", "injected-parameters"} & set(tags := cell.metadata.get("tags", [])):
            cell.metadata["tags"] = [*tags, "remove-cell"]
    notebook.metadata.pop("papermill", None)
    notebook.metadata["inputs_sha256"] = digest
    return seconds


def joined(outputs: list) -> list:
    """Pieces of the same stream as one output; how a kernel divides printed text into pieces depends on timing."""
    kept = []
    for output in outputs:
        if kept and output.output_type == "stream" and output.get("name") == kept[-1].get("name"):
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    return kept


def commit() -> str:
    """The commit of the sources, marked where they were changed since; "" outside a git checkout."""
    try:
        name = subprocess.run(["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=, changed since"],
                              cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return ""
    return name.stdout.strip()


def prepare_worker() -> None:
    """Set up a worker process; neither it nor its kernel outlives a runner that was interrupted or killed."""
    def leave_with_runner():
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    os.environ.update(KERNEL_ENV)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=leave_with_runner, daemon=True).start()


def execute(name: str, notebook: nbformat.NotebookNode, parameters: dict, digest: str, folder: Path,
            limit: int) -> tuple[str, float]:
    """Execute one chapter into ``folder/NAME.ipynb``; return the error, or "", and the seconds it took.

    A chapter is stopped when one of its cells takes longer than ``limit`` seconds.

    What differs from run to run is written to ``folder/NAME.run.json``: times, commit, data found. This record and the
    results of an earlier execution are removed first, so that they are not mistaken for results of this one.
    """
    start, partial, error = time.perf_counter(), folder / f"{name}.partial.ipynb", ""
    load = os.getloadavg()[0] / (os.cpu_count() or 1)  # 1 where each core has one program to run
    for path in (folder / f"{name}.run.json", *results(folder.parent, name)):
        path.unlink(missing_ok=True)
    try:
        executed = papermill.execute_notebook(
            prepare(notebook), partial, parameters, kernel_name="python3", cwd=folder, progress_bar=False,
            execution_timeout=limit, start_timeout=600,  # a busy machine starts a kernel slowly
            extra_arguments=["--IPKernelApp.log_level=50"])  # no messages about TCP or shutdown
        cells = tidy(executed, name, digest)
        defaults = {key: value["default"] for key, value in papermill.inspect_notebook(notebook).items()}
        record = {"commit": commit(), "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
                  "seconds": round(time.perf_counter() - start, 1), "load": round(load, 1), "cells": cells,
                  "parameters": defaults | {key: repr(value) for key, value in parameters.items()},
                  "data": {data_set: {path.name: file_digest(path) for path in data_files(data_set)}
                           for data_set in used_data_sets(code_of(notebook))}}
        nbformat.write(executed, partial)
        write_text(folder / f"{name}.run.json", json.dumps(record, indent=1) + "\n")
        partial.replace(folder / f"{name}.ipynb")
    except papermill.PapermillExecutionError as failure:
        error = re.sub(r"\x1b\[[0-9;]*m", "", f"{failure}\nThe outputs so far are in {partial.relative_to(ROOT)}.")
    except CellTimeoutError:
        error = (f"A cell took longer than {limit / 60:g} minutes, so {name} was stopped. Raise --limit if it needs "
                 f"more time.\nThe outputs so far are in {partial.relative_to(ROOT)}.")
    return error, time.perf_counter() - start


def results(run: Path, name: str) -> list[Path]:
    """What a chapter has left in ``run/results``: its tables ``NAME_*.csv`` and the verdicts on its claims."""
    return sorted((run / "results").glob(f"{name}_*.csv")) + sorted((run / "results").glob(f"claims_{name}.json"))


def write_text(path: Path, text: str) -> None:
    """Write a file that takes its name only when it is complete."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def executed_digest(folder: Path, name: str) -> str:
    """The digest of the inputs that a chapter was last executed with; "" if it was not."""
    done = folder / f"{name}.ipynb"
    if not (done.is_file() and (folder / f"{name}.run.json").is_file()):
        return ""
    return nbformat.read(done, as_version=4).metadata["inputs_sha256"]


def execute_changed(names: list[str], chapters: dict, run: Path, parameters: dict, jobs: int, limit: int) -> int:
    """Execute the named chapters whose inputs changed, a line of progress for each; return how many failed."""
    folder = run / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    pool, running, failed = ProcessPoolExecutor(jobs, initializer=prepare_worker), {}, 0
    for name in names:
        digest = inputs_digest(name, chapters[name], parameters)
        if executed_digest(folder, name) == digest:
            print(f"{name:20} unchanged", flush=True)
        else:
            running[pool.submit(execute, name, chapters[name], parameters, digest, folder, limit)] = name
    while running:
        # With a time limit, a Ctrl-C that arrives just before the wait is answered after a second.
        for future in wait(running, timeout=1.0, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            try:
                error, seconds = future.result()
            except Exception as failure:  # the kernel or worker died, which does not affect the other chapters
                error, seconds = f"{type(failure).__name__}: {failure}", float("nan")
            print(f"{name:20} {'FAILED' if error else 'executed'} {seconds:10.1f} s", flush=True)
            if error:
                failed += 1
                print(error, file=sys.stderr, flush=True)
    pool.shutdown()
    return failed
