"""Whole fits against scikit-learn's NMF: seconds to the same loss and to convergence, as ratios of interleaved pairs.

    python benchmarks/compare.py [--n-metagenes 20] [--pairs 5] [--output FILE] [data set ...]

All fits get the same scaled expression, K and seed, and use one thread. The loss is the root mean square residual
||Y - X M'|| / sqrt(n), with n the number of entries. That the columns of M sum to one does not restrict it, because the
scale of any other factorisation can be moved into X. The prior on the sizes (``state_penalty``) can only raise the loss
of our fits.

The two factorisations end in different local optima. The target for "same loss" is therefore the higher of the losses
at which ``SpiceMix(spatial=False)`` (tol=1e-3) and scikit-learn (coordinate descent, NNDSVDa start, tol=1e-4) stop by
their own rules; each is then run for the smallest number of iterations that reaches the target. Each pair has its own
seed; its five fits are timed in turn, in reverse order in every second pair.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import sklearn
from run import load
from sklearn.decomposition import NMF, non_negative_factorization
from tables import write_table

DATA_SETS = ("seqfish_plus", "starmap")
OURS, THEIRS = "SpiceMix(spatial=False)", "scikit-learn NMF"
OURS_TO_MARK, THEIRS_TO_MARK, SPATIAL = f"{OURS}, same loss", f"{THEIRS}, same loss", "SpiceMix()"


def iterations_to(mark, Y, n_metagenes, seed, at_most):
    """Iterations that scikit-learn needs to reach a loss of at most ``mark``.

    Coordinate descent without shuffling continues from (W, H) as if it had not stopped, so one run is enough.
    """
    W, H, _ = non_negative_factorization(Y, n_components=n_metagenes, init="nndsvda", max_iter=1, tol=0,
                                         random_state=seed)
    for iteration in range(1, at_most):
        if np.linalg.norm(Y - W @ H) / np.sqrt(Y.size) <= mark:
            return iteration
        W, H, _ = non_negative_factorization(Y, W=W, H=H, n_components=n_metagenes, init="custom", max_iter=1, tol=0)
    return at_most


def one_pair(expressions, graphs, Y, n_metagenes, seed):
    """Iterations, loss, seconds and processor seconds of each of the five fits of a seed."""
    from spicemix_core import SpiceMix

    def ours(**options):
        model = SpiceMix(n_metagenes, random_state=seed, **options).fit_arrays(expressions, graphs)
        return model.n_iter_, model.noise_, model

    def theirs(**options):
        model = NMF(n_metagenes, init="nndsvda", random_state=seed, **options).fit(Y)
        return model.n_iter_, model.reconstruction_err_ / np.sqrt(Y.size), model

    (_, our_loss, model), (their_count, their_loss, _) = ours(spatial=False, max_iter=1000), theirs(max_iter=5000)
    mark = max(our_loss, their_loss) * (1 + 1e-9)
    our_count = int((model.history_["noise"] <= mark).idxmax())  # its index counts iterations from one
    their_count = iterations_to(mark, Y, n_metagenes, seed, their_count)
    fits = {OURS_TO_MARK: lambda: ours(spatial=False, max_iter=our_count, tol=0),
            THEIRS_TO_MARK: lambda: theirs(max_iter=their_count, tol=0),
            OURS: lambda: ours(spatial=False, max_iter=1000), THEIRS: lambda: theirs(max_iter=5000),
            SPATIAL: lambda: ours(max_iter=1000)}
    results = {}
    for name in list(fits)[:: -1 if seed % 2 else 1]:
        start = time.perf_counter(), time.process_time()
        iterations, loss, _ = fits[name]()
        results[name] = {"seconds": time.perf_counter() - start[0], "processor": time.process_time() - start[1],
                         "iterations": iterations, "loss": float(loss)}
    for name in (OURS_TO_MARK, THEIRS_TO_MARK):
        assert results[name]["loss"] <= mark * (1 + 1e-6), f"{name} did not reach the loss"
    return results


def measure(name, n_metagenes, pairs):
    """All pairs of a data set, in this process."""
    import scipy.sparse as sp

    from spicemix_core import SpiceMix
    from spicemix_core.inputs import check_samples
    from spicemix_core.numerics.threads import n_threads

    assert n_threads() == 1
    warnings.simplefilter("ignore")
    expressions, graphs = load(name)
    expressions = [y.toarray() if sp.issparse(y) else y for y in expressions]
    samples = check_samples(expressions, graphs, n_metagenes)
    Y = np.concatenate([c * y for c, y in zip(samples.scaling, expressions, strict=True)])
    SpiceMix(n_metagenes, max_iter=3).fit_arrays(expressions, graphs)  # compiles
    NMF(n_metagenes, max_iter=3).fit(Y)
    return {"cells": Y.shape[0], "genes": Y.shape[1],
            "pairs": [one_pair(expressions, graphs, Y, n_metagenes, seed) for seed in range(pairs)]}


def in_own_process(name, options):
    """Run :func:`measure` in a new process on one thread; ``None`` where the data are missing."""
    one = {f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    command = [sys.executable, __file__, "--child", name, "--n-metagenes", str(options.n_metagenes),
               "--pairs", str(options.pairs)]
    run = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    if run.returncode:
        if "DataNotFoundError" not in run.stderr:
            sys.exit(f"{name}: {run.stderr}")
        print(f"{name}: skipped, {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(run.stdout.strip().splitlines()[-1])


def rows(name, measured):
    pairs = measured["pairs"]
    for fit in (OURS_TO_MARK, THEIRS_TO_MARK, OURS, THEIRS, SPATIAL):
        m = {key: statistics.median(pair[fit][key] for pair in pairs) for key in pairs[0][fit]}
        ratios = [[pair[fit][key] / pair[OURS_TO_MARK][key] for pair in pairs] for key in ("seconds", "processor")]
        yield (f"| {name} | {measured['cells']:,} x {measured['genes']:,} | {fit} | {m['iterations']:.0f} | "
               f"{m['loss']:.6f} | {m['seconds']:.2f} | {m['processor']:.2f} | "
               + " | ".join(f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" for r in ratios) + " |")


def table(options):
    yield (f"# Comparison with scikit-learn\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), "
           f"1 thread, Python {platform.python_version()}, scikit-learn {sklearn.__version__}; K = "
           f"{options.n_metagenes}, medians of {options.pairs} interleaved pairs, a seed each. Loss: root mean square "
           f"residual of the scaled expression; same loss: the higher one of the two factorisations' at convergence. "
           f"Ratios to {OURS_TO_MARK}: median over the pairs (lowest to highest).\n")
    yield ("| data set | cells x genes | fit | iterations | loss | total s | processor s | ratio of seconds "
           "| ratio of processor seconds |\n" + 9 * "|-" + "|")
    for name in options.names or DATA_SETS:
        if (measured := in_own_process(name, options)) is not None:
            yield from rows(name, measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="data set", help=f"default: {', '.join(DATA_SETS)}")
    parser.add_argument("--n-metagenes", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(DATA_SETS):
        parser.error(f"unknown data set {', '.join(sorted(unknown))}; choose from {', '.join(DATA_SETS)}")
    if options.child:
        print(json.dumps(measure(options.names[0], options.n_metagenes, options.pairs)))
        return
    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
