"""Whether the rule of ``select`` finds a good strength of the spatial term, on the labelled data.

    python benchmarks/penalties.py --store FOLDER [--seeds 3] [--only NAME ...] [--output FILE]

For each data set, ``select`` compares the penalties of one grid at a fixed number of metagenes. It does not see labels.
Fits of the same settings from other seeds are then compared with the labels: cell types by ``tl.cluster_states``, cut
at the published number, and layers by ``tl.domains`` at their number. The folder keeps the results of an interrupted
call. The table gives, for each data set, the agreement at each penalty (median over the seeds), the penalty of the
rule, how far its agreement is below that of the best penalty of the grid, and the processor time of the selection.
"""

import argparse
import os
import platform
import time
import warnings
from datetime import date
from pathlib import Path

GRID = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
SEED = 0


def data_sets():
    """Name, number of metagenes, column of the labels, options of the fit and loader of each data set."""
    from labelled_panel import panel

    from spicemix_core import datasets

    chosen = [data for data in panel() if data.kind in ("measured", "authors", "cortex") and not data.held_out]
    found = [(data.name, data.n_metagenes, "cell_type", {}, data.load) for data in chosen]
    found.append(("starmap", 20, "layer", {}, datasets.load_starmap))
    found.append(("visium_dlpfc", 10, "layer", {"max_iter": 30}, datasets.load_visium_dlpfc))
    return found


def agreement(adata, column, n_metagenes, penalty, options, seed):
    """Adjusted Rand index with the labels of one fit."""
    import numpy as np

    from spicemix_core import SpiceMix, tl

    fitted, truth = adata.copy(), adata.obs[column]
    known = truth.notna().to_numpy()
    sample_key = "sample" if "sample" in fitted.obs else None
    SpiceMix(n_metagenes, affinity_penalty=penalty, random_state=seed, **options).fit(fitted, sample_key)
    if column == "layer":
        labels = tl.domains(fitted, n_domains=truth.nunique()).labels
    else:
        labels = tl.cluster_states(fitted.obsm["X_spicemix"], n_clusters=truth.nunique()).labels
    return tl.adjusted_rand_index(np.asarray(labels)[known], truth[known])


def measure(name, n_metagenes, column, options, load, store, n_seeds):
    """Row of a data set: agreement by penalty, and the penalty of the rule."""
    import numpy as np

    from spicemix_core import select

    adata = load()
    start = time.process_time()
    chosen = select(adata, n_metagenes=n_metagenes, affinity_penalty=GRID, random_state=SEED,
                    sample_key="sample" if "sample" in adata.obs else None, folder=store / name, **options)
    seconds = time.process_time() - start
    found = [float(np.median([agreement(adata, column, n_metagenes, penalty, options, 100 + seed)
                              for seed in range(n_seeds)])) for penalty in GRID]
    rule = chosen.suggestion["affinity_penalty"]
    return {"data": name, "labels": column, "agreement": found, "rule": rule, "seconds": seconds,
            "loss": max(found) - found[GRID.index(rule)], "as_good": int(chosen.table["as_good"].sum())}


def table(options):
    """Lines of the table."""
    import joblib

    yield (f"# Strength of the spatial term\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), "
           f"1 thread, Python {platform.python_version()}. Adjusted Rand index with the labels by penalty, median of "
           f"{options.seeds} fits; the penalty that `select` suggests without labels, among how many that are as good; "
           "how far its agreement is below the best of the row; processor seconds of the selection.\n")
    columns = ["data set", "labels", *(f"{penalty:g}" for penalty in GRID), "suggested", "as good", "below the best",
               "processor s"]
    yield "| " + " | ".join(columns) + " |\n" + len(columns) * "|-" + "|"
    for name, n_metagenes, column, settings, load in data_sets():
        if options.only and name not in options.only:
            continue
        path = options.store / f"{name}-{column}.joblib"
        if not path.exists():
            joblib.dump(measure(name, n_metagenes, column, settings, load, options.store, options.seeds), path)
        row = joblib.load(path)
        values = " | ".join(f"{value:.2f}" for value in row["agreement"])
        yield (f"| {name} | {column} | {values} | {row['rule']:g} | {row['as_good']} | {row['loss']:.2f} | "
               f"{row['seconds']:.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ.update({f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")})  # before any import
    warnings.filterwarnings("ignore", message="No convergence|expression has negative")
    options.store.mkdir(parents=True, exist_ok=True)

    from tables import write_table

    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
