"""One process against the workers of a Dask cluster: seconds per iteration, bytes sent, and sizes that benefit.

    python benchmarks/cluster.py [--cells 1000 10000 50000 100000] [--genes 500] [--samples 8] [--n-metagenes 20]
                                 [--workers 2] [--pairs 8] [--output benchmarks/results/cluster.md]

The data are simulated tissue in samples of equal size. One process and the workers, with one thread each, hold the same
data and do the same iterations in turn. The table gives the median of the paired ratios, of elapsed seconds and of
processor seconds. The latter do not depend on the load of the machine: those of the single process are compared with
the sum of those of the busiest worker and of the process that coordinates the workers, because these two take turns.
The overhead is that sum minus the single process' processor seconds divided by the number of workers. The bytes are
those of the arrays in the messages of an iteration, to and from all workers. All workers are on this machine, so no
network is measured.
"""

import argparse
import logging
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

from tables import write_table


class Bytes(logging.Handler):
    """Adds up the sizes of the messages that :mod:`spicemix_core.backends.dask_cells` logs."""

    total = 0

    def emit(self, record):
        if record.levelno == logging.DEBUG:
            self.total += sum(record.args[1:])

    def taken(self):
        total, self.total = self.total, 0
        return total


def processor_seconds(client):
    """Processor seconds of this process, and of each worker."""
    return [time.process_time(), *client.run(time.process_time).values()]


def measure(n_cells, options, client, count):
    """Medians over the pairs of a size, and the seconds of the set-up."""
    import numpy as np
    from scaling import start_of_fit
    from workload import simulate_tissue

    from spicemix_core.backends.place import place_cells
    from spicemix_core.inputs import check_samples
    from spicemix_core.numerics.threads import one_blas_thread
    from spicemix_core.steps import History, Options, iterate

    expressions, graphs = simulate_tissue(n_cells, options.genes, piece=-(-n_cells // options.samples))
    samples = check_samples(expressions, graphs, options.n_metagenes)
    fit, times, processor = Options(options.n_metagenes), {"one": [], "workers": []}, {"one": [], "workers": []}
    with one_blas_thread():
        here, theta = start_of_fit(samples, options.n_metagenes)
        start = time.perf_counter()
        there = place_cells(samples, states=here.states, client=client)
        _ = there.states  # the first call sends the data
        sent = time.perf_counter() - start
        count.taken()
        sizes = []
        thetas = {"one": theta, "workers": theta}
        for iteration in range(2 + options.pairs):
            for name, cells in list({"one": here, "workers": there}.items())[:: -1 if iteration % 2 else 1]:
                before, start = processor_seconds(client), time.perf_counter()
                thetas[name] = iterate(fit, cells, thetas[name], History(fit, samples), estimate_affinity=iteration < 2)
                times[name].append(time.perf_counter() - start)
                own, *others = np.subtract(processor_seconds(client), before)
                processor[name].append(own if name == "one" else own + max(others))
            sizes.append(count.taken())
    difference = np.abs(thetas["one"].metagenes - thetas["workers"].metagenes).max() / thetas["one"].metagenes.max()
    kept = {key: (statistics.median(t["one"][2:]), statistics.median(t["workers"][2:]), spread(t))
            for key, t in (("passed", times), ("processor", processor))}
    one, workers, _ = kept["processor"]
    return kept | {
        "cells": n_cells, "overhead": workers - one / options.workers, "bytes": sizes[-1], "bytes_estimated": sizes[1],
        "ratio_estimated": sum(processor["one"][:2]) / sum(processor["workers"][:2]),
        "data": sum(y.nbytes for y in expressions), "sent": sent, "difference": difference,
    }


def spread(seconds):
    ratios = [a / b for a, b in zip(seconds["one"][2:], seconds["workers"][2:], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def table(options):
    from distributed import Client, LocalCluster, __version__

    from spicemix_core.backends import dask_cells as distributed

    count = Bytes()
    distributed.log.addHandler(count)
    distributed.log.setLevel(logging.DEBUG)
    distributed.log.propagate = False
    yield (f"# One process against a Dask cluster\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores "
           f"(shared), Python {platform.python_version()}, Dask {__version__}; {options.workers} workers and one "
           f"process, of one thread each, on one machine; {options.samples} samples, {options.genes} genes, dense "
           f"double precision, K = {options.n_metagenes}; medians of {options.pairs} pairs of iterations with S kept, "
           "ratios one process / workers (lowest to highest).\n")
    yield ("| cells | one process ms | workers ms | ratio | one process, processor ms | workers, processor ms "
           "| ratio of processor time | overhead, processor ms | KB per iteration | ratio, S estimated "
           "| KB, S estimated | data MB | sending s | largest difference |\n" + 14 * "|-" + "|")
    with (LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0") as cluster,
          Client(cluster) as client):
        for n_cells in [2000, *options.cells]:  # the first compiles
            m = measure(n_cells, options, client, count)
            if n_cells == 2000 and 2000 not in options.cells:
                continue
            parts = [f"{1e3 * one:.0f} | {1e3 * workers:.0f} | {ratio}"
                     for one, workers, ratio in (m["passed"], m["processor"])]
            yield (f"| {m['cells']:,} | {parts[0]} | {parts[1]} | {1e3 * m['overhead']:.0f} | {m['bytes'] / 1e3:.0f} | "
                   f"{m['ratio_estimated']:.2f} | {m['bytes_estimated'] / 1e3:.0f} | {m['data'] / 1e6:.0f} | "
                   f"{m['sent']:.1f} | {m['difference']:.0e} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10_000, 50_000, 100_000])
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ.update({f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")})  # before any import
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
