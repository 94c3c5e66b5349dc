"""The simulated cortex keeps the authors' constants; the model's sampler draws from the model."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import dblquad
from scipy.spatial.distance import pdist

from spicemix_core.datasets import load_synthetic_cortex, load_synthetic_truth
from spicemix_core.datasets.gibbs import sample_spicemix
from spicemix_core.datasets.simulation import METAGENES, CortexParameters, simulate_cortex
from spicemix_core.inputs.graphs import delaunay_graph

PARENTS = {"inhibitory": "excitatory", "inh-2": "inh-1", "glia-layer-1": "glia-everywhere",
           "layer-2": "layer-1", "layer-3": "layer-1", "layer-4": "layer-1"}


@pytest.fixture(scope="module")
def cortex():
    return simulate_cortex(4, random_state=0)


@pytest.fixture(scope="module")
def calm():
    """The setting of the authors' second simulation."""
    return simulate_cortex(4, sigma_x=1.5, random_state=1)


def proportions(adata):
    states = adata.obsm["true_latent_states"]
    return states / states.sum(axis=1, keepdims=True)


def linked_shares(metagenes):
    """Share of the genes in which a metagene equals its parent up to the scaling of columns."""
    shares = {}
    for copy, original in PARENTS.items():
        ratio = np.log(metagenes[:, METAGENES.index(copy)] / metagenes[:, METAGENES.index(original)])
        shares[copy] = np.mean(np.abs(ratio - np.median(ratio)) < 2e-3)
    return shares


def rank_13_noise(expression):
    """Standard deviation left by the best fit of rank 13, corrected for the number of parameters."""
    left = np.linalg.svd(expression, compute_uv=False)[13:]
    n, g = expression.shape
    return np.sqrt((left**2).sum() / ((n - 13) * (g - 13)))


def test_cell_types_have_the_stated_counts_in_every_layer(cortex):
    for _, obs in cortex.obs.groupby("sample", observed=True):
        assert (obs["cell_type"] == "Glial-2").sum() == 35  # floor(0.07 x 500)
        for layer, shares in zip(["L1", "L2", "L3", "L4"], CortexParameters().layer_shares, strict=True):
            types = obs.loc[(obs["layer"] == layer) & (obs["cell_type"] != "Glial-2"), "cell_type"]
            expected = {name: int(share * len(types)) for name, share in shares}
            expected[f"e{layer}"] = len(types) - sum(expected.values())
            assert types.value_counts().loc[lambda n: n > 0].to_dict() == expected


def test_cells_lie_in_their_layers_and_keep_their_distance(cortex):
    bounds = {"L1": (0, 0.35), "L2": (0.35, 0.5), "L3": (0.5, 0.75), "L4": (0.75, 1)}
    x = cortex.obsm["spatial"][:, 0]
    for layer, (low, high) in bounds.items():
        inside = x[cortex.obs["layer"] == layer]
        assert inside.min() >= low and inside.max() < high
    for sample in "0123":
        nearest = pdist(cortex.obsm["spatial"][cortex.obs["sample"] == sample]).min()
        assert 0.75 / np.sqrt(500) <= nearest < 0.76 / np.sqrt(500)


def test_graph_is_the_unpruned_triangulation_of_each_sample(cortex):
    per_sample = cortex.obsp["spatial_connectivities"].nnz / 2 / 4
    assert 1475 <= per_sample <= 1490  # the released fields have 1,480-1,485
    first = (cortex.obs["sample"] == "0").to_numpy()
    own = delaunay_graph(cortex.obsm["spatial"][first])
    assert (cortex.obsp["spatial_connectivities"][first][:, first] != own).nnz == 0


def test_sizes_are_gamma_13(cortex):
    sizes = cortex.obsm["true_latent_states"].sum(axis=1)
    assert sizes.mean() == pytest.approx(13, abs=0.25)
    assert sizes.std() == pytest.approx(np.sqrt(13), rel=0.05)


def test_expression_is_states_times_metagenes_plus_noise(cortex):
    noise = cortex.X - cortex.obsm["true_latent_states"] @ cortex.varm["true_metagenes"].T
    assert noise.std() == pytest.approx(0.02, rel=0.01)
    assert abs(noise.mean()) < 5 * 0.02 / np.sqrt(noise.size)
    assert 0.0003 < (cortex.X < 0).mean() < 0.0015 and cortex.X.min() > -0.06


def test_states_are_zero_exactly_where_a_type_has_no_metagene(cortex):
    states, types = cortex.obsm["true_latent_states"], cortex.obs["cell_type"]
    assert (states >= 0).all()
    used = {"eL2": {0, 7, 10, 11, 12}, "Inh-2": {1, 3, 6, 7, 8, 9, 10, 11, 12}, "Glial-1": {5, 6, 10, 11, 12},
            "Glial-2": {4, 6, 7, 8, 9, 10, 11, 12}, "Inh-1": {1, 2, 6, 7, 8, 9, 10, 11, 12}}
    for name, columns in used.items():
        assert set(np.flatnonzero(states[types == name].any(axis=0))) <= columns


def test_metagenes_are_gamma_and_linked_as_stated(cortex):
    metagenes = simulate_cortex(1, n_cells=20, n_genes=5000, random_state=2).varm["true_metagenes"]
    np.testing.assert_allclose(metagenes.sum(axis=0), 1)
    variation = metagenes.std(axis=0) / metagenes.mean(axis=0)
    np.testing.assert_allclose(variation, [0.5] * 10 + [8**-0.5] * 3, rtol=0.06)
    expected = dict(zip(PARENTS, [0.75] * 3 + [0.9] * 3, strict=True))
    assert linked_shares(metagenes) == pytest.approx(expected, abs=0.02)
    assert cortex.varm["true_metagenes"].shape == (100, 13)


def test_the_simulator_has_the_moments_of_the_released_cortex(cortex, real_data):
    released = load_synthetic_cortex()
    ours, theirs = cortex.X, released.X
    assert rank_13_noise(theirs) == pytest.approx(rank_13_noise(ours), rel=0.01)
    assert rank_13_noise(theirs) == pytest.approx(0.0199, rel=0.01)
    assert theirs.sum(axis=1).mean() == pytest.approx(ours.sum(axis=1).mean(), rel=0.03)
    assert theirs.sum(axis=1).std() == pytest.approx(ours.sum(axis=1).std(), rel=0.06)
    assert theirs.mean(axis=0).std() == pytest.approx(ours.mean(axis=0).std(), rel=0.25)
    assert np.sqrt((theirs**2).mean()) == pytest.approx(np.sqrt((ours**2).mean()), rel=0.02)
    np.testing.assert_allclose(np.linalg.svd(theirs, compute_uv=False)[:6],
                               np.linalg.svd(ours, compute_uv=False)[:6], rtol=0.25)
    for name, share in released.obs["cell_type"].value_counts(normalize=True).items():
        assert share == pytest.approx((cortex.obs["cell_type"] == name).mean(), abs=0.012)


def test_the_simulator_has_the_states_and_metagenes_of_the_released_truth(calm, real_data):
    released = load_synthetic_truth()
    ours, theirs = proportions(calm), proportions(released)
    for name in calm.obs["cell_type"].cat.categories:
        mine, other = ours[calm.obs["cell_type"] == name], theirs[released.obs["cell_type"] == name]
        np.testing.assert_allclose(mine.mean(axis=0), other.mean(axis=0), atol=0.04)
        np.testing.assert_allclose(mine.std(axis=0), other.std(axis=0), atol=0.04)
        np.testing.assert_array_equal(mine.any(axis=0), other.any(axis=0))
    shares = linked_shares(released.varm["true_metagenes"])
    expected = dict(zip(PARENTS, [0.75] * 3 + [0.9] * 3, strict=True))
    assert shares == pytest.approx(expected, abs=0.13)  # three standard errors of 100 genes


def test_the_same_seed_gives_the_same_cortex():
    first, second, other = (simulate_cortex(2, n_cells=60, n_genes=20, random_state=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.X, second.X)
    assert not np.array_equal(first.X, other.X)
    generator = simulate_cortex(2, n_cells=60, n_genes=20, random_state=np.random.default_rng(5))
    np.testing.assert_array_equal(first.X, generator.X)


def test_more_samples_do_not_change_the_first():
    one, three = (simulate_cortex(n, n_cells=60, n_genes=20, random_state=5) for n in (1, 3))
    np.testing.assert_array_equal(one.X, three.X[:60])
    assert three.obs["sample"].value_counts().to_dict() == {"0": 60, "1": 60, "2": 60}


def test_without_variation_all_cells_of_a_type_and_layer_have_the_mean_weights():
    calm = simulate_cortex(n_cells=200, sigma_x=0, sigma_y=0, random_state=3)
    z = proportions(calm)
    np.testing.assert_allclose(z[calm.obs["cell_type"] == "eL3"][:, [0, 8, 12]],
                               np.tile(np.array([1, 0.6, 0.05]) / 1.75, ((calm.obs["cell_type"] == "eL3").sum(), 1)))
    np.testing.assert_allclose(calm.X, calm.obsm["true_latent_states"] @ calm.varm["true_metagenes"].T)


def test_every_constant_can_be_changed():
    default = simulate_cortex(n_cells=200, n_genes=30, random_state=4)
    changed = {"layer_bounds": (0.2, 0.5, 0.75), "min_distance": 0.5, "glia_everywhere_share": 0.2,
               "layer_shares": ((), (), (), ()), "main_weight": 2.0, "subtype_weight": 0.1,
               "excitatory_layer_weight": 0.1, "other_layer_weight": 0.1, "noise_weight": 0.3, "weight_sd": 0.5,
               "noise_weight_sd": 0.5, "size_scale": 2.0, "gene_shape": 1.0, "noise_gene_shape": 1.0, "linked": ()}
    assert set(changed) == {field.name for field in dataclasses.fields(CortexParameters)}
    for name, value in changed.items():
        other = simulate_cortex(n_cells=200, n_genes=30, random_state=4, parameters=CortexParameters(**{name: value}))
        assert not np.array_equal(other.X, default.X), name


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n_cells": 1}, "n_cells must be at least 2"), ({"n_samples": 0}, "n_samples must be at least 1"),
    ({"sigma_x": -1}, "sigma_x must be at least 0"), ({"sigma_y": np.inf}, "sigma_y must be at least 0 and finite"),
    ({"parameters": CortexParameters(min_distance=1.2)}, "500 cells do not fit")])
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_cortex(**arguments)


def grid(n=12):
    side = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2).astype(float)
    distance = np.abs(side[:, None] - side[None]).sum(axis=2)
    return side, sparse.csr_matrix((distance == 1).astype(float))


def test_without_affinity_states_are_exponential_and_the_noise_is_as_asked():
    xy, graph = grid(30)
    metagenes = np.random.default_rng(0).dirichlet(np.ones(8), size=3).T
    adata = sample_spicemix(xy, graph, metagenes, np.zeros((3, 3)), noise=0.1, state_penalty=2.0, n_sweeps=5,
                            random_state=0)
    states = adata.obsm["true_latent_states"]  # i.i.d. exponential with rate 2 per entry
    assert states.mean() == pytest.approx(0.5, rel=0.06) and states.std() == pytest.approx(0.5, rel=0.08)
    assert np.abs(np.corrcoef(states.T) - np.eye(3)).max() < 0.1
    assert (adata.X - states @ metagenes.T).std() == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("strength", [-6.0, 4.0])
def test_the_sampler_has_the_moments_of_two_coupled_cells(strength):
    """Many separate pairs of cells; each edge's energy counts once, so the density of (z, w) is exp(-z'Sw)."""
    affinity = np.array([[strength, 1.0], [1.0, 0.5]])

    def moment(f):
        def density(z, w):
            return np.exp(-np.array([z, 1 - z]) @ affinity @ np.array([w, 1 - w])) * f(z, w)
        return dblquad(density, 0, 1, 0, 1)[0]

    total = moment(lambda z, w: 1.0)
    mean, product = moment(lambda z, w: z) / total, moment(lambda z, w: z * w) / total
    n = 4000
    first, second = np.arange(0, n, 2), np.arange(1, n, 2)
    graph = sparse.csr_matrix((np.ones(n), (np.r_[first, second], np.r_[second, first])), shape=(n, n))
    adata = sample_spicemix(np.zeros((n, 2)), graph, np.eye(2), affinity, noise=0.0, n_sweeps=60, random_state=1)
    z = proportions(adata)[:, 0]
    assert z.mean() == pytest.approx(mean, abs=0.02)
    assert (z[first] * z[second]).mean() == pytest.approx(product, abs=0.02)


def test_three_proportions_in_a_field_have_their_exact_mean():
    """Cells tied to one cell of almost fixed state: conditional density exp(-eta'z) on the simplex."""
    n, k = 3000, 3
    graph = sparse.lil_matrix((n + 1, n + 1))
    graph[0, 1:] = graph[1:, 0] = 1
    affinity = np.diag([-5.0, 0.0, 1.0])
    adata = sample_spicemix(np.zeros((n + 1, 2)), graph, np.eye(k), affinity, noise=0.0, n_sweeps=40, random_state=2)
    z = proportions(adata)
    eta = affinity @ z[0]
    draws = np.random.default_rng(3).dirichlet(np.ones(k), size=200_000)
    weight = np.exp(-draws @ eta)
    np.testing.assert_allclose(z[1:].mean(axis=0), (weight @ draws) / weight.sum(), atol=0.02)
    assert z[0, 0] > 0.98  # the shared neighbour follows the attraction


def test_negative_affinity_makes_neighbours_similar():
    xy, graph = grid()
    energy = []
    for diagonal in (-8.0, 0.0, 8.0):
        adata = sample_spicemix(xy, graph, np.eye(3), diagonal * np.eye(3), noise=0.0, random_state=0)
        z = proportions(adata)
        energy.append((z * (graph @ z)).sum() / graph.nnz)
    assert energy[0] > energy[1] + 0.1 > energy[2] + 0.15


def test_the_sampler_is_deterministic_and_refuses_inconsistent_input():
    xy, graph = grid(5)
    draw = [sample_spicemix(xy, graph, np.eye(3), -np.eye(3), noise=0.1, random_state=7).X for _ in range(2)]
    np.testing.assert_array_equal(*draw)
    with pytest.raises(ValueError, match="symmetric 3 x 3"):
        sample_spicemix(xy, graph, np.eye(3), np.triu(np.ones((3, 3))), noise=0.1)
    with pytest.raises(ValueError, match="one direction only"):
        sample_spicemix(xy, sparse.triu(graph), np.eye(3), np.eye(3), noise=0.1)
