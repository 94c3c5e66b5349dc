"""Iterations on a device of PyTorch: seconds by step, and the share of the memory bandwidth that the products reach.

    python benchmarks/device.py [--device cuda] [--cells 1000000] [--genes 1000] [--n-metagenes 20] [--iterations 12]
                                [--sparse] [--output FILE]

Simulated tissue in single precision. The bandwidth of the device is measured by copying the data (one read and one
write); each of the two products reads the data, with the indices of CSR, once. The first two iterations estimate the
affinity; one iteration before them is not counted.
"""

import argparse
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from scaling import start_of_fit
from tables import write_table
from workload import simulate_tissue

from spicemix_core.backends import torch_cells as torch_backend
from spicemix_core.inputs import check_samples
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.steps import History, Options, iterate


def seconds(function, device):
    """Median seconds of five calls after one, waiting for the device."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def stored(y):
    """The tensors that hold a dense or CSR one."""
    return [y] if y.layout == torch.strided else [y.crow_indices(), y.col_indices(), y.values()]


def table(options):
    device = torch.device(options.device)
    counts = options.genes / (5 if options.sparse else 1)
    expressions, graphs = simulate_tissue(options.cells, options.genes, counts=counts, sparse=options.sparse,
                                          dtype=np.float32)
    samples = check_samples(expressions, graphs, options.n_metagenes)
    cells, theta = start_of_fit(samples, options.n_metagenes, options.device)
    data, states = cells.data, torch.as_tensor(cells.sizes[:, None] * cells.proportions, device=device)
    parts = [part for y in data.expressions for part in stored(y)]
    size = sum(part.nbytes for part in parts)
    bandwidth = 2 * size / seconds(lambda: [part.clone() for part in parts], device)
    first = seconds(lambda: data.times_metagenes(theta.metagenes), device)
    second = seconds(lambda: data.times_states(states), device)
    fit = Options(options.n_metagenes)
    rows, history = [], History(fit, samples)
    with one_blas_thread():  # as in a fit
        before = cells.states
        iterate(fit, cells, theta, history)  # libraries of the device start with their first call
        cells.proportions, cells.sizes = before
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for iteration in range(options.iterations):
            start = time.perf_counter()
            theta = iterate(fit, cells, theta, history, estimate_affinity=iteration < 2)
            rows.append(history.rows[-1] | {"seconds": time.perf_counter() - start})
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    kind = "CSR" if options.sparse else "dense"
    yield (f"# Iterations in PyTorch\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores, {name}, PyTorch "
           f"{torch.__version__}; {options.cells:,} cells x {options.genes:,} genes, {kind}, single precision, "
           f"{size / 2**30:.2f} GiB, K = {options.n_metagenes}.\n")
    yield "| what | seconds | GB/s of data | share of a copy's bandwidth |\n" + 4 * "|-" + "|"
    for what, passed in (("Y M", first), ("Y'X", second)):
        yield f"| {what} | {passed:.4f} | {size / passed / 1e9:.1f} | {size / passed / bandwidth:.0%} |"
    for what, some in (("S estimated", rows[:2]), ("S kept", rows[2:])):
        for key in ("seconds", "seconds_states", "seconds_metagenes", "seconds_affinity"):
            yield f"| {what}, {key.removeprefix('seconds_')} | {statistics.median(r[key] for r in some):.4f} | | |"
    if device.type == "cuda":
        yield f"\nPeak memory on the device: {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=12)
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    try:
        torch_backend.check_device(options.device)
    except ValueError as error:
        parser.error(str(error))
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
