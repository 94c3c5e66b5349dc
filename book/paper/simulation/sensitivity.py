"""Dependence of a fit of the simulated cortex on its seed and settings, for single fits and for the consensus."""

import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from paper.results import run_stored
from paper.shared.recovery import supervised_index
from paper.simulation.study import Scenario, Settings, draw_replicate
from spicemix_core import SpiceMix, datasets, fit_consensus
from spicemix_core.baselines import cluster_by_index
from spicemix_core.tl import DEFAULT_NORMALIZATION, adjusted_rand_index, normalize_states

NORMALIZATIONS = ("zscore", "zscore_proportions")
AUTHORS_DATA = {"synthetic_cortex": datasets.load_synthetic_cortex, "synthetic_truth": datasets.load_synthetic_truth}


def sweep(folder: str | Path, scenario: Scenario, grid: Mapping[str, Sequence], seeds: Iterable[int], *,
          replicate: int = 0, settings: Settings | None = None, n_jobs: int = 1) -> pd.DataFrame:
    """Single fits of one replicate over a grid of SpiceMix's parameters, each from several seeds.

    Parameters
    ----------
    folder : path
        Folder of the stored results (`paper.results.run_stored`).
    scenario : Scenario
    grid : dict of str to list
        Values by parameter of `SpiceMix`; all combinations are fitted. Without ``n_metagenes`` in the grid, the number
        of metagenes is that of ``settings``.
    seeds : iterable of int
    replicate : int
    settings : Settings, optional
    n_jobs : int

    Returns
    -------
    DataFrame
        A row per fit and normalisation: the parameters, ``seed``, ``normalization``, ``n_clusters``, ``ari``, last
        ``Q`` and ``energy``, highest ``calinski_harabasz`` index, ``n_iter``, ``converged``, ``seconds`` of the fit.
    """
    settings = settings or Settings()
    tasks = {}
    for values, seed in itertools.product(itertools.product(*grid.values()), seeds):
        options = {"n_metagenes": settings.n_metagenes} | dict(zip(grid, values, strict=True))
        name = "-".join(f"{key.split('_')[-1]}{value}" for key, value in options.items())
        place = f"x{scenario.sigma_x:g}-y{scenario.sigma_y:g}-{replicate:03d}"
        tasks[f"fit-{place}-{name}-seed{seed}"] = (fit_once, (scenario, replicate, settings, options, seed))
    return run_stored(tasks, folder, n_jobs=n_jobs, description="fits")


def fit_once(scenario: Scenario, replicate: int, settings: Settings, options: dict, seed: int) -> pd.DataFrame:
    """One fit of one replicate: rows as `sweep`."""
    adata, _ = draw_replicate(scenario, replicate, settings)
    start = time.perf_counter()
    model = SpiceMix(**options, random_state=seed).fit(adata, sample_key="sample")
    columns = {name: "all" if value is None else value for name, value in options.items()}
    columns |= {"seed": seed, "seconds": time.perf_counter() - start}
    return _rows_of_run(model, adata.obsm["X_spicemix"], adata.obs["cell_type"]).assign(**columns)


def _rows_of_run(model, states, types):
    rows = []
    for normalization in NORMALIZATIONS:
        found = cluster_by_index(states, normalization=normalization)
        rows.append({"normalization": normalization, "n_clusters": found.n_clusters,
                     "ari": adjusted_rand_index(found.labels, types), **model.history_[["Q", "energy"]].iloc[-1],
                     "calinski_harabasz": found.calinski_harabasz.max(), "n_iter": model.n_iter_,
                     "converged": float(model.converged_)})
    return pd.DataFrame(rows)


def run_authors_data(folder: str | Path, names: Sequence[str], master_seeds: Iterable[int], *, n_metagenes: int = 10,
                     n_runs: int, n_jobs: int = 1) -> pd.DataFrame:
    """Consensus of fields 0-3 of the authors' simulated cortices from several master seeds, and its single runs.

    Parameters
    ----------
    folder : path
        Folder of the stored results.
    names : sequence of str
        Keys of `AUTHORS_DATA` that are available (`spicemix_core.datasets.available`).
    master_seeds : iterable of int
    n_metagenes, n_runs : int
    n_jobs : int

    Returns
    -------
    DataFrame
        ``data``, ``master_seed``, ``run`` (-1: the consensus), the columns of `sweep` for each run (``normalization``
        "own types": the run's own clustering in the consensus), ``seconds`` of the whole consensus and, of the states
        of all its runs, ``supervised`` (`paper.shared.recovery.supervised_index`).
    """
    tasks = {f"authors-{name}-{seed}": (authors_consensus, (name, seed, n_metagenes, n_runs))
             for name, seed in itertools.product(names, master_seeds)}
    return run_stored(tasks, folder, n_jobs=n_jobs, description="consensus of the authors' data")


def supervised_from_expression(name: str) -> pd.Series:
    """Adjusted Rand index of a classifier of types on one of the authors' data sets, without a fit.

    The classifier is that of `paper.shared.recovery.supervised_index`. Its rows are the z-scored ``profiles``
    (expression over the total of the cell) and, if the truth is known, the z-scored proportions of the ``states by true
    metagenes`` (non-negative least squares, cell by cell).
    """
    adata = AUTHORS_DATA[name]()
    types, expression = adata.obs["cell_type"], np.asarray(adata.X)
    profiles = normalize_states(expression / expression.sum(axis=1, keepdims=True), "zscore")
    found = {"profiles": supervised_index(profiles, types)}
    if "true_metagenes" in adata.varm:
        states = np.array([nnls(adata.varm["true_metagenes"], cell)[0] for cell in expression])
        found["states by true metagenes"] = supervised_index(normalize_states(states, DEFAULT_NORMALIZATION), types)
    return pd.Series(found, name=name)


def authors_consensus(name: str, master_seed: int, n_metagenes: int, n_runs: int) -> pd.DataFrame:
    """One consensus of one of the authors' data sets: rows as `run_authors_data`."""
    adata = AUTHORS_DATA[name]()
    types, start = adata.obs["cell_type"], time.perf_counter()
    result = fit_consensus(adata, n_metagenes, n_runs=n_runs, sample_key="sample", random_state=master_seed)
    seconds = time.perf_counter() - start
    # fields 0-3 come one after the other in these data, so the samples' states make the rows of adata
    states = [np.concatenate(model.latent_states_) for model in result.runs]
    joined = np.concatenate([normalize_states(x, DEFAULT_NORMALIZATION) for x in states], axis=1)
    rows = [pd.DataFrame([{"run": -1, "normalization": "consensus", "n_clusters": result.clustering.n_clusters,
                           "ari": adjusted_rand_index(result.labels, types),
                           "supervised": supervised_index(joined, types)}])]
    for number, (model, x, own) in enumerate(zip(result.runs, states, result.own_labels, strict=True)):
        alone = {"normalization": "own types", "n_clusters": own.max() + 1, "ari": adjusted_rand_index(own, types)}
        rows += [_rows_of_run(model, x, types).assign(run=number), pd.DataFrame([{"run": number} | alone])]
    return pd.concat(rows, ignore_index=True).assign(data=name, master_seed=master_seed, seconds=seconds)
