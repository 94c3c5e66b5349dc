"""Cell types as in the paper: Ward's tree of the states, cut where the Calinski-Harabasz index is highest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from spicemix_core.tl.normalization import normalize_states
from spicemix_core.tl.trees import calinski_harabasz_curve, cut_tree, ward_tree

RANGE = (5, 40)


@dataclass(frozen=True)
class IndexClustering:
    """Clusters of the cells, with the tree that they were cut from.

    Attributes
    ----------
    labels : (N,) array of int
        Cluster of each cell. Cluster 0 is the largest; equal sizes are in the order of their first cell.
    n_clusters : int
        Number of clusters.
    calinski_harabasz : pandas.Series
        Calinski-Harabasz index by number of clusters, over all numbers considered.
    linkage : (N - 1, 4) array
        Ward's tree in SciPy's layout.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import baselines
    >>> states = np.repeat(np.eye(3), 20, axis=0) + 0.01 * np.random.default_rng(0).random((60, 3))
    >>> baselines.cluster_by_index(states, n_clusters=3).n_clusters
    3
    """

    labels: np.ndarray
    n_clusters: int
    calinski_harabasz: pd.Series
    linkage: np.ndarray


def cluster_by_index(latent_states: ArrayLike, *, n_clusters: int | None = None, normalization: str = "zscore",
                     n_clusters_range: tuple[int, int] = RANGE) -> IndexClustering:
    """Cell types from latent states, as in the paper.

    The states are normalised, clustered by Ward's method and cut where the Calinski-Harabasz index is highest. Use it
    to compare with the paper, and :func:`spicemix_core.tl.cluster_states` for new data.

    Parameters
    ----------
    latent_states : (N, K) array_like
        States of the cells of all samples, each sample divided by its input scaling.
    n_clusters : int, optional
        Number of clusters. By default, the index chooses it from ``n_clusters_range``.
    normalization : str, default="zscore"
        Method of :func:`spicemix_core.tl.normalize_states`.
    n_clusters_range : (int, int), default=(5, 40)
        Smallest and largest number of clusters considered, both included. Numbers above N - 1 are left out.

    Returns
    -------
    IndexClustering

    Raises
    ------
    ValueError
        If the states are not a finite matrix, all cells are equal, or a number of clusters is impossible.

    References
    ----------
    The authors' tutorial (branch NatureGenetics-2022 of their repository), which uses the z-score.

    Examples
    --------
    >>> from spicemix_core import baselines, datasets
    >>> adata = datasets.simulate_cortex(n_cells=100, random_state=0)
    >>> found = baselines.cluster_by_index(adata.obsm["true_latent_states"], n_clusters_range=(2, 20))
    >>> found.n_clusters == int(found.calinski_harabasz.idxmax())
    True
    """
    tree = ward_tree(normalize_states(latent_states, normalization))
    smallest, largest = n_clusters_range
    numbers = range(smallest, min(largest, len(tree)) + 1) if n_clusters is None else [n_clusters]
    curve = calinski_harabasz_curve(tree, numbers)
    best = int(curve.idxmax())
    return IndexClustering(labels=cut_tree(tree, best), n_clusters=best, calinski_harabasz=curve, linkage=tree)
