"""The simulation study of Fig. 2: every method on replicates of the simulated cortex, in four scenarios.

A replicate is one field of 500 cells. It is seeded by its scenario and number alone, so that results depend neither on
the order nor on the number of workers. Each replicate's rows are stored as soon as they are there
(`spicemix_core.runs.stored_tasks`); a study that was interrupted goes on with those that are missing.
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from threadpoolctl import threadpool_limits

from paper.simulation.methods import SCORES, fit_methods, score_fits
from paper.simulation.recovery import layer_distance
from spicemix_core.baselines.hmrf import GIOTTO_BETAS
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.numerics.checks import check_integer
from spicemix_core.runs.consensus import N_RUNS
from spicemix_core.runs.stored_tasks import run_stored

COLUMNS = ["scenario", "sigma_x", "sigma_y", "replicate", "layer_distance", *SCORES]


@dataclass(frozen=True)
class Scenario:
    """Scale of the variation of the metagene weights, and of the noise (in units of 1 / number of genes)."""

    sigma_x: float
    sigma_y: float

    @property
    def name(self):
        return f"σx = {self.sigma_x:g}, σy = {self.sigma_y:g}"


# The paper varies both and states neither. (3, 2) and (1.5, 2) are the settings of the authors' released data; the
# other two raise the noise by half, so that either can be seen to matter by itself.
RELEASED, RELEASED_TRUTH = Scenario(3.0, 2.0), Scenario(1.5, 2.0)


SCENARIOS = (RELEASED_TRUTH, Scenario(1.5, 3.0), RELEASED, Scenario(3.0, 3.0))


@dataclass(frozen=True)
class Settings:
    """What a replicate's result depends on, besides its scenario and number.

    Attributes
    ----------
    n_cells, n_metagenes : int
    n_runs : int
        Fits of each consensus.
    betas, n_states : tuples
        HMRF's grid of the smoothing parameter and of the upper bound of the states; the best by the truth is taken.
    random_state : int
    """

    n_cells: int = 500
    n_metagenes: int = 10
    n_runs: int = N_RUNS
    betas: tuple[float, ...] = tuple(GIOTTO_BETAS.tolist())
    n_states: tuple[int, ...] = (8, 12)
    random_state: int = 0


def draw_replicate(scenario, replicate, settings):
    """One field of cells, and the seed for the methods, both from the scenario and the replicate's number.

    Returns
    -------
    adata : AnnData
    seed : int
    """
    key = [settings.random_state, round(1000 * scenario.sigma_x), round(1000 * scenario.sigma_y), replicate]
    data_seed, fit_seed = np.random.SeedSequence(key).generate_state(2).tolist()
    adata = simulate_cortex(1, sigma_x=scenario.sigma_x, sigma_y=scenario.sigma_y, n_cells=settings.n_cells,
                            random_state=data_seed)
    return adata, fit_seed


@threadpool_limits.wrap(limits=1)  # sums differ in their last digits with the number of threads
def run_replicate(scenario, replicate, settings):
    """Simulate, fit and score one replicate: DataFrame with a row per method and normalisation."""
    adata, seed = draw_replicate(scenario, replicate, settings)
    scores = score_fits(adata, fit_methods(adata, seed, settings))
    return scores.assign(scenario=scenario.name, **asdict(scenario), replicate=replicate,
                         layer_distance=layer_distance(adata.varm["true_metagenes"]))[COLUMNS]


def run_study(folder, *, n_replicates=20, scenarios=SCENARIOS, settings=None, n_jobs=1):
    """Run what is missing of the study and return its table.

    Parameters
    ----------
    folder : path
        Where each replicate's rows are stored as they come (`spicemix_core.runs.stored_tasks`).
    n_replicates : int
        Replicates per scenario; the first ones are the same whatever their number.
    scenarios : sequence of Scenario
    settings : Settings, optional
    n_jobs : int
        Replicates at a time, in processes of one thread each. Nothing but ``seconds`` depends on it.

    Returns
    -------
    DataFrame
        Rows by scenario, replicate and method; columns as `COLUMNS`.

    Raises
    ------
    ValueError
        A number of replicates or workers below 1, no scenario, scenarios that repeat, or a stored file that is not a
        result.
    """
    settings, scenarios = settings or Settings(), list(scenarios)
    check_integer("n_replicates", n_replicates, 1)
    if not scenarios or len(set(scenarios)) < len(scenarios):
        raise ValueError("scenarios must name at least one scenario and each once.")
    # replicates of all scenarios in turn, so that an interrupted study has some of each
    tasks = {f"replicate-x{scenario.sigma_x:g}-y{scenario.sigma_y:g}-{replicate:03d}":
             (run_replicate, (scenario, replicate, settings))
             for replicate in range(n_replicates) for scenario in scenarios}
    table = run_stored(tasks, folder, n_jobs=n_jobs, description="replicates")
    position = table["scenario"].map({scenario.name: i for i, scenario in enumerate(scenarios)})
    return table.iloc[np.lexsort((np.arange(len(table)), table["replicate"], position))].reset_index(drop=True)


def compare(table, method, normalization):
    """SpiceMix against every other row of the study, paired by replicate.

    Parameters
    ----------
    table : DataFrame
        From `run_study`.
    method, normalization : str
        The method that is held against all others, for example ``"SpiceMix consensus"``.

    Returns
    -------
    DataFrame
        By scenario, method and normalisation of the other: its mean ``ari``, the mean ``difference`` (positive where
        the given method is better), in how many replicates it ``wins``, and ``p`` of the one-sided Wilcoxon
        signed-rank test, exact for up to 50 replicates without ties; it cannot fall below 2^-n for n replicates.

    Raises
    ------
    KeyError
        If the table has no such method and normalisation.
    """
    wide = table.pivot(index=["scenario", "replicate"], columns=["method", "normalization"], values="ari")
    if (method, normalization) not in wide:
        raise KeyError(f"the table has no method {method!r} with normalisation {normalization!r}")
    rows = []
    for scenario, ari in wide.groupby(level="scenario", sort=False):
        for other in ari.columns.drop((method, normalization)):
            gain = (ari[method, normalization] - ari[other]).to_numpy()
            p = wilcoxon(gain, alternative="greater").pvalue if gain.any() else 1.0
            rows.append({"scenario": scenario, "method": other[0], "normalization": other[1], "ari": ari[other].mean(),
                         "difference": gain.mean(), "wins": int((gain > 0).sum()), "p": float(p)})
    return pd.DataFrame(rows).set_index(["scenario", "method", "normalization"])
