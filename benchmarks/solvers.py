"""The state step with each solver: microseconds per visit of a cell, and the energy that it reaches.

    python benchmarks/solvers.py [--cells 500] [--genes 200] [--metagenes 10 20 40] [--repeats 3] [--output FILE]

The solvers are the compiled active set (the default), Gurobi one cell at a time (left out with a note if gurobipy is
not installed) and PyTorch on the processor. Each uses one thread and starts from the same states of simulated tissue,
with an affinity drawn at random.
"""

import argparse
import os
import platform
import statistics
import time
from datetime import date
from pathlib import Path

import numpy as np
from scaling import start_of_fit
from tables import write_table
from workload import simulate_tissue

from spicemix_core import steps
from spicemix_core.backends import gurobi_states as gurobi_solver
from spicemix_core.backends import torch_cells as torch_backend
from spicemix_core.inputs import check_samples
from spicemix_core.numerics.threads import one_blas_thread


def state_problem(n_cells, n_genes, n_metagenes):
    expressions, graphs = simulate_tissue(n_cells, n_genes)
    samples = check_samples(expressions, graphs, n_metagenes)
    cells, theta = start_of_fit(samples, n_metagenes)
    affinity = np.random.default_rng(0).normal(size=(n_metagenes, n_metagenes))
    problem = dict(gram=theta.metagenes.T @ theta.metagenes / theta.noise**2,
                   linear=samples.times_metagenes(theta.metagenes) / theta.noise**2, affinity=affinity + affinity.T,
                   graph=samples.graph, proportions=cells.proportions, sizes=cells.sizes, state_penalty=1.0)
    return samples, problem


def on_device(samples, problem):
    placed = torch_backend.TorchSamples(samples, "cpu")
    tensors = {name: placed.tensor(problem[name]) for name in ("linear", "proportions", "sizes")}
    return problem | tensors | dict(graph=placed.graph, colors=placed.colors)


def timed(update, problem, repeats):
    """Median processor seconds of a step, its sweeps, and the states it ends with."""
    update(**problem)
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        proportions, sizes, n_sweeps = update(**problem)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), n_sweeps, np.asarray(proportions), np.asarray(sizes)


def table(options):
    yield (f"# Solvers of the state step\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), "
           f"Python {platform.python_version()}; {options.cells} cells x {options.genes} genes, one step from the "
           f"start of a fit, processor seconds of one thread, medians of {options.repeats}. Microseconds per cell are "
           "for the whole step.\n")
    yield ("| K | solver | step ms | us per cell | times the active set | sweeps | energy above the lowest "
           "|\n" + 7 * "|-" + "|")
    for K in options.metagenes:
        samples, problem = state_problem(options.cells, options.genes, K)
        solvers = {"active set (default)": (steps.update_latent_states, problem),
                   "PyTorch, processor": (torch_backend.update_latent_states, on_device(samples, problem))}
        try:
            import gurobipy

            solvers[f"Gurobi {'.'.join(map(str, gurobipy.gurobi.version()))}, Method=0"] = (
                gurobi_solver.update_latent_states, problem)
        except ImportError:
            yield "gurobipy is not installed"
        with one_blas_thread():
            measured = {name: timed(*pair, options.repeats) for name, pair in solvers.items()}
        energies = {name: steps.states_energy(**problem | dict(proportions=m[2], sizes=m[3]))
                    for name, m in measured.items()}
        for name, (seconds, n_sweeps, _, _) in measured.items():
            yield (f"| {K} | {name} | {1e3 * seconds:.1f} | {1e6 * seconds / options.cells:.1f} | "
                   f"{seconds / measured['active set (default)'][0]:.1f} | {n_sweeps} | "
                   f"{energies[name] - min(energies.values()):.1e} of {abs(min(energies.values())):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--genes", type=int, default=200)
    parser.add_argument("--metagenes", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
