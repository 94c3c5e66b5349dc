"""The paper's findings in STARmap (Fig. 4a-e, S2-S5) as numbers, measured in the same way for every clustering.

Each function returns the number that ``book/claims.yml`` describes under ``measure``, or the conditions of a compound
claim by name. The text marks the classes of Wang et al. with an asterisk; the code does not.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import ArrayLike

from paper.shared.effects import separation
from paper.shared.layers import InformationComparison, compare_information
from paper.shared.scores import morans_i, share_in_own_type
from paper.shared.typed_cells import TypedCells, metagene_of, metagenes_highest_in
from paper.starmap.reassignment import LayerFit, layer_fit, moved_between
from spicemix_core.tl import adjusted_rand_index

ASTRO_GENES, NEURON_GENES = ("F3", "Sox9"), ("Slc17a7", "Tcerg1l", "Stac", "Parm1")


WITHHELD = ASTRO_GENES + NEURON_GENES
LAYER_OF_TYPE = {"eL2/3": "L2/3", "eL4": "L4", "eL5": "L5", "eL6": "L6"}


EXCITATORY, UPPER, DEEP = tuple(LAYER_OF_TYPE), ("eL2/3", "eL4"), ("eL5", "eL6")


OLIGODENDROCYTES = ("Oligo",)
SCATTERED = ("VIP", "SST", "PVALB", "Reln", "Astro-2", "Endo", "Micro")
STRONG = 0.1  # share of all pairs of metagenes whose attraction counts as strong


CLEAR_AREA, PVALB_AREA, SPARSE = 0.8, 0.9, 0.1


@dataclass(frozen=True)
class Section:
    """Properties of the cells that do not depend on a model.

    Attributes
    ----------
    clusters : (N,) array of str
        The 16 classes of Wang et al.
    layers : (N,) array of str
        Layer of each cell; empty outside the layers.
    graph : (N, N) sparse
        Neighbours.
    """

    clusters: np.ndarray
    layers: np.ndarray
    graph: object

    @property
    def types(self) -> np.ndarray:
        """The classes without the numbers of eL6-1 and eL6-2, for comparison with types."""
        return np.array([name.split("-")[0] if name.startswith("eL") else name for name in self.clusters])

    @property
    def excitatory(self) -> np.ndarray:
        """Cells in the layers that Wang et al. call excitatory."""
        return np.isin(self.types, EXCITATORY) & (self.layers != "")


def section_of(adata: AnnData) -> Section:
    """The :class:`Section` of data from :func:`spicemix_core.datasets.load_starmap`."""
    layers = adata.obs["layer"].astype(object).fillna("").to_numpy(dtype=str)
    return Section(adata.obs["cell_type"].to_numpy(dtype=str), layers, adata.obsp["spatial_connectivities"])


def layer_information(cells: TypedCells, labels: ArrayLike, section: Section, *, n_bootstrap: int = 1000,
                      random_state: int = 0) -> InformationComparison | None:
    """Adjusted mutual information with the layer, of the clusters of ``cells`` and of other labels of the same neurons.

    The neurons are those that both ``cells`` and Wang et al. call excitatory. Returns an
    :class:`paper.shared.layers.InformationComparison`, or None if there are fewer than two such neurons.
    """
    both = (cells.classes == "excitatory") & section.excitatory
    if both.sum() < 2:
        return None
    return compare_information(cells.names[both], np.asarray(labels)[both], section.layers[both],
                               n_bootstrap=n_bootstrap, random_state=random_state)


def upper_in_deep_layers(section: Section) -> np.ndarray:
    """Cells in L5 or L6 that Wang et al. call eL2/3 or eL4."""
    return np.isin(section.types, UPPER) & np.isin(section.layers, ("L5", "L6"))


def with_most_el5(cells: TypedCells, section: Section) -> np.ndarray:
    """Cells of the cluster that holds most of the cells that Wang et al. call eL5; none without such cells."""
    held = pd.Series(cells.names[section.clusters == "eL5"]).value_counts()
    return cells.names == held.index[0] if len(held) else np.zeros(len(cells.names), dtype=bool)


def best_beta(section: Section, hmrf: Mapping[float, np.ndarray]) -> float:
    """The positive beta at which HMRF agrees best with the classes of Wang et al., by adjusted Rand index."""
    return max((beta for beta in hmrf if beta > 0), key=lambda beta: adjusted_rand_index(hmrf[beta], section.clusters))


def el5_outside(section: Section) -> np.ndarray:
    """Cells outside L5 that Wang et al. call eL5."""
    return (section.types == "eL5") & (section.layers != "L5")


def upper_reassigned(cells: TypedCells, section: Section) -> tuple[np.ndarray, LayerFit]:
    """Cells that changed between eL2/3 and eL4, and how the change agrees with their layers."""
    fit = layer_fit(cells.types, section.types, section.layers, {name: LAYER_OF_TYPE[name] for name in UPPER})
    return moved_between(cells.types, section.types, UPPER), fit


def new_types(cells: TypedCells, nmf_cells: TypedCells) -> dict:
    """The four conditions of the claim about subtypes that NMF does not find."""
    def clusters(which, *types):
        return len(np.unique(which.names[which.are(*types)]))

    more = {types: clusters(cells, *types) - clusters(nmf_cells, *types) for types in (OLIGODENDROCYTES, ("eL6",))}
    return {"SST": bool(cells.are("SST").any() and not nmf_cells.are("SST").any()),
            "Astro/Oligo": bool(cells.are("Astro/Oligo").any() and not nmf_cells.are("Astro/Oligo").any()),
            "more Oligo": more[OLIGODENDROCYTES] > 0, "two more eL6": more["eL6",] >= 2}


def astro_gene_conditions(against_astro_2: pd.DataFrame, means: pd.DataFrame) -> dict:
    """The four conditions of the claim about F3 and Sox9.

    Parameters
    ----------
    against_astro_2 : DataFrame
        :func:`spicemix_core.tl.differential_expression` of Astro-1 against Astro-2.
    means : DataFrame, classes x genes
        Mean expression by class of Wang et al.
    """
    conditions = {}
    for gene in ASTRO_GENES:
        row, mean = against_astro_2.loc[gene], means[gene]
        conditions[f"{gene} lower"] = bool(row["auc"] < 0.5 and row["p_adjusted"] < 0.05)
        conditions[f"{gene} as in eL5"] = bool(abs(mean["Astro-1"] - mean["eL5"])
                                               < abs(mean["Astro-1"] - mean["Astro-2"]))
    return conditions


def neuron_genes_higher(against_astro_2: pd.DataFrame) -> list[str]:
    """The genes, among the four neuronal ones, that are significantly higher in Astro-1."""
    table = against_astro_2.loc[list(NEURON_GENES)]
    return table.index[(table["auc"] > 0.5) & (table["p_adjusted"] < 0.05)].tolist()


def scattered_share(labels: ArrayLike, section: Section) -> float:
    """Share of the cells of scattered classes whose cluster is matched to their own class."""
    return share_in_own_type(labels, section.clusters, SCATTERED)


def layer_share(values: ArrayLike, layers: np.ndarray, layer: str) -> float:
    """Mean of ``values`` in one layer divided by the sum of the means in all layers, without cells outside layers."""
    means = pd.Series(values)[layers != ""].groupby(layers[layers != ""]).mean()
    return float(means.get(layer, 0.0) / means.sum()) if means.sum() > 0 else 0.0


def type_metagene(cells: TypedCells, *types: str) -> int | None:
    """The metagene that best separates the cells of some types from all others; None if there are no such cells."""
    inside = cells.are(*types)
    return metagene_of(cells, inside, np.ones_like(inside)) if inside.any() else None


def pvalb_conditions(cells: TypedCells, section: Section) -> dict:
    """The two conditions of the claim about the PVALB metagene."""
    k, own = type_metagene(cells, "PVALB"), section.clusters == "PVALB"
    if k is None:
        return {"identifies PVALB": False, "sparse": False}
    z = cells.proportions[:, k]
    return {"identifies PVALB": separation(z, own, ~own) >= PVALB_AREA, "sparse": bool((z >= SPARSE).mean() <= 0.1)}


def coherence_gain(cells: TypedCells, nmf_cells: TypedCells, graph: sp.sparray) -> float:
    """Mean Moran's I of the proportions of all metagenes minus that of NMF's; constant ones are left out."""
    own, other = (np.nanmean(morans_i(each.proportions, graph)) for each in (cells, nmf_cells))
    return float(own - other)


def layer_metagenes(cells: TypedCells) -> np.ndarray:
    """Metagenes whose highest mean is in a cluster of excitatory neurons of the cortex, (K,) bool."""
    return metagenes_highest_in(cells, *EXCITATORY)


def self_attraction(cells: TypedCells) -> float:
    """Area under ROC of minus S: layer metagenes with themselves against all pairs of different metagenes.

    NaN if there is no such metagene or no spatial affinity.
    """
    own = np.diag(cells.affinity)[layer_metagenes(cells)]
    if not len(own) or not cells.affinity.any():
        return float("nan")
    pairs = _pairs(cells.affinity)
    values = -np.concatenate([own, pairs])
    first = np.arange(len(values)) < len(own)
    return separation(values, first, ~first)


def el6_pairs(cells: TypedCells) -> pd.DataFrame:
    """All pairs of clusters of eL6 with the metagenes that best separate one from the other.

    Returns
    -------
    DataFrame
        ``first``, ``second``: names; ``metagene_first``, ``metagene_second``; ``area``, the lower of the two areas
        under ROC; ``affinity`` of the two metagenes and ``rank``, the share of all pairs with a stronger attraction.
        The last two are NaN if the two metagenes are the same or there is no spatial affinity.
    """
    rows, pairs = [], _pairs(cells.affinity)
    for names in itertools.combinations(np.unique(cells.names[cells.are("eL6")]), 2):
        inside = [cells.names == name for name in names]
        k = [metagene_of(cells, one, inside[0] | inside[1]) for one in inside]
        area = min(separation(cells.proportions[:, k[i]], inside[i], inside[1 - i]) for i in (0, 1))
        affinity = cells.affinity[k[0], k[1]] if k[0] != k[1] and cells.affinity.any() else np.nan
        rank = (pairs < affinity).mean() if np.isfinite(affinity) else np.nan
        rows.append((*names, *k, area, affinity, rank))
    columns = ["first", "second", "metagene_first", "metagene_second", "area", "affinity", "rank"]
    return pd.DataFrame(rows, columns=columns)


def el6_conditions(cells: TypedCells) -> dict:
    """The three conditions of the claim about two types of eL6."""
    pairs = el6_pairs(cells)
    contrary = pairs["affinity"].notna() & (pairs["area"] >= CLEAR_AREA)
    return {"two eL6": len(pairs) > 0, "contrary metagenes": bool(contrary.any()),
            "strong affinity": bool((contrary & (pairs["rank"] < STRONG)).any())}


def moderate_attractions(cells: TypedCells, *types: str) -> float:
    """Share of the other metagenes that the metagene of some types attracts, but not strongly.

    NaN if there is no such metagene or no spatial affinity.
    """
    k = type_metagene(cells, *types)
    if k is None or not cells.affinity.any():
        return float("nan")
    others, strong = np.delete(cells.affinity[k], k), np.quantile(_pairs(cells.affinity), STRONG)
    return float(((others < cells.affinity.mean()) & (others >= strong)).mean())


def _pairs(affinity):
    """Affinities of all pairs of different metagenes."""
    return affinity[np.triu_indices(len(affinity), 1)]
