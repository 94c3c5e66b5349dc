"""SpiceMix and other methods of today on all labelled data of the book: one command.

    python benchmarks/rivals/run.py [METHOD ...] [--data NAME ...] [--seeds 3] [--older-python PATH]
    python benchmarks/rivals/run.py --table

The first form runs what is missing: it makes the environment of a method from its pinned requirements, writes the data
files, runs each method once for each data set and seed with one thread, in a process of its own, and stores its labels
in ``build/rivals``. What is there is never run again; a run that fails leaves its traceback in a file ``.failed``,
which must be removed before the run is tried again. The second form scores what is there and writes
``benchmarks/results/rivals.md`` and ``rivals.csv``, which the book draws. Neither `make test` nor `make book` runs a
method.

Each script in ``methods/`` says how its method is run. SpiceMix, NMF and HMRF use the environment of this project.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STORE, RESULTS = ROOT / "build/rivals", ROOT / "benchmarks/results"
ONE_THREAD = {f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
OWN = None  # the environment of the project


@dataclass(frozen=True)
class Method:
    """A method with its settings: script, variant, and the requirements of its environment.

    ``newest_python`` is the last release of Python that its requirements install with.
    """

    script: str
    variant: str = ""
    requirements: str | None = OWN
    newest_python: str | None = None


METHODS = {
    "SpiceMix, 6 runs": Method("spicemix_fit", "consensus"),
    "SpiceMix, one fit": Method("spicemix_fit", "single"),
    "SpiceMix + Leiden": Method("spicemix_leiden", requirements="scanpy"),
    "NMF": Method("nmf"),
    "HMRF, best beta": Method("hmrf"),
    "PCA + Leiden": Method("pca_leiden", requirements="scanpy"),
    "BANKSY 0.2": Method("banksy_matrix", "0.2", "banksy"),
    "BANKSY 0.8": Method("banksy_matrix", "0.8", "banksy"),
    "CellCharter": Method("cellcharter_mixture", requirements="cellcharter"),
    "SpatialLeiden": Method("squidpy_niches", "spatialleiden", "squidpy"),
    "UTAG (squidpy)": Method("squidpy_niches", "utag", "squidpy"),
    "STAGATE": Method("stagate_embedding", requirements="graphst"),
    "GraphST": Method("graphst_embedding", requirements="graphst"),
    "Popari": Method("popari_fit", requirements="popari", newest_python="3.10"),
}


def interpreter(method, python):
    """The Python of a method's environment, which is made if it is not there."""
    if method.requirements is OWN:
        return Path(sys.executable)
    folder = STORE / "environments" / method.requirements
    if not (folder / "complete").exists():
        if method.newest_python and python is None:
            sys.exit(f"{method.script} needs Python {method.newest_python}: pass its path with --older-python.")
        pins = HERE / "requirements" / f"{method.requirements}.txt"
        base = python if method.newest_python else sys.executable
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", "-r", pins], check=True)
        (folder / "complete").touch()
    return folder / "bin/python"


def data_file(data):
    return STORE / "data" / f"{data}.npz"


def answer_of(name, data, seed):
    return STORE / "answers" / name.replace(" ", "_").replace(",", "").replace("+", "and") / f"{data}-{seed}.npz"


def run_missing(names, chosen, seeds, python):
    """Run what is not stored, one process for each method; yields a line for each run."""
    from data_sets import give, rivalries

    for data in chosen:
        path = data_file(data)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            give(rivalries()[data], path)
    for name in names:
        tasks = [(str(data_file(data)), str(answer_of(name, data, seed)), seed) for data in chosen
                 for seed in range(seeds) if not is_stored(answer_of(name, data, seed))]
        if tasks:
            yield f"{name}: {len(tasks)} runs"
            answer_of(name, "", 0).parent.mkdir(parents=True, exist_ok=True)
            yield from run_tasks(METHODS[name], tasks, python)


def is_stored(answer):
    return answer.exists() or answer.with_suffix(".failed").exists()


def run_tasks(method, tasks, python):
    """Run a method in a process of its own, with one thread; yields what it prints."""
    command = [interpreter(method, python), HERE / "methods" / f"{method.script}.py", json.dumps(tasks),
               "--variant", method.variant]
    environment = dict(os.environ) | ONE_THREAD
    if method.requirements is not OWN:
        environment = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield from (line.rstrip() for line in process.stdout if line.startswith(str(STORE)))
    if process.returncode:
        yield f"{method.script} ended with status {process.returncode}"


def stored_rows():
    """Scores of all stored answers."""
    from data_sets import labels_of, numbers_of_groups, rivalries
    from scores import score_answer

    rows, sets = [], rivalries()
    for data in sets.values():
        if not data_file(data.name).exists():
            continue
        adata = data.load()
        truth = labels_of(data, adata)
        n_groups = numbers_of_groups(data, truth)
        for name in METHODS:
            for path in sorted(answer_of(name, data.name, 0).parent.glob(f"{data.name}-*.npz")):
                rows += [{"method": name, "data": data.name, "column": data.column, **row,
                          "wanted": n_groups[row["target"]]}
                         for row in score_answer(path, truth)]
    return rows


def write_tables():
    import pandas as pd
    from data_sets import rivalries
    from scores import as_markdown, summarise, with_remarks
    from tables import write_table

    columns = list(dict.fromkeys((data.column, target) for data in rivalries().values() for target in data.truth))
    rows = stored_rows()
    table = with_remarks(summarise(rows), pd.read_csv(HERE / "not_run.csv"), columns)
    table["date"] = date.today().isoformat()
    versions = sorted({row["version"] for row in rows if row["version"]})
    note = (f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), 1 thread, {', '.join(versions)}; "
            "adjusted Rand index with as many groups as the labels, median (lowest to highest) of three seeds, "
            "where the list below does not say otherwise. Seconds, memory, macro-F1 and each method's own number are "
            "in `rivals.csv`.")
    table.to_csv(RESULTS / "rivals.csv", index=False, float_format="%.4g")
    write_table(as_markdown(table, columns, note), RESULTS / "rivals.md")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--data", nargs="+", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--older-python", type=Path, help="for methods that need an older release of Python")
    parser.add_argument("--table", action="store_true", help="score what is stored and write the tables")
    options = parser.parse_args()
    os.environ.update(ONE_THREAD)  # before NumPy is imported
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    if options.table:
        return write_tables()
    from data_sets import rivalries

    names, sets = options.methods or list(METHODS), list(rivalries())
    for given, known, what in ((names, METHODS, "method"), (options.data or [], sets, "data set")):
        for unknown in set(given) - set(known):
            parser.error(f"There is no {what} {unknown!r}. Choose from {', '.join(known)}.")
    for line in run_missing(names, options.data or sets, options.seeds, options.older_python):
        print(line, flush=True)


if __name__ == "__main__":
    main()
