"""The paper's simulated cortex (Fig. 2), after the authors' generator."""

from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import truncnorm

from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample

METAGENES = ("excitatory", "inhibitory", "inh-1", "inh-2", "glia-everywhere", "glia-layer-1",
             "layer-1", "layer-2", "layer-3", "layer-4", "noise-1", "noise-2", "noise-3")
LAYERS = ("L1", "L2", "L3", "L4")
CELL_TYPES = ("eL1", "eL2", "eL3", "eL4", "Inh-1", "Inh-2", "Glial-1", "Glial-2")
FIRST_LAYER, FIRST_NOISE = METAGENES.index("layer-1"), METAGENES.index("noise-1")


@dataclass(frozen=True)
class CortexParameters:
    """Constants of the simulated cortex; the defaults are the authors'.

    Attributes
    ----------
    layer_bounds : tuple of float
        Borders of the four layers in x, which is in [0, 1].
    min_distance : float
        Smallest distance of two cells, in units of 1 / sqrt(n_cells).
    glia_everywhere_share : float
        Share of Glial-2 among all cells. They are drawn first.
    layer_shares : tuple of tuples
        For each layer, types and their shares of the cells of the layer that are not Glial-2, in the order in which
        they are drawn. The other cells are excitatory neurons.
    main_weight, subtype_weight : float
        Weights of the metagene of a cell's class (excitatory, inhibitory or glia) and of inh-1 and inh-2.
    excitatory_layer_weight, other_layer_weight : float
        Weights of the metagene of its layer in excitatory neurons and in all other cells.
    noise_weight : float
        Weight of each noise metagene, in every cell.
    weight_sd, noise_weight_sd : float
        Standard deviations of the weights of these metagenes and of the noise metagenes, in units of sigma_x.
    size_scale : float
        Scale of the Gamma(K) distribution of the size of a cell.
    gene_shape, noise_gene_shape : float
        Shapes of the Gamma distributions of the entries of the metagenes and of the noise metagenes.
    linked : tuple of (copy, original, share)
        Metagenes that are copies of others, except in a share of the genes.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> sparse_layers = datasets.CortexParameters(min_distance=0.5)
    >>> datasets.simulate_cortex(n_cells=50, parameters=sparse_layers, random_state=0).n_obs
    50
    """

    layer_bounds: tuple[float, ...] = (0.35, 0.50, 0.75)
    min_distance: float = 0.75
    glia_everywhere_share: float = 0.07
    layer_shares: tuple[tuple[tuple[str, float], ...], ...] = (
        (("Inh-1", 0.10), ("Glial-1", 0.50)), (),
        (("Inh-1", 0.10), ("Inh-2", 0.30)), (("Inh-1", 0.10), ("Inh-2", 0.10)))
    main_weight: float = 1.0
    subtype_weight: float = 0.6
    excitatory_layer_weight: float = 0.6
    other_layer_weight: float = 0.3
    noise_weight: float = 0.05
    weight_sd: float = 0.1
    noise_weight_sd: float = 0.03
    size_scale: float = 1.0
    gene_shape: float = 4.0
    noise_gene_shape: float = 8.0
    linked: tuple[tuple[str, str, float], ...] = (
        ("inhibitory", "excitatory", 0.25), ("inh-2", "inh-1", 0.25), ("glia-layer-1", "glia-everywhere", 0.25),
        ("layer-2", "layer-1", 0.10), ("layer-3", "layer-1", 0.10), ("layer-4", "layer-1", 0.10))


def simulate_cortex(n_samples: int = 1, *, sigma_x: float = 3.0, sigma_y: float = 2.0, n_cells: int = 500,
                    n_genes: int = 100, parameters: CortexParameters | None = None,
                    random_state: int | np.random.Generator | None = None) -> anndata.AnnData:
    r"""The paper's simulated cortex: four layers, eight cell types, thirteen metagenes (Fig. 2).

    The expression is :math:`Y = X M^\top + E` with :math:`E_{ig} \sim N(0, (\sigma_y / G)^2)`. All samples share M, and
    each has its own cells, which do not depend on the number of samples.

    Parameters
    ----------
    n_samples, n_cells, n_genes : int
        Number of samples, of cells per sample (at least 2) and of genes G.
    sigma_x, sigma_y : float
        Scales of the variation of the weights and of the noise; the authors' released data have 3 and 2.
    parameters : CortexParameters, optional
        All other constants.
    random_state : int, numpy Generator or None
        Seed.

    Returns
    -------
    AnnData
        ``X``, in which a few values are negative; ``obs``: ``sample``, ``cell_type``, ``layer``;
        ``obsm["spatial"]`` (unit square, x is depth), ``obsm["true_latent_states"]`` (n_cells x 13);
        ``varm["true_metagenes"]`` (G x 13, columns sum to 1); ``obsp["spatial_connectivities"]`` (Delaunay);
        ``uns["source"]``.

    Raises
    ------
    ValueError
        If a size is too small, a scale is negative or not finite, or the cells do not fit at min_distance.

    Examples
    --------
    >>> from spicemix_core import datasets
    >>> adata = datasets.simulate_cortex(2, n_cells=50, n_genes=20, random_state=0)
    >>> adata.shape, adata.obsm["true_latent_states"].shape
    ((100, 20), (100, 13))
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


def draw_positions(n: int, min_distance: float, rng: np.random.Generator) -> np.ndarray:
    """Draw uniform points of the unit square that keep a distance from each other, by rejection.

    Parameters
    ----------
    n : int
        Number of points.
    min_distance : float
        Smallest distance of two points.
    rng : numpy.random.Generator

    Returns
    -------
    array of shape (n, 2)

    Raises
    ------
    ValueError
        If n points do not fit at this distance.

    Examples
    --------
    >>> import numpy as np
    >>> from spicemix_core import datasets
    >>> datasets.draw_positions(100, 0.05, np.random.default_rng(0)).shape
    (100, 2)
    """
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
    raise ValueError(f"{n} cells do not fit at a distance of {min_distance:.3g}; choose a smaller min_distance.")


def draw_cell_types(layers: np.ndarray, p: CortexParameters, rng: np.random.Generator) -> np.ndarray:
    """Cell types by exact counts, rounded down: first Glial-2 in all layers, then the shares of each layer."""
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


def mean_weights(types: np.ndarray, layers: np.ndarray, p: CortexParameters) -> np.ndarray:
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


def draw_latent_states(types: np.ndarray, layers: np.ndarray, sigma_x: float, p: CortexParameters,
                       rng: np.random.Generator) -> np.ndarray:
    """States x = s z: weights from normals truncated at zero (zeros remain), scaled to sum 1, times s ~ Gamma(K)."""
    weights = mean_weights(types, layers, p)
    sd = sigma_x * np.where(np.arange(len(METAGENES)) < FIRST_NOISE, p.weight_sd, p.noise_weight_sd)
    if sigma_x > 0:
        present = weights > 0
        mean, spread = weights[present], np.broadcast_to(sd, weights.shape)[present]
        weights[present] = truncnorm.rvs(-mean / spread, np.inf, mean, spread, random_state=rng)
    sizes = rng.gamma(len(METAGENES), p.size_scale, size=(len(types), 1))
    return sizes * weights / weights.sum(axis=1, keepdims=True)


def draw_metagenes(n_genes: int, p: CortexParameters, rng: np.random.Generator) -> np.ndarray:
    """Metagenes with Gamma entries; linked ones are copied except in a share of the genes. Columns sum to 1."""
    shapes = np.where(np.arange(len(METAGENES)) < FIRST_NOISE, p.gene_shape, p.noise_gene_shape)
    entries = rng.gamma(shapes, size=(n_genes, len(METAGENES)))
    for copy, original, redrawn in p.linked:
        kept = rng.random(n_genes) >= redrawn
        entries[kept, METAGENES.index(copy)] = entries[kept, METAGENES.index(original)]
    return entries / entries.sum(axis=0)
