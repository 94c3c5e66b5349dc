"""Whether the rule of ``select`` finds a good strength of the spatial term, on the labelled data.

    python benchmarks/penalties.py --store FOLDER [--seeds 3] [--only NAME ...] [--output FILE]

For each data set of ``rivals/``, ``select`` compares the penalties of one grid at a fixed number of metagenes. It does
not see labels. Fits of the same settings from other seeds are then compared with the labels: cell types by
``tl.cluster_states``, and layers by ``tl.domains``, both at the number of groups that all methods are asked for. The
folder keeps the results of an interrupted call. The table gives, for each data set, the agreement at each penalty
(median over the seeds), the penalty of the rule, how far its agreement is below that of the best penalty of the grid,
and the processor time of the selection.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from datetime import date
from pathlib import Path

GRID = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
SEED = 0


def agreement(adata, data, target, truth, n_groups, penalty, seed):
    """Adjusted Rand index of one fit with the labels, over the cells that have one."""
    import numpy as np

    from spicemix_core import SpiceMix, tl

    fitted, known = adata.copy(), np.array([label is not None for label in truth])
    SpiceMix(data.n_metagenes, affinity_penalty=penalty, random_state=seed).fit(fitted, "sample")
    found = (tl.domains(fitted, n_domains=n_groups) if target == "domains" else
             tl.cluster_states(fitted.obsm["X_spicemix"], n_clusters=n_groups))
    return tl.adjusted_rand_index(found.labels[known], truth[known].astype(str))


def measure(data, store, n_seeds):
    """A row for each target of a data set: agreement by penalty, and the penalty of the rule."""
    import numpy as np
    from data_sets import labels_of, numbers_of_groups

    from spicemix_core import select

    adata, start = data.load(), time.process_time()
    chosen = select(adata, n_metagenes=data.n_metagenes, affinity_penalty=GRID, random_state=SEED,
                    sample_key="sample", folder=store / data.name)
    seconds, rule = time.process_time() - start, chosen.suggestion["affinity_penalty"]
    rows, truth = [], labels_of(data, adata)
    for target, n_groups in numbers_of_groups(data, truth).items():
        found = [float(np.median([agreement(adata, data, target, truth[target], n_groups, penalty, 100 + seed)
                                  for seed in range(n_seeds)])) for penalty in GRID]
        rows.append({"target": target, "agreement": found, "loss": max(found) - found[GRID.index(rule)]})
    return {"rows": rows, "rule": rule, "seconds": seconds, "as_good": int(chosen.table["as_good"].sum())}


def table(options):
    """Lines of the table."""
    import joblib
    from data_sets import rivalries

    yield (f"# Strength of the spatial term\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), "
           f"1 thread, Python {platform.python_version()}. Adjusted Rand index with the labels by penalty, median of "
           f"{options.seeds} fits; the penalty that `select` suggests without labels, among how many that are as good; "
           "how far its agreement is below the best of the row; processor seconds of the selection.\n")
    columns = ["data set", "labels", *(f"{penalty:g}" for penalty in GRID), "suggested", "as good", "below the best",
               "processor s"]
    yield "| " + " | ".join(columns) + " |\n" + len(columns) * "|-" + "|"
    for data in rivalries().values():
        if options.only and data.name not in options.only:
            continue
        path = options.store / f"{data.name}.joblib"
        if not path.exists():
            joblib.dump(measure(data, options.store, options.seeds), path)
        found = joblib.load(path)
        for row in found["rows"]:
            values = " | ".join(f"{value:.2f}" for value in row["agreement"])
            yield (f"| {data.name} | {row['target']} | {values} | {found['rule']:g} | {found['as_good']} | "
                   f"{row['loss']:.2f} | {found['seconds']:.0f} |")


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
    sys.path.insert(0, str(Path(__file__).parent / "rivals"))

    from tables import write_table

    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
