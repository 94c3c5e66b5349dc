"""Time the fit: seconds per iteration by step, total, and peak memory, on each data set.

    python benchmarks/run.py [--n-metagenes 20] [--iterations 200] [--threads 2] [--repeats 3] [data set ...]

Every fit runs in a process of its own, once to warm up (compiled kernels are cached on disk) and then ``--repeats``
times; the medians are printed. Data sets: seqfish_plus, starmap (skipped with a note where they are not found),
simulated (four fields of the simulated cortex, 2,000 cells x 100 genes). Each is fitted with the affinity estimated in
the first iterations (the default) and in all of them.

Where S is estimated in all iterations, its step takes most of the time, and not by accident: it evaluates an integral
and its moments for every cell, several times, and forms a Hessian of K(K+1)/2 parameters; the other two steps are small
once the products with the data are done. With few genes the states then take most of what is left, with many genes the
metagenes do (products of cells x genes x K). The last column names the largest step and its share of the three.
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

LOADERS = {"seqfish_plus": "load_seqfish_plus", "starmap": "load_starmap"}
SCHEDULES = {"first 2": 2, "all": None}


def load(name):
    from spicemix_core import datasets
    from spicemix_core.simulation import simulate_cortex

    if name == "simulated":
        return simulate_cortex(4, random_state=0)
    return getattr(datasets, LOADERS[name])(download=False)


def measure(name, n_metagenes, iterations, schedule):
    """One fit in this process: a dictionary of seconds and MiB."""
    from spicemix_core import SpiceMix

    adata = load(name)
    warnings.simplefilter("ignore")
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = SpiceMix(n_metagenes, affinity_iterations=SCHEDULES[schedule], max_iter=iterations, tol=0.0, random_state=0)
    start = time.perf_counter()
    model.fit(adata, sample_key="sample")
    total = time.perf_counter() - start
    steps = model.history_.filter(like="seconds_")
    return {
        "cells": adata.n_obs, "genes": adata.n_vars, "total": total, "setup": total - steps.to_numpy().sum(),
        **{step.removeprefix("seconds_"): seconds / iterations for step, seconds in steps.sum().items()},
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "loaded": base,
    }


def in_own_process(name, options, schedule):
    """Run :func:`measure` in a new process with the asked number of threads; ``None`` where the data are missing."""
    threads = {f"{v}_NUM_THREADS": str(options.threads) for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    command = [sys.executable, __file__, "--child", name, schedule, "--n-metagenes", str(options.n_metagenes),
               "--iterations", str(options.iterations)]
    run = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, check=False)
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "no message"
        if "DataNotFoundError" not in last:
            sys.exit(f"{name}: {run.stderr}")
        print(f"{name}: skipped, {last}")
        return None
    return json.loads(run.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="data set", help="default: all")
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, schedule = options.names
        print(json.dumps(measure(name, options.n_metagenes, options.iterations, schedule)))
        return
    unknown = set(options.names) - {*LOADERS, "simulated"}
    if unknown:
        parser.error(f"unknown data set {', '.join(unknown)}; choose from {', '.join([*LOADERS, 'simulated'])}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, {options.threads} threads, "
          f"Python {platform.python_version()}; "
          f"K = {options.n_metagenes}, {options.iterations} iterations; medians of {options.repeats}\n")
    print("| data set | cells x genes | affinity estimated | states ms | metagenes ms | affinity ms | set-up s "
          "| total s | peak MiB | MiB before the fit | largest step |\n" + 11 * "|-" + "|")
    for name in options.names or [*LOADERS, "simulated"]:
        for schedule in SCHEDULES:
            runs = [in_own_process(name, options, schedule) for _ in range(options.repeats + 1)]
            if runs[0] is None:
                break
            m = {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
            steps = {step: m[step] for step in ("states", "metagenes", "affinity")}
            largest = max(steps, key=steps.get)
            print(f"| {name} | {m['cells']:.0f} x {m['genes']:.0f} | {schedule} | {1e3 * m['states']:.1f} | "
                  f"{1e3 * m['metagenes']:.1f} | {1e3 * m['affinity']:.1f} | {m['setup']:.1f} | {m['total']:.1f} | "
                  f"{m['peak']:.0f} | {m['loaded']:.0f} | "
                  f"{largest} {steps[largest] / sum(steps.values()):.0%} |", flush=True)


if __name__ == "__main__":
    main()
