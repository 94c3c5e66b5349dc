r"""How many metagenes, and how strong a spatial term: fits over a grid, compared on masked entries.

*Held-out error.* The cells of each sample and the genes are divided at random into five folds each. Metagenes, affinity
and noise are fitted without the cells of a fold, on the remaining graph. With these parameters, the states of all cells
are computed on the whole graph without the genes of a fold. The expression of the held-out cells is then compared with
:math:`x_i^\top m_g` on the held-out genes: neither the parameters nor the states depend on these entries. Each entry is
masked once. The error is relative,

.. math:: e = \frac{\sum_{(i, g)\ \mathrm{masked}} (y_{ig} - x_i^\top m_g)^2}
               {\sum_{(i, g)\ \mathrm{masked}} (y_{ig} - \bar y_g)^2} ,

where :math:`\bar y_g` is the mean of the gene in the other cells of the sample; 1 is no better than this mean.

*Stability.* The model is fitted to all cells from several seeds. Stability is the mean adjusted Rand index between the
clusterings of these fits, and the mean correlation of their matched metagenes. A stable fit can still be wrong, and too
few metagenes are often the most stable. Therefore stability does not choose the number of metagenes.

*The rule.* The best setting has the lowest mean error. A setting is as good if its error minus that of the best,
averaged over the folds, is at most one standard error of this difference. The rule suggests the smallest number of
metagenes among the settings that are as good. Among its penalties that are as good, the rule suggests the one with the
highest stability, and the largest of equally stable ones.

References
----------
A. B. Owen and P. O. Perry, Annals of Applied Statistics 3, 564-594 (2009): bi-cross-validation. L. Breiman et al.,
Classification and Regression Trees (1984): the rule of one standard error, here with paired differences.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.files.lock import reserves_folder
from spicemix_core.inputs.anndata import read_names, read_samples
from spicemix_core.inputs.errors import ArgumentError
from spicemix_core.inputs.parameters import check_integer, check_parameters, is_integer
from spicemix_core.model import SpiceMix
from spicemix_core.runs.cross_validation import N_FOLDS, Data, fit_seeds_of_setting, fit_without_fold
from spicemix_core.runs.stored_tasks import run_stored

if TYPE_CHECKING:
    from anndata import AnnData

SETTING = ["n_metagenes", "affinity_penalty"]


@dataclass(frozen=True)
class Selection:
    """Result of :func:`select`.

    Attributes
    ----------
    table : DataFrame
        One row per setting: ``n_metagenes``, ``affinity_penalty``; ``error`` (held out, relative), ``error_se``
        (standard error over the folds), ``difference`` from the lowest error and its standard error ``difference_se``
        (paired over the folds), ``as_good``; ``ari`` (mean over pairs of seeds), ``metagene_correlation``;
        ``n_clusters`` (median over seeds) and ``separation`` (highest, mean over seeds) of the cell types;
        ``converged`` (share of the fits), ``seconds`` (fastest fit to all cells), ``suggested``.
    suggestion : dict
        ``n_metagenes`` and ``affinity_penalty``, parameters of :class:`spicemix_core.SpiceMix`.
    reason : str
        The reason in one sentence.
    curves : DataFrame
        Separation of the clusters by setting, seed and number of clusters.

    Examples
    --------
    >>> from spicemix_core import datasets, select
    >>> cortex = datasets.simulate_cortex(n_cells=80, n_genes=20, sigma_y=0.0, random_state=0)
    >>> found = select(cortex, n_metagenes=(2, 3), n_seeds=2, max_iter=2, tol=1.0, random_state=0)
    >>> sorted(found.suggestion), len(found.table)
    (['affinity_penalty', 'n_metagenes'], 2)
    """

    table: pd.DataFrame
    suggestion: dict[str, int | float]
    reason: str
    curves: pd.DataFrame


@reserves_folder
def select(adata: AnnData, *, n_metagenes: int | Sequence[int] = (5, 10, 15, 20),
           affinity_penalty: float | Sequence[float] = (1e-4,), n_seeds: int = 3, sample_key: str | None = None,
           graph_key: str | None = "spatial_connectivities", layer: str | None = None,
           random_state: int | np.random.Generator | None = None, n_jobs: int = 1, folder: str | Path | None = None,
           **options: Any) -> Selection:
    r"""Compare numbers of metagenes and penalties by their held-out error, and suggest one setting.

    Parameters
    ----------
    adata : AnnData
        See :meth:`spicemix_core.SpiceMix.fit`, also for ``sample_key``, ``graph_key`` and ``layer``. It is not
        changed.
    n_metagenes : int or sequence of int, default=(5, 10, 15, 20)
    affinity_penalty : float or sequence of float, default=(1e-4,)
        All combinations of the two are fitted: ``n_seeds`` times to all cells, and 5 times to four fifths of them.
    n_seeds : int, default=3
        At least 2.
    sample_key, graph_key, layer : str, optional
    random_state : int, numpy Generator or None, default=None
        Seeds and folds are drawn from it; they are the same for all settings.
    n_jobs : int, default=1
        Number of fits in parallel, in processes of one thread each. Within ``with joblib.parallel_config("dask",
        client=client):``, the workers of a Dask client run them. Only ``seconds`` depends on it.
    folder : path, optional
        Folder for the result of every fit. The same call, or one with a larger grid, reuses the results. It needs an
        integer as ``random_state``. No other process can use the folder at the same time.
    **options
        Parameters of :class:`spicemix_core.SpiceMix`. With ``spatial=False`` no graph is needed.

    Returns
    -------
    Selection

    Raises
    ------
    KeyError
        If a column, a graph or a layer does not exist.
    TypeError
        If an option is unknown.
    ValueError
        If the grid is empty, repeats a value or has more metagenes than four fifths of the cells or genes allow, if
        there are fewer than two seeds or a sample has fewer than five cells, or if
        :meth:`spicemix_core.SpiceMix.fit` rejects the input.

    Notes
    -----
    In each of five folds, metagenes, affinity and noise are fitted without a fifth of the cells, and the expression of
    these cells is predicted on genes from which their states were not computed. An error of 1 is no better than the
    mean of each gene. The suggestion is the smallest number of metagenes whose error is within one standard error of
    the lowest (paired over the folds).

    The rule estimates how many metagenes the data resolve. It was tested on simulated tissues with a known number, ten
    of each kind (the book's chapter on choosing K repeats four of each). It was correct in 20 of 20 tissues of two
    kinds (6 metagenes with little noise, 10 with more), in 8 of 10 with 6 metagenes and more noise, and in 1 of 10 each
    with still more noise, with 150 cells, and with similar metagenes, where it was too low by 1 to 3. On the simulated
    cortex it was correct in 4 of 10. Over these 70 tissues, the lowest error itself was correct in 38 and the rule in
    35. Therefore read the whole table and not only the suggestion.

    Examples
    --------
    >>> import warnings
    >>> from spicemix_core import datasets, select
    >>> adata = datasets.simulate_cortex(n_cells=60, n_genes=20, random_state=0)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")  # two iterations are too few
    ...     found = select(adata, n_metagenes=(2, 3), n_seeds=2, max_iter=2, random_state=0)
    >>> found.table["n_metagenes"].tolist(), sorted(found.suggestion)
    ([2, 3], ['affinity_penalty', 'n_metagenes'])
    """
    grid = {"n_metagenes": _values("n_metagenes", n_metagenes, int),
            "affinity_penalty": _values("affinity_penalty", affinity_penalty, float)}
    check_integer("n_seeds", n_seeds, 2, "Stability needs at least two seeds.")
    if folder is not None and not is_integer(random_state):
        raise ValueError("A folder of results needs an integer as random_state, because only a seed makes two runs "
                         "the same. Pass one.")
    spatial = options.get("spatial", True)
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if spatial else None, layer)
    data = Data([sp.csr_array(y) if sp.issparse(y) else np.asarray(y) for y in expressions],
                None if graphs is None else [sp.csr_array(graph) for graph in graphs])
    _check_sizes(data, read_names(adata, sample_key, rows)[1], grid["n_metagenes"])
    rng = np.random.default_rng(random_state)
    fold_seed, *fit_seeds = rng.integers(2**31, size=1 + N_FOLDS).tolist()
    seeds = rng.integers(2**31, size=n_seeds).tolist()
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for setting in settings:
        check_parameters(SpiceMix(**setting, **options))
    tasks: dict[str, tuple[Callable[..., pd.DataFrame], tuple]] = {}
    for setting in reversed(settings):  # the slowest first, so that all workers end at about the same time
        name = f"K{setting['n_metagenes']}-penalty{setting['affinity_penalty']:g}"
        tasks[f"stability-{name}"] = (fit_seeds_of_setting, (data, setting, options, seeds))
        tasks |= {f"held-out-{name}-fold{fold}": (fit_without_fold, (data, setting, options, fold, fold_seed, seed))
                  for fold, seed in enumerate(fit_seeds)}
    with tempfile.TemporaryDirectory() as temporary:
        results = run_stored(tasks, temporary if folder is None else folder, n_jobs=n_jobs, description="selection")
    kinds = {kind: part.dropna(axis=1, how="all").drop(columns="kind") for kind, part in results.groupby("kind")}
    table = _summarize(kinds["held-out"], kinds["fit"])
    suggestion, reason = suggest(table)
    table["suggested"] = (table[SETTING] == [suggestion[name] for name in SETTING]).all(axis=1)
    curves = kinds["curve"].sort_values([*SETTING, "random_state", "n_clusters"], ignore_index=True)
    return Selection(table, suggestion, reason, curves.astype({"n_clusters": int, "random_state": int}))


def compare_errors(held_out: pd.DataFrame) -> pd.DataFrame:
    """Columns ``error`` to ``as_good`` of the table by setting, from the rows of :func:`fit_without_fold`."""
    errors = held_out.pivot(index=SETTING, columns="fold", values="error")
    differences = errors - errors.loc[errors.mean(axis=1).idxmin()]
    table = pd.DataFrame({f"{name}{suffix}": value for name, values in (("error", errors), ("difference", differences))
                          for suffix, value in (("", values.mean(axis=1)), ("_se", values.sem(axis=1)))})
    return table.assign(as_good=table["difference"] <= table["difference_se"])


def _summarize(held_out, fits):
    by_setting = fits.groupby(SETTING)
    means = by_setting[["ari", "metagene_correlation", "separation", "converged"]].mean()
    means.insert(3, "n_clusters", by_setting["n_clusters"].median())
    means["seconds"] = by_setting["seconds"].min()  # the first fit of a process includes compilation
    return compare_errors(held_out).join(means).reset_index().astype({"n_metagenes": int})


def suggest(table: pd.DataFrame) -> tuple[dict[str, int | float], str]:
    """Suggestion and reason by the rule in the docstring of this module, from the table of settings."""
    best = table.loc[table["error"].idxmin()]
    good = table[table["as_good"]]
    smallest = good[good["n_metagenes"] == good["n_metagenes"].min()]
    chosen = smallest.sort_values(["ari", "affinity_penalty"], ascending=False, kind="stable").iloc[0]
    suggestion = {"n_metagenes": int(chosen["n_metagenes"]), "affinity_penalty": float(chosen["affinity_penalty"])}
    words = "{n_metagenes} metagenes (affinity penalty {affinity_penalty:g})".format(**suggestion)
    if chosen.name == best.name:
        reason = f"{words} have the lowest held-out error, {best['error']:.4f}, and no smaller number is as good"
    else:
        reason = (f"{words} are the smallest number of metagenes whose held-out error, {chosen['error']:.4f}, is "
                  f"within one standard error ({chosen['difference_se']:.4f}, paired over the folds) of the lowest, "
                  f"{best['error']:.4f} at {best['n_metagenes']:g} metagenes")
    if len(smallest) > 1:
        reason += f", and the most stable of {len(smallest)} penalties that are as good (ARI {chosen['ari']:.2f})"
    at_end = {table["n_metagenes"].min(): "smaller", table["n_metagenes"].max(): "larger"}
    if table["n_metagenes"].nunique() > 1 and chosen["n_metagenes"] in at_end:
        reason += f"; it is at the end of the grid, so try {at_end[chosen['n_metagenes']]} numbers too"
    return suggestion, reason + "."


def _values(name, values, kind):
    values = [values] if np.isscalar(values) else list(values)
    if not values or len(set(values)) < len(values) or (kind is int and not all(map(is_integer, values))):
        raise ValueError(f"{name} must be a list of {'integers' if kind is int else 'numbers'} without repeats, not "
                         f"{values!r}.")
    return sorted(kind(value) for value in values)


def _check_sizes(data, samples, n_metagenes):
    cells = [y.shape[0] for y in data.expressions]
    genes = data.expressions[0].shape[1]
    if min(cells) < N_FOLDS:
        raise ValueError(f"Sample {samples[int(np.argmin(cells))]!r} has {min(cells)} cells, but a fifth of each "
                         f"sample is held out. Leave out samples of fewer than {N_FOLDS} cells.")
    most = min(sum(n - -(-n // N_FOLDS) for n in cells), genes - -(-genes // N_FOLDS))
    if n_metagenes[-1] > most:
        raise ArgumentError(f"n_metagenes is {n_metagenes[-1]}, but without a fifth of the cells or genes at most "
                            f"{most} metagenes can be fitted.", "Leave out larger numbers.", "n_metagenes")
