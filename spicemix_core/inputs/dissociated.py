"""Dissociated cells (scRNA-seq) together with spatial samples, as one more sample without neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.inputs.anndata import coordinates_of, graph_of
from spicemix_core.inputs.checks import check_sparse

if TYPE_CHECKING:
    from anndata import AnnData


def join_dissociated(adata: AnnData, dissociated: AnnData, *, sample_key: str = "sample", name: str = "dissociated",
                     graph_key: str = "spatial_connectivities", match_means: bool = False) -> AnnData:
    """Join spatial samples and dissociated cells into one object for :meth:`spicemix_core.SpiceMix.fit`.

    Both must be normalised in the same way. The metagenes are shared, so that any difference between the platforms in
    how well they detect a gene becomes part of the metagenes; ``match_means`` removes differences that are one factor
    per gene. The result has the genes that both objects have, in the order of ``adata``.

    Parameters
    ----------
    adata : AnnData
        Spatial samples with a neighbour graph.
    dissociated : AnnData
        Cells without coordinates.
    sample_key : str
        Column of ``obs`` with the samples of ``adata``. If there is no such column, they are one sample, "spatial".
    name : str
        Name of the sample of the dissociated cells.
    graph_key : str
        Key of ``obsp`` with the neighbour graph of ``adata``.
    match_means : bool
        Multiply each gene of the dissociated cells so that its mean equals that of the spatial cells. This assumes that
        both have the same cell types in the same proportions. A gene whose mean is not positive in either object is
        left unchanged.

    Returns
    -------
    AnnData
        ``X``, ``obs[sample_key]`` and ``obsp[graph_key]``; the dissociated cells are the last ones and have no
        neighbours. If ``adata`` has ``obsm["spatial"]``, so has the result, with NaN for the dissociated cells.

    Raises
    ------
    KeyError
        If ``adata`` has no neighbour graph of that key.
    ValueError
        If cell names are not unique, a sparse matrix is corrupt, the objects share no gene, or ``adata`` has a sample
        called ``name``.

    Examples
    --------
    >>> from spicemix_core import datasets, inputs
    >>> spatial = datasets.simulate_cortex(n_cells=60, n_genes=20, random_state=0)
    >>> cells = datasets.simulate_cortex(n_cells=40, n_genes=20, random_state=1)
    >>> cells.obs_names = "cell" + cells.obs_names
    >>> joined = inputs.join_dissociated(spatial, cells)
    >>> joined.obs["sample"].value_counts().to_dict()
    {'0': 60, 'dissociated': 40}
    """
    from anndata import AnnData

    graph = graph_of(adata, graph_key)
    check_sparse(adata.X, "adata.X")
    check_sparse(dissociated.X, "dissociated.X")
    genes = adata.var_names[adata.var_names.isin(dissociated.var_names)]
    if not len(genes):
        raise ValueError(f"The spatial cells have genes such as {adata.var_names[0]!r}, the dissociated cells genes "
                         f"such as {dissociated.var_names[0]!r}, and none is in both; use the same kind of gene names.")
    samples = adata.obs[sample_key].astype(str) if sample_key in adata.obs else np.full(adata.n_obs, "spatial")
    if name in set(samples):
        raise ValueError(f"There is already a sample {name!r}; give the dissociated cells another name.")
    obs = pd.DataFrame({sample_key: [*samples, *[name] * dissociated.n_obs]},
                       index=[*adata.obs_names, *dissociated.obs_names])
    if not obs.index.is_unique:
        raise ValueError(f"The cell {obs.index[obs.index.duplicated()][0]!r} occurs twice; make the cell names unique.")
    parts = adata[:, genes].X, dissociated[:, genes].X
    if match_means:
        mean, own = (np.asarray(part.mean(axis=0), dtype=float).ravel() for part in parts)
        known = (mean > 0) & (own > 0)
        factors = np.where(known, mean, 1.0) / np.where(known, own, 1.0)
        parts = parts[0], parts[1] @ sp.diags_array(factors) if sp.issparse(parts[1]) else parts[1] * factors
    sparse = any(map(sp.issparse, parts))
    expression = sp.vstack(parts, format="csr") if sparse else np.concatenate(parts)
    joined_graph = sp.block_diag([graph, sp.csr_array((dissociated.n_obs,) * 2)], format="csr")
    joined = AnnData(expression, obs=obs, var=pd.DataFrame(index=genes), obsp={graph_key: joined_graph})
    if "spatial" in adata.obsm:
        places = coordinates_of(adata)
        joined.obsm["spatial"] = np.concatenate([places, np.full((dissociated.n_obs, places.shape[1]), np.nan)])
    return joined
