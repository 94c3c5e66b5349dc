"""Seconds per iteration of a fit, compared with the two products with the data that every iteration needs.

    python benchmarks/scaling.py [--cells 1000 10000 100000] [--genes 100 1000] [--metagenes 10 20 40] [--threads 1 2]
                                 [--iterations 10] [--against CHECKOUT] [--output benchmarks/results/scaling.md]

For each size, the products Y M and Y'X (NumPy, same threads) and one whole iteration are timed in turn, so that the
load of the machine affects both equally. The table gives the median of the paired ratios, of elapsed seconds and of
processor seconds of all threads; with one thread, the latter do not depend on the load of the machine. "S kept" are the
iterations in which the affinity is fixed (all except the first two of a fit), "S estimated" those two. ``--against``
also measures a second checkout with the same interface on the same data, process by process in turn.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def start_of_fit(samples, n_metagenes, device=None, start=None):
    """Cells and parameters close to those after initialisation, without k-means on all cells, which is not measured.

    Returns the cells, as :class:`spicemix_core.cells.Cells`, and the parameters. ``start`` gives metagenes and noise.
    """
    import numpy as np

    from spicemix_core.backends.place import place_cells
    from spicemix_core.inputs import check_samples
    from spicemix_core.steps import LocalCells, Theta, initialize

    few = check_samples([samples.expressions[0][:1000]], None, n_metagenes)
    metagenes, noise = start or initialize(LocalCells(few), n_metagenes, np.random.default_rng(0))
    cells = place_cells(samples, device=device)
    cells.solve_states(metagenes)
    return cells, Theta(metagenes, np.zeros((n_metagenes, n_metagenes)), noise)


def walk(samples, n_metagenes, start=None):
    """Two functions of a fit: ``step(estimate_affinity)`` does an iteration and returns its row of the history;
    ``factors()`` returns the present metagenes and states. ``start`` as in :func:`start_of_fit`."""
    from spicemix_core.steps import History, Options, iterate

    options, history = Options(n_metagenes), History(Options(n_metagenes), samples)
    cells, theta = start_of_fit(samples, n_metagenes, start=start)

    def step(estimate_affinity):
        nonlocal theta
        theta = iterate(options, cells, theta, history, estimate_affinity=estimate_affinity)
        return history.rows[-1]

    return step, lambda: (theta.metagenes, cells.sizes[:, None] * cells.proportions)


def both_products(expressions, metagenes, states):
    offset = 0
    for y in expressions:
        _ = y @ metagenes
        _ = y.T @ states[offset : offset + y.shape[0]]
        offset += y.shape[0]


def timed(function, *arguments, **options):
    """What ``function`` returns, seconds passed, and processor seconds of all threads."""
    passed, processor = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, time.perf_counter() - passed, time.process_time() - processor


def measure(n_cells, n_genes, all_metagenes, iterations):
    """One row per K: medians over the iterations, in this process."""
    from workload import simulate_tissue

    from spicemix_core import SpiceMix
    from spicemix_core.inputs import check_samples
    from spicemix_core.numerics.threads import one_blas_thread

    SpiceMix(4, max_iter=3, tol=10.0).fit_arrays(*simulate_tissue(100, 30))  # compiles
    expressions, graphs = simulate_tissue(n_cells, n_genes)
    rows = []
    for K in all_metagenes:
        samples = check_samples(expressions, graphs, K)
        times = []
        with one_blas_thread():
            step, factors = walk(samples, K)
            _ = samples.colors, samples.sum_of_squares  # computed once in a fit, not in every iteration
        for iteration in range(iterations):
            _, products, products_cpu = timed(both_products, expressions, *factors())
            with one_blas_thread():  # as in a fit
                row, passed, cpu = timed(step, iteration < 2)
            times.append(row | {"products": products, "iteration": passed, "ratio": passed / products,
                                "cpu_ratio": cpu / products_cpu})
        rows.append({"cells": n_cells, "genes": n_genes, "metagenes": K, "energy": times[-1]["energy"]}
                    | _medians("kept", times[2:]) | _medians("estimated", times[:2])
                    | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                                / (2**30 if sys.platform == "darwin" else 2**20)})
    return rows


def _medians(name, times):
    keys = ("products", "iteration", "seconds_states", "seconds_metagenes", "n_sweeps", "ratio", "cpu_ratio")
    return {f"{name}_{key}": statistics.median(t[key] for t in times) for key in keys}


def in_own_process(checkout, n_cells, n_genes, threads, options):
    limits = {f"{v}_NUM_THREADS": str(threads) for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    environment = os.environ | limits | {"PYTHONPATH": str(checkout)}
    if "NUMBA_CACHE_DIR" in os.environ and Path(checkout) != ROOT:
        environment["NUMBA_CACHE_DIR"] = os.environ["NUMBA_CACHE_DIR"] + "-other"
    command = [sys.executable, __file__, "--child", "--cells", str(n_cells), "--genes", str(n_genes), "--metagenes",
               *map(str, options.metagenes), "--iterations", str(options.iterations)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout.strip().splitlines()[-1])


def table(rows, options):
    yield (f"# Iteration against products\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), "
           f"Python {platform.python_version()}; dense float64, medians over {options.iterations - 2} iterations with "
           "S kept and the 2 with S estimated. Times in ms; ratio = iteration / (Y M and Y'X), of time passed and of "
           "processor time.\n")
    columns = ["version", "threads", "cells", "genes", "K", "products", "iteration", "states", "metagenes", "sweeps",
               "**ratio, S kept**", "processor", "iteration, S estimated", "ratio", "processor", "peak GiB"]
    yield "| " + " | ".join(columns) + " |\n" + len(columns) * "|-" + "|"
    for r in rows:
        ms = [1e3 * r["kept_" + k] for k in ("products", "iteration", "seconds_states", "seconds_metagenes")]
        yield (f"| {r['version']} | {r['threads']} | {r['cells']:,} | {r['genes']:,} | {r['metagenes']} | "
               + " | ".join(f"{t:.1f}" for t in ms)
               + f" | {r['kept_n_sweeps']:.0f} | **{r['kept_ratio']:.1f}** | {r['kept_cpu_ratio']:.1f} | "
               f"{1e3 * r['estimated_iteration']:.0f} | {r['estimated_ratio']:.0f} | {r['estimated_cpu_ratio']:.0f} | "
               f"{r['peak']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--genes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--metagenes", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.cells[0], options.genes[0], options.metagenes, options.iterations)))
        return
    versions = {"this": ROOT} | ({"other": options.against.resolve()} if options.against else {})
    rows = []
    for n_cells in options.cells:
        for n_genes in options.genes:
            for threads in options.threads:
                for version, checkout in versions.items():
                    measured = in_own_process(checkout, n_cells, n_genes, threads, options)
                    rows += [row | {"version": version, "threads": threads} for row in measured]
                    ratios = [f"K={r['metagenes']} {r['kept_ratio']:.1f} ({r['kept_cpu_ratio']:.1f})" for r in measured]
                    print(f"{version} {threads} {n_cells} {n_genes}:", *ratios, file=sys.stderr, flush=True)
    text = "\n".join(table(rows, options))
    print(text)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
