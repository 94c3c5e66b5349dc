r"""How many metagenes, and how strong a spatial term: fits over a grid, compared by what they say of masked entries.

*Held-out error.* Cells are dealt into five folds within each sample, genes into five folds. Metagenes, affinity and
noise are fitted without the cells of a fold, on the graph that is left. Then the states of all cells are solved on the
whole graph under these parameters without the genes of a fold, and the expression of the held-out cells is compared
with :math:`x_i^\top m_g` on the held-out genes, entries that neither the parameters nor the states have seen. Each
entry is masked once. The error is relative,

.. math:: e = \frac{\sum_{(i, g)\ \mathrm{masked}} (y_{ig} - x_i^\top m_g)^2}
               {\sum_{(i, g)\ \mathrm{masked}} (y_{ig} - \bar y_g)^2} ,

with :math:`\bar y_g` the mean of the gene in the sample's other cells: 1 is no better than that mean.

*Stability.* Fits of all cells from several seeds: the mean adjusted Rand index between their clusterings, and the mean
correlation of their matched metagenes. A fit that is stable can still be wrong, and too few metagenes are often the
most stable, so that stability does not choose their number.

*The rule.* Of all settings, the one with the lowest mean error is the best; a setting is as good as it if the mean over
the folds of its error minus the best's is at most one standard error of this difference. Suggested is the smallest
number of metagenes of all that are as good, and of its penalties that are as good the one of highest stability, of
equally stable ones the larger.

Source: A. B. Owen and P. O. Perry, Annals of Applied Statistics 3, 564-594 (2009), bi-cross-validation; the rule of one
standard error is L. Breiman et al., Classification and Regression Trees (1984), here with paired differences.
"""

import itertools
import tempfile
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.inputs.anndata import read_samples
from spicemix_core.model import SpiceMix, check_parameters
from spicemix_core.runs.cross_validation import N_FOLDS, Data, fit_seeds_of_setting, fit_without_fold
from spicemix_core.runs.stored_tasks import run_stored

SETTING = ["n_metagenes", "affinity_penalty"]


@dataclass(frozen=True)
class Selection:
    """Result of :func:`select`.

    Attributes
    ----------
    table : DataFrame
        A row per setting: ``n_metagenes``, ``affinity_penalty``; ``error`` (held out, relative), ``error_se`` (standard
        error over the folds), ``difference`` from the lowest error and its ``difference_se`` (paired over the folds),
        ``as_good``; ``ari`` (mean over pairs of seeds), ``metagene_correlation``; ``calinski_harabasz`` (highest, mean
        over seeds), ``n_clusters`` (there, median over seeds); ``converged`` (share of the fits), ``seconds`` (of the
        fastest fit of all cells), ``suggested``.
    suggestion : dict
        ``n_metagenes`` and ``affinity_penalty``, arguments of :class:`spicemix_core.SpiceMix`.
    reason : str
        Why, in one sentence.
    curves : DataFrame
        Calinski-Harabasz index by setting, seed and number of clusters.
    """

    table: pd.DataFrame
    suggestion: dict
    reason: str
    curves: pd.DataFrame


def select(adata, *, n_metagenes=(5, 10, 15, 20), affinity_penalty=(1e-4,), n_seeds=3, sample_key=None,
           graph_key="spatial_connectivities", layer=None, random_state=None, n_jobs=1, folder=None,
           **options) -> Selection:
    """Fit over a grid of numbers of metagenes and penalties, and suggest one, as the head of this module says.

    The rule finds how many metagenes the data can resolve. In ten tissues each of seven kinds whose number is known
    (:mod:`paper.choosing.selection_study`; the book's chapter on choosing K repeats four of each) it was right in 20 of
    20 (6 metagenes at little noise, 10 at more), 8 of 10 (6 at more noise), and 1 of 10 each with yet more noise, 150
    cells or metagenes that are alike, where it was 1 to 3 too low; on the simulated cortex 4 of 10. The lowest error
    itself was right in 38 of the 70, the rule in 35. The table says more than the suggestion.

    Parameters
    ----------
    adata : AnnData
        As :meth:`spicemix_core.SpiceMix.fit`, which also explains ``sample_key``, ``graph_key`` and ``layer``. It is
        not changed.
    n_metagenes, affinity_penalty : sequence
        All combinations are fitted: each ``n_seeds`` times to all cells and 5 times to four fifths of them.
    n_seeds : int
        At least 2.
    random_state : int, numpy Generator or None
        Seeds and folds are drawn from it, the same for every setting.
    n_jobs : int
        Fits at a time, in processes of one thread each, or on the workers of a Dask client
        (:func:`spicemix_core.runs.stored_tasks.run_stored`); nothing but ``seconds`` depends on it.
    folder : path, optional
        Keeps the result of every fit; the same call, or one with a larger grid, takes what is there and goes on. Needs
        an integer as ``random_state``.
    **options
        Passed to :class:`spicemix_core.SpiceMix`; ``spatial=False`` needs no graph.

    Returns
    -------
    Selection

    Raises
    ------
    ValueError, TypeError
        A grid that is empty, repeats a value or asks for more metagenes than four fifths of the cells or genes can
        give, fewer than two seeds, a sample of fewer than five cells, or what :meth:`spicemix_core.SpiceMix.fit`
        refuses.
    """
    grid = {"n_metagenes": _values("n_metagenes", n_metagenes, int),
            "affinity_penalty": _values("affinity_penalty", affinity_penalty, float)}
    if not isinstance(n_seeds, (int, np.integer)) or n_seeds < 2:
        raise ValueError(f"n_seeds must be an integer of at least 2, not {n_seeds!r}: one run has no stability.")
    if folder is not None and not isinstance(random_state, (int, np.integer)):
        raise ValueError("A folder of results needs an integer as random_state: without it no run is ever the same.")
    spatial = options.get("spatial", True)
    expressions, graphs, _ = read_samples(adata, sample_key, graph_key if spatial else None, layer)
    data = Data([sp.csr_array(y) if sp.issparse(y) else np.asarray(y) for y in expressions],
                None if graphs is None else [sp.csr_array(graph) for graph in graphs])
    _check_sizes(data, grid["n_metagenes"])
    rng = np.random.default_rng(random_state)
    fold_seed, *fit_seeds = rng.integers(2**31, size=1 + N_FOLDS).tolist()
    seeds = rng.integers(2**31, size=n_seeds).tolist()
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for setting in settings:
        check_parameters(SpiceMix(**setting, **options))
    tasks = {}
    for setting in reversed(settings):  # the most costly first, so that no worker ends long after the others
        name = f"K{setting['n_metagenes']}-penalty{setting['affinity_penalty']:g}"
        tasks[f"stability-{name}"] = (fit_seeds_of_setting, (data, setting, options, seeds))
        tasks |= {f"held-out-{name}-fold{fold}": (fit_without_fold, (data, setting, options, fold, fold_seed, seed))
                  for fold, seed in enumerate(fit_seeds)}
    with tempfile.TemporaryDirectory() as temporary:
        rows = run_stored(tasks, temporary if folder is None else folder, n_jobs=n_jobs, description="selection")
    kinds = {kind: part.dropna(axis=1, how="all").drop(columns="kind") for kind, part in rows.groupby("kind")}
    table = _summarize(kinds["held-out"], kinds["fit"])
    suggestion, reason = suggest(table)
    table["suggested"] = (table[SETTING] == [suggestion[name] for name in SETTING]).all(axis=1)
    curves = kinds["curve"].sort_values([*SETTING, "random_state", "n_clusters"], ignore_index=True)
    return Selection(table, suggestion, reason, curves.astype({"n_clusters": int, "random_state": int}))


def compare_errors(held_out) -> pd.DataFrame:
    """By setting, the columns ``error`` to ``as_good`` of the table, from the rows of :func:`fit_without_fold`."""
    errors = held_out.pivot(index=SETTING, columns="fold", values="error")
    differences = errors - errors.loc[errors.mean(axis=1).idxmin()]
    table = pd.DataFrame({f"{name}{suffix}": value for name, values in (("error", errors), ("difference", differences))
                          for suffix, value in (("", values.mean(axis=1)), ("_se", values.sem(axis=1)))})
    return table.assign(as_good=table["difference"] <= table["difference_se"])


def _summarize(held_out, fits):
    by_setting = fits.groupby(SETTING)
    means = by_setting[["ari", "metagene_correlation", "calinski_harabasz", "converged"]].mean()
    means.insert(3, "n_clusters", by_setting["n_clusters"].median())
    means["seconds"] = by_setting["seconds"].min()  # the first fit of a process also compiles
    return compare_errors(held_out).join(means).reset_index().astype({"n_metagenes": int})


def suggest(table):
    """Suggestion and reason by the rule at the head of this module, from the table of settings."""
    best = table.loc[table["error"].idxmin()]
    good = table[table["as_good"]]
    smallest = good[good["n_metagenes"] == good["n_metagenes"].min()]
    chosen = smallest.sort_values(["ari", "affinity_penalty"], ascending=False, kind="stable").iloc[0]
    suggestion = {"n_metagenes": int(chosen["n_metagenes"]), "affinity_penalty": float(chosen["affinity_penalty"])}
    words = "n_metagenes={n_metagenes}, affinity_penalty={affinity_penalty:g}".format(**suggestion)
    if chosen.name == best.name:
        reason = f"{words} has the lowest held-out error, {best['error']:.4f}, and no smaller number is as good"
    else:
        reason = (f"{words} is the smallest number of metagenes whose held-out error, {chosen['error']:.4f}, is within "
                  f"one standard error ({chosen['difference_se']:.4f}, paired over the folds) of the lowest, "
                  f"{best['error']:.4f} at n_metagenes={best['n_metagenes']:g}")
    if len(smallest) > 1:
        reason += f", and of {len(smallest)} penalties that are as good the most stable (ARI {chosen['ari']:.2f})"
    at_end = {table["n_metagenes"].min(): "smaller", table["n_metagenes"].max(): "larger"}
    if table["n_metagenes"].nunique() > 1 and chosen["n_metagenes"] in at_end:
        reason += f"; it is at the end of the grid, so try {at_end[chosen['n_metagenes']]} numbers too"
    return suggestion, reason + "."


def _values(name, values, kind):
    values = [values] if np.isscalar(values) else list(values)
    whole = all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values)
    if not values or len(set(values)) < len(values) or (kind is int and not whole):
        raise ValueError(f"{name} must list {'whole numbers' if kind is int else 'numbers'}, at least one and each "
                         f"once, not {values!r}.")
    return sorted(kind(value) for value in values)


def _check_sizes(data, n_metagenes):
    cells = [y.shape[0] for y in data.expressions]
    genes = data.expressions[0].shape[1]
    if min(cells) < N_FOLDS:
        raise ValueError(f"Sample {int(np.argmin(cells))} has {min(cells)} cells: a fifth of each sample is held out, "
                         f"so give at least {N_FOLDS} or leave it out.")
    most = min(sum(n - -(-n // N_FOLDS) for n in cells), genes - -(-genes // N_FOLDS))
    if n_metagenes[-1] > most:
        raise ValueError(f"n_metagenes={n_metagenes[-1]} is too many: without a fifth of the cells or genes at most "
                         f"{most} can be fitted.")
