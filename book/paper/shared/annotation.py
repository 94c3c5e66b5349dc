"""Names for clusters of cortical cells by marker genes and, where these do not decide, by depth.

The rule:

1. A *cell's score* for a type is the mean over the type's markers of the expression, centred at the mean of the
   clusters' means (so that a common type does not set the zero) and divided by the standard deviation over cells. A
   cluster's score is the mean over its cells. The first type leads *clearly* if its lead over the second, cell by
   cell, is at least ``CLEAR`` standard errors.
2. The major type is the one with the highest score; without a clear lead the name consists of both.
3. The subtype, if the major type has any and more than one cluster, is the one with the highest score among the
   clusters of that major type. Without a clear lead it is the one of the first two whose layer is nearer to the mean
   depth of the cluster.
4. Clusters with fewer than ``min_cells`` cells are too small to be a type and are pooled as "Few cells". Clusters of
   the same type are numbered, the largest first.

Genes that are evidence for a claim of the paper are withheld, so that a claim is never tested with the genes that
named the cluster.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paper.shared.markers import CORTEX_MARKERS, MarkerSets
from spicemix_core.tl.clustering import MIN_CELLS

CLEAR = 2.0  # standard errors
FEW = "Few cells"


# Mean depth of the layer of each type, 0 at the pia and 1 at the white matter.
LAYER_DEPTHS = {"eL2/3": 0.1, "eL4": 0.35, "eL5a": 0.5, "eL5": 0.6, "eL5b": 0.65, "eL6": 0.9}
TYPE_ORDER = (*LAYER_DEPTHS, "HPC", "Excitatory", "VIP", "SST", "PVALB", "Reln", "Inhibitory", "Astro", "OPC", "Oligo",
              "SMC", "Endo", "Micro")


def all_markers(withheld: Sequence[str] = (), markers: MarkerSets = CORTEX_MARKERS) -> list[str]:
    """All genes that the rule uses, except those withheld."""
    sets = [*markers.major.values(), *(genes for types in markers.subtypes.values() for genes in types.values())]
    return [gene for gene in dict.fromkeys(gene for genes in sets for gene in genes) if gene not in withheld]


def cell_scores(expression: pd.DataFrame, labels: ArrayLike, markers: MarkerSets, *,
                min_cells: int = MIN_CELLS) -> pd.DataFrame:
    """Score of each cell for each type: mean centred and scaled expression of the type's markers, cells x types.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised. Genes without variation score 0.
    labels : (N,) array_like
        Cluster of each cell. Clusters of at least ``min_cells`` cells, or all if there are none, set the centre.
    markers : dict of str to sequence of str
        Genes of each type; those not in ``expression`` are left out.

    Raises
    ------
    ValueError
        If no marker of a type is in ``expression``.
    """
    spread = expression.std(ddof=0)
    labels = pd.Series(np.asarray(labels), expression.index)
    means, sizes = expression.groupby(labels).mean(), labels.value_counts()
    centre = means[sizes.reindex(means.index) >= min(min_cells, sizes.max())].mean()
    scores = (expression - centre) / spread.where(spread > 0, 1.0)
    known = {name: [gene for gene in genes if gene in scores] for name, genes in markers.items()}
    if missing := [name for name, genes in known.items() if not genes]:
        raise ValueError(f"None of the markers of {missing[0]} was measured: name the clusters with name_by_reference.")
    return pd.DataFrame({name: scores[genes].mean(axis=1) for name, genes in known.items()})


def name_clusters(expression: pd.DataFrame, labels: ArrayLike, depth: ArrayLike, *,
                  markers: MarkerSets = CORTEX_MARKERS, withheld: Sequence[str] = (),
                  min_cells: int = MIN_CELLS) -> pd.DataFrame:
    """Name each cluster by the rule at the head of this module.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised expression, with columns for the markers (:func:`spicemix_core.inputs.expression_frame`).
    labels : (N,) array_like
        Cluster of each cell.
    depth : (N,) array_like
        Depth of each cell, 0 at the pia to 1 at the white matter.
    markers : MarkerSets
        Markers of the panel and the tissue.
    withheld : sequence of str
        Genes that must not be used.
    min_cells : int

    Returns
    -------
    DataFrame
        By cluster, in the order of ``TYPE_ORDER``: ``name``, ``type`` (the name without number), ``major``, ``cells``,
        ``depth`` (mean), ``score``, ``runner_up``, ``lead`` (in standard errors) and ``decided_by`` ("markers" or
        "depth") of the last comparison.

    Raises
    ------
    ValueError
        If none of a type's markers was measured.
    """
    expression = expression.drop(columns=list(withheld), errors="ignore")
    labels, depth = (pd.Series(np.asarray(values), expression.index) for values in (labels, depth))
    table = rank_types(cell_scores(expression, labels, markers.major, min_cells=min_cells), labels)
    unclear = table["lead"] < CLEAR
    pairs = table.loc[unclear, ["type", "runner_up"]].to_numpy()
    table.loc[unclear, "type"] = ["/".join(sorted(pair)) for pair in pairs]
    table = table.assign(major=table["type"], depth=depth.groupby(labels).mean(), decided_by="markers")
    for major, sets in markers.subtypes.items():
        clusters = table.index[(table["major"] == major) & (table["cells"] >= min_cells)]
        if len(clusters) > 1:
            inside = labels.isin(clusters)
            ranks = rank_types(cell_scores(expression[inside], labels[inside], sets), labels[inside])
            ranks["decided_by"] = "markers"
            for cluster in ranks.index[ranks["lead"] < CLEAR]:
                _decide_by_depth(ranks, cluster, table.at[cluster, "depth"])
            table.loc[clusters, ranks.columns] = ranks
    table.loc[table["cells"] < min_cells, "type"] = FEW
    return _named(table)


def name_by_reference(labels: ArrayLike, reference: ArrayLike, majors: ArrayLike, *,
                      min_cells: int = MIN_CELLS) -> pd.DataFrame:
    """Name each cluster after the reference label of most of its cells, for data without markers.

    Parameters
    ----------
    labels, reference, majors : (N,) array_like
        Cluster, label and major type of each cell.
    min_cells : int

    Returns
    -------
    DataFrame
        As :func:`name_clusters`, with ``score`` the share of the cells that have this label.
    """
    labels, majors = pd.Series(np.asarray(labels)), pd.Series(np.asarray(majors))
    counts = pd.crosstab(labels, pd.Series(np.asarray(reference)))
    table = pd.DataFrame({"type": counts.idxmax(axis=1), "cells": counts.sum(axis=1)})
    table["score"] = counts.max(axis=1) / table["cells"]
    table["major"] = majors.groupby(labels).agg(lambda values: values.mode().iloc[0])
    table.loc[table["cells"] < min_cells, "type"] = FEW
    return _named(table.assign(decided_by="reference"))


def major_class(major: str) -> str:
    """``excitatory``, ``inhibitory`` or ``glia`` for a major type or a mixture of one class; else ``mixed``."""
    classes = {{"Excitatory": "excitatory", "Inhibitory": "inhibitory"}.get(part, "glia") for part in major.split("/")}
    return classes.pop() if len(classes) == 1 else "mixed"


def rank_types(scores: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """First and second type of each cluster, with the first's score and its lead in standard errors."""
    means = scores.groupby(labels).mean()
    order = np.argsort(-means.to_numpy(), axis=1, kind="stable")
    names = means.columns.to_numpy()[order[:, :2]]
    columns, rows = means.columns.get_indexer(names.T.ravel()).reshape(2, -1), labels.to_numpy()
    differences = scores.to_numpy()[:, columns[0]] - scores.to_numpy()[:, columns[1]]  # cells x clusters
    leads = [_lead(differences[rows == cluster, i]) for i, cluster in enumerate(means.index)]
    return pd.DataFrame({"type": names[:, 0], "cells": labels.value_counts(), "score": means.max(axis=1),
                         "runner_up": names[:, 1], "lead": leads}, index=means.index)


def _lead(differences):
    """Mean of the differences of the cells of a cluster, in standard errors."""
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else np.inf
    return differences.mean() / error if error > 0 else np.inf


def _decide_by_depth(ranks, cluster, depth):
    pair = ranks.loc[cluster, ["type", "runner_up"]]
    if set(pair) <= set(LAYER_DEPTHS):
        ranks.loc[cluster, ["type", "runner_up"]] = sorted(pair, key=lambda name: abs(LAYER_DEPTHS[name] - depth))
        ranks.loc[cluster, "decided_by"] = "depth"


def _named(table):
    """Add the names, and sort the clusters by ``TYPE_ORDER`` and size, those of few cells last."""
    rank = {name: number for number, name in enumerate(TYPE_ORDER)}
    last = len(rank) + 1
    place = [last if name == FEW else rank.get(name, rank.get(name.split("/")[0], last - 1) + 0.5)
             for name in table["type"]]
    table = table.iloc[np.lexsort((-table["cells"], table["type"], place))]
    same = table.groupby("type", sort=False)
    numbered = table["type"] + "-" + (same.cumcount() + 1).astype(str)
    alone = (same["cells"].transform("size") == 1) | (table["type"] == FEW)
    table = table.assign(name=table["type"].where(alone, numbered))
    first = ["name", "type", "major", "cells"]
    return table[[*first, *(column for column in table if column not in first)]]
