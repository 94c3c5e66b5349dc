"""The paper's findings in STARmap (Fig. 4a-e, S2-S5) as numbers, measured alike for every clustering.

Each function returns what ``book/claims.yml`` describes under ``measure``; the conditions of a compound claim are
returned by name. Classes of Wang et al. carry an asterisk in the text, not in the code.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paper.shared.annotation import MarkerSets
from paper.shared.effects import separation
from paper.shared.layers import compare_information
from paper.shared.typed_cells import metagene_of, metagenes_highest_in
from paper.simulation.recovery import morans_i, share_in_own_type
from paper.starmap.reassignment import LayerFit, layer_fit, moved_between

# Genes of Tasic et al. (2018) and Zeisel et al. (2015) that this panel of 1,020 measures. Of those of a major type, the
# ones kept have their highest mean over the 16 classes of Wang et al. in a class of that type. The panel has three of
# OPCs, too few to tell a score from noise, and neither Wang et al. nor the paper names such a type here.
STARMAP_MARKERS = MarkerSets(
    major={
        "Excitatory": ("Slc17a7", "Satb2", "Nptx1", "Neurod6", "Tbr1", "Nrn1", "Nrgn", "Sv2b", "Camk2a", "Arpp21"),
        "Inhibitory": ("Gad1", "Gad2", "Slc32a1", "Dlx1", "Dlx2", "Dlx5", "Dlx6os1", "Arx", "Nxph1", "Slc6a1"),
        "Astro": ("Aqp4", "Aldh1l1", "Fgfr3", "Acsbg1", "Atp1a2", "Slc1a3", "Ntsr2"),
        "Oligo": ("Mal", "Cnp", "Plp1", "Mbp", "Trf", "Pllp", "Enpp2"),
        "Endo": ("Cldn5", "Slco1c1", "Bsg", "Itm2a"),
        "SMC": ("Acta2", "Mgp", "Dcn", "Aebp1"),
        "Micro": ("Aif1", "Rgs10", "B2m"),
    },
    subtypes={
        "Excitatory": {
            "eL2/3": ("Cux2", "Otof", "Rasgrf2", "Lamp5", "Adamts2"),
            "eL4": ("Rorb", "Scnn1a", "Rspo1", "Tmem215", "Cnih3"),
            "eL5": ("Deptor", "Tcerg1l", "Whrn", "Hsd11b1", "Batf3", "Fezf2", "Chrna6", "Bcl6", "Fam84b"),
            "eL6": ("Foxp2", "Rprm", "Tle4", "Hs3st4", "Nxph4", "Cplx3", "Syt6"),
            "HPC": ("Spink8", "Wfs1", "Hpca", "Cpne6", "Cpne7", "Neurod6"),
        },
        "Inhibitory": {
            "VIP": ("Vip", "Htr3a", "Npas1", "Calb2", "Crh"),
            "SST": ("Sst", "Crhbp", "Chodl", "Elfn1", "Pdyn"),
            "PVALB": ("Pvalb", "Tac1", "Kcnc2", "Cox6a2", "Btbd11"),
            "Reln": ("Reln", "Ndnf", "Krt73", "Npy"),
        },
    })


ASTRO_GENES, NEURON_GENES = ("F3", "Sox9"), ("Slc17a7", "Tcerg1l", "Stac", "Parm1")


WITHHELD = ASTRO_GENES + NEURON_GENES
LAYER_OF_TYPE = {"eL2/3": "L2/3", "eL4": "L4", "eL5": "L5", "eL6": "L6"}


EXCITATORY, UPPER, DEEP = tuple(LAYER_OF_TYPE), ("eL2/3", "eL4"), ("eL5", "eL6")


OLIGODENDROCYTES = ("Oligo",)
SCATTERED = ("VIP", "SST", "PVALB", "Reln", "Astro-2", "Endo", "Micro")
STRONG = 0.1  # the share of all pairs of metagenes whose attraction counts as strong


CLEAR_AREA, PVALB_AREA, SPARSE = 0.8, 0.9, 0.1


@dataclass(frozen=True)
class Section:
    """What is known of the cells without the model.

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
        """The classes without the numbers of eL6-1 and eL6-2, so that they compare with types."""
        return np.array([name.split("-")[0] if name.startswith("eL") else name for name in self.clusters])

    @property
    def excitatory(self) -> np.ndarray:
        """Cells in the layers that Wang et al. call excitatory."""
        return np.isin(self.types, EXCITATORY) & (self.layers != "")


def section_of(adata) -> Section:
    """The :class:`Section` of data from :func:`spicemix_core.datasets.load_starmap`."""
    layers = adata.obs["layer"].astype(object).fillna("").to_numpy(dtype=str)
    return Section(adata.obs["cell_type"].to_numpy(dtype=str), layers, adata.obsp["spatial_connectivities"])


def layer_information(cells, labels, section, *, n_bootstrap=1000, random_state=0):
    """Adjusted mutual information with the layer of the clusters of ``cells`` and of other labels of the same neurons.

    Returns an :class:`paper.shared.layers.InformationComparison` over the neurons that both ``cells`` and Wang et al.
    call excitatory, or None if there are fewer than two.
    """
    both = (cells.classes == "excitatory") & section.excitatory
    if both.sum() < 2:
        return None
    return compare_information(cells.names[both], np.asarray(labels)[both], section.layers[both],
                               n_bootstrap=n_bootstrap, random_state=random_state)


def upper_in_deep_layers(section) -> np.ndarray:
    """Cells that Wang et al. call eL2/3 or eL4 and that lie in L5 or L6."""
    return np.isin(section.types, UPPER) & np.isin(section.layers, ("L5", "L6"))


def el5_outside(section) -> np.ndarray:
    """Cells that Wang et al. call eL5 and that do not lie in L5."""
    return (section.types == "eL5") & (section.layers != "L5")


def upper_reassigned(cells, section) -> tuple[np.ndarray, LayerFit]:
    """Cells that moved between eL2/3 and eL4, and how the move fits the layers."""
    fit = layer_fit(cells.types, section.types, section.layers, {name: LAYER_OF_TYPE[name] for name in UPPER})
    return moved_between(cells.types, section.types, UPPER), fit


def new_types(cells, nmf_cells) -> dict:
    """The four conditions of the claim on subtypes that NMF does not find."""
    def clusters(which, *types):
        return len(np.unique(which.names[which.are(*types)]))

    more = {types: clusters(cells, *types) - clusters(nmf_cells, *types) for types in (OLIGODENDROCYTES, ("eL6",))}
    return {"SST": bool(cells.are("SST").any() and not nmf_cells.are("SST").any()),
            "Astro/Oligo": bool(cells.are("Astro/Oligo").any() and not nmf_cells.are("Astro/Oligo").any()),
            "more Oligo": more[OLIGODENDROCYTES] > 0, "two more eL6": more["eL6",] >= 2}


def astro_gene_conditions(against_astro_2, means) -> dict:
    """The four conditions of the claim on F3 and Sox9.

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


def neuron_genes_higher(against_astro_2) -> list[str]:
    """Those of the four neuronal genes that are significantly higher in Astro-1."""
    table = against_astro_2.loc[list(NEURON_GENES)]
    return table.index[(table["auc"] > 0.5) & (table["p_adjusted"] < 0.05)].tolist()


def scattered_share(labels, section) -> float:
    """Share of the cells of scattered classes whose cluster is matched to their own class."""
    return share_in_own_type(labels, section.clusters, SCATTERED)


def layer_share(values, layers, layer) -> float:
    """Mean of ``values`` in one layer over the sum of its means in all layers; cells without a layer have no part."""
    means = pd.Series(values)[layers != ""].groupby(layers[layers != ""]).mean()
    return float(means.get(layer, 0.0) / means.sum()) if means.sum() > 0 else 0.0


def type_metagene(cells, *types) -> int | None:
    """The metagene that best sets the cells of some types apart from all others; None if there are none."""
    inside = cells.are(*types)
    return metagene_of(cells, inside, np.ones_like(inside)) if inside.any() else None


def pvalb_conditions(cells, section) -> dict:
    """The two conditions of the claim on the PVALB metagene."""
    k, own = type_metagene(cells, "PVALB"), section.clusters == "PVALB"
    if k is None:
        return {"identifies PVALB": False, "sparse": False}
    z = cells.proportions[:, k]
    return {"identifies PVALB": separation(z, own, ~own) >= PVALB_AREA, "sparse": bool((z >= SPARSE).mean() <= 0.1)}


def coherence_gain(cells, nmf_cells, graph) -> float:
    """Mean Moran's I of the proportions of all metagenes minus that of NMF's; constant ones are left out."""
    own, other = (np.nanmean(morans_i(each.proportions, graph)) for each in (cells, nmf_cells))
    return float(own - other)


def layer_metagenes(cells) -> np.ndarray:
    """Metagenes whose highest mean is in a cluster of excitatory neurons of the cortex, (K,) bool."""
    return metagenes_highest_in(cells, *EXCITATORY)


def self_attraction(cells) -> float:
    """Area under ROC of minus S: layer metagenes with themselves against all pairs of different metagenes.

    NaN where there is no such metagene or no spatial affinity.
    """
    own = np.diag(cells.affinity)[layer_metagenes(cells)]
    if not len(own) or not cells.affinity.any():
        return float("nan")
    pairs = _pairs(cells.affinity)
    values = -np.concatenate([own, pairs])
    first = np.arange(len(values)) < len(own)
    return separation(values, first, ~first)


def el6_pairs(cells) -> pd.DataFrame:
    """Every two clusters of eL6 with the metagenes that best set one apart from the other.

    Returns
    -------
    DataFrame
        ``first``, ``second``: names; ``metagene_first``, ``metagene_second``; ``area``, the lower of the two areas
        under ROC; ``affinity`` of the two metagenes and ``rank``, its place among all pairs as a share (0: the
        strongest attraction); NaN if the two are the same metagene or there is no spatial affinity.
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


def el6_conditions(cells) -> dict:
    """The three conditions of the claim on two types of eL6."""
    pairs = el6_pairs(cells)
    contrary = pairs["affinity"].notna() & (pairs["area"] >= CLEAR_AREA)
    return {"two eL6": len(pairs) > 0, "contrary metagenes": bool(contrary.any()),
            "strong affinity": bool((contrary & (pairs["rank"] < STRONG)).any())}


def moderate_attractions(cells, *types) -> float:
    """Share of the other metagenes that the metagene of some types attracts, but not strongly.

    NaN where there is no such metagene or no spatial affinity.
    """
    k = type_metagene(cells, *types)
    if k is None or not cells.affinity.any():
        return float("nan")
    others, strong = np.delete(cells.affinity[k], k), np.quantile(_pairs(cells.affinity), STRONG)
    return float(((others < cells.affinity.mean()) & (others >= strong)).mean())


def _pairs(affinity):
    """Affinities of all pairs of different metagenes."""
    return affinity[np.triu_indices(len(affinity), 1)]
