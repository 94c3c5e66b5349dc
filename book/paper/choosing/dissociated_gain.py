"""Dissociated cells in a fit: a sample without coordinates that shares the metagenes.

The paper's discussion proposes to learn from spatial and dissociated data together. The model remains the same: the
affinity does not act on cells without neighbours, and all cells determine metagenes and noise. :func:`measure_gain`
measures the benefit on the simulated cortex.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from paper.results import run_stored
from paper.shared.recovery import score_model
from spicemix_core import SpiceMix
from spicemix_core.datasets import simulate_cortex
from spicemix_core.inputs import join_dissociated

ARMS = ("spatial alone", "with dissociated cells", "of another platform", "means matched", "with as many in place")
GENE_FOLDS = 5


def measure_gain(folder: str | Path, seeds: Iterable[int], *, n_spatial: int = 150, n_dissociated: int = 1000,
                 n_metagenes: int = 10, platform_sd: float = 0.3, n_jobs: int = 1) -> pd.DataFrame:
    """Measure the benefit of dissociated cells for a small spatial sample of a simulated cortex.

    Each seed draws a cortex: ``n_spatial`` cells with places, ``n_dissociated`` others without, and an unseen tissue of
    500 cells of the same metagenes on which every fit is evaluated.

    Parameters
    ----------
    folder : path
        Folder of the stored results (`paper.results.run_stored`).
    seeds : iterable of int
    n_spatial, n_dissociated, n_metagenes : int
    platform_sd : float
        Standard deviation of the logarithm of the factor by which another platform multiplies each gene.
    n_jobs : int

    Returns
    -------
    DataFrame
        By ``seed`` and ``arm`` (`ARMS`; the last has the places of all cells): ``held_out_error`` of each fifth of the
        genes of the unseen tissue given the others, relative to the genes' means; for the states there and the
        metagenes, the scores of :func:`paper.shared.recovery.score_model`.
    """
    tasks = {f"dissociated-{n_spatial}-{n_dissociated}-seed{seed}":
             (gain_of_seed, (seed, n_spatial, n_dissociated, n_metagenes, platform_sd)) for seed in seeds}
    return run_stored(tasks, folder, n_jobs=n_jobs, description="cortices")


def gain_of_seed(seed: int, n_spatial: int, n_dissociated: int, n_metagenes: int, platform_sd: float) -> pd.DataFrame:
    """Rows of :func:`measure_gain` for one seed."""
    small = simulate_cortex(n_cells=n_spatial, random_state=seed)
    # the same seed draws the same metagenes; the cells of sample 1 differ from those of sample 0
    others = simulate_cortex(2, n_cells=n_dissociated, random_state=seed)
    others = others[others.obs["sample"] == "1"].copy()
    unseen = simulate_cortex(3, n_cells=500, random_state=seed)
    unseen = unseen[unseen.obs["sample"] == "2"].copy()
    platform = others.copy()
    factors = np.exp(platform_sd * np.random.default_rng([seed, 1]).normal(size=others.n_vars))
    platform.X = platform.X * factors
    in_place = join_dissociated(small, others)
    graphs = small.obsp["spatial_connectivities"], others.obsp["spatial_connectivities"]
    in_place.obsp["spatial_connectivities"] = sp.block_diag(graphs, format="csr")
    inputs = (small, join_dissociated(small, others), join_dissociated(small, platform),
              join_dissociated(small, platform, match_means=True), in_place)
    return pd.DataFrame([{"seed": seed, "arm": arm} | _judge(adata, unseen, n_metagenes, seed)
                         for arm, adata in zip(ARMS, inputs, strict=True)])


def _judge(adata, unseen, n_metagenes, seed):
    model = SpiceMix(n_metagenes, random_state=seed).fit(adata, sample_key="sample")
    expression, graphs = np.asarray(unseen.X), [unseen.obsp["spatial_connectivities"]]
    fold = np.random.default_rng([seed, 2]).permutation(unseen.n_vars) % GENE_FOLDS
    squares = 0.0
    for number in range(GENE_FOLDS):
        seen, masked = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        (states,) = model.transform_arrays([expression[:, seen]], graphs, genes=seen)
        squares += ((expression[:, masked] - states @ model.metagenes_[masked].T) ** 2).sum()
    (states,) = model.transform_arrays([expression], graphs)
    scores = score_model(unseen, states, model.metagenes_)
    return {"held_out_error": squares / ((expression - expression.mean(axis=0)) ** 2).sum()} | scores
