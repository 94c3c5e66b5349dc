"""How often the rule of :mod:`spicemix_core.runs.selection` finds the number of metagenes, where it is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.datasets import draw_positions, sample_spicemix, simulate_cortex
from spicemix_core.datasets.simulation import FIRST_NOISE
from spicemix_core.inputs.graphs import delaunay_graph
from spicemix_core.runs.cross_validation import N_FOLDS, Data, fit_without_fold
from spicemix_core.runs.selection import SETTING, compare_errors
from spicemix_core.runs.stored_tasks import run_stored

ATTRACTION = -6.0  # of every metagene to itself


@dataclass(frozen=True)
class Draw:
    """A kind of tissue whose number of metagenes is known.

    Attributes
    ----------
    name : str
        ``"model"``: drawn from SpiceMix itself; ``"cortex"``: the simulated cortex, whose three noise metagenes of 13
        have a weight that hardly varies, so that 10 count as right.
    n_metagenes : int
    noise : float
        :math:`\\sigma_y`, for ``"model"``; a mean entry of the expression is ``n_metagenes / n_genes``.
    n_cells : int
    shape : float
        Of the Gamma entries of a metagene, for ``"model"``: the larger, the more alike metagenes are.
    n_genes : int
    """

    name: str
    n_metagenes: int = 6
    noise: float = 0.01
    n_cells: int = 400
    shape: float = 0.5
    n_genes: int = 100

    def expression_and_graph(self, replicate):
        """One tissue of this kind as the input of a fit."""
        rng = np.random.default_rng([replicate, self.n_metagenes, self.n_cells])
        if self.name == "cortex":
            adata = simulate_cortex(n_cells=self.n_cells, n_genes=self.n_genes, random_state=rng)
        else:
            places = draw_positions(self.n_cells, 0.75 / np.sqrt(self.n_cells), rng)
            metagenes = rng.gamma(self.shape, size=(self.n_genes, self.n_metagenes))
            adata = sample_spicemix(places, delaunay_graph(places), metagenes / metagenes.sum(axis=0),
                                    ATTRACTION * np.eye(self.n_metagenes), noise=self.noise, n_sweeps=100,
                                    random_state=rng)
        return Data([np.asarray(adata.X)], [sp.csr_array(adata.obsp["spatial_connectivities"])])


CORTEX = Draw("cortex", n_metagenes=FIRST_NOISE, n_cells=500)


def run_selection_study(folder, draws, n_replicates, *, around=3, n_jobs=1):
    """What three rules suggest for tissues whose number of metagenes is known.

    Parameters
    ----------
    folder : path
        Of the stored results (`spicemix_core.runs.stored_tasks`).
    draws : sequence of Draw
    n_replicates : int
        Tissues of each kind.
    around : int
        The grid reaches so far below and above the true number.
    n_jobs : int

    Returns
    -------
    DataFrame
        By ``draw`` (its place in ``draws``) and ``replicate``: ``truth``, and the number of metagenes of the lowest
        error (``lowest``), of the rule (``rule``) and of the rule with the standard error of the lowest error itself,
        not of the paired differences (``unpaired``).
    """
    tasks = {f"selection-{draw.name}-{draw.n_metagenes}-{draw.n_cells}-{i}-{replicate:03d}":
             (suggested_numbers, (i, draw, replicate, around))
             for replicate in range(n_replicates) for i, draw in enumerate(draws)}
    return run_stored(tasks, folder, n_jobs=n_jobs, description="tissues").sort_values(
        ["draw", "replicate"], ignore_index=True)


def suggested_numbers(place, draw, replicate, around):
    """One row of :func:`run_selection_study`."""
    data = draw.expression_and_graph(replicate)
    numbers = range(draw.n_metagenes - around, draw.n_metagenes + around + 1)
    rows = pd.concat([fit_without_fold(data, {"n_metagenes": k, "affinity_penalty": 1e-4}, {}, fold, replicate, fold)
                      for k in numbers for fold in range(N_FOLDS)])
    table = compare_errors(rows).reset_index()
    best = table.loc[table["error"].idxmin()]
    unpaired = table["error"] <= best["error"] + best["error_se"]
    return pd.DataFrame([{"draw": place, "replicate": replicate, "truth": draw.n_metagenes,
                          "lowest": int(best[SETTING[0]]), "rule": table.loc[table["as_good"], SETTING[0]].min(),
                          "unpaired": table.loc[unpaired, SETTING[0]].min()}])
