"""Cells with named clusters and the factorisation behind them: what the analyses of cell types start from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from paper.shared.annotation import FEW, major_class
from paper.shared.effects import separation
from spicemix_core.tl import normalize_states

CLASSES = ("excitatory", "inhibitory", "glia")


@dataclass(frozen=True)
class TypedCells:
    """Cells with named clusters and the factorisation behind them.

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

    def are(self, *types) -> np.ndarray:
        """Cells whose type is one of ``types``."""
        return np.isin(self.types, types)


def typed_cells(labels, naming, states, affinity) -> TypedCells:
    """Join the labels of cells, the table that names them (:mod:`paper.shared.annotation`) and a model's results.

    ``states`` are the latent states (N, K) in the order of ``labels``.
    """
    labels = np.asarray(labels)
    classes = naming["major"].map(major_class)
    columns = (naming["name"], naming["type"], classes)
    return TypedCells(*(column.loc[labels].to_numpy(dtype=str) for column in columns),
                      normalize_states(states, "proportions"), np.asarray(affinity))


def states_in_order(run, samples) -> np.ndarray:
    """Latent states (N, K) of a fitted model in the order of the cells, whose samples are ``samples``."""
    samples = np.asarray(samples)
    rows = np.concatenate([np.flatnonzero(samples == name) for name in pd.unique(samples)])
    return np.concatenate(run.latent_states_)[np.argsort(rows)]


def cell_table(obs, cells, order, **more) -> pd.DataFrame:
    """One row for each cell: its name, sample and type, more columns, and its proportions of the metagenes.

    ``obs`` (from the AnnData) has the column ``sample``; the metagenes are taken in ``order`` and numbered from 1.
    """
    proportions = {f"metagene {number}": cells.proportions[:, k] for number, k in enumerate(order, 1)}
    return pd.DataFrame({"cell": obs.index, "sample": obs["sample"].to_numpy(dtype=str), "type": cells.names,
                         **more, **proportions})


def type_counts(cells) -> pd.Series:
    """Number of clusters of each class; clusters of few cells and of mixed class count for none."""
    clusters = pd.DataFrame({"name": cells.names, "class": cells.classes})[cells.types != FEW].drop_duplicates()
    return clusters["class"].value_counts().reindex(CLASSES, fill_value=0)


def metagene_of(cells, inside, among) -> int:
    """The metagene that best sets the cells ``inside`` apart from the other cells ``among``, by area under ROC."""
    others = among & ~inside
    return int(np.argmax([separation(z, inside, others) for z in cells.proportions.T]))


def metagenes_highest_in(cells, *types) -> np.ndarray:
    """Metagenes whose highest mean proportion is in a cluster of one of ``types``, (K,) bool."""
    type_of = dict(zip(cells.names, cells.types, strict=True))
    return np.array([type_of[name] in types for name in cells.means.idxmax()])


def specificity_against_level(cells) -> float:
    """Spearman correlation over metagenes of tau (Yanai et al. 2005) with the highest mean proportion in a cluster."""
    highest = cells.means.max()
    used = highest > 0
    tau = (1 - cells.means / highest.where(used, 1.0)).sum() / (len(cells.means) - 1)
    return float(spearmanr(tau[used], highest[used]).statistic)
