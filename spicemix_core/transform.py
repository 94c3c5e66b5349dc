r"""Latent states of cells that a model has not seen, or of those it has, under its parameters as they are.

With metagenes M, affinity S and noise :math:`\sigma_y` fixed, the states are those of the state step, the minimum of
the energy of :mod:`spicemix_core.latent_states` (book ``eq-states``) over the cells of the new samples. Cells without
neighbours, among them all dissociated ones, feel no affinity: theirs is non-negative least squares.
"""

import numbers
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from spicemix_core.inputs.anndata import check_names, read_samples
from spicemix_core.latent_states import update_latent_states
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.samples import check_samples


def solve_states(model, samples, genes):
    """Latent states of samples, (N, K) in scaled units, from a start that depends on nothing but the parameters.

    Parameters
    ----------
    model : fitted SpiceMix
    samples : spicemix_core.samples.Samples
        Expression of the chosen genes alone, with the scaling to use.
    genes : array of int
        Which gene of the model each column is.
    """
    K = model.n_metagenes
    metagenes, variance = model.metagenes_[genes], model.noise_**2
    gram, linear = metagenes.T @ metagenes / variance, samples.times_metagenes(metagenes) / variance
    proportions, sizes = np.full((samples.n_cells, K), 1.0 / K), np.ones(samples.n_cells)
    for affinity in (np.zeros((K, K)), model.affinity_):  # without neighbours first: one optimum per cell
        proportions, sizes, _ = update_latent_states(gram, linear, affinity, samples.graph, proportions, sizes,
                                                     state_penalty=model.state_penalty)
    return sizes[:, None] * proportions


def transform_arrays(model, expressions, graphs=None, *, genes=None):
    r"""Latent states of new samples, each scaled as one of the fit would have been.

    A sample's factor is :math:`c = K a / \bar t` with :math:`\bar t` the mean total of its cells over the genes that it
    shares with the model, and :math:`a = \sum_{ik} x_{ik} \sum_{g} m_{gk} / \sum_{ik} x_{ik}` the share of their
    expression that the model expects on these genes. With all genes a = 1, as in the fit. With some missing, the x in a
    are a first solution without neighbours; as long as :math:`\lambda_x` is small beside the data, it is proportional
    to c, so that a does not depend on c.

    Parameters
    ----------
    model : fitted SpiceMix
    expressions : list of arrays or CSR matrices, each (N_i, H)
        Expression normalised as that of the fit.
    graphs : list of sparse matrices (N_i, N_i) or None, or None
        As :meth:`spicemix_core.SpiceMix.fit_arrays`; ignored by a model with ``spatial=False``.
    genes : array of H int, optional
        Which gene of the model each column is; by default the columns are its G genes.

    Returns
    -------
    list of arrays, each (N_i, K)
        In the units of the data.

    Raises
    ------
    ValueError
        The model is not fitted, columns do not fit its genes or are fewer than K, or any input that
        :func:`spicemix_core.samples.check_samples` refuses.
    """
    check_is_fitted(model, "metagenes_", msg="This SpiceMix model is not fitted: call fit, or load a fitted one.")
    n_genes, K = model.metagenes_.shape
    genes = np.arange(n_genes) if genes is None else np.asarray(genes)
    samples = check_samples(expressions, graphs if model.spatial else None, 1)
    if len(genes) != samples.n_genes:
        raise ValueError(f"the expression has {samples.n_genes} genes, but the model's that it should have are "
                         f"{len(genes)}; say in genes which they are")
    if genes.dtype.kind != "i" or genes.min() < 0 or genes.max() >= n_genes or len(np.unique(genes)) < len(genes):
        raise ValueError(f"genes must name columns of the model, 0 to {n_genes - 1}, each at most once")
    if len(genes) < K:
        raise ValueError(f"{len(genes)} genes cannot tell {K} metagenes apart; at least {K} are needed")
    with one_blas_thread():
        scaling = K * samples.scaling  # K / mean total
        if len(genes) < n_genes:
            mass = model.metagenes_[genes].sum(axis=0)
            first = replace(samples, scaling=scaling * mass.mean(), graph=sp.csr_array(samples.graph.shape))
            shares = [_share(x, mass) for x in samples.split(solve_states(model, first, genes))]
            scaling = scaling * shares
        states = solve_states(model, replace(samples, scaling=scaling), genes)
    return [x / c for x, c in zip(samples.split(states), scaling, strict=True)]


def _share(states, mass):
    total = states.sum()
    return (states.sum(axis=0) @ mass) / total if total > 0 else mass.mean()


def transform(model, adata, sample_key, graph_key, layer, *, min_genes):
    """:meth:`spicemix_core.SpiceMix.transform`."""
    check_is_fitted(model, "metagenes_", msg="This SpiceMix model is not fitted: call fit, or load a fitted one.")
    check_names(adata)
    columns, genes = match_genes(model, adata.var_names, min_genes)
    expressions, graphs, rows = read_samples(adata, sample_key, graph_key if model.spatial else None, layer)
    in_order = len(columns) == adata.n_vars and (np.diff(columns) == 1).all()
    parts = transform_arrays(model, expressions if in_order else [y[:, columns] for y in expressions], graphs,
                             genes=genes)
    states = np.empty((adata.n_obs, model.n_metagenes))
    for r, x in zip(rows, parts, strict=True):
        states[r] = x
    adata.obsm["X_spicemix"] = states
    return states


def match_genes(model, names, min_genes):
    """Where the genes of a model are among ``names``: columns, and the model's numbers of their genes.

    Warns of genes that are missing; refuses if less than the share ``min_genes`` of them is there.
    """
    if not isinstance(min_genes, numbers.Real) or not 0 < min_genes <= 1:
        raise ValueError(f"min_genes must be a share above 0 and at most 1, not {min_genes!r}")
    if not hasattr(model, "feature_names_in_"):
        raise ValueError("this model has no gene names, it was fitted to arrays; use transform_arrays")
    found = pd.Index(names).get_indexer(model.feature_names_in_)
    genes = np.flatnonzero(found >= 0)
    n, missing = len(found), model.feature_names_in_[found < 0]
    if len(missing):
        listed = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        told = f"{len(missing)} of the {n} genes of the model are missing ({listed})"
        if len(genes) < min_genes * n:
            raise ValueError(f"{told}, more than min_genes={min_genes} allows; check that both use the same kind of "
                             "gene names")
        mass = model.metagenes_[genes].sum(axis=0).mean()
        warnings.warn(f"{told}; the others hold {100 * mass:.0f} % of a metagene on average and alone give the states",
                      stacklevel=4)
    return found[genes], genes


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


def _columns(expression, kept):
    return sp.csr_array(expression)[:, kept] if sp.issparse(expression) else np.ascontiguousarray(expression[:, kept])
