"""The numbers for the ledger's claims about myelination, for one clustering and for all repetitions of a fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paper.ledger import Measurement, holding
from paper.myelination import cells as my
from paper.myelination.trajectory import LEVEL, regress
from spicemix_core.tl.clustering import MIN_CELLS

FEWEST = 10  # oligodendrocytes that a regression needs
GENE = "Atp1a2"
PAPER_GENES = 11


@dataclass(frozen=True)
class Tissue:
    """Properties of the cells that do not depend on a model.

    Attributes
    ----------
    expression, detected : DataFrames, cells x genes
        Log-normalised expression, and whether there is a count.
    depth : (N,) array
        Distance from the surface of the tissue.
    surface : (N,) array of bool
        Cells at the surface.
    reference : (N,) array of str
        Classes of Wang et al.
    genes : list of str
        The gene set to test, withheld from the choice of the cells.
    """

    expression: pd.DataFrame
    detected: pd.DataFrame
    depth: np.ndarray
    surface: np.ndarray
    reference: np.ndarray
    genes: list


@dataclass(frozen=True)
class Analysis:
    """The steps of :mod:`paper.myelination.cells` for one clustering.

    Attributes
    ----------
    labels : (N,) array
    found : Oligodendrocytes
    opposition : Opposition or None
        None if there are fewer than ``FEWEST`` oligodendrocytes.
    slopes : DataFrame
        Of :func:`paper.myelination.trajectory.regress`, by tested gene; empty without opposition or genes.
    """

    labels: np.ndarray
    found: my.Oligodendrocytes
    opposition: my.Opposition | None
    slopes: pd.DataFrame

    @property
    def significant(self) -> int:
        """Tested genes with p < 0.05 after correction."""
        return int((self.slopes["p_corrected"] < LEVEL).sum())


def analyse(labels: ArrayLike, states: ArrayLike, tissue: Tissue, *, min_share: float = my.MIN_SHARE) -> Analysis:
    """Choose cells by the clusters ``labels`` (N,) and two metagenes by ``states`` (N, K), then test the genes."""
    found = my.find_oligodendrocytes(tissue.expression, labels, tissue.surface, withheld=tissue.genes)
    return analyse_cells(labels, found, states, tissue, min_share=min_share)


def analyse_cells(labels: ArrayLike, found: my.Oligodendrocytes, states: ArrayLike, tissue: Tissue, *,
                  min_share: float = my.MIN_SHARE) -> Analysis:
    """As :func:`analyse`, for oligodendrocytes that are already chosen."""
    cells = found.chosen
    opposition = my.highest_two(states, cells) if cells.sum() >= FEWEST else None
    if opposition is None:
        return Analysis(np.asarray(labels), found, None, pd.DataFrame(columns=["p_corrected"], dtype=float))
    genes = my.tested_genes(tissue.detected, cells, tissue.genes, min_share=min_share)
    slopes = regress(tissue.expression.loc[cells, genes], opposition.trajectory)
    return Analysis(np.asarray(labels), found, opposition, slopes)


def summary(analysis: Analysis, reference: Analysis | None = None) -> dict:
    """One row of a table of robustness.

    Parameters
    ----------
    analysis, reference : Analysis
        ``agreement`` is the rank correlation of their trajectories over the cells that both have.

    Returns
    -------
    dict
        ``cells``, mean proportion of the ``first`` and the ``second`` metagene, their ``correlation``, ``valley``,
        ``genes`` tested, ``significant`` ones, corrected p-value of ``Atp1a2`` and, with a reference, ``agreement``.
    """
    pair, slopes = analysis.opposition, analysis.slopes
    row = {"cells": int(analysis.found.chosen.sum())}
    first, second = pair.proportions.mean(axis=0) if pair else (np.nan, np.nan)
    correlation, valley = (pair.correlation, my.valley(pair.trajectory)) if pair else (np.nan, np.nan)
    row |= {"first": float(first), "second": float(second), "correlation": correlation, "valley": valley,
            "genes": len(slopes), "significant": analysis.significant,
            GENE: float(slopes["p_corrected"].get(GENE, np.nan))}
    if reference is not None:
        both = pair is not None and reference.opposition is not None
        row["agreement"] = my.agreement(pair, reference.opposition) if both else np.nan
    return row


def by_size(analysis: Analysis) -> list:
    """The clusters of oligodendrocytes, that with the most of them first."""
    found, labels = analysis.found, analysis.labels
    return sorted(found.clusters, key=lambda name: -(found.chosen & (labels == name)).sum())


def mixed_clusters(analysis: Analysis) -> list:
    """The clusters of oligodendrocytes with at least five cells that are more like astrocytes."""
    found, labels = analysis.found, analysis.labels
    return [name for name in found.clusters if (~found.by_markers & (labels == name)).sum() >= MIN_CELLS]


def cluster_names(analysis: Analysis) -> dict:
    """Names of the clusters of oligodendrocytes as the paper gives them: by size, with a word for mixed ones."""
    mixed = mixed_clusters(analysis)
    return {name: f"Oligo-{number}{', mixed' if name in mixed else ''}"
            for number, name in enumerate(by_size(analysis), 1)}


def choices_of_cells(analysis: Analysis) -> dict[str, my.Oligodendrocytes]:
    """Three readings of which clusters of oligodendrocytes the paper analyses.

    It takes Oligo-1 and Astro/Oligo, and not Oligo-2. Clusters of one type are numbered by size, so Oligo-1 is the
    largest cluster. Astro/Oligo is a cluster with at least five cells that are more like astrocytes.

    Returns
    -------
    dict of str to Oligodendrocytes
        ``largest cluster``, ``largest and mixed`` and ``all clusters``, the rule of the verdicts.
    """
    found, labels = analysis.found, analysis.labels
    largest, mixed = by_size(analysis)[:1], mixed_clusters(analysis)
    kept = {"largest cluster": largest, "largest and mixed": [*dict.fromkeys(largest + mixed)],
            "all clusters": found.clusters}
    return {title: replace(found, clusters=clusters, inside=np.isin(labels, clusters))
            for title, clusters in kept.items()}


def measure(analysis: Analysis, nmf: Analysis, tissue: Tissue) -> dict:
    """The number of every claim for one clustering, by the claim's id without "myelin-"."""
    row = summary(analysis)
    conditions = my.astro_oligo_conditions(analysis.found, analysis.labels, tissue.depth, tissue.reference)
    panel = panel_sizes(analysis, tissue)
    return {
        "astro-oligo": float(sum(conditions.values())), "continuum": row["valley"], "opposed": row["correlation"],
        "panel": float(min(panel.values(), key=lambda size: abs(size - PAPER_GENES))),
        "genes": significant_share(analysis), "atp1a2": row[GENE], "only-spicemix": significant_share(nmf),
    }


def significant_share(analysis: Analysis) -> float:
    """Share of the tested genes that are significant; NaN without a tested gene."""
    return analysis.significant / len(analysis.slopes) if len(analysis.slopes) else float("nan")


def panel_sizes(analysis: Analysis, tissue: Tissue) -> dict[str, int]:
    """Number of genes of the set that are detected in enough of "the cells", for three readings of these words."""
    readings = {"all cells": np.ones(len(tissue.depth), bool), "Oligo*": tissue.reference == "Oligo",
                "tested cells": analysis.found.chosen}
    return {name: len(my.tested_genes(tissue.detected, cells, tissue.genes)) for name, cells in readings.items()}


@dataclass(frozen=True)
class Way:
    """The analyses of one way to fit.

    Attributes
    ----------
    chosen : Analysis
        Of the solution that is judged.
    repeats : list of Analysis
        The same for each seed, or for each master seed of a consensus.
    nmf, nmf_repeats : Analysis, list of Analysis
        The same for NMF; both lists have the same length.
    title : str
    """

    chosen: Analysis
    repeats: Sequence[Analysis]
    nmf: Analysis
    nmf_repeats: Sequence[Analysis]
    title: str = ""


def distinct(analyses: Sequence[Analysis]) -> list[Analysis]:
    """The analyses without repetitions of the same object."""
    return list({id(each): each for each in analyses}.values())


def measurements(way: Way, tissue: Tissue) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id."""
    chosen, nmf = way.chosen, way.nmf
    value = measure(chosen, nmf, tissue)
    spread = pd.DataFrame([measure(*each, tissue) for each in zip(way.repeats, way.nmf_repeats, strict=True)])
    conditions = my.astro_oligo_conditions(chosen.found, chosen.labels, tissue.depth, tissue.reference)
    row = summary(chosen, nmf)
    comments = {
        "opposed": f"mean proportions {row['first']:.2f} and {row['second']:.2f}",
        "astro-oligo": holding(conditions),
        "panel": ", ".join(f"{name}: {size}" for name, size in panel_sizes(chosen, tissue).items()),
        "genes": f"{chosen.significant} of {len(chosen.slopes)}; NMF: {nmf.significant} of {len(nmf.slopes)}",
        "only-spicemix": f"{nmf.significant} of {len(nmf.slopes)} genes; rank correlation of the two trajectories "
                         f"{row['agreement']:.2f}",
    }
    comments |= {key: "no oligodendrocytes, or not a gene to test" for key in value if np.isnan(value[key])}
    return {f"myelin-{key}": Measurement(value[key], [] if key == "panel" else spread[key].tolist(),
                                         comments.get(key, "")) for key in value}
