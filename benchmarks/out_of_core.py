"""A fit with its expression in memory compared with one that reads it from the file in every pass.

    python benchmarks/out_of_core.py [--cells 100000] [--genes 500] [--metagenes 20] [--iterations 10]
                                     [--memory 800M] [--folder FOLDER] [--output benchmarks/results/out_of_core.md]

Counts of a simulated tissue, about 15 % of them non-zero, are written to an .h5ad file piece by piece. `spicemix fit
--normalize` then fits it in a process of its own, first as usual and then with --memory. The table gives the processor
seconds and the peak memory of the whole process, as the operating system counts them (getrusage). Both fits must have
the same numbers: the script compares metagenes and energies.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from tables import write_table
from workload import write_counts

from spicemix_core import SpiceMix

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ["cells x genes", "K", "iterations", "file MB", "expression", "processor s", "of which system s", "wall s",
           "peak MiB", "largest difference of the metagenes", "load"]


def measured(command):
    """Processor seconds (all, and of the system), wall seconds and peak MiB of a process, which must succeed."""
    import time

    began = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed.\n{said}")
    print(said, file=sys.stderr)
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return usage.ru_utime + usage.ru_stime, usage.ru_stime, time.perf_counter() - began, peak


def rows(folder, n_cells, n_genes, memory, options):
    """One row for each way to hold the expression."""
    path = folder / f"counts_{n_cells}.h5ad"
    if not path.exists():
        write_counts(path, n_cells, n_genes)
    models = {}
    for name, how in (("in memory", []), (f"--memory {memory}", ["--memory", memory])):
        output = folder / f"model_{n_cells}_{len(models)}.h5"
        load = os.getloadavg()[0]
        processor, system, wall, peak = measured([
            sys.executable, "-m", "spicemix_core.command_line", "fit", path, "--normalize", "--sample-key", "sample",
            "-k", str(options.metagenes), "--max-iter", str(options.iterations), "--tol", "0", "-o", output, "--force",
            *how])
        models[name] = SpiceMix.load(output)
        first = next(iter(models.values()))
        difference = abs(models[name].metagenes_ - first.metagenes_).max()
        np.testing.assert_allclose(models[name].history_["energy"], first.history_["energy"], rtol=1e-12)
        yield (f"{n_cells:,} x {n_genes:,}", options.metagenes, options.iterations,
               f"{path.stat().st_size / 1e6:,.0f}", name, f"{processor:.0f}", f"{system:.0f}", f"{wall:.0f}",
               f"{peak:,.0f}", f"{difference:.1g}" if len(models) > 1 else "", f"{load:.1f}")


def table(folder, options):
    yield (f"# Expression in memory and in its file\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores "
           f"(shared; the load before each fit is in the last column), Python {platform.python_version()}; sparse "
           "counts in single precision in an .h5ad file, compressed with lzf, normalised by the command, S estimated "
           "in the first two iterations.\n")
    yield "| " + " | ".join(COLUMNS) + " |\n" + len(COLUMNS) * "|-" + "|"
    for n_cells, memory in zip(options.cells, options.memory, strict=True):
        for row in rows(folder, n_cells, options.genes, memory, options):
            yield "| " + " | ".join(map(str, row)) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[100_000])
    parser.add_argument("--genes", type=int, default=500)
    parser.add_argument("--metagenes", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--memory", nargs="+", default=["800M"], help="one for each number of cells")
    parser.add_argument("--folder", type=Path, help="keeps the counts and the models here")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        write_table(table(options.folder or Path(temporary), options), options.output)


if __name__ == "__main__":
    main()
