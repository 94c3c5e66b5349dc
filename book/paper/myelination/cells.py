"""The myelination of oligodendrocytes (paper, Fig. 4f and S6): which cells, which two metagenes, which genes.

The rules, none of which uses a known class or a gene that is tested:

1. *Types.* A cell's scores for cell types are those of :func:`paper.shared.annotation.cell_scores`, with the genes of
   the myelin sheath withheld from the markers. A cluster is one of oligodendrocytes if its score for them is positive
   and leads clearly among the types other than astrocytes (by ``CLEAR`` standard errors, as in
   :mod:`paper.shared.annotation`). The next rule separates them from astrocytes.
2. *Cells.* The oligodendrocytes are the cells of these clusters whose score for oligodendrocytes is above that for
   astrocytes and that are not at the surface of the tissue, where the paper finds the astrocytes.
3. *Metagenes.* The two with the highest mean proportion among these cells. The rule does not require that they are
   opposed, so their correlation is a finding.
4. *Genes.* The genes of the set that have a count in at least 30 % of these cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import gaussian_kde, spearmanr

from paper.shared.annotation import CLEAR, cell_scores, rank_types
from paper.shared.effects import separation
from paper.shared.markers import MYELINATION_MARKERS
from spicemix_core.tl import normalize_states
from spicemix_core.tl.clustering import MIN_CELLS

MIN_SHARE = 0.3


@dataclass(frozen=True)
class Oligodendrocytes:
    """The cells of the oligodendrocyte clusters.

    Attributes
    ----------
    clusters : list
        Labels of these clusters.
    inside, by_markers, by_position : (N,) arrays of bool
        Cells in one of the clusters; cells with a higher score for oligodendrocytes than for astrocytes; cells not at
        the surface.
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
        """The oligodendrocytes that all further steps use, (N,) bool."""
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
        """The trajectory in all N cells, NaN in other cells."""
        values = np.full(len(self.cells), np.nan)
        values[self.cells] = self.trajectory
        return values


def find_oligodendrocytes(expression: pd.DataFrame, labels: ArrayLike, surface: ArrayLike, *,
                          withheld: Sequence[str] = (), lead: float = CLEAR,
                          min_cells: int = MIN_CELLS) -> Oligodendrocytes:
    """Choose the oligodendrocytes by rules 1 and 2 of this module.

    Parameters
    ----------
    expression : DataFrame, cells x genes
        Log-normalised. Types of `MYELINATION_MARKERS` without a measured marker are left out.
    labels : (N,) array_like
        Cluster of each cell; clusters of fewer than ``min_cells`` cells are left out.
    surface : (N,) array of bool
        Cells at the surface of the tissue.
    withheld : sequence of str
        Genes that are tested later and must not be used.
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
    others = set(MYELINATION_MARKERS) - {"Oligo", "Astro"}
    if not any(gene in expression for kind in others for gene in MYELINATION_MARKERS[kind]):
        raise ValueError("No marker of a type other than Oligo and Astro was measured: choose the cells by hand.")
    known = {kind: genes for kind, genes in MYELINATION_MARKERS.items()
             if kind in ("Oligo", "Astro") or any(gene in expression for gene in genes)}
    scores = cell_scores(expression, labels, known, min_cells=min_cells)
    ranks = rank_types(scores.drop(columns="Astro"), pd.Series(labels, scores.index))
    ranks = ranks[(ranks["type"] == "Oligo") & (ranks["cells"] >= min_cells)]
    clusters = ranks.index[(ranks["score"] > 0) & (ranks["lead"] >= lead)].tolist()
    by_markers = (scores["Oligo"] > scores["Astro"]).to_numpy()
    return Oligodendrocytes(clusters, np.isin(labels, clusters), by_markers, ~surface, scores)


def highest_two(states: ArrayLike, cells: ArrayLike) -> Opposition:
    """Choose by rule 3 the two metagenes with the highest mean proportion among ``cells``.

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
        raise ValueError(f"There are {cells.sum()} cells, too few to compare two metagenes: choose at least three.")
    means = normalize_states(np.asarray(states)[cells], "proportions").mean(axis=0)
    first, second = np.argsort(-means, kind="stable")[:2]
    return two_metagenes(states, cells, (int(first), int(second)))


def two_metagenes(states: ArrayLike, cells: ArrayLike, metagenes: Sequence[int]) -> Opposition:
    """The opposition of two given metagenes among ``cells``; arguments as for :func:`highest_two`."""
    cells = np.asarray(cells, dtype=bool)
    proportions = normalize_states(np.asarray(states)[cells], "proportions")
    return Opposition(tuple(metagenes), cells, proportions[:, list(metagenes)])


def agreement(first: Opposition, second: Opposition) -> float:
    """Spearman correlation of two trajectories (:class:`Opposition`) over the cells that both have; NaN below three."""
    a, b = first.over_all_cells(), second.over_all_cells()
    common = ~np.isnan(a + b)
    return float(spearmanr(a[common], b[common]).statistic) if common.sum() > 2 else float("nan")


def closure_correlations(states: ArrayLike, opposition: Opposition, *, n: int = 1000,
                         random_state: int | np.random.Generator | None = None) -> np.ndarray:
    """Correlations of the two proportions if the metagenes' amounts were independent, (n,).

    Proportions sum to one, so two high ones are negatively correlated even without a relation (Pearson, Proc. R. Soc.
    60, 489, 1897). The amounts of each metagene are permuted over the cells independently, and the proportions are
    computed again.

    Parameters
    ----------
    states : (N, K) array
        Latent states, not proportions.
    opposition : Opposition
    n : int
    random_state : int, numpy Generator or None
    """
    rng = np.random.default_rng(random_state)
    amounts = np.asarray(states, dtype=float)[opposition.cells]
    metagenes = list(opposition.metagenes)
    pairs = (normalize_states(rng.permuted(amounts, axis=0), "proportions")[:, metagenes] for _ in range(n))
    return np.array([np.corrcoef(pair.T)[0, 1] for pair in pairs])


def valley(values: ArrayLike) -> float:
    """Depth of the valley in the density of ``values``: 1 without a valley, near 0 between separate groups.

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


def tested_genes(detected: pd.DataFrame, cells: ArrayLike, genes: Sequence[str], *,
                 min_share: float = MIN_SHARE) -> list[str]:
    """The genes, among ``genes``, that are detected in at least ``min_share`` of ``cells`` (rule 4), in the same order.

    ``detected`` is a DataFrame of bool, cells x genes.
    """
    shares = detected.loc[np.asarray(cells, dtype=bool), [gene for gene in genes if gene in detected]].mean()
    return shares.index[shares >= min_share].tolist()


def astro_oligo_conditions(found: Oligodendrocytes, labels: ArrayLike, depth: ArrayLike, reference: ArrayLike) -> dict:
    """The three conditions of the claim about a type of both astrocytes and oligodendrocytes.

    Parameters
    ----------
    found : Oligodendrocytes
    labels, depth, reference : (N,) array_like
        Cluster, distance from the surface, and class in Wang et al. with ``"Astro-2"`` and ``"Oligo"``.

    Returns
    -------
    dict of str to bool
        For the cluster of :attr:`Oligodendrocytes.clusters` with most astrocytes: it has at least five cells of each
        kind; the astrocytes are closer to the surface; the marker profile of each kind is like that of its class.
    """
    labels, depth, reference = np.asarray(labels), np.asarray(depth, dtype=float), np.asarray(reference)
    astro = [found.inside & (labels == name) & ~found.by_markers for name in found.clusters]
    kinds = max(astro, key=np.sum, default=np.zeros(len(labels), dtype=bool))
    oligo = found.by_markers & np.isin(labels, labels[kinds]) & found.inside
    both = kinds.sum() >= MIN_CELLS and oligo.sum() >= MIN_CELLS
    profiles = {name: found.scores[reference == name].mean() for name in ("Astro-2", "Oligo")}
    own = {"Astro-2": found.scores[kinds].mean(), "Oligo": found.scores[oligo].mean()} if both else {}
    match = [own[name].corr(profiles[name]) > own[name].corr(profiles[other])
             for name, other in (("Astro-2", "Oligo"), ("Oligo", "Astro-2")) if both]
    return {"both kinds in one cluster": bool(both),
            "astrocytes superficial": bool(both and separation(-depth, kinds, oligo) >= 0.9),
            "markers of their classes": bool(both and all(match))}
