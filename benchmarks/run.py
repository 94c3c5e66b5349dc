"""Time whole fits: seconds to convergence, per iteration by step, and peak memory, on each data set.

    python benchmarks/run.py [--n-metagenes 20] [--iterations 200] [--tol 1e-3] [--threads 2] [--repeats 3]
                             [--output FILE] [data set ...]

Every fit runs in its own process, first on a few cells to compile and then ``--repeats`` times; the table has the
medians. Data sets: seqfish_plus, starmap (skipped with a note where they are not found), simulated (four fields of the
simulated cortex), and simulated tissue of any size, as tissue:100000x500 (dense, double precision) or
sparse:1000000x500 (CSR, single precision, made in pieces). The last column names the largest step and its share.
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
import warnings
from datetime import date
from pathlib import Path

import numpy as np
from tables import write_table
from workload import simulate_tissue

LOADERS = {"seqfish_plus": "load_seqfish_plus", "starmap": "load_starmap"}
DEFAULT = [*LOADERS, "simulated"]


def load(name):
    """Expressions and graphs of one data set."""
    from spicemix_core import datasets
    from spicemix_core.inputs.anndata import read_samples

    if ":" in name:
        kind, size = name.split(":")
        n_cells, n_genes = map(int, size.split("x"))
        if kind == "sparse":
            return simulate_tissue(n_cells, n_genes, counts=n_genes / 5, sparse=True, dtype=np.float32)
        return simulate_tissue(n_cells, n_genes)
    if name == "simulated":
        adata = datasets.simulate_cortex(4, random_state=0)
    else:
        adata = getattr(datasets, LOADERS[name])(download=False)
    return read_samples(adata, "sample", "spatial_connectivities", None)[:2]


def measure(name, n_metagenes, iterations, tol):
    """One fit in this process: a dictionary of seconds and MiB."""
    from spicemix_core import SpiceMix

    warnings.simplefilter("ignore")
    expressions, graphs = load(name)
    few = [y[:50, :] for y in expressions[:1]]
    SpiceMix(4, max_iter=3).fit_arrays(few, [g[:50][:, :50] for g in graphs[:1]])  # compiles
    base = _peak()
    model = SpiceMix(n_metagenes, max_iter=iterations, tol=tol, random_state=0)
    start = time.perf_counter(), time.process_time()
    model.fit_arrays(expressions, graphs)
    total, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    steps = model.history_.filter(like="seconds_")
    return {
        "cells": sum(y.shape[0] for y in expressions), "genes": expressions[0].shape[1], "total": total,
        "processor": processor, "setup": total - steps.to_numpy().sum(), "iterations": model.n_iter_,
        "converged": model.converged_, "loaded": base, "peak": _peak(),
        **{step.removeprefix("seconds_"): seconds / model.n_iter_ for step, seconds in steps.sum().items()},
    }


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def in_own_process(name, options):
    """Run :func:`measure` in a new process with the asked number of threads; ``None`` where the data are missing."""
    threads = {f"{v}_NUM_THREADS": str(options.threads) for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    command = [sys.executable, __file__, "--child", name, "--n-metagenes", str(options.n_metagenes),
               "--iterations", str(options.iterations), "--tol", str(options.tol)]
    run = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no message"
        if "DataNotFoundError" not in last:
            sys.exit(f"{name}: {run.stderr}")
        print(f"{name}: skipped, {last}", file=sys.stderr)
        return None
    return json.loads(run.stdout.strip().splitlines()[-1])


def table(options):
    threads = f"{options.threads} thread{'s' if options.threads > 1 else ''}"
    yield (f"# Whole fits\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), {threads}, "
           f"Python {platform.python_version()}; K = {options.n_metagenes}, tol = {options.tol:g}, at most "
           f"{options.iterations} iterations; medians of {options.repeats}. Processor seconds: of all threads.\n")
    yield ("| data set | cells x genes | iterations | converged | total s | processor s | set-up s | states ms "
           "| metagenes ms | affinity ms | peak MiB | MiB before the fit | largest step |\n" + 13 * "|-" + "|")
    for name in options.names or DEFAULT:
        runs = [in_own_process(name, options) for _ in range(options.repeats)]
        if runs[0] is None:
            continue
        m = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        steps = {step: m[step] for step in ("states", "metagenes", "affinity")}
        largest = max(steps, key=steps.get)
        yield (f"| {name} | {m['cells']:,.0f} x {m['genes']:,.0f} | {m['iterations']:.0f} | "
               f"{'yes' if m['converged'] else 'no'} | {m['total']:.1f} | {m['processor']:.1f} | {m['setup']:.1f} | "
               f"{1e3 * m['states']:.1f} | {1e3 * m['metagenes']:.1f} | {1e3 * m['affinity']:.1f} | {m['peak']:.0f} | "
               f"{m['loaded']:.0f} | {largest} {steps[largest] / sum(steps.values()):.0%} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="data set", help=f"default: {', '.join(DEFAULT)}")
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--tol", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.names[0], options.n_metagenes, options.iterations, options.tol)))
        return
    unknown = {n for n in options.names if n not in DEFAULT and n.split(":")[0] not in ("tissue", "sparse")}
    if unknown:
        parser.error(f"unknown data set {', '.join(unknown)}; choose from {', '.join(DEFAULT)}, tissue:NxG, sparse:NxG")
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
