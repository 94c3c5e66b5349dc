"""Contacts between cell types that are more frequent than expected."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from paper.shared.typed_cells import TypedCells
from spicemix_core.tl import affinity_permutation_test, cell_type_affinity


def excess_contacts(cells: TypedCells, graph: sp.sparray, samples: ArrayLike, *, n_permutations: int = 5000,
                    random_state: int = 0) -> pd.DataFrame:
    """Pairs of clusters with more contacts than expected at a false discovery rate of 5 % (Benjamini-Hochberg).

    Parameters
    ----------
    cells : TypedCells
    graph : (N, N) sparse array
        Neighbours.
    samples : (N,) array_like
        Sample of each cell; labels are permuted within samples.
    n_permutations, random_state : int
        As for :func:`spicemix_core.tl.affinity_permutation_test`, which gives the p-values.

    Returns
    -------
    DataFrame of bool
        Clusters x clusters, symmetric.
    """
    affinity = cell_type_affinity(graph, cells.names, samples)
    p_values = affinity_permutation_test(graph, cells.names, samples, n_permutations=n_permutations,
                                         random_state=random_state).to_numpy()
    upper = np.triu_indices(len(affinity))
    significant = np.zeros(affinity.shape, dtype=bool)
    significant[upper] = false_discovery_control(p_values[upper]) <= 0.05
    return (affinity > 0) & (significant | significant.T)
