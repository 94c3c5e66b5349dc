"""Cells with named clusters and their metagenes, from which the analyses of cell types start."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from paper.shared.annotation import FEW, major_class
from paper.shared.effects import separation
from spicemix_core import SpiceMix
from spicemix_core.tl import normalize_states

CLASSES = ("excitatory", "inhibitory", "glia")


@dataclass(frozen=True)
class TypedCells:
    """Cells with named clusters and their metagenes.

    Attributes
    ----------
    names, types, classes : (N,) arrays of str
        Name of each cell's cluster, the name without number, and ``excitatory``, ``inhibitory``, ``glia`` or ``mixed``.
    proportions : (N, K) array
        Latent states divided by their sums.
    affinity : (K, K) array
        S of the model; zero for NMF.
    """

    names: np.ndarray
    types: np.ndarray
    classes: np.ndarray
    proportions: np.ndarray
    affinity: np.ndarray

    @cached_property
    def means(self) -> pd.DataFrame:
        """Mean proportions by cluster, without the pooled small clusters."""
        kept = self.types != FEW
        return pd.DataFrame(self.proportions[kept]).groupby(self.names[kept]).mean()

    def are(self, *types: str) -> np.ndarray:
        """Cells whose type is one of ``types``."""
        return np.isin(self.types, types)


def typed_cells(labels: ArrayLike, naming: pd.DataFrame, states: ArrayLike, affinity: ArrayLike) -> TypedCells:
    """Join labels of cells, the table of their names (:mod:`paper.shared.annotation`) and the results of a model.

    ``states`` are the latent states (N, K) in the order of ``labels``.
    """
    labels = np.asarray(labels)
    classes = naming["major"].map(major_class)
    columns = (naming["name"], naming["type"], classes)
    return TypedCells(*(column.loc[labels].to_numpy(dtype=str) for column in columns),
                      normalize_states(states, "proportions"), np.asarray(affinity))


def states_in_order(run: SpiceMix, samples: ArrayLike) -> np.ndarray:
    """Latent states (N, K) of a fitted model in the order of the cells, whose samples are ``samples``."""
    samples = np.asarray(samples)
    rows = np.concatenate([np.flatnonzero(samples == name) for name in pd.unique(samples)])
    return np.concatenate(run.latent_states_)[np.argsort(rows)]


def cell_table(obs: pd.DataFrame, cells: TypedCells, order: Sequence[int], **more: object) -> pd.DataFrame:
    """One row for each cell: its name, sample and type, more columns, and its proportions of the metagenes.

    ``obs`` (from the AnnData) has the column ``sample``; the metagenes are taken in ``order`` and numbered from 1.
    """
    proportions = {f"metagene {number}": cells.proportions[:, k] for number, k in enumerate(order, 1)}
    return pd.DataFrame({"cell": obs.index, "sample": obs["sample"].to_numpy(dtype=str), "type": cells.names,
                         **more, **proportions})


def metagene_order(means: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Order of the metagenes by the type (row of ``means``) that they are highest in, then by that mean.

    Returns
    -------
    order : (K,) array of int
        Metagenes in this order.
    number : (K,) array of int
        Place of each metagene in it, from 1.
    """
    order = np.lexsort((-means.max().to_numpy(), means.to_numpy().argmax(axis=0)))
    number = np.empty(len(order), dtype=int)
    number[order] = np.arange(1, len(order) + 1)
    return order, number


def type_counts(cells: TypedCells) -> pd.Series:
    """Number of clusters of each class, without clusters of few cells and of mixed class."""
    clusters = pd.DataFrame({"name": cells.names, "class": cells.classes})[cells.types != FEW].drop_duplicates()
    return clusters["class"].value_counts().reindex(CLASSES, fill_value=0)


def metagene_of(cells: TypedCells, inside: np.ndarray, among: np.ndarray) -> int:
    """The metagene that best separates the cells ``inside`` from the other cells ``among``, by area under ROC."""
    others = among & ~inside
    return int(np.argmax([separation(z, inside, others) for z in cells.proportions.T]))


def metagenes_highest_in(cells: TypedCells, *types: str) -> np.ndarray:
    """Metagenes whose highest mean proportion is in a cluster of one of ``types``, (K,) bool."""
    type_of = dict(zip(cells.names, cells.types, strict=True))
    return np.array([type_of[name] in types for name in cells.means.idxmax()])


def specificity_against_level(cells: TypedCells) -> float:
    """Spearman correlation over metagenes of tau (Yanai et al. 2005) with the highest mean proportion in a cluster."""
    highest = cells.means.max()
    used = highest > 0
    tau = (1 - cells.means / highest.where(used, 1.0)).sum() / (len(cells.means) - 1)
    return float(spearmanr(tau[used], highest[used]).statistic)
