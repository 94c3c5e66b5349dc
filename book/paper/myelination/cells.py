"""The myelination of oligodendrocytes (paper, Fig. 4f and S6): which cells, which two metagenes, which genes.

The rules, none of which sees a label or a gene that is tested:

1. *Types.* A cell's scores for cell types are those of :func:`paper.shared.annotation.cell_scores`, with the genes of
   the myelin sheath withheld from the markers. A cluster is of oligodendrocytes if its score for
   them is positive and, among the types other than astrocytes, leads clearly (by ``CLEAR`` standard errors, as in
   :mod:`paper.shared.annotation`); from astrocytes the next step tells them.
2. *Cells.* The oligodendrocytes are the cells of these clusters whose score for oligodendrocytes is above that for
   astrocytes and that do not lie at the surface of the tissue, where the paper finds the astrocytes.
3. *Metagenes.* The two with the highest mean proportion among these cells. That they are opposed is not asked for, so
   their correlation is a finding.
4. *Genes.* Those of the set that have a count in at least 30 % of these cells.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gaussian_kde, spearmanr

from paper.shared.annotation import CLEAR, MAJOR_MARKERS, cell_scores, rank_types
from paper.shared.effects import separation
from spicemix_core.tl import normalize_states
from spicemix_core.tl.clustering import MIN_CELLS

MIN_SHARE = 0.3


# More markers of oligodendrocytes (Zeisel et al. 2015), outside the myelin sheath and so never tested.
MARKERS = {**MAJOR_MARKERS, "Oligo": (*MAJOR_MARKERS["Oligo"], "Trf", "Enpp2", "Gatm")}


@dataclass(frozen=True)
class Oligodendrocytes:
    """The cells of the oligodendrocyte clusters.

    Attributes
    ----------
    clusters : list
        Labels of these clusters.
    inside, by_markers, by_position : (N,) arrays of bool
        In one of the clusters; score for oligodendrocytes above that for astrocytes; not at the surface.
    scores : DataFrame
        Cells x types.
    """

    clusters: list
    inside: np.ndarray
    by_markers: np.ndarray
    by_position: np.ndarray
    scores: pd.DataFrame

    @property
    def chosen(self) -> np.ndarray:
        """The oligodendrocytes of all further steps, (N,) bool."""
        return self.inside & self.by_markers & self.by_position


@dataclass(frozen=True)
class Opposition:
    """Two metagenes among some cells.

    Attributes
    ----------
    metagenes : (int, int)
        The first has the higher mean proportion.
    cells : (N,) array of bool
    proportions : (n, 2) array
        Of the two metagenes in these cells.
    """

    metagenes: tuple[int, int]
    cells: np.ndarray
    proportions: np.ndarray

    @property
    def trajectory(self) -> np.ndarray:
        """Proportion of the first metagene minus that of the second, (n,)."""
        return self.proportions[:, 0] - self.proportions[:, 1]

    @property
    def correlation(self) -> float:
        """Pearson correlation of the two proportions; NaN if one is constant."""
        if (np.ptp(self.proportions, axis=0) == 0).any():
            return float("nan")
        return float(np.corrcoef(self.proportions.T)[0, 1])

    def over_all_cells(self) -> np.ndarray:
        """The trajectory in all N cells, NaN outside."""
        values = np.full(len(self.cells), np.nan)
        values[self.cells] = self.trajectory
        return values


def find_oligodendrocytes(expression, labels, surface, *, withheld=(), lead=CLEAR,
                          min_cells=MIN_CELLS) -> Oligodendrocytes:
    """Rules 1 and 2 at the head of this module.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised; types of :data:`MARKERS` of which no marker was measured are left out.
    labels : (N,) array_like
        Cluster of each cell; clusters of fewer than ``min_cells`` cells are passed over.
    surface : (N,) array of bool
        Cells at the surface of the tissue.
    withheld : sequence of str
        Genes that must not be used, because they are tested later.
    lead : float
        Standard errors by which oligodendrocytes must lead.
    min_cells : int

    Raises
    ------
    ValueError
        If no marker of oligodendrocytes, of astrocytes or of any further type was measured.
    """
    labels, surface = np.asarray(labels), np.asarray(surface, dtype=bool)
    expression = expression.drop(columns=list(withheld), errors="ignore")
    if not any(gene in expression for kind in set(MARKERS) - {"Oligo", "Astro"} for gene in MARKERS[kind]):
        raise ValueError("No marker of a type other than Oligo and Astro was measured: choose the cells by hand.")
    known = {kind: genes for kind, genes in MARKERS.items()
             if kind in ("Oligo", "Astro") or any(gene in expression for gene in genes)}
    scores = cell_scores(expression, labels, known, min_cells=min_cells)
    ranks = rank_types(scores.drop(columns="Astro"), pd.Series(labels, scores.index))
    ranks = ranks[(ranks["type"] == "Oligo") & (ranks["cells"] >= min_cells)]
    clusters = ranks.index[(ranks["score"] > 0) & (ranks["lead"] >= lead)].tolist()
    by_markers = (scores["Oligo"] > scores["Astro"]).to_numpy()
    return Oligodendrocytes(clusters, np.isin(labels, clusters), by_markers, ~surface, scores)


def highest_two(states, cells) -> Opposition:
    """Rule 3: the two metagenes with the highest mean proportion among ``cells``.

    Parameters
    ----------
    states : (N, K) array
        Latent states, or proportions.
    cells : (N,) array of bool
        At least three.

    Raises
    ------
    ValueError
        For fewer than three cells.
    """
    cells = np.asarray(cells, dtype=bool)
    if cells.sum() < 3:
        raise ValueError(f"There are {cells.sum()} cells: two metagenes cannot be compared in fewer than three.")
    means = normalize_states(np.asarray(states)[cells], "proportions").mean(axis=0)
    first, second = np.argsort(-means, kind="stable")[:2]
    return two_metagenes(states, cells, (int(first), int(second)))


def two_metagenes(states, cells, metagenes) -> Opposition:
    """The opposition of two given metagenes among ``cells``, as for :func:`highest_two`."""
    cells = np.asarray(cells, dtype=bool)
    proportions = normalize_states(np.asarray(states)[cells], "proportions")
    return Opposition(tuple(metagenes), cells, proportions[:, list(metagenes)])


def agreement(first, second) -> float:
    """Spearman correlation of two trajectories (:class:`Opposition`) over the cells that both have; NaN below three."""
    a, b = first.over_all_cells(), second.over_all_cells()
    common = ~np.isnan(a + b)
    return float(spearmanr(a[common], b[common]).statistic) if common.sum() > 2 else float("nan")


def closure_correlations(states, opposition, *, n=1000, random_state=None) -> np.ndarray:
    """Correlations of the two proportions if the metagenes' amounts were independent, (n,).

    Proportions sum to one, so two that are high are opposed whatever the cells do (Pearson, Proc. R. Soc. 60, 489,
    1897). Each metagene's amounts are permuted over the cells on their own, and the proportions taken anew.

    Parameters
    ----------
    states : (N, K) array
        Latent states, not yet proportions.
    opposition : Opposition
    n : int
    random_state : int, numpy Generator or None
    """
    rng = np.random.default_rng(random_state)
    amounts = np.asarray(states, dtype=float)[opposition.cells]
    metagenes = list(opposition.metagenes)
    pairs = (normalize_states(rng.permuted(amounts, axis=0), "proportions")[:, metagenes] for _ in range(n))
    return np.array([np.corrcoef(pair.T)[0, 1] for pair in pairs])


def valley(values) -> float:
    """How far the density of ``values`` falls between two groups: 1 without a valley, near 0 between separate groups.

    The lowest ratio, over the points between the 10th and the 90th percentile, of a Gaussian kernel density
    (Scott's bandwidth) to the lower of the two highest densities on either side. NaN for constant values.
    """
    values = np.asarray(values, dtype=float)
    if np.ptp(values) == 0:
        return float("nan")
    points = np.linspace(*np.percentile(values, [10, 90]), 200)
    density = gaussian_kde(values)(points)
    left, right = np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1]
    return float((density / np.minimum(left, right)).min())


def tested_genes(detected, cells, genes, *, min_share=MIN_SHARE) -> list[str]:
    """Rule 4: those of ``genes`` that are detected in at least ``min_share`` of ``cells``, in the order given.

    ``detected`` is a DataFrame of bool, cells x genes.
    """
    shares = detected.loc[np.asarray(cells, dtype=bool), [gene for gene in genes if gene in detected]].mean()
    return shares.index[shares >= min_share].tolist()


def astro_oligo_conditions(found, labels, depth, reference) -> dict:
    """The three conditions of the paper on a type that joins astrocytes and oligodendrocytes.

    Parameters
    ----------
    found : Oligodendrocytes
    labels, depth, reference : (N,) array_like
        Cluster, distance from the surface, and class in Wang et al. with ``"Astro-2"`` and ``"Oligo"``.

    Returns
    -------
    dict of str to bool
        Of the cluster of :attr:`Oligodendrocytes.clusters` with most astrocytes: at least five of each kind;
        astrocytes closer to the surface; the kinds' marker profiles like those of their classes.
    """
    labels, depth, reference = np.asarray(labels), np.asarray(depth, dtype=float), np.asarray(reference)
    astro = [found.inside & (labels == name) & ~found.by_markers for name in found.clusters]
    kinds = max(astro, key=np.sum, default=np.zeros(len(labels), dtype=bool))
    oligo = found.by_markers & np.isin(labels, labels[kinds]) & found.inside
    both = kinds.sum() >= MIN_CELLS and oligo.sum() >= MIN_CELLS
    profiles = {name: found.scores[reference == name].mean() for name in ("Astro-2", "Oligo")}
    own = {"Astro-2": found.scores[kinds].mean(), "Oligo": found.scores[oligo].mean()} if both else {}
    alike = [own[name].corr(profiles[name]) > own[name].corr(profiles[other])
             for name, other in (("Astro-2", "Oligo"), ("Oligo", "Astro-2")) if both]
    return {"both kinds in one cluster": bool(both),
            "astrocytes superficial": bool(both and separation(-depth, kinds, oligo) >= 0.9),
            "markers of their classes": bool(both and all(alike))}
