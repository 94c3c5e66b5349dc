"""The objective at which fits of the measured data end, here and in another checkout, from the same start.

    python benchmarks/objective.py CHECKOUT [--n-metagenes 20] [--seeds 3] [--iterations 300] [--output FILE] [data set]

Both checkouts have the same interface and get the same expression, graphs, and initial metagenes and noise (those of a
fit here, one seed each). They estimate the affinity twice and iterate to convergence by the rule of a fit with
tol = 1e-3. The order in which cells are visited decides which local optimum is reached, so the energies of two versions
differ, in both directions, even where every step is exact in both.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import joblib
import numpy as np
from run import LOADERS, load
from scaling import ROOT, timed, walk
from tables import write_table

from spicemix_core.numerics.threads import one_blas_thread


def start(expressions, graphs, n_metagenes, seed):
    """Metagenes and noise after the initialisation of a fit."""
    from spicemix_core.inputs import check_samples
    from spicemix_core.steps import LocalCells, initialize

    with one_blas_thread():
        return initialize(LocalCells(check_samples(expressions, graphs, n_metagenes)), n_metagenes,
                          np.random.default_rng(seed))


def measure(path, iterations):
    """The last row of a fit, in this process; the file holds data and start."""
    from spicemix_core.inputs import check_samples

    expressions, graphs, metagenes, noise = joblib.load(path)
    n_metagenes = metagenes.shape[1]
    with one_blas_thread():
        walk(check_samples(expressions, graphs, n_metagenes), n_metagenes, (metagenes, noise))[0](True)  # compiles
        step, _ = walk(check_samples(expressions, graphs, n_metagenes), n_metagenes, (metagenes, noise))
        seconds = 0.0
        for iteration in range(iterations):
            row, _, processor = timed(step, iteration < 2)
            seconds += processor
            if max(change for name, change in row.items() if name.startswith("change_")) < 1e-3:
                break
    return {"energy": row["energy"], "Q": row["Q"], "iterations": iteration + 1, "seconds": seconds}


def in_own_process(checkout, path, iterations):
    limits = {f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    environment = os.environ | limits | {"PYTHONPATH": str(checkout)}
    if "NUMBA_CACHE_DIR" in os.environ and checkout != ROOT:
        environment["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"] + "-other"
    command = [sys.executable, __file__, "--child", str(path), "--iterations", str(iterations)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.strip().splitlines()[-1])


def table(options):
    yield (f"# Objective before and after\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), 1 "
           f"thread, Python {platform.python_version()}; K = {options.n_metagenes}, from the same start to "
           f"convergence, at most {options.iterations} iterations. Before: {options.name}. Energy: -log P(Y, X) "
           "without its partition function, lower is better; Q: higher is better. Processor seconds are those of the "
           "iterations.\n")
    columns = ["data set", "seed", "iterations before", "iterations after", "energy before", "energy after",
               "relative difference of energy", "Q before", "Q after", "relative difference of Q",
               "processor s before", "processor s after"]
    yield "| " + " | ".join(columns) + " |\n" + len(columns) * "|-" + "|"
    for name in options.names or LOADERS:
        expressions, graphs = load(name)
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "start.joblib"
                joblib.dump((expressions, graphs, *start(expressions, graphs, options.n_metagenes, seed)), path)
                old, new = (in_own_process(checkout, path, options.iterations)
                            for checkout in (options.checkout.resolve(), ROOT))
            energy, q = (f"{old[key]:,.1f} | {new[key]:,.1f} | {(new[key] - old[key]) / abs(old[key]):.1e}"
                         for key in ("energy", "Q"))
            yield (f"| {name} | {seed} | {old['iterations']} | {new['iterations']} | {energy} | {q} | "
                   f"{old['seconds']:.2f} | {new['seconds']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of another version of this project")
    parser.add_argument("names", nargs="*", metavar="data set", help=f"default: {', '.join(LOADERS)}")
    parser.add_argument("--name", help="what the other version is called in the table; default: its folder's name")
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.name = options.name or options.checkout.resolve().name
    if options.child:  # then the first argument is the file
        print(json.dumps(measure(options.checkout, options.iterations)))
        return
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
