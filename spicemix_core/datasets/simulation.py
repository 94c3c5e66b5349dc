r"""Simulated tissue: the paper's cortex (Fig. 2), and draws from the SpiceMix model itself.

:func:`simulate_cortex` follows Fig. 2 and the authors' generator. :func:`sample_spicemix` draws from the model that
is fitted, so that recovery can be tested where the truth is known.
"""

from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
from numba import njit
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.stats import truncnorm

from spicemix_core.inputs.checks import check_coordinates, check_graph
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample

METAGENES = ("excitatory", "inhibitory", "inh-1", "inh-2", "glia-everywhere", "glia-layer-1",
             "layer-1", "layer-2", "layer-3", "layer-4", "noise-1", "noise-2", "noise-3")


LAYERS = ("L1", "L2", "L3", "L4")
CELL_TYPES = ("eL1", "eL2", "eL3", "eL4", "Inh-1", "Inh-2", "Glial-1", "Glial-2")


FIRST_LAYER, FIRST_NOISE = METAGENES.index("layer-1"), METAGENES.index("noise-1")


@dataclass(frozen=True)
class CortexParameters:
    """Constants of the simulated cortex; the defaults are the authors'."""

    layer_bounds: tuple[float, ...] = (0.35, 0.50, 0.75)  # of x in [0, 1]
    min_distance: float = 0.75  # in units of 1 / sqrt(n_cells)
    glia_everywhere_share: float = 0.07  # Glial-2, of all cells, drawn first
    # then, layer by layer and in this order, shares of the layer's cells not yet Glial-2; the others are eL
    layer_shares: tuple[tuple[tuple[str, float], ...], ...] = (
        (("Inh-1", 0.10), ("Glial-1", 0.50)), (),
        (("Inh-1", 0.10), ("Inh-2", 0.30)), (("Inh-1", 0.10), ("Inh-2", 0.10)))
    main_weight: float = 1.0  # of a cell's own class: excitatory, inhibitory or glia
    subtype_weight: float = 0.6  # of inh-1, inh-2
    excitatory_layer_weight: float = 0.6
    other_layer_weight: float = 0.3  # of its layer in inhibitory cells and glia
    noise_weight: float = 0.05  # of each noise metagene, in every cell
    weight_sd: float = 0.1  # times sigma_x
    noise_weight_sd: float = 0.03  # times sigma_x
    size_scale: float = 1.0  # of the Gamma(K) size of a cell
    gene_shape: float = 4.0  # of the Gamma entries of a metagene
    noise_gene_shape: float = 8.0
    # (copy, original, share of genes redrawn)
    linked: tuple[tuple[str, str, float], ...] = (
        ("inhibitory", "excitatory", 0.25), ("inh-2", "inh-1", 0.25), ("glia-layer-1", "glia-everywhere", 0.25),
        ("layer-2", "layer-1", 0.10), ("layer-3", "layer-1", 0.10), ("layer-4", "layer-1", 0.10))


def simulate_cortex(n_samples: int = 1, *, sigma_x: float = 3.0, sigma_y: float = 2.0, n_cells: int = 500,
                    n_genes: int = 100, parameters: CortexParameters | None = None, random_state=None,
                    ) -> anndata.AnnData:
    r"""The paper's simulated cortex: four layers, eight cell types, thirteen metagenes (Fig. 2).

    Expression :math:`Y = X M^\top + E`, :math:`E_{ig} \sim N(0, (\sigma_y / G)^2)`. All samples share M; each has
    its own cells. A sample's cells do not depend on how many samples are drawn.

    Parameters
    ----------
    n_samples, n_cells, n_genes : int
        Samples, cells per sample (at least 2) and genes G.
    sigma_x, sigma_y : float
        Scales of the variation of the weights and of the noise; the released data have 3 and 2.
    parameters : CortexParameters, optional
        All other constants.
    random_state : int, numpy Generator or None

    Returns
    -------
    AnnData
        ``X`` expression, its few negative values kept; ``obs``: ``sample``, ``cell_type``, ``layer``;
        ``obsm["spatial"]`` (unit square, x is depth), ``obsm["true_latent_states"]`` (n_cells x 13);
        ``varm["true_metagenes"]`` (G x 13, columns sum to 1); ``obsp["spatial_connectivities"]`` (Delaunay);
        ``uns["source"]``.

    Raises
    ------
    ValueError
        If a size is too small, a scale is negative or not finite, or so many cells cannot keep their distance.
    """
    for name, value, least in (("n_samples", n_samples, 1), ("n_cells", n_cells, 2), ("n_genes", n_genes, 1),
                               ("sigma_x", sigma_x, 0), ("sigma_y", sigma_y, 0)):
        if not least <= value < np.inf:
            raise ValueError(f"{name} must be at least {least} and finite, not {value}.")
    p = parameters or CortexParameters()
    gene_rng, *sample_rngs = np.random.default_rng(random_state).spawn(n_samples + 1)
    metagenes = draw_metagenes(n_genes, p, gene_rng)
    samples = []
    for i, rng in enumerate(sample_rngs):
        coordinates = draw_positions(n_cells, p.min_distance / np.sqrt(n_cells), rng)
        layers = np.searchsorted(p.layer_bounds, coordinates[:, 0], side="right")
        types = draw_cell_types(layers, p, rng)
        states = draw_latent_states(types, layers, sigma_x, p, rng)
        expression = states @ metagenes.T + rng.normal(scale=sigma_y / n_genes, size=(n_cells, n_genes))
        obs = pd.DataFrame({"sample": str(i), "cell_type": types, "layer": np.array(LAYERS)[layers]},
                           index=[f"{i}-{cell}" for cell in range(n_cells)])
        places_and_states = {"spatial": coordinates, "true_latent_states": states}
        samples.append(anndata.AnnData(expression, obs=obs, obsm=places_and_states))
    adata = anndata.concat(samples)
    for key, categories in {"sample": map(str, range(n_samples)), "cell_type": CELL_TYPES, "layer": LAYERS}.items():
        adata.obs[key] = pd.Categorical(adata.obs[key], list(categories))
    adata.var_names = [f"gene{g}" for g in range(n_genes)]
    adata.varm["true_metagenes"] = metagenes
    adata.obsp["spatial_connectivities"] = graph_by_sample(adata.obsm["spatial"], adata.obs["sample"], delaunay_graph)
    adata.uns["source"] = {"name": "simulated_cortex", "measured": False, "sigma_x": float(sigma_x),
                           "sigma_y": float(sigma_y), "title": "Simulated cortex after Fig. 2 of the paper"}
    return adata


def draw_positions(n: int, min_distance: float, rng) -> np.ndarray:
    """Points of the unit square by rejection: uniform, each kept if it is ``min_distance`` from those before it."""
    points = np.empty((0, 2))
    for _ in range(1000):
        batch = rng.random((max(n, 100), 2))
        if len(points):
            batch = batch[cKDTree(points).query(batch)[0] >= min_distance]
        kept = np.ones(len(batch), dtype=bool)
        for first, second in sorted(cKDTree(batch).query_pairs(min_distance)) if len(batch) else ():
            kept[second] &= not kept[first]
        points = np.concatenate([points, batch[kept]])
        if len(points) >= n:
            return points[:n]
    raise ValueError(f"{n} cells do not fit at a distance of {min_distance:.3g}: lower CortexParameters.min_distance.")


def draw_cell_types(layers, p: CortexParameters, rng) -> np.ndarray:
    """Cell types by exact counts: Glial-2 anywhere first, then each layer's shares (rounded down) in random order."""
    types = np.array([f"eL{layer + 1}" for layer in layers], dtype="<U8")
    shuffled = rng.permutation(len(layers))
    n_glia = int(p.glia_everywhere_share * len(layers))
    types[shuffled[:n_glia]] = "Glial-2"
    for layer, shares in enumerate(p.layer_shares):
        left = shuffled[n_glia:][layers[shuffled[n_glia:]] == layer]
        start = 0
        for name, share in shares:
            stop = start + int(share * len(left))
            types[left[start:stop]] = name
            start = stop
    return types


def mean_weights(types, layers, p: CortexParameters) -> np.ndarray:
    """Mean weight of each metagene in each cell, shape (n_cells, 13)."""
    main = {"Inh-1": "inhibitory", "Inh-2": "inhibitory", "Glial-1": "glia-layer-1", "Glial-2": "glia-everywhere"}
    weights = np.zeros((len(types), len(METAGENES)))
    weights[:, FIRST_NOISE:] = p.noise_weight
    for cell, (name, layer) in enumerate(zip(types, layers, strict=True)):
        weights[cell, METAGENES.index(main.get(name, "excitatory"))] = p.main_weight
        if name in ("Inh-1", "Inh-2"):
            weights[cell, METAGENES.index(name.lower())] = p.subtype_weight
        weights[cell, FIRST_LAYER + layer] = p.other_layer_weight if name in main else p.excitatory_layer_weight
    return weights


def draw_latent_states(types, layers, sigma_x: float, p: CortexParameters, rng) -> np.ndarray:
    """States x = s z: weights from normals truncated at zero (zeros stay), scaled to sum 1, times s ~ Gamma(K)."""
    weights = mean_weights(types, layers, p)
    sd = sigma_x * np.where(np.arange(len(METAGENES)) < FIRST_NOISE, p.weight_sd, p.noise_weight_sd)
    if sigma_x > 0:
        present = weights > 0
        mean, spread = weights[present], np.broadcast_to(sd, weights.shape)[present]
        weights[present] = truncnorm.rvs(-mean / spread, np.inf, mean, spread, random_state=rng)
    sizes = rng.gamma(len(METAGENES), p.size_scale, size=(len(types), 1))
    return sizes * weights / weights.sum(axis=1, keepdims=True)


def draw_metagenes(n_genes: int, p: CortexParameters, rng) -> np.ndarray:
    """Metagenes of Gamma entries, linked ones copied except in a share of the genes; columns sum to 1."""
    shapes = np.where(np.arange(len(METAGENES)) < FIRST_NOISE, p.gene_shape, p.noise_gene_shape)
    entries = rng.gamma(shapes, size=(n_genes, len(METAGENES)))
    for copy, original, redrawn in p.linked:
        kept = rng.random(n_genes) >= redrawn
        entries[kept, METAGENES.index(copy)] = entries[kept, METAGENES.index(original)]
    return entries / entries.sum(axis=0)


def sample_spicemix(coordinates, graph, metagenes, affinity, *, noise: float, state_penalty: float = 1.0,
                    n_sweeps: int = 200, random_state=None) -> anndata.AnnData:
    r"""Draw expression from the SpiceMix model by Gibbs sampling (paper eq. 1-6).

    :math:`p(Z) \propto \exp(-\sum_{(i,j) \in E} z_i^\top S z_j)` on the simplices, once per edge; sizes
    :math:`s_i \sim \mathrm{Gamma}(K, 1 / \lambda_x)`, which with uniform z is the density
    :math:`e^{-\lambda_x \sum_k x_k}` of x; :math:`Y = X M^\top + N(0, \sigma_y^2)`. One sweep visits every cell and
    draws each of K - 1 random pairs of its proportions, their sum fixed, from its exact conditional: an
    exponential truncated to a segment.

    Parameters
    ----------
    coordinates : array of shape (n_cells, 2) or (n_cells, 3)
    graph : sparse array of shape (n_cells, n_cells)
        Symmetric adjacency matrix.
    metagenes : array of shape (n_genes, K)
    affinity : array of shape (K, K)
        S, symmetric; negative entries attract.
    noise : float
        :math:`\sigma_y`.
    state_penalty : float
        :math:`\lambda_x`.
    n_sweeps : int
        Sweeps from a uniform start.
    random_state : int, numpy Generator or None

    Returns
    -------
    AnnData
        As :func:`simulate_cortex`, one sample, without types and layers; ``uns["true_affinity"]``.

    Raises
    ------
    ValueError
        If shapes disagree, S is not symmetric or the graph is none (:func:`spicemix_core.inputs.checks.check_graph`).
    """
    points = check_coordinates(coordinates)
    metagenes, affinity = np.asarray(metagenes, dtype=float), np.asarray(affinity, dtype=float)
    n, (n_genes, k) = len(points), metagenes.shape
    if affinity.shape != (k, k) or not np.allclose(affinity, affinity.T):
        raise ValueError(f"The affinity must be a symmetric {k} x {k} matrix for {k} metagenes.")
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


@njit(cache=True)
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
            # z_a on [0, mass] has density exp(-slope z_a); a falling density is inverted from its high end
            steep = abs(slope) * mass
            share = u if steep < 1e-12 else -np.log1p(u * np.expm1(-steep)) / steep
            z[i, a] = mass * (share if slope >= 0 else 1 - share)
            z[i, b] = mass - z[i, a]
