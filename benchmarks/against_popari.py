"""Processor seconds per iteration of Popari, from an environment of its own, and of this package on the same data.

    python benchmarks/against_popari.py PYTHON [--cells 500] [--n-metagenes 10] [--iterations 10] [--output FILE]

``PYTHON`` is the interpreter of an environment with Popari; release 1.3.4 needs Python 3.10
(``pip install popari==1.3.4 "setuptools<81"``). Both programs get a field of the simulated cortex with the same
neighbours and use one thread. Popari starts from its SVD and estimates the affinity in every iteration. A fit of this
package estimates it in the first two iterations by default, so iterations that estimate it and iterations that keep it
are reported separately.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

ONE_THREAD = {f"{v}_NUM_THREADS": "1" for v in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def popari_seconds(path, n_metagenes, iterations):
    """Version of Popari, and processor seconds of the set-up and of each iteration; runs in Popari's environment."""
    import anndata
    import awkward
    import torch
    from popari._popari_dataset import PopariDataset
    from popari.model import Popari

    torch.set_num_threads(1)
    data = PopariDataset(anndata.read_h5ad(path), "0")
    graph = data.obsp["adjacency_matrix"]
    data.obsm["adjacency_list"] = awkward.Array([graph.indices[a:b].tolist()
                                                 for a, b in zip(graph.indptr[:-1], graph.indptr[1:])])  # noqa: B905
    context = {"device": "cpu", "dtype": torch.float32}
    start = time.process_time()
    model = Popari(K=n_metagenes, replicate_names=["0"], datasets=[data], initialization_method="svd",
                   lambda_Sigma_x_inv=1e-4, torch_context=context, initial_context=context)
    seconds = []
    setup = time.process_time() - start
    for _ in range(iterations):
        start = time.process_time()
        model.estimate_parameters()
        model.estimate_weights()
        seconds.append(time.process_time() - start)
    return {"version": version("popari"), "setup": setup, "seconds": seconds}


def our_seconds(adata, n_metagenes, iterations, estimate_affinity):
    """Processor seconds of each iteration of this package, after one that compiles."""
    from scaling import walk

    from spicemix_core.inputs import check_samples
    from spicemix_core.numerics.threads import one_blas_thread

    samples, seconds = check_samples([adata.X], [adata.obsp["spatial_connectivities"]], n_metagenes), []
    with one_blas_thread():
        step, _ = walk(samples, n_metagenes)
        for iteration in range(1 + iterations):
            start = time.process_time()
            step(estimate_affinity or iteration == 0)
            seconds.append(time.process_time() - start)
    return seconds[1:]


def table(options):
    import anndata
    import scipy.sparse as sp

    from spicemix_core.datasets import simulate_cortex

    adata = simulate_cortex(n_cells=options.cells, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.h5ad"
        graph = sp.csr_matrix(adata.obsp["spatial_connectivities"])
        anndata.AnnData(sp.csr_matrix(adata.X), obsm={"spatial": adata.obsm["spatial"]},
                        obsp={"adjacency_matrix": graph}).write_h5ad(path)
        command = [options.python, __file__, "--child", str(path), "--n-metagenes", str(options.n_metagenes),
                   "--iterations", str(options.iterations)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "NUMBA_CACHE_DIR"}
        run = subprocess.run(command, env=environment | ONE_THREAD, capture_output=True, text=True, check=False)
    if run.returncode:
        sys.exit(f"Popari failed: {run.stderr}")
    theirs = json.loads(run.stdout.strip().splitlines()[-1])
    rows = {f"Popari {theirs['version']}": theirs["seconds"],
            "SpiceMix(), S estimated": our_seconds(adata, options.n_metagenes, options.iterations, True),
            "SpiceMix(), S kept": our_seconds(adata, options.n_metagenes, options.iterations, False)}
    yield (f"# Comparison with Popari\n\n{date.today()}, {platform.machine()}, {os.cpu_count()} cores (shared), 1 "
           f"thread; a field of the simulated cortex, K = {options.n_metagenes}, affinity penalty 1e-4; processor "
           f"seconds of {options.iterations} iterations, median (lowest to highest). Popari: single precision, SVD "
           f"start, Python 3.10, set-up {theirs['setup']:.1f} s.\n")
    yield "| program | cells x genes | per iteration s | times SpiceMix(), S estimated |\n" + 4 * "|-" + "|"
    base = statistics.median(rows["SpiceMix(), S estimated"])
    for name, seconds in rows.items():
        median = statistics.median(seconds)
        yield (f"| {name} | {adata.n_obs:,} x {adata.n_vars:,} | {median:.4f} ({min(seconds):.4f} to "
               f"{max(seconds):.4f}) | {median / base:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="interpreter of an environment with Popari")
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--n-metagenes", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:  # then the first argument is the file
        print(json.dumps(popari_seconds(options.python, options.n_metagenes, options.iterations)))
        return
    os.environ.update(ONE_THREAD)  # before NumPy is imported
    from tables import write_table

    write_table(table(options), options.output)


if __name__ == "__main__":
    main()
