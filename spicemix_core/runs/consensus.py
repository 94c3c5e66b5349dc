"""One clustering from many fits, which does not depend on the seed of a single fit.

A fit starts from k-means and ends in a local optimum. Neither its objective nor its energy ranks the runs by the
quality of their cell types (book, simulation chapter). Where a fit ends also depends on how k-means weights the cells,
and no weighting is best on all data. So the runs use the starts of
:mod:`spicemix_core.initialization` in turn, and the consensus uses all of them without a choice and without
labels: :func:`spicemix_core.tl.cluster_states` of the states of all runs.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed

from spicemix_core.files.checkpoint import fingerprint
from spicemix_core.files.lock import reserves_folder
from spicemix_core.files.removal import once_saved, until_saved
from spicemix_core.inputs.anndata import read_names, read_samples
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.inputs.memory import input_of
from spicemix_core.inputs.parameters import INITS, check_integer, is_integer
from spicemix_core.inputs.results import write_fit
from spicemix_core.model import SpiceMix
from spicemix_core.numerics.progress import progress
from spicemix_core.runs.combination import Consensus, combine_runs
from spicemix_core.tl.clustering import RANGE, warn_of, write_clusters

if TYPE_CHECKING:
    from anndata import AnnData

N_RUNS = 20
_PACKAGE = Path(__file__).parents[1]


@reserves_folder
def fit_consensus(adata: AnnData, n_metagenes: int = 20, *, n_runs: int = N_RUNS, sample_key: str | None = None,
                  graph_key: str | None = "spatial_connectivities", layer: str | None = None,
                  n_clusters: int | None = None, n_clusters_range: tuple[int, int] = RANGE,
                  random_state: int | np.random.Generator | None = None, n_jobs: int = 1,
                  folder: str | Path | None = None, **options: Any) -> Consensus:
    """Fit a model from each of several seeds and combine the states of the runs into one clustering.

    Parameters
    ----------
    adata : AnnData
        See :meth:`spicemix_core.SpiceMix.fit`, also for ``sample_key``, ``graph_key`` and ``layer``.
    n_metagenes : int, default=20
    n_runs : int, default=20
        Number of runs, each with its own seed, at least 2.
    sample_key, graph_key, layer : str, optional
    n_clusters : int, optional
        Number of clusters. By default, see :func:`spicemix_core.tl.cluster_states`.
    n_clusters_range : (int, int), default=(2, 40)
        Smallest and largest number of clusters considered, both included.
    random_state : int, numpy Generator or None, default=None
        The seeds of the runs are drawn from it.
    n_jobs : int, default=1
        Number of runs fitted in parallel, in processes of one thread each; -1 uses all cores. Results do not depend on
        it. Within ``with joblib.parallel_config("dask", client=client):``, the workers of a Dask client fit the runs.
    folder : path, optional
        Folder for finished runs and for the checkpoints of unfinished ones. An interrupted consensus resumes from it
        and returns the same numbers. The function creates the folder, and removes its files (and the folder, if it
        holds nothing else) when all runs are combined. Workers of a Dask client must have access to it. No other
        process can use the folder at the same time.
    **options
        Parameters of :class:`spicemix_core.SpiceMix`. By default, the runs use the values of ``init`` in turn.

    Returns
    -------
    Consensus
        The function also writes to ``adata``: the results of the reference run, the labels to
        ``obs["spicemix_cluster"]`` and, of the coarse cell types, to ``obs["spicemix_cluster_coarse"]``, the confidence
        to ``obs["spicemix_confidence"]``, the separation and the branches to ``uns["spicemix"]["cluster"]``, and the
        summary of the runs with the stabilities to ``uns["spicemix"]["consensus"]``. A warning states what a reader
        must know about the number of types.

    Raises
    ------
    KeyError
        If a column, a graph or a layer does not exist.
    ValueError
        If there are fewer than two runs, the number of clusters is impossible, or :meth:`spicemix_core.SpiceMix.fit`
        rejects the input.

    Examples
    --------
    >>> import warnings
    >>> from spicemix_core import datasets, fit_consensus
    >>> adata = datasets.simulate_cortex(n_cells=60, n_genes=20, random_state=0)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # two iterations are too few
    ...     result = fit_consensus(adata, 4, n_runs=2, n_clusters=5, max_iter=2, random_state=0)
    >>> len(result.runs), result.clustering.n_clusters
    (2, 5)
    """
    check_integer("n_runs", n_runs, 2, "Use SpiceMix(...).fit for a single fit.")
    _check_clustering(n_clusters, n_clusters_range, adata.n_obs)
    if not is_integer(n_jobs) or n_jobs == 0:
        raise ValueError(f"n_jobs must be an integer other than 0, not {n_jobs!r}. Use -1 for all cores.")
    spatial = options.get("spatial", True)
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if spatial else None, layer)
    seeds = np.random.default_rng(random_state).integers(2**31, size=n_runs).tolist()
    models = [SpiceMix(n_metagenes, random_state=seed, **{"init": INITS[i % len(INITS)], **options})
              for i, seed in enumerate(seeds)]
    paths = [None] * n_runs if folder is None else _run_files(Path(folder), models, expressions, graphs)
    runs = _fit_all(models, paths, expressions, graphs, n_jobs)
    for run in runs:
        run.feature_names_in_, run.sample_names_, run.cell_names_ = read_names(adata, sample_key, rows)
        run.input_ = input_of(adata, sample_key, graph_key, layer)
    order = np.argsort(np.concatenate(rows))
    states = [np.concatenate(run.latent_states_)[order] for run in runs]
    result = combine_runs(runs, states, n_clusters=n_clusters, n_clusters_range=n_clusters_range)
    write_fit(adata, result.model, rows, sample_key, graph_key, layer)
    write_clusters(adata, result.clustering, result.confidence)
    adata.uns["spicemix"]["consensus"] = {
        "run_summary": result.run_summary, "metagene_stability": result.metagene_stability,
        "affinity_stability": result.affinity_stability, "reference": result.reference}
    if folder is not None:
        once_saved(partial(_remove, paths))
    warn_of(result.clustering, stacklevel=4)  # not at the decorator
    return result


def _check_clustering(n_clusters, n_clusters_range, n_cells):
    smallest, largest = n_clusters_range if n_clusters is None else (n_clusters, n_clusters)
    if not 2 <= smallest <= largest or smallest >= n_cells:
        asked = f"{smallest} to {largest}" if n_clusters is None else n_clusters
        raise ValueError(f"A clustering of {n_cells} cells into {asked} clusters is impossible. Choose from 2 to "
                         f"{n_cells - 1} clusters.")


def _run_files(folder, models, expressions, graphs):
    """File of each finished run, named by a digest of its parameters and the data. Creates the folder."""
    samples = check_samples(expressions, graphs, models[0].n_metagenes)
    folder.mkdir(exist_ok=True)
    return [folder / f"run-{fingerprint(model.get_params(), samples)[:16]}.h5" for model in models]


def _fit_all(models, paths, expressions, graphs, n_jobs):
    """The fitted runs. Each different warning of the fits is issued once."""
    fits = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_fit)(*run, expressions, graphs) for run in zip(models, paths, strict=True)
    )
    runs, caught = zip(*progress(fits, "consensus runs", total=len(models)), strict=True)
    for message, category in dict.fromkeys(pair for pairs in caught for pair in pairs):
        warnings.warn(message, category, stacklevel=4)
    return list(runs)


def _fit(model, path, expressions, graphs):
    """Fit a run, or read it if its file exists. Also returns its warnings, which other processes could not show."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if path is None:
            model.fit_arrays(expressions, graphs)
        else:
            if not path.exists():
                with until_saved():
                    model.fit_arrays(expressions, graphs, checkpoint=path.with_suffix(".checkpoint")).save(path)
            model = SpiceMix.load(path)
    return model, [(str(w.message), w.category) for w in caught if Path(w.filename).is_relative_to(_PACKAGE)]


def _remove(paths):
    """Remove the files of the runs, and their folder if it holds nothing else."""
    for path in paths:
        path.unlink()
    if not any(paths[0].parent.iterdir()):
        paths[0].parent.rmdir()
