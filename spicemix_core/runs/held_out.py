"""Latent states that are estimated without some genes, to compare the prediction of these genes with the data."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from spicemix_core.inputs.arrays import check_samples
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.transform import solve_states


def states_without(model, expressions: Sequence, graphs: Sequence | None, held_out: Sequence[int]) -> list[np.ndarray]:
    """Latent states given the parameters of a fitted model and all genes but some.

    The start does not depend on the states of the model. The held-out genes thus influence the result only through the
    parameters and the normalisation.

    Parameters
    ----------
    model : fitted SpiceMix
    expressions, graphs : lists
        As passed to :meth:`spicemix_core.SpiceMix.fit_arrays`; a non-spatial model ignores ``graphs``.
    held_out : array of int
        Columns of the expression that must not be used; may be empty.

    Returns
    -------
    list of arrays, each (N_i, K)
        In the units of ``model.latent_states_``.

    Raises
    ------
    ValueError
        If a held-out gene does not exist, too few genes are left, or the expression does not match the model.
    """
    n_genes, K = model.metagenes_.shape
    genes = np.asarray(held_out, dtype=int)
    if genes.size and not 0 <= genes.min() <= genes.max() < n_genes:
        raise ValueError(f"Gene {genes.max()} cannot be held out: the model has genes 0 to {n_genes - 1}.")
    kept = np.setdiff1d(np.arange(n_genes), genes)
    if len(kept) < K:
        raise ValueError(f"{len(kept)} genes are left for {K} metagenes: hold out fewer genes.")
    samples = check_samples(expressions, graphs if model.spatial else None, K)
    if samples.n_genes != n_genes or len(samples.expressions) != len(model.scaling_):
        raise ValueError(f"The model has {len(model.scaling_)} samples of {n_genes} genes, the expression "
                         f"{len(samples.expressions)} of {samples.n_genes}: pass the data of the fit.")
    samples = replace(samples, expressions=[_columns(y, kept) for y in samples.expressions], scaling=model.scaling_)
    with one_blas_thread():
        parts = samples.split(solve_states(model, samples, kept))
    return [x / c for x, c in zip(parts, model.scaling_, strict=True)]


def _columns(expression, kept):
    return sp.csr_array(expression)[:, kept] if sp.issparse(expression) else np.ascontiguousarray(expression[:, kept])
