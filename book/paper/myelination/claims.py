"""The numbers for the ledger's claims about myelination, for one clustering and for the consensus with its runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from paper.ledger import Measurement, holding
from paper.myelination import cells as my
from paper.myelination.trajectory import LEVEL, regress

FEWEST = 10  # oligodendrocytes that a regression needs
GENE = "Atp1a2"


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


def measure(analysis: Analysis, nmf: Analysis, tissue: Tissue) -> dict:
    """The number of every claim for one clustering, by the claim's id without "myelin-"."""
    row = summary(analysis, nmf)
    conditions = my.astro_oligo_conditions(analysis.found, analysis.labels, tissue.depth, tissue.reference)
    return {
        "astro-oligo": float(sum(conditions.values())), "continuum": row["valley"], "opposed": row["correlation"],
        "panel": float(row["genes"]), "genes": row["significant"] / row["genes"] if row["genes"] else np.nan,
        "atp1a2": row[GENE], "only-spicemix": abs(row["agreement"]),
    }


def measurements(consensus: Analysis, runs: Sequence[Analysis], nmf: Analysis,
                 tissue: Tissue) -> dict[str, Measurement]:
    """Every claim of the chapter, by the ledger's id.

    Parameters
    ----------
    consensus : Analysis
    runs : list of Analysis
        The runs, each with its own clusters.
    nmf : Analysis
        The consensus of NMF.
    tissue : Tissue
    """
    value = measure(consensus, nmf, tissue)
    spread = pd.DataFrame([measure(run, nmf, tissue) for run in runs])
    conditions = my.astro_oligo_conditions(consensus.found, consensus.labels, tissue.depth, tissue.reference)
    row = summary(consensus)
    comments = {
        "opposed": f"mean proportions {row['first']:.2f} and {row['second']:.2f}",
        "astro-oligo": holding(conditions),
        "panel": ", ".join(consensus.slopes.index),
        "genes": f"{consensus.significant} of {len(consensus.slopes)}; NMF: {nmf.significant} of {len(nmf.slopes)}",
        "only-spicemix": "NMF also has a trajectory; the genes along it are compared above",
    }
    comments |= {key: "no oligodendrocytes, or not a gene to test" for key in value if np.isnan(value[key])}
    return {f"myelin-{key}": Measurement(value[key], spread[key].tolist(), comments.get(key, "")) for key in value}
