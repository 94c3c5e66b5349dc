"""Names for clusters of cortical cells, by the evidence of marker genes and, where that is undecided, of depth.

The rule, in four lines:

1. *Score* of a cluster for a type: mean over the type's markers of the z-scored expression, averaged over the cells.
2. Its major type is the one with the highest score. If another one comes within ``MARGIN``, the name is of both.
3. Its subtype, if the major type has any and more than one cluster, is the one with the highest score among the cells
   of the major type; if another comes within ``MARGIN``, the one whose layer is nearer to the cluster's mean depth.
4. Clusters of the same type are numbered, the largest first.

Genes that are evidence for a claim of the paper are withheld (``withheld``), so that a claim is never tested with
the genes that gave the cluster its name.
"""

import numpy as np
import pandas as pd
from scipy import sparse

MARGIN = 0.1  # in standard deviations of expression
UNNAMED = "Unnamed"

# Tasic et al. (2018) for neurons, with the classical layer markers; Zeisel et al. (2015) for all others.
MAJOR_MARKERS = {
    "Excitatory": ("Slc17a7", "Satb2", "Slc17a6", "Nptx1", "Icam5", "Slc30a3", "Neurod6"),
    "Inhibitory": ("Gad1", "Gad2", "Slc32a1", "Dlx1", "Dlx6os1", "Arx", "Nxph1"),
    "Astro": ("Aqp4", "Gja1", "Gjb6", "Aldh1l1", "Fgfr3", "Slc7a10", "Grin2c", "Acsbg1", "Mlc1"),
    "Oligo": ("Mag", "Mal", "Cnp", "Ermn", "Anln", "Cldn11", "Ugt8a", "Fa2h", "Plp1", "Mbp"),
    "OPC": ("Pdgfra", "Vcan", "Neu4", "Lhfpl3", "Gpr17", "Matn4", "Tnr", "Susd5", "Xylt1"),
    "Endo": ("Cldn5", "Pecam1", "Tek", "Cdh5", "Ptprb", "Tie1", "Slc2a1", "Slco1c1", "Kdr"),
    "SMC": ("Acta2", "Myh11", "Tagln", "Pdgfrb", "Vtn", "Kcnj8", "Abcc9", "Cnn1", "Gja4", "Casq2"),
    "Micro": ("Cx3cr1", "P2ry12", "Tmem119", "Csf1r", "Selplg", "Laptm5", "Fcrls", "Mpeg1"),
}
SUBTYPE_MARKERS = {
    "Excitatory": {
        "eL2/3": ("Cux2", "Otof", "Stard8", "Rasgrf2", "Lamp5", "Rrad", "Adamts2", "Agmat"),
        "eL4": ("Rorb", "Scnn1a", "Rspo1", "Kcnh5", "Tmem215", "Cnih3"),
        "eL5a": ("Deptor", "Tcerg1l", "Endou", "Whrn", "Tox2", "Col27a1", "Hsd11b1", "Batf3"),
        "eL5b": ("Fezf2", "Chrna6", "Bcl6", "C1ql2", "Krt80", "Fam84b", "Npsr1", "Slc17a8"),
        "eL6": ("Foxp2", "Rprm", "Tle4", "Hs3st4", "Osr1", "Nxph4", "Cplx3", "Syt6"),
    },
    # Vip and Sst are not measured by every panel: the two great lineages of interneurons stand in for them, those
    # of the caudal (VIP) and of the medial ganglionic eminence (SST, with PVALB).
    "Inhibitory": {
        "VIP": ("Vip", "Adarb2", "Htr3a", "Npas1", "Prox1", "Egfr", "Sp8"),
        "SST": ("Sst", "Lhx6", "Sox6", "Satb1", "Grin3a", "Chodl", "Elfn1"),
    },
}
# Mean depth of a type's layer, 0 at the pia and 1 at the white matter.
LAYER_DEPTHS = {"eL2/3": 0.1, "eL4": 0.35, "eL5a": 0.5, "eL5b": 0.65, "eL6": 0.9}
TYPE_ORDER = (*LAYER_DEPTHS, "Excitatory", "VIP", "SST", "Inhibitory", "Astro", "OPC", "Oligo", "SMC", "Endo", "Micro")


def expression_frame(adata, genes) -> pd.DataFrame:
    """Expression of those of ``genes`` that were measured, cells x genes, in the order asked for."""
    measured = [gene for gene in dict.fromkeys(genes) if gene in adata.var_names]
    values = adata[:, measured].X
    return pd.DataFrame(values.toarray() if sparse.issparse(values) else values, adata.obs_names, measured)


def all_markers(withheld=()) -> list[str]:
    """Every gene that the rule uses, without those withheld."""
    sets = [*MAJOR_MARKERS.values(), *(genes for types in SUBTYPE_MARKERS.values() for genes in types.values())]
    return [gene for gene in dict.fromkeys(gene for genes in sets for gene in genes) if gene not in withheld]


def marker_scores(expression, labels, markers) -> pd.DataFrame:
    """Score of each cluster for each type: mean z-scored expression of the type's markers, clusters x types.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised; the z-scores are over its cells. Genes without variation score 0.
    labels : (N,) array_like
        Cluster of each cell.
    markers : dict of str to sequence of str
        Genes of each type; those not in ``expression`` are left out.

    Raises
    ------
    ValueError
        If no marker of a type is in ``expression``.
    """
    spread = expression.std(ddof=0)
    scores = (expression - expression.mean()) / spread.where(spread > 0, 1.0)
    means = scores.groupby(np.asarray(labels)).mean()
    known = {name: [gene for gene in genes if gene in means] for name, genes in markers.items()}
    if missing := [name for name, genes in known.items() if not genes]:
        raise ValueError(f"None of the markers of {missing[0]} was measured: name the clusters in another way.")
    return pd.DataFrame({name: means[genes].mean(axis=1) for name, genes in known.items()})


def name_clusters(expression, labels, depth=None, *, withheld=()) -> pd.DataFrame:
    """Name each cluster by the rule at the head of this module.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised expression with the markers among its columns, see :func:`expression_frame`.
    labels : (N,) array_like
        Cluster of each cell.
    depth : (N,) array_like, optional
        Depth of each cell, 0 at the pia to 1 at the white matter; without it the first rank decides.
    withheld : sequence of str
        Genes that must not be used.

    Returns
    -------
    DataFrame
        By cluster: ``name`` (unique), ``type``, ``major``, ``cells``, ``score`` and ``runner_up`` with ``margin`` of the
        deciding comparison, ``decided_by`` ("markers" or "depth"), ``depth`` (mean, if given). Where no marker set of
        a major type was measured, as in simulated data, every cluster is "Unnamed".
    """
    expression = expression.drop(columns=list(withheld), errors="ignore")
    labels = pd.Series(np.asarray(labels), index=expression.index)
    table = pd.DataFrame({"cells": labels.value_counts()}).sort_index()
    if depth is not None:
        table["depth"] = pd.Series(np.asarray(depth, dtype=float), expression.index).groupby(labels).mean()
    if not any(gene in expression for genes in MAJOR_MARKERS.values() for gene in genes):
        return _number(table.assign(type=UNNAMED, major=UNNAMED, score=np.nan, runner_up="", margin=np.nan, decided_by=""))

    ranks = _rank(marker_scores(expression, labels, MAJOR_MARKERS))
    close = ranks["margin"] < MARGIN
    table["major"] = ranks["best"]
    table.loc[close, "major"] = ["/".join(sorted(pair)) for pair in ranks.loc[close, ["best", "runner_up"]].to_numpy()]
    table = table.assign(type=table["major"], score=ranks["score"], runner_up=ranks["runner_up"],
                         margin=ranks["margin"], decided_by="markers")
    for major, markers in SUBTYPE_MARKERS.items():
        clusters = table.index[table["major"] == major]
        if len(clusters) > 1:
            inside = labels.isin(clusters).to_numpy()
            scores = marker_scores(expression[inside], labels[inside], markers)
            for cluster, rank in _rank(scores).iterrows():
                _decide(table, cluster, rank)
    return _number(table)


def _rank(scores):
    """Best and second type of each cluster, with the best score and the difference."""
    order = np.argsort(-scores.to_numpy(), axis=1, kind="stable")
    sorted_scores = np.take_along_axis(scores.to_numpy(), order, axis=1)
    names = scores.columns.to_numpy()[order]
    return pd.DataFrame({"best": names[:, 0], "runner_up": names[:, 1], "score": sorted_scores[:, 0],
                         "margin": sorted_scores[:, 0] - sorted_scores[:, 1]}, index=scores.index)


def _decide(table, cluster, rank):
    """Subtype of one cluster: the first rank, or of two close ones that of the nearer layer."""
    name, other, by = rank["best"], rank["runner_up"], "markers"
    if rank["margin"] < MARGIN and "depth" in table and {name, other} <= set(LAYER_DEPTHS):
        by = "depth"
        name, other = sorted((name, other), key=lambda n: abs(LAYER_DEPTHS[n] - table.at[cluster, "depth"]))
    table.loc[cluster, ["type", "runner_up", "score", "margin", "decided_by"]] = [
        name, other, rank["score"], rank["margin"], by]


def _number(table):
    """Add the unique names, and put the clusters in the order of ``TYPE_ORDER``, then of size."""
    rank = {name: number for number, name in enumerate(TYPE_ORDER)}
    place = [rank.get(name, rank.get(name.split("/")[0], len(rank)) + 0.5) for name in table["type"]]
    order = np.lexsort((-table["cells"], table["type"], place))
    table = table.iloc[order]
    same = table.groupby("type", sort=False)
    number, count = same.cumcount() + 1, same["cells"].transform("size")
    name = table["type"].where(count == 1, table["type"] + "-" + number.astype(str))
    first = ["name", "type", "major", "cells", "score", "runner_up", "margin", "decided_by"]
    return table.assign(name=name)[[*first, *(column for column in table if column == "depth")]]
