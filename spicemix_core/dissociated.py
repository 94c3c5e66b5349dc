"""Dissociated cells in a fit: a sample without coordinates that shares the metagenes.

The paper's discussion proposes to learn from spatial and dissociated data together. In the model nothing changes: cells
without neighbours feel no affinity, and metagenes and noise are estimated from all cells. What it brings is measured on
the simulated cortex (:func:`measure_gain`).
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from spicemix_core.model import SpiceMix
from spicemix_core.readers import coordinates_of
from spicemix_core.recovery import score_model
from spicemix_core.simulation import simulate_cortex
from spicemix_core.stored_runs import run_stored

ARMS = ("spatial alone", "with dissociated cells", "of another platform", "means matched", "with as many in place")
GENE_FOLDS = 5


def join_dissociated(adata, dissociated, *, sample_key="sample", name="dissociated",
                     graph_key="spatial_connectivities", match_means=False) -> AnnData:
    """Spatial samples and dissociated cells as one object for :meth:`spicemix_core.SpiceMix.fit`.

    Both must be normalised alike. Metagenes are shared, so that whatever makes one platform see more of a gene than
    another ends up in them; ``match_means`` takes out what is a factor per gene. The genes of the result are those that
    both have, in the order of ``adata``.

    Parameters
    ----------
    adata : AnnData
        With a neighbour graph.
    dissociated : AnnData
        Cells without coordinates.
    sample_key : str
        Column of ``obs`` with the samples of ``adata``; without it, they are one sample, "spatial".
    name : str
        Sample of the dissociated cells.
    graph_key : str
    match_means : bool
        Multiply each gene of the dissociated cells so that its mean is that of the spatial ones. It assumes that both
        hold the same types of cells in the same shares. A gene without a positive mean in either is left as it is.

    Returns
    -------
    AnnData
        ``X``, ``obs[sample_key]`` and ``obsp[graph_key]``, in which the dissociated cells, the last ones, have no
        neighbours; and ``obsm["spatial"]``, if ``adata`` has it, where they are NaN.

    Raises
    ------
    KeyError
        Without the graph.
    ValueError
        If names of cells repeat, no gene is shared or there is a sample of this name.
    """
    if graph_key not in adata.obsp:
        raise KeyError(f"obsp has no neighbour graph {graph_key!r}; build one with spicemix_core.graphs")
    genes = adata.var_names[adata.var_names.isin(dissociated.var_names)]
    if not len(genes):
        raise ValueError(f"The spatial cells have genes such as {adata.var_names[0]!r}, the dissociated ones such as "
                         f"{dissociated.var_names[0]!r}, and none in common: name genes alike.")
    spatial = adata.obs[sample_key].astype(str) if sample_key in adata.obs else np.full(adata.n_obs, "spatial")
    if name in set(spatial):
        raise ValueError(f"There is a sample {name!r} already: give the dissociated cells another name.")
    obs = pd.DataFrame({sample_key: [*spatial, *[name] * dissociated.n_obs]},
                       index=[*adata.obs_names, *dissociated.obs_names])
    if not obs.index.is_unique:
        raise ValueError(f"The cell {obs.index[obs.index.duplicated()][0]!r} is there twice: make cell names unique.")
    parts = adata[:, genes].X, dissociated[:, genes].X
    if match_means:
        mean, own = (np.asarray(part.mean(axis=0), dtype=float).ravel() for part in parts)
        known = (mean > 0) & (own > 0)
        factors = np.where(known, mean, 1.0) / np.where(known, own, 1.0)
        parts = parts[0], parts[1] @ sp.diags_array(factors) if sp.issparse(parts[1]) else parts[1] * factors
    sparse = any(map(sp.issparse, parts))
    expression = sp.vstack(parts, format="csr") if sparse else np.concatenate(parts)
    graph = sp.block_diag([adata.obsp[graph_key], sp.csr_array((dissociated.n_obs,) * 2)], format="csr")
    joined = AnnData(expression, obs=obs, var=pd.DataFrame(index=genes), obsp={graph_key: graph})
    if "spatial" in adata.obsm:
        places = coordinates_of(adata)
        joined.obsm["spatial"] = np.concatenate([places, np.full((dissociated.n_obs, places.shape[1]), np.nan)])
    return joined


def measure_gain(folder, seeds, *, n_spatial=150, n_dissociated=1000, n_metagenes=10, platform_sd=0.3, n_jobs=1):
    """What dissociated cells add to a small spatial sample of a simulated cortex.

    Each seed draws a cortex: ``n_spatial`` cells in place, ``n_dissociated`` others whose places are thrown away, and
    an unseen tissue of 500 cells of the same metagenes on which every fit is judged.

    Parameters
    ----------
    folder : path
        Of the stored results (`spicemix_core.stored_runs`).
    seeds : iterable of int
    n_spatial, n_dissociated, n_metagenes : int
    platform_sd : float
        Standard deviation of the logarithm of the factor by which another platform multiplies each gene.
    n_jobs : int

    Returns
    -------
    DataFrame
        By ``seed`` and ``arm`` (`ARMS`; the last has the places of all cells): ``held_out_error``, relative to the
        genes' means, of each fifth of the genes of the unseen tissue given the others; of the states there and of the
        metagenes the scores of :func:`spicemix_core.recovery.score_model`.
    """
    tasks = {f"dissociated-{n_spatial}-{n_dissociated}-seed{seed}":
             (gain_of_seed, (seed, n_spatial, n_dissociated, n_metagenes, platform_sd)) for seed in seeds}
    return run_stored(tasks, folder, n_jobs=n_jobs, description="cortices")


def gain_of_seed(seed, n_spatial, n_dissociated, n_metagenes, platform_sd):
    """Rows of :func:`measure_gain` for one seed."""
    small = simulate_cortex(n_cells=n_spatial, random_state=seed)
    # the same seed draws the same metagenes, and sample 1 other cells than sample 0 of either
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
