"""Draws from the SpiceMix model by Gibbs sampling: expression whose true parameters and states are known."""

import anndata
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from spicemix_core.inputs.checks import check_coordinates, check_graph
from spicemix_core.numerics.compiled import njit


def sample_spicemix(coordinates: ArrayLike, graph: ArrayLike | sparse.spmatrix | sparse.sparray, metagenes: ArrayLike,
                    affinity: ArrayLike, *, noise: float, state_penalty: float = 1.0, n_sweeps: int = 200,
                    random_state: int | np.random.Generator | None = None) -> anndata.AnnData:
    r"""Draw expression from the SpiceMix model by Gibbs sampling (paper eq. 1-6).

    The proportions have the density :math:`p(Z) \propto \exp(-\sum_{(i,j) \in E} z_i^\top S z_j)` on the simplices,
    in which each edge counts once. The sizes are :math:`s_i \sim \mathrm{Gamma}(K, 1 / \lambda_x)`, which with uniform
    z is the density :math:`e^{-\lambda_x \sum_k x_k}` of x. The expression is
    :math:`Y = X M^\top + N(0, \sigma_y^2)`. One sweep visits every cell and draws each of K - 1 random pairs of its
    proportions, with their sum fixed, from its exact conditional distribution: an exponential distribution truncated to
    an interval.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
        Positions of the cells.
    graph : sparse or dense array of shape (n_cells, n_cells)
        Symmetric adjacency matrix of 0 and 1.
    metagenes : array of shape (n_genes, K)
        M.
    affinity : array of shape (K, K)
        S, symmetric; negative entries attract.
    noise : float
        :math:`\sigma_y`.
    state_penalty : float
        :math:`\lambda_x`.
    n_sweeps : int
        Number of sweeps, from a uniform start.
    random_state : int, numpy Generator or None
        Seed.

    Returns
    -------
    AnnData
        One sample with ``X``, ``obs["sample"]``, ``obsm["spatial"]``, ``obsm["true_latent_states"]``,
        ``varm["true_metagenes"]``, ``obsp["spatial_connectivities"]``, ``uns["true_affinity"]`` and ``uns["source"]``.

    Raises
    ------
    ValueError
        If the shapes differ, S is not symmetric, or the graph is not an adjacency matrix of these cells.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import datasets, inputs
    >>> rng = np.random.default_rng(0)
    >>> positions = datasets.draw_positions(50, 0.05, rng)
    >>> metagenes = rng.dirichlet(np.ones(10), size=2).T
    >>> adata = datasets.sample_spicemix(positions, inputs.delaunay_graph(positions), metagenes,
    ...                                  [[-2.0, 2.0], [2.0, -2.0]], noise=0.01, random_state=0)
    >>> adata.obsm["true_latent_states"].shape
    (50, 2)
    """
    points = check_coordinates(coordinates)
    metagenes, affinity = np.asarray(metagenes, dtype=float), np.asarray(affinity, dtype=float)
    n, (n_genes, k) = len(points), metagenes.shape
    if affinity.shape != (k, k) or not np.allclose(affinity, affinity.T):
        raise ValueError(f"The affinity must be a symmetric {k} x {k} matrix for {k} metagenes, not one of shape "
                         f"{affinity.shape}.")
    graph = sparse.csr_matrix(check_graph(graph, n))
    rng = np.random.default_rng(random_state)
    z = rng.dirichlet(np.ones(k), size=n)
    for _ in range(n_sweeps if k > 1 else 0):
        first = rng.integers(k, size=(n, k - 1))
        second = (first + rng.integers(1, k, size=(n, k - 1))) % k
        _gibbs_sweep(z, graph.indptr, graph.indices, affinity, first, second, rng.random((n, k - 1)))
    states = rng.gamma(k, 1 / state_penalty, size=(n, 1)) * z
    obs = pd.DataFrame({"sample": pd.Categorical(["0"] * n)}, index=[f"0-{i}" for i in range(n)])
    adata = anndata.AnnData(states @ metagenes.T + rng.normal(scale=noise, size=(n, n_genes)), obs=obs)
    adata.var_names = [f"gene{g}" for g in range(n_genes)]
    adata.obsm["spatial"], adata.obsm["true_latent_states"] = points, states
    adata.varm["true_metagenes"], adata.obsp["spatial_connectivities"] = metagenes, graph.astype(float)
    adata.uns["true_affinity"] = affinity
    adata.uns["source"] = {"name": "spicemix_sample", "measured": False, "title": "Draw from the SpiceMix model"}
    return adata


@njit()
def _gibbs_sweep(z, indptr, indices, affinity, first, second, uniform):  # pragma: no cover
    """Redraw pairs of proportions of every cell in turn, in place."""
    for i in range(len(z)):
        total = np.zeros(z.shape[1])
        for j in indices[indptr[i]:indptr[i + 1]]:
            total += z[j]
        eta = affinity @ total
        for step in range(first.shape[1]):
            a, b = first[i, step], second[i, step]
            mass, slope, u = z[i, a] + z[i, b], eta[a] - eta[b], uniform[i, step]
            # z_a on [0, mass] has the density exp(-slope z_a); a decreasing density is inverted from its high end
            steep = abs(slope) * mass
            share = u if steep < 1e-12 else -np.log1p(u * np.expm1(-steep)) / steep
            z[i, a] = mass * (share if slope >= 0 else 1 - share)
            z[i, b] = mass - z[i, a]
