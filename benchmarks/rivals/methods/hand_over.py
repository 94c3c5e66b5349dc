"""The files between the main environment and that of a method. Needs NumPy alone; AnnData is imported when asked for.

A data file (``.npz``) holds the expression and, if they exist, the counts of N cells, their positions, samples and
neighbour graph, and what a method is told: the number of groups wanted for each target. It holds no labels. An answer
(``.npz``) holds labels named ``TARGET/NUMBER`` or ``TARGET/NUMBER/CANDIDATE``: the target is ``types`` or ``domains``;
the number is ``same`` (as many groups as there are labels) or ``own`` (the method's own choice).
"""

import argparse
import gc
import json
import os
import time
import traceback

import numpy as np

MOST_TRIES = 25  # resolutions tried by `at_number`


def write_data(path, *, expression, counts, positions, samples, graph, facts):
    """Write one data file; ``facts`` is a dictionary of simple values."""
    arrays = {} if counts is None else {"counts": np.asarray(counts, dtype=np.float32)}
    with open(path, "wb") as file:
        np.savez_compressed(
            file, expression=np.asarray(expression, dtype=np.float32), positions=np.asarray(positions, dtype=float),
            samples=np.asarray(samples, dtype=str), indptr=graph.indptr, indices=graph.indices,
            facts=np.array(json.dumps(facts)), **arrays)


def read_data(path):
    """AnnData of a data file, with the facts in ``uns["facts"]`` and the samples beside each other."""
    import anndata
    import pandas as pd
    from scipy import sparse

    stored = np.load(path)
    expression, samples = stored["expression"], stored["samples"]
    obs = pd.DataFrame({"sample": pd.Categorical(samples)}, index=[f"cell{i}" for i in range(len(samples))])
    var = pd.DataFrame(index=[f"gene{i}" for i in range(expression.shape[1])])
    adata = anndata.AnnData(expression, obs=obs, var=var)
    if "counts" in stored:
        adata.layers["counts"] = stored["counts"]
    adata.obsm["spatial"] = beside_each_other(stored["positions"], samples)
    edges = (np.ones(len(stored["indices"])), stored["indices"], stored["indptr"])
    adata.obsp["spatial_connectivities"] = sparse.csr_matrix(edges, shape=(len(samples),) * 2)
    adata.uns["facts"] = json.loads(str(stored["facts"]))
    return adata


def beside_each_other(positions, samples):
    """Positions with the samples in a row, a width apart, so that no method sees neighbours across samples."""
    positions, width = positions - positions.min(axis=0), np.ptp(positions[:, 0])
    for i, name in enumerate(np.unique(samples)):
        chosen = samples == name
        positions[chosen, 0] += 2 * i * width + positions[:, 0].min() - positions[chosen, 0].min()
    return positions


def at_number(cluster, n_groups, low=0.005, high=8.0):
    """Labels of ``cluster(resolution)`` with as many groups as wanted, or as nearly as the search finds."""
    best = None
    for _ in range(MOST_TRIES):
        middle = float(np.sqrt(low * high))
        labels = np.asarray(cluster(middle)).astype(str)
        found = len(np.unique(labels))
        if best is None or abs(found - n_groups) < abs(len(np.unique(best)) - n_groups):
            best = labels
        if found == n_groups:
            break
        low, high = (middle, high) if found < n_groups else (low, middle)
    return best


def main(run, package=None, doc=None):
    """Command line of a method: read the data, run and write the answer, for each of many tasks in one process.

    ``run(adata, seed, variant)`` yields pairs of a name and labels. The processor seconds are those until the first
    pair, without imports and without the search for other numbers of groups. The first task also compiles; medians
    over seeds leave this out. A task that fails leaves its traceback in a file ``.failed``.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("tasks", help="JSON: a list of data file, answer and seed")
    parser.add_argument("--variant", default="")
    options = parser.parse_args()
    for data, answer, seed in json.loads(options.tasks):
        try:
            answers, facts = run_timed(run, read_data(data), seed, options.variant)
        except Exception:
            with open(os.path.splitext(answer)[0] + ".failed", "w") as file:
                traceback.print_exc(file=file)
            print(f"{answer}: failed", flush=True)
            continue
        write_answer(answer, answers, facts | {"version": version_of(package)})
        print(f"{answer}: {facts['seconds']:.1f} s", flush=True)


def run_timed(run, adata, seed, variant):
    """Labels by name, and seconds and peak memory."""
    reset_peak()
    start, answers, seconds = time.process_time(), {}, None
    for name, labels in run(adata, seed, variant):
        seconds = time.process_time() - start if seconds is None else seconds
        answers[name] = np.asarray(labels).astype(str)
        if answers[name].shape != (adata.n_obs,):
            raise ValueError(f"{name} has {answers[name].shape} labels for {adata.n_obs} cells.")
    return answers, {"seconds": seconds, "peak_mib": peak_mib()}


def reset_peak():
    """Forget the peak memory of earlier tasks (Linux)."""
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_mib():
    """Highest resident memory of this process since the last reset."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def write_answer(path, answers, facts):
    """Write an answer completely or not at all."""
    with open(path + ".partial", "wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(facts)), **answers)
    os.replace(path + ".partial", path)


def version_of(package):
    """Name and version of the installed package of a method."""
    from importlib import metadata

    return f"{package} {metadata.version(package)}" if package else ""


def read_answer(path):
    """Labels by name, and the facts, of an answer."""
    stored = np.load(path)
    return {name: stored[name] for name in stored.files if name != "facts"}, json.loads(str(stored["facts"]))
