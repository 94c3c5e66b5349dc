"""Many independent computations in several processes, with stored results, so that a run can resume.

A task is a function of a module with its arguments. Its result, a DataFrame, becomes one CSV file. The name of the file
ends in a digest of the arguments, of the source files that the module needs, and of the versions of the numerical
libraries. Therefore a result of other code or of other settings is never reused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from spicemix_core.files.atomic import replacing
from spicemix_core.files.outside import check_part
from spicemix_core.inputs.parameters import check_integer
from spicemix_core.numerics.progress import progress
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.runs.sources import ROOT, sources_of

_LIBRARIES = ("numba", "numpy", "pandas", "scikit-learn", "scipy")


def run_stored(tasks: Mapping[str, tuple[Callable[..., pd.DataFrame], tuple]], folder: str | Path, *, n_jobs: int = 1,
               description: str = "runs") -> pd.DataFrame:
    """Run the tasks without a stored result, and return all results in the order of the tasks.

    Parameters
    ----------
    tasks : mapping of str to (function, arguments)
        Tasks by the stem of their file name. Workers must be able to import the function. The ``repr`` of each argument
        must describe its content: numbers, strings, dicts and data classes do.
    folder : path
        Folder of the results, created if necessary.
    n_jobs : int, default=1
        Number of tasks in parallel, in processes of one thread each, so that results do not depend on it. Within ``with
        joblib.parallel_config("dask", client=client):``, the workers of a Dask client run the tasks, one per thread.
        Only the calling process writes files.
    description : str, default="runs"
        Label of the progress bar.

    Returns
    -------
    DataFrame
        The rows of all results, read back from the files.

    Raises
    ------
    ValueError
        If there is no task, ``n_jobs`` is not a positive integer, or a stored file is not a table.
    """
    check_integer("n_jobs", n_jobs, 1)
    if not tasks:
        raise ValueError("There are no tasks. Pass at least one.")
    paths = {name: Path(folder) / f"{name}-{_digest(*task)}.csv" for name, task in tasks.items()}
    missing = [name for name, path in paths.items() if not path.exists()]
    results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(_run)(name, *tasks[name]) for name in missing)
    for name, rows in progress(results, description, total=len(missing)):
        write_table(rows, paths[name])
    return pd.concat([_read(path) for path in paths.values()], ignore_index=True)


def _run(name, function, arguments):
    with one_blas_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="expression has negative values")  # simulated noise
        warnings.simplefilter("ignore", ConvergenceWarning)  # the tables have a column for it
        return name, function(*arguments)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a DataFrame without its index as CSV with all digits. The file appears only when it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, na_rep="nan")


def _read(path):
    check_part(path)
    try:
        return pd.read_csv(path, float_precision="round_trip", keep_default_na=False, na_values=["nan"])
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a stored result ({error}). Delete it and run again.") from error


def _digest(function, arguments):
    description = f"{function.__qualname__} {arguments!r} {source_digest(function.__module__)}"
    return hashlib.sha256(description.encode()).hexdigest()[:16]


@cache
def source_digest(module: str) -> str:
    """SHA-256 of the source files that ``module`` needs, in this package and its own, and of library versions."""
    digest = hashlib.sha256(" ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES).encode())
    own = Path(str(sys.modules[module].__file__)).resolve().parents[module.count(".")]
    for path in sorted(sources_of(module, (ROOT, own))):
        root = ROOT if path.is_relative_to(ROOT / "spicemix_core") else own
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
