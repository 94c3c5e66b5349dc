"""Cell types on a fixed panel of labelled data: fits, stored once, and the scores of every way to combine them.

    python benchmarks/cell_types.py fit --store FOLDER [--starts weighted expression] [--runs 10] [--only NAME ...]
    python benchmarks/cell_types.py table --store FOLDER [--starts ...] [--half drawn-up|held-out|both] [--output FILE]

``fit`` stores the states of every run in single precision, one file per data set, start and run; a file that is there
is not computed again. ``table`` scores the stored states; each score is stored too. The starts are the values of
``init`` of :class:`spicemix_core.SpiceMix` and, for ``table`` alone, ``mixed``: all of them in turn, as in
:func:`spicemix_core.fit_consensus`. ``--runs`` is the number of runs that are combined. Scores:

- ARI with the published classes;
- macro-F1: the mean over the published classes of at least five cells of the best F1 of any cluster;
- the number of clusters, whether it is within 25 % of the published number, and whether it is equal;
- agreement: ARI between the answers of two disjoint halves of the runs.

The definition of the package, :func:`spicemix_core.tl.cluster_states`, is ``separation`` in `combination_rules.py`.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

from tables import write_table

STARTS = ("weighted", "expression", "profiles")


def fit_run(adata, n_metagenes, init, seed):
    """States (N, K) in the units of the data, and a row of numbers, of one fit."""
    import numpy as np

    from spicemix_core import SpiceMix

    model = SpiceMix(n_metagenes, init=init, random_state=seed).fit(adata.copy(), sample_key="sample")
    states = np.empty((adata.n_obs, n_metagenes))
    states[adata.obs_names.get_indexer(np.concatenate(model.cell_names_))] = np.concatenate(model.latent_states_)
    last = model.history_.iloc[-1]
    return states, {"Q": last["Q"], "energy": last["energy"], "n_iter": model.n_iter_}


def fit_panel(store, names, runs, only=()):
    """Fit what is missing in ``store``; yields one line per data set and start."""
    import numpy as np
    from labelled_panel import panel
    from sklearn.exceptions import ConvergenceWarning

    warnings.filterwarnings("ignore", message=".*negative values")
    warnings.simplefilter("ignore", ConvergenceWarning)
    store.mkdir(parents=True, exist_ok=True)
    for data in panel():
        if only and not data.name.startswith(tuple(only)):
            continue
        adata = None
        for name in names:
            began = time.perf_counter()
            missing = [run for run in range(runs) if not path_of(store, data.name, name, run).exists()]
            for run in missing:
                adata = data.load() if adata is None else adata
                states, row = fit_run(adata, data.n_metagenes, name, run)
                path = path_of(store, data.name, name, run)
                partial = path.with_suffix(".partial")
                with partial.open("wb") as file:
                    np.savez(file, states=states.astype(np.float32), **row)
                partial.replace(path)
            if missing:
                yield f"{data.name} {name}: {len(missing)} fits, {time.perf_counter() - began:.0f} s"


def path_of(store, name, start, run):
    return store / f"{name}-{start}-{run}.npz"


def stored_states(store, name, start, runs):
    """States of the runs of one data set; ``None`` if one is missing. Mixed starts alternate."""
    import numpy as np

    if start == "mixed":
        paths = [path_of(store, name, STARTS[run % len(STARTS)], run // len(STARTS)) for run in runs]
    else:
        paths = [path_of(store, name, start, run) for run in runs]
    return [np.load(path)["states"].astype(float) for path in paths] if all(p.exists() for p in paths) else None


def macro_f1(truth, labels, least=5):
    """Mean over the classes of at least ``least`` cells of the best F1 of any cluster."""
    from spicemix_core.tl.matching import contingency

    table = contingency(truth, labels).to_numpy()
    sizes, clusters = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    return float((2 * table / (sizes + clusters)).max(axis=1)[sizes[:, 0] >= least].mean())


def score(name, start, n_runs, store):
    """One row per way of :mod:`combination_rules`."""
    import numpy as np
    import pandas as pd
    from combination_rules import WAYS, best_by_the_truth
    from labelled_panel import panel

    from spicemix_core.tl.matching import adjusted_rand_index

    data = next(d for d in panel() if d.name == name)
    truth = data.load().obs["cell_type"].to_numpy(dtype=str)
    states, n = stored_states(Path(store), name, start, range(n_runs)), len(np.unique(truth))
    rows = []
    for way, cluster in WAYS.items():
        labels, halves = cluster(states), [cluster(states[: n_runs // 2]), cluster(states[n_runs // 2 :])]
        rows.append({"way": way, "labels": labels, "agreement": adjusted_rand_index(*halves)})
    best = best_by_the_truth(states, lambda labels: macro_f1(truth, labels))
    rows.append({"way": "best cut by the truth", "labels": best, "agreement": np.nan})
    table = pd.DataFrame(rows)
    found = table["labels"].map(lambda labels: len(np.unique(labels)))
    return pd.DataFrame({
        "data": name, "kind": data.kind, "held_out": data.held_out, "start": start, "way": table["way"],
        "published": n, "found": found, "close": (found - n).abs() <= 0.25 * n, "equal": found == n,
        "ari": table["labels"].map(lambda labels: adjusted_rand_index(truth, labels)),
        "f1": table["labels"].map(lambda labels: macro_f1(truth, labels)), "agreement": table["agreement"]})


def table(store, names, n_runs, half, n_jobs):
    """Lines of the table: one per start, column of the panel and way."""
    from labelled_panel import panel

    from spicemix_core.runs.stored_tasks import run_stored

    chosen = [d for d in panel() if half == "both" or d.held_out == (half == "held-out")]
    tasks = {f"{d.name}-{start}": (score, (d.name, start, n_runs, str(store))) for d in chosen for start in names
             if stored_states(store, d.name, start, range(n_runs))}
    scores = run_stored(tasks, store / "scores", n_jobs=n_jobs, description="data sets")
    measured = scores["kind"].isin(["measured", "authors"])
    scores["column"] = scores["kind"].where(~measured, scores["data"])
    yield f"{n_runs} runs of each start; {half}."
    yield ("| start | data | sets | way | found | published | close | equal | ARI | macro-F1 | agreement |\n"
           + 11 * "|-" + "|")
    for (start, column, way), group in scores.groupby(["start", "column", "way"], sort=False):
        mean = group[["found", "published", "close", "equal", "ari", "f1", "agreement"]].astype(float).mean()
        yield (f"| {start} | {column} | {group['data'].nunique()} | {way} | {mean['found']:.1f} | "
               f"{mean['published']:.1f} | {mean['close']:.2f} | {mean['equal']:.2f} | {mean['ari']:.3f} | "
               f"{mean['f1']:.3f} | {mean['agreement']:.3f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["fit", "table"])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--starts", nargs="+")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--half", choices=["drawn-up", "held-out", "both"], default="both")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ.update({f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")})  # before any import
    if options.command == "fit":
        write_table(fit_panel(options.store, options.starts or STARTS, options.runs, options.only))
    else:
        names = options.starts or (*STARTS, "mixed")
        write_table(table(options.store, names, options.runs, options.half, options.jobs), options.output)


if __name__ == "__main__":
    main()
