"""Cell types on a fixed panel of labelled data: fits, stored once, and the scores of every way to combine them.

    python benchmarks/cell_types.py fit --store FOLDER [--starts weighted expression] [--runs 10] [--only NAME ...]

``fit`` stores the states of every run in single precision, one file per data set, start and run; a file that is there
is not computed again.
"""

import argparse
import os
import time
from pathlib import Path


def fit_run(adata, n_metagenes, start, seed):
    """States (N, K) in the units of the data, and a row of numbers, of one fit from ``start``."""
    import numpy as np

    from spicemix_core import SpiceMix, algorithm
    from spicemix_core.cells import Part
    from spicemix_core.inputs.anndata import read_samples
    from spicemix_core.numerics.threads import one_blas_thread
    from spicemix_core.samples import check_samples

    expressions, graphs, rows = read_samples(adata, "sample", "spatial_connectivities", None)
    model = SpiceMix(n_metagenes, random_state=seed)
    with one_blas_thread():
        samples = check_samples(expressions, graphs, n_metagenes)
        cells = Part(samples)
        theta = algorithm.Theta(*start(cells, n_metagenes, np.random.default_rng(seed)))
        history = []
        while len(history) < model.max_iter:
            theta, row = algorithm.iterate(model, cells, theta,
                                           estimate_affinity=len(history) < model.affinity_iterations)
            history.append(row)
            if algorithm.has_converged(history, model.tol):
                break
    proportions, sizes = cells.get_states()
    parts = samples.split(sizes[:, None] * proportions)
    states = np.concatenate([x / c for x, c in zip(parts, samples.scaling, strict=True)])
    return states[np.argsort(np.concatenate(rows))], {"Q": history[-1]["Q"], "energy": history[-1]["energy"],
                                                      "n_iter": len(history)}


def starts():
    """By name, functions of (cells, K, generator) that return metagenes, affinity and noise; cells keep the states."""
    import numpy as np

    from spicemix_core.baselines.published_fit import start as start_as_published
    from spicemix_core.initialization import initialize

    def weighted(cells, n_metagenes, rng):
        metagenes, noise = initialize(cells, n_metagenes, rng)
        return metagenes, np.zeros((n_metagenes, n_metagenes)), noise

    def expression(cells, n_metagenes, rng):
        theta = start_as_published(cells, n_metagenes, int(rng.integers(2**31)))
        return theta.metagenes, theta.affinity, theta.noise

    return {"weighted": weighted, "expression": expression}


def fit_panel(store, names, runs, only=()):
    """Fit what is missing in ``store``; prints one line per data set and start."""
    import warnings

    import numpy as np
    from labelled_panel import panel
    from sklearn.exceptions import ConvergenceWarning

    warnings.filterwarnings("ignore", message=".*negative values")
    warnings.simplefilter("ignore", ConvergenceWarning)
    store.mkdir(parents=True, exist_ok=True)
    for data in panel():
        if only and not any(data.name.startswith(prefix) for prefix in only):
            continue
        adata = None
        for name in names:
            began = time.perf_counter()
            missing = [seed for seed in range(runs) if not path_of(store, data.name, name, seed).exists()]
            for seed in missing:
                adata = data.load() if adata is None else adata
                states, row = fit_run(adata, data.n_metagenes, starts()[name], seed)
                path = path_of(store, data.name, name, seed)
                partial = path.with_suffix(".partial")
                with partial.open("wb") as file:
                    np.savez(file, states=states.astype(np.float32), **row)
                partial.replace(path)
            if missing:
                print(f"{data.name} {name}: {len(missing)} fits, {time.perf_counter() - began:.0f} s", flush=True)


def path_of(store, name, start, seed):
    return store / f"{name}-{start}-{seed}.npz"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit")
    fit.add_argument("--store", type=Path, required=True)
    fit.add_argument("--starts", nargs="+", default=["weighted", "expression"])
    fit.add_argument("--runs", type=int, default=10)
    fit.add_argument("--only", nargs="*", default=())
    options = parser.parse_args()
    os.environ.update({f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")})  # before any import
    fit_panel(options.store, options.starts, options.runs, options.only)


if __name__ == "__main__":
    main()
