r"""States of the cells without some of the genes: what a model says of a cell if it may not see what is to be tested.

A gene that is regressed on states which were fitted to the same gene can look related to them for that reason alone.
With the parameters fixed, the genes' rows of M and columns of Y are dropped and the states solved anew: the energy of
:mod:`spicemix_core.latent_states` (book ``eq-states``) with :math:`\sum_{g \in \mathrm{kept}}` in place of the sum over
all genes. M itself was fitted with the genes; a fit without them removes that too.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spicemix_core.annotated import read_samples
from spicemix_core.annotation import expression_frame
from spicemix_core.myelination import two_metagenes
from spicemix_core.parallel import one_blas_thread
from spicemix_core.progress import progress
from spicemix_core.samples import check_samples
from spicemix_core.trajectory import correct, regress
from spicemix_core.transform import solve_states


def states_without(model, expressions, graphs, held_out) -> list[np.ndarray]:
    """Latent states given the parameters of a fitted model and all genes but some.

    The start does not depend on the model's own states, so nothing of the genes held out is left in the result but
    what they did to the parameters and to the normalisation.

    Parameters
    ----------
    model : fitted SpiceMix
    expressions, graphs : lists
        As given to :meth:`spicemix_core.SpiceMix.fit_arrays`; ``graphs`` is ignored for NMF.
    held_out : (H,) array of int
        Columns of the expression that must not be used; may be empty.

    Returns
    -------
    list of arrays, each (N_i, K)
        In the units of ``model.latent_states_``.

    Raises
    ------
    ValueError
        If there is no such gene, too few genes are left, or the expression does not fit the model.
    """
    n_genes, K = model.metagenes_.shape
    held_out = np.asarray(held_out, dtype=int)
    if held_out.size and not 0 <= held_out.min() <= held_out.max() < n_genes:
        raise ValueError(f"Gene {held_out.max()} cannot be held out: the model has genes 0 to {n_genes - 1}.")
    kept = np.setdiff1d(np.arange(n_genes), held_out)
    if len(kept) < K:
        raise ValueError(f"{len(kept)} genes are left for {K} metagenes: hold out fewer.")
    samples = check_samples(expressions, graphs if model.spatial else None, K)
    if samples.n_genes != n_genes or len(samples.expressions) != len(model.scaling_):
        raise ValueError(f"The model has {len(model.scaling_)} samples of {n_genes} genes, the expression "
                         f"{len(samples.expressions)} of {samples.n_genes}: pass what it was fitted to.")
    samples = replace(samples, expressions=[_columns(y, kept) for y in samples.expressions], scaling=model.scaling_)
    with one_blas_thread():
        parts = samples.split(solve_states(model, samples, kept))
    return [x / c for x, c in zip(parts, model.scaling_, strict=True)]


def regress_left_out(model, adata, opposition, genes, *, sample_key=None,
                     graph_key="spatial_connectivities") -> pd.DataFrame:
    """Regress each gene on the trajectory of two metagenes among cells whose states were solved without that gene.

    Parameters
    ----------
    model : SpiceMix
        Fitted to ``adata.X``.
    adata : AnnData
    opposition : spicemix_core.myelination.Opposition
        Cells and metagenes.
    genes : list of str
    sample_key, graph_key
        As :meth:`spicemix_core.SpiceMix.fit`.

    Returns
    -------
    DataFrame
        As :func:`spicemix_core.trajectory.regress`.
    """
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if model.spatial else None, None)
    order, tables = np.argsort(np.concatenate(rows)), []
    for gene in progress(genes, "genes left out"):
        states = states_without(model, expressions, graphs, [adata.var_names.get_loc(gene)])
        alone = two_metagenes(np.concatenate(states)[order], opposition.cells, opposition.metagenes)
        values = expression_frame(adata[opposition.cells], [gene])
        tables.append(regress(values, alone.trajectory))
    return correct(pd.concat(tables))


def _columns(expression, kept):
    return sp.csr_array(expression)[:, kept] if sp.issparse(expression) else np.ascontiguousarray(expression[:, kept])
