"""Dissociated cells (scRNA-seq) beside spatial samples, as one more sample without a graph."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from spicemix_core.inputs.anndata import coordinates_of, graph_of


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
    graph = graph_of(adata, graph_key)
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
    graph = sp.block_diag([graph, sp.csr_array((dissociated.n_obs,) * 2)], format="csr")
    joined = AnnData(expression, obs=obs, var=pd.DataFrame(index=genes), obsp={graph_key: graph})
    if "spatial" in adata.obsm:
        places = coordinates_of(adata)
        joined.obsm["spatial"] = np.concatenate([places, np.full((dissociated.n_obs, places.shape[1]), np.nan)])
    return joined
