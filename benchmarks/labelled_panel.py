"""The labelled data sets by which a definition of cell types is judged, measured and simulated.

Every data set is an AnnData with the published or true classes in ``obs["cell_type"]``, the samples in
``obs["sample"]`` and the neighbour graph in ``obsp["spatial_connectivities"]``:

- ``measured``: seqFISH+ and STARmap, with their authors' classes;
- ``authors``: four fields of each of the two cortices that the authors simulated;
- ``cortex``: the paper's cortex of eight types, one field, two draws in each of the four scenarios;
- ``tissue``: simulated tissue of the same construction with 4 to 12 types of unequal size, ten draws in each scenario;
- ``counts``: well separated types, 4 to 6 of them, seen through Poisson counts.

A simulated data set is seeded by its name alone.
"""

import zlib
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
from scipy.stats import truncnorm

from spicemix_core import datasets
from spicemix_core.inputs.graphs import delaunay_graph

SCENARIOS = ((1.5, 2.0), (1.5, 3.0), (3.0, 2.0), (3.0, 3.0))  # scales of the variation of weights and of the noise
N_CELLS, N_GENES = 800, 100
N_NOISE = 3


@dataclass(frozen=True)
class Labelled:
    """One data set of the panel.

    Attributes
    ----------
    name, kind : str
    n_metagenes : int
        K of its fits.
    load : function without arguments
        Returns the AnnData.
    held_out : bool
        Not used while rules are designed.
    """

    name: str
    kind: str
    n_metagenes: int
    load: object
    held_out: bool = False


def panel():
    """All data sets, those of the first half of the draws first."""
    measured = [Labelled("seqfish_plus", "measured", 20, datasets.load_seqfish_plus),
                Labelled("starmap", "measured", 20, datasets.load_starmap)]
    authors = [Labelled("synthetic_cortex", "authors", 10, datasets.load_synthetic_cortex),
               Labelled("synthetic_truth", "authors", 10, datasets.load_synthetic_truth)]
    drawn = []
    for draw in range(10):
        for s, scenario in enumerate(SCENARIOS):
            drawn.append(_tissue(s, scenario, draw))
            if draw < 2:
                drawn.append(_cortex(s, scenario, draw))
        drawn.append(_counts(draw))
    return measured + authors + sorted(drawn, key=lambda data: data.held_out)


def _seed(name):
    return zlib.crc32(name.encode())


def _cortex(s, scenario, draw):
    name = f"cortex-{s}-{draw}"
    return Labelled(name, "cortex", 10, lambda: datasets.simulate_cortex(
        sigma_x=scenario[0], sigma_y=scenario[1], random_state=_seed(name)), draw % 2 == 1)


def _tissue(s, scenario, draw):
    name = f"tissue-{s}-{draw}"
    n_types = 4 + (2 * s + 3 * draw) % 9  # 4 to 12
    plan = Plan.draw(n_types, np.random.default_rng(_seed(name)))
    return Labelled(name, "tissue", plan.n_metagenes - N_NOISE,
                    lambda: simulate_types(plan, *scenario, random_state=_seed(name) + 1), draw % 2 == 1)


def _counts(draw):
    name = f"counts-{draw}"
    return Labelled(name, "counts", (10, 20)[draw // 2 % 2], lambda: simulate_counts(
        4 + draw % 3, share_of_others=(0.0, 0.2)[draw // 3 % 2], random_state=_seed(name)), draw % 2 == 1)


@dataclass(frozen=True)
class Plan:
    """A tissue of layers as in the paper's cortex, with any number of types.

    Attributes
    ----------
    bounds : array
        Borders of the layers along x, between 0 and 1.
    shares : dict of str to float
        Share of all cells of each type that is not excitatory; an excitatory type fills the rest of each layer.
    layers_of : dict of str to array of int
        Layers in which these types occur.
    redrawn : float
        Share of the genes in which the metagene of a layer differs from that of the first.
    """

    bounds: np.ndarray
    shares: dict
    layers_of: dict
    redrawn: float

    @property
    def n_layers(self):
        return len(self.bounds) + 1

    @property
    def metagenes(self):
        """Names: class, then subtypes, then glia, then layers, then noise."""
        inhibitory = [name for name in self.shares if name.startswith("Inh")]
        glia = [name for name in self.shares if name.startswith("Glial")]
        classes = ["excitatory"] + (["inhibitory"] if inhibitory else [])
        return [*classes, *inhibitory, *glia, *(f"layer-{l}" for l in range(self.n_layers)),
                *(f"noise-{i}" for i in range(N_NOISE))]

    @property
    def n_metagenes(self):
        return len(self.metagenes)

    @classmethod
    def draw(cls, n_types, rng):
        """Layers, types and sizes at random: one or two types of 1 to 3 %, the others of 4 to 15 % before scaling."""
        n_layers = int(rng.integers(2, min(5, n_types - 1) + 1))
        n_others = n_types - n_layers
        n_inhibitory = (n_others + int(rng.integers(2))) // 2
        names = [f"Inh-{i}" for i in range(n_inhibitory)] + [f"Glial-{i}" for i in range(n_others - n_inhibitory)]
        shares = rng.uniform(0.04, 0.15, n_others)
        shares *= min(1.0, 0.6 / shares.sum())
        n_rare = min(n_others - 1, int(rng.integers(1, 3)))
        rare = rng.choice(n_others, max(n_rare, 0), replace=False)
        shares[rare] = rng.uniform(0.01, 0.03, len(rare))
        widths = rng.dirichlet(np.full(n_layers, 8.0))
        layers_of = {}
        for name in names:
            alone = name.startswith("Glial") and rng.random() < 0.5
            number = 1 if alone else int(rng.integers(max(1, n_layers // 2), n_layers + 1))
            layers_of[name] = np.sort(rng.choice(n_layers, number, replace=False))
        return cls(np.cumsum(widths)[:-1], dict(zip(names, shares, strict=True)), layers_of, rng.uniform(0.1, 0.3))


def simulate_types(plan, sigma_x, sigma_y, *, random_state):
    """Tissue of a :class:`Plan`; weights, sizes, metagenes and noise as in the paper's cortex."""
    rng = np.random.default_rng(random_state)
    names = plan.metagenes
    metagenes = _draw_metagenes(names, plan.redrawn, rng)
    coordinates = datasets.draw_positions(N_CELLS, 0.75 / np.sqrt(N_CELLS), rng)
    layers = np.searchsorted(plan.bounds, coordinates[:, 0], side="right")
    types = np.array([f"eL{layer}" for layer in layers], dtype="<U8")
    for name, share in plan.shares.items():
        free = np.flatnonzero(np.char.startswith(types, "eL") & np.isin(layers, plan.layers_of[name]))
        wanted = min(round(share * N_CELLS), int(0.7 * len(free)))
        types[rng.choice(free, max(wanted, 5), replace=False)] = name
    weights = _mean_weights(types, layers, names)
    sd = sigma_x * np.where([name.startswith("noise") for name in names], 0.03, 0.1)
    present = weights > 0
    mean, spread = weights[present], np.broadcast_to(sd, weights.shape)[present]
    weights[present] = truncnorm.rvs(-mean / spread, np.inf, mean, spread, random_state=rng)
    states = rng.gamma(13.0, size=(N_CELLS, 1)) * weights / weights.sum(axis=1, keepdims=True)
    expression = states @ metagenes.T + rng.normal(scale=sigma_y / N_GENES, size=(N_CELLS, N_GENES))
    return _assemble(expression, coordinates, types)


def _draw_metagenes(names, redrawn, rng):
    shapes = np.array([8.0 if name.startswith("noise") else 4.0 for name in names])
    entries = rng.gamma(shapes, size=(N_GENES, len(names)))
    originals = {}
    for k, name in enumerate(names):
        family = name.split("-")[0]
        if name == "inhibitory":
            original, share = 0, 0.25
        elif family in originals:
            original, share = originals[family], redrawn if family == "layer" else 0.25
        else:
            originals[family] = k
            continue
        if family != "noise":
            kept = rng.random(N_GENES) >= share
            entries[kept, k] = entries[kept, original]
    return entries / entries.sum(axis=0)


def _mean_weights(types, layers, names):
    weights = np.zeros((len(types), len(names)))
    column = {name: k for k, name in enumerate(names)}
    weights[:, len(names) - N_NOISE :] = 0.05
    for cell, (name, layer) in enumerate(zip(types, layers, strict=True)):
        excitatory = name.startswith("eL")
        weights[cell, column[f"layer-{layer}"]] = 0.6 if excitatory else 0.3
        if excitatory:
            weights[cell, column["excitatory"]] = 1.0
        elif name.startswith("Inh"):
            weights[cell, column["inhibitory"]], weights[cell, column[name]] = 1.0, 0.6
        else:
            weights[cell, column[name]] = 1.0
    return weights


def simulate_counts(n_types, *, share_of_others, n_cells=600, n_genes=200, counts=600.0, random_state):
    """Types with profiles of their own in domains of tissue, Poisson counts, logarithm of counts per 10,000.

    ``share_of_others`` of a cell's profile is a random mixture of the other types' profiles.
    """
    rng = np.random.default_rng(random_state)
    profiles = rng.dirichlet(np.full(n_genes, 0.5), size=n_types)
    coordinates = datasets.draw_positions(n_cells, 0.75 / np.sqrt(n_cells), rng)
    shares = rng.dirichlet(np.full(n_types, 4.0))
    centres = rng.random((n_types, 2))
    types = ((coordinates[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    types = np.where(rng.random(n_cells) < 0.6, types, rng.choice(n_types, size=n_cells, p=shares))
    mixture = share_of_others * rng.dirichlet(np.full(n_types, 0.5), size=n_cells)
    mixture[np.arange(n_cells), types] += 1.0 - share_of_others
    depth = counts * rng.gamma(6.0, 1.0 / 6.0, size=(n_cells, 1)) + 50.0
    drawn = rng.poisson(depth * (mixture @ profiles))
    expression = np.log1p(1e4 * drawn / drawn.sum(axis=1, keepdims=True))
    return _assemble(expression, coordinates, np.char.add("type", types.astype(str)))


def _assemble(expression, coordinates, types):
    obs = pd.DataFrame({"sample": pd.Categorical(["0"] * len(types)), "cell_type": pd.Categorical(types)},
                       index=[f"cell{i}" for i in range(len(types))])
    adata = anndata.AnnData(expression, obs=obs, obsm={"spatial": coordinates})
    adata.obsp["spatial_connectivities"] = delaunay_graph(coordinates)
    return adata
