"""The paper's findings in seqFISH+ (Fig. 3) as numbers, measured in the same way for consensus, single runs and NMF.

Each function returns the number that ``book/claims.yml`` describes under ``measure``, or the conditions of a compound
claim by name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paper.shared.effects import MeanDifference, mean_difference, separation
from paper.shared.typed_cells import TypedCells, metagene_of, metagenes_highest_in

OLIGODENDROCYTES = ("Oligo", "OPC/Oligo")
DEEP = ("eL5a", "eL5b", "eL6")
# Genes that the paper's text names. They are withheld from the naming of clusters.
NAMED_GENES = ("Col6a1", "Ctgf", "Cspg4", "Tcf7l2", "Mog", "Bgn", "Flt1")


def reference_classes(coarse_types: Iterable[str]) -> np.ndarray:
    """Class of each cell by the coarse type of its cluster in Eng et al.; ``other`` for types of the SVZ."""
    classes = {"Excitatory neuron": "excitatory", "Interneuron": "inhibitory"}
    classes |= dict.fromkeys(("Astrocyte", "Oligodendrocyte", "Microglia", "Endothelial", "Glia"), "glia")
    return np.array([classes.get(name, "other") for name in coarse_types])


@dataclass(frozen=True)
class Tissue:
    """Properties of the cells that do not depend on a model.

    Attributes
    ----------
    expression : DataFrame
        Cells x genes, including the genes that the claims name.
    fields : (N,) array
        Field of view of each cell.
    graph : (N, N) sparse
        Neighbours.
    clusters, classes : (N,) arrays of str
        Clusters of Eng et al., and their class as in `TypedCells` or ``other``.
    """

    expression: pd.DataFrame
    fields: np.ndarray
    graph: object
    clusters: np.ndarray
    classes: np.ndarray


def oligodendrocyte_metagene(cells: TypedCells) -> int | None:
    """Metagene most specific to oligodendrocytes among all cells except OPCs; None without such a cluster."""
    oligo = cells.are(*OLIGODENDROCYTES)
    return metagene_of(cells, oligo, ~cells.are("OPC")) if oligo.any() else None


def opc_metagene(cells: TypedCells) -> int | None:
    """Metagene most specific to OPCs among all cells except oligodendrocytes; None without such a cluster."""
    opc = cells.are("OPC")
    return metagene_of(cells, opc, ~cells.are(*OLIGODENDROCYTES)) if opc.any() else None


def oligodendrocytes_against_opcs(cells: TypedCells) -> float:
    """Area under ROC of the oligodendrocytes' metagene, oligodendrocytes against OPCs; 0 if either is missing."""
    oligo, opc, k = cells.are(*OLIGODENDROCYTES), cells.are("OPC"), oligodendrocyte_metagene(cells)
    return separation(cells.proportions[:, k], oligo, opc) if oligo.any() and opc.any() else 0.0


def oligo_2_cells(cells: TypedCells) -> np.ndarray:
    """Cells of the oligodendrocyte cluster that is highest in the OPCs' metagene; none without two such clusters."""
    names, k = np.unique(cells.names[cells.are(*OLIGODENDROCYTES)]), opc_metagene(cells)
    if len(names) < 2 or k is None:
        return np.zeros(len(cells.names), dtype=bool)
    return cells.names == cells.means.loc[names, k].idxmax()


def contrasts(cells: TypedCells, tissue: Tissue, *, n_bootstrap: int = 2000, random_state: int = 0) -> pd.DataFrame:
    """Differences between types that the paper reads from its heat maps, with bootstrap intervals.

    Returns
    -------
    DataFrame
        By comparison (``"gene: first - second"``, in log-normalised expression; the OPC metagene in proportions) the
        fields of :class:`paper.shared.effects.MeanDifference`; NaN if a type is missing.
    """
    oligo, opc, second = cells.are(*OLIGODENDROCYTES), cells.are("OPC"), oligo_2_cells(cells)
    first = oligo & ~second if second.any() else second
    el5b, el6, smc, endo = (cells.are(name) for name in ("eL5b", "eL6", "SMC", "Endo"))
    rest = ~(smc | endo)
    pairs = {"Col6a1: eL5b - eL6": (el5b, el6), "Ctgf: eL6 - eL5b": (el6, el5b), "Cspg4: OPC - Oligo": (opc, oligo),
             "Mog: Oligo - OPC": (oligo, opc), "Tcf7l2: Oligo - OPC": (oligo, opc),
             "OPC metagene: Oligo-2 - Oligo-1": (second, first), "Tcf7l2: Oligo-2 - Oligo-1": (second, first),
             "Mog: Oligo-1 - Oligo-2": (first, second), "Bgn: SMC - Endo": (smc, endo),
             "Flt1: SMC - others": (smc, rest), "Flt1: Endo - others": (endo, rest)}
    k, rows = opc_metagene(cells), {}
    for text, groups in pairs.items():
        gene = text.split(":")[0]
        if min(group.sum() for group in groups) >= 2:
            values = cells.proportions[:, k] if gene == "OPC metagene" else tissue.expression[gene]
            rows[text] = asdict(mean_difference(values, *groups, n_bootstrap=n_bootstrap, random_state=random_state))
        else:
            rows[text] = dict.fromkeys(MeanDifference.__annotations__, np.nan)
    return pd.DataFrame.from_dict(rows, orient="index")


def oligo_2_conditions(cells: TypedCells, tissue: Tissue, differences: pd.DataFrame) -> dict:
    """The five conditions of the claim about Oligo-2; ``differences`` are those of :func:`contrasts`."""
    oligo, opc, second = cells.are(*OLIGODENDROCYTES), cells.are("OPC"), oligo_2_cells(cells)
    split, above = bool(second.any()), differences["low"] > 0
    mog = [tissue.expression["Mog"][group].mean() for group in (opc, second, oligo & ~second)]
    return {
        "two clusters": split,
        "OPC metagene in Oligo-2": bool(above["OPC metagene: Oligo-2 - Oligo-1"]),
        "Cspg4 in OPC": bool(above["Cspg4: OPC - Oligo"]),
        "Tcf7l2 in Oligo-2": bool(above["Tcf7l2: Oligo-2 - Oligo-1"]),
        "Mog rises": bool(split and mog[0] < mog[1] < mog[2]),
    }


def smc_endo_conditions(cells: TypedCells, differences: pd.DataFrame) -> dict:
    """The four conditions of the claim about SMC and Endo."""
    above = differences["low"] > 0
    return {"SMC and Endo": bool(cells.are("SMC").any() and cells.are("Endo").any()),
            "Bgn in SMC": bool(above["Bgn: SMC - Endo"]),
            "Flt1 in SMC": bool(above["Flt1: SMC - others"]), "Flt1 in Endo": bool(above["Flt1: Endo - others"])}


def el5b_el6_conditions(cells: TypedCells, tissue: Tissue, differences: pd.DataFrame) -> dict:
    """The four conditions of the claim about eL5b and eL6."""
    above, reference = differences["low"] > 0, pd.Series(tissue.clusters)
    shares = [reference[cells.are(name)].value_counts(normalize=True) for name in ("eL5b", "eL6")]
    mixing = shares[0].index[shares[0] >= 0.2].intersection(shares[1].index[shares[1] >= 0.2])
    return {"eL5b and eL6": bool(cells.are("eL5b").any() and cells.are("eL6").any()),
            "Col6a1 in eL5b": bool(above["Col6a1: eL5b - eL6"]), "Ctgf in eL6": bool(above["Ctgf: eL6 - eL5b"]),
            "mixed by Eng et al.": len(mixing) >= 2}


def deep_metagenes(cells: TypedCells) -> np.ndarray:
    """Metagenes whose highest mean is in a cluster of deep-layer excitatory neurons, (K,) bool."""
    return metagenes_highest_in(cells, *DEEP)


def deep_attraction(cells: TypedCells, k: int | None) -> float:
    """Area under ROC of minus the affinity of metagene ``k``, deep metagenes against all others.

    NaN if there is no such metagene (None), no deep one or no spatial affinity.
    """
    deep = deep_metagenes(cells)
    if k is None or not cells.affinity.any():
        return float("nan")
    others = np.arange(len(deep)) != k
    first, second = deep & others, ~deep & others
    return separation(-cells.affinity[k], first, second) if first.any() and second.any() else float("nan")


def attraction_by_type(cells: TypedCells) -> pd.Series:
    """:func:`deep_attraction` of the metagenes that best separate each type of glia and interneurons from all others.

    The first is the metagene of the oligodendrocytes, chosen as in the claim.
    """
    others = np.unique(cells.types[np.isin(cells.classes, ("inhibitory", "glia"))])
    areas = {"Oligo": deep_attraction(cells, oligodendrocyte_metagene(cells))}
    for name in others[~np.isin(others, OLIGODENDROCYTES)]:
        inside = cells.are(name)
        areas[name] = deep_attraction(cells, metagene_of(cells, inside, np.ones_like(inside)))
    return pd.Series(areas, dtype=float)


def detection(expression: pd.DataFrame, genes: Sequence[str], inside: ArrayLike) -> pd.DataFrame:
    """Share of the cells ``inside`` (N,) and of all others in which each gene is detected, for genes that are measured.

    A marker that is detected in a smaller share of the cells that it should mark cannot name them.
    """
    inside, found = np.asarray(inside, bool), expression[[gene for gene in genes if gene in expression]] > 0
    table = pd.DataFrame({"inside": found[inside].mean(), "others": found[~inside].mean()})
    return table.assign(informative=table["inside"] > table["others"])


def deepest_attraction(cells: TypedCells) -> dict:
    """Rank of the first deep metagene among the metagenes that the oligodendrocytes' metagene attracts.

    Returns
    -------
    dict
        ``rank`` of the deep metagene with the lowest affinity (the strongest attraction) among the ``others``, the
        K - 1 other metagenes, 1 for the strongest; ``deep``, the number of deep ones among them; ``by_chance``, the
        mean rank of the first of as many random metagenes, (others + 1) / (deep + 1). ``rank`` and ``by_chance`` are
        NaN if there is no such metagene, none is deep or there is no spatial affinity.
    """
    k, deep = oligodendrocyte_metagene(cells), deep_metagenes(cells)
    if k is None:
        return {"rank": np.nan, "deep": int(deep.sum()), "others": len(deep) - 1, "by_chance": np.nan}
    affinity, deep = np.delete(cells.affinity[k], k), np.delete(deep, k)
    found = deep.any() and cells.affinity.any()
    rank = 1 + (affinity < affinity[deep].min()).sum() if found else np.nan
    by_chance = (len(deep) + 1) / (deep.sum() + 1) if found else np.nan
    return {"rank": float(rank), "deep": int(deep.sum()), "others": len(deep), "by_chance": float(by_chance)}


def partners(cells: TypedCells, excess: pd.DataFrame, own: Sequence[str], others: Sequence[str]) -> int:
    """Clusters of the types ``others`` with which a cluster of the types ``own`` has excess contacts."""
    own, others = (np.unique(cells.names[cells.are(*types)]) for types in (own, others))
    return int(excess.loc[own, others].any(axis=0).sum())


def closest_overlap(inside: ArrayLike, reference: ArrayLike) -> float:
    """Jaccard index of a set of cells with the closest cluster of a reference; NaN for an empty set."""
    inside = np.asarray(inside, bool)
    if not inside.any():
        return float("nan")
    clusters = [np.asarray(reference) == name for name in pd.unique(np.asarray(reference)[inside])]
    return float(max((inside & cluster).sum() / (inside | cluster).sum() for cluster in clusters))
