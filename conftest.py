"""Settings of all tests, the examples in docstrings included."""

import gc
import importlib.util
import os
import signal
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

# Examples of modules that need an optional package run where it is installed.
OPTIONAL = {"torch": ["spicemix_core/backends/torch_*.py"], "gurobipy": ["spicemix_core/backends/gurobi_*.py"],
            "distributed": ["spicemix_core/backends/dask_*.py"]}
collect_ignore_glob = [pattern for package, patterns in OPTIONAL.items()
                       if importlib.util.find_spec(package) is None for pattern in patterns]

matplotlib.use("agg")
# A shell that starts a job in the background makes it ignore Ctrl-C, and all of its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart():
    """Let the first of several processes compile the kernels of a fit, while the others wait for them."""
    folder = os.environ.get("NUMBA_CACHE_DIR")
    if not folder or "PYTEST_XDIST_WORKER" not in os.environ:
        return
    import fcntl

    from spicemix_core import SpiceMix, datasets

    Path(folder).mkdir(parents=True, exist_ok=True)
    with Path(folder, "compiling.lock").open("w") as lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fcntl.flock(lock, fcntl.LOCK_EX)
        SpiceMix(3, max_iter=3).fit(datasets.simulate_cortex(n_cells=60, n_genes=20, random_state=0))


def pytest_collection_finish():
    """Leave what was imported out of the search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def plain_output(request):
    """Examples in docstrings print arrays and tables in one way and leave no figure open."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    import matplotlib.pyplot as plt

    with np.printoptions(precision=8, threshold=1000, edgeitems=3, linewidth=75, suppress=False, legacy=False), \
            pd.option_context("display.width", 80, "display.max_columns", 20, "display.max_rows", 60):
        yield
    plt.close("all")
