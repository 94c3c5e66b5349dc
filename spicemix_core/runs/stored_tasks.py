"""Many independent computations on several processes, each result stored as it comes, so that a run can be resumed.

A task is a function of a module with its arguments; its result, a DataFrame, becomes one CSV file. The
file's name ends in a digest of the arguments, of the sources that the function's module draws on and of the versions of
the numerical libraries: what was computed by other code or with other settings is never taken for the result.
"""

import hashlib
import importlib.metadata
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from spicemix_core.files.atomic import replacing
from spicemix_core.numerics.progress import progress
from spicemix_core.runs.sources import ROOT, sources_of

_LIBRARIES = ("numba", "numpy", "pandas", "scikit-learn", "scipy")


def run_stored(tasks, folder, *, n_jobs=1, description="runs"):
    """Run the tasks that have no stored result yet, and return all results in the order of the tasks.

    Parameters
    ----------
    tasks : dict of str to (function, arguments)
        By file name. The function is one that a worker can import; its arguments (a tuple) must have a ``repr`` that
        says what they are: numbers, strings, dicts, data classes.
    folder : path
        Created if it is not there.
    n_jobs : int
        Tasks at a time, in processes; each runs on one thread, so that results do not depend on it. Within ``with
        joblib.parallel_config("dask", client=client):`` the tasks run on the workers of a Dask client instead, as many
        as these have threads. This process alone writes files.
    description : str
        Of the bar of progress.

    Returns
    -------
    DataFrame
        All rows, read back from the files.

    Raises
    ------
    ValueError
        No task, fewer than one worker, or a stored file that is not a table.
    """
    if not isinstance(n_jobs, (int, np.integer)) or n_jobs < 1:
        raise ValueError(f"n_jobs must be an integer of at least 1, not {n_jobs!r}.")
    if not tasks:
        raise ValueError("There is nothing to run: give at least one task.")
    paths = {name: Path(folder) / f"{name}-{_digest(*task)}.csv" for name, task in tasks.items()}
    missing = [name for name, path in paths.items() if not path.exists()]
    results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(_run)(name, *tasks[name]) for name in missing)
    for name, rows in progress(results, description, total=len(missing)):
        write_table(rows, paths[name])
    return pd.concat([_read(path) for path in paths.values()], ignore_index=True)


def _run(name, function, arguments):
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="expression has negative values")  # simulated noise
        warnings.simplefilter("ignore", ConvergenceWarning)  # the tables say so in a column
        return name, function(*arguments)


def write_table(table, path):
    """Write a DataFrame without its index as CSV that loses no digit, under its name only when it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="nan")


def _read(path):
    try:
        return pd.read_csv(path, float_precision="round_trip", keep_default_na=False, na_values=["nan"])
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a stored result ({error}): delete it and run again.") from error


def _digest(function, arguments):
    told = f"{function.__qualname__} {arguments!r} {source_digest(function.__module__)}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@cache
def source_digest(module):
    """sha256 of the files that ``module`` needs, of this package and its own, and of the libraries' versions."""
    digest = hashlib.sha256(" ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES).encode())
    own = Path(sys.modules[module].__file__).resolve().parents[module.count(".")]
    for path in sorted(sources_of(module, (ROOT, own))):
        root = ROOT if path.is_relative_to(ROOT / "spicemix_core") else own
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
