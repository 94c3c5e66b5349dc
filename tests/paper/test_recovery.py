"""Recovery of a simulated cortex: metagenes, states, affinity and types in space."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from paper.shared import recovery as rc
from paper.shared.scores import affinity_of_states, morans_i, share_in_own_type
from paper.simulation import sensitivity
from paper.simulation.figures import draw_assignments
from paper.simulation.methods import best_cut
from scipy import sparse

from spicemix_core.datasets import simulate_cortex
from spicemix_core.tl import adjusted_rand_index, cut_tree
from spicemix_core.tl.trees import ward_tree

matplotlib.use("agg")


@pytest.fixture(scope="module")
def cortex():
    return simulate_cortex(n_cells=200, random_state=3)


def test_the_truth_recovers_itself_in_any_order(cortex):
    graph, states = cortex.obsp["spatial_connectivities"], cortex.obsm["true_latent_states"]
    true_affinity = affinity_of_states(states, graph, 1e-4)
    order = np.random.default_rng(0).permutation(13)
    scores = rc.score_model(cortex, states[:, order], cortex.varm["true_metagenes"][:, order],
                            true_affinity[np.ix_(order, order)], true_affinity)
    morans = scores.pop("layer_morans_i")
    np.testing.assert_allclose(list(scores.values()), 1.0)
    assert morans > 0.4


def test_a_classifier_predicts_types_if_the_rows_determine_them():
    rng = np.random.default_rng(0)
    types = np.repeat(["a", "b"], 200)
    found = (types == "a")[:, None] + rng.normal(scale=0.05, size=(400, 3))
    assert rc.supervised_index(found, types) == 1.0
    assert abs(rc.supervised_index(rng.permutation(found), types)) < 0.05


def test_expression_predicts_types_better_with_less_noise(monkeypatch):
    def found(sigma_y, known=True):
        tissue = simulate_cortex(n_cells=300, sigma_x=1.5, sigma_y=sigma_y, random_state=5)
        if not known:
            del tissue.varm["true_metagenes"]
        monkeypatch.setitem(sensitivity.AUTHORS_DATA, "tissue", lambda: tissue)
        return sensitivity.supervised_from_expression("tissue")

    clear, noisy = found(0.2), found(4.0)
    assert (clear > 0.9).all() and (noisy < clear - 0.1).all()
    assert list(found(2.0, known=False).index) == ["profiles"]


def test_equal_layers_have_no_distance(cortex):
    metagenes = cortex.varm["true_metagenes"].copy()
    layers = 100 * metagenes[:, 6:10].T
    smallest = min(np.linalg.norm(layers[i] - layers[j]) for i in range(4) for j in range(i))
    assert rc.layer_distance(metagenes) == pytest.approx(smallest)
    metagenes[:, 8] = metagenes[:, 6]
    assert rc.layer_distance(metagenes) == 0.0


def test_noise_recovers_nothing(cortex):
    rng = np.random.default_rng(1)
    scores = rc.score_model(cortex, rng.random((200, 10)), rng.dirichlet(np.ones(100), size=10).T)
    assert abs(scores["layer_morans_i"]) < 0.1
    assert scores["state_correlation"] < 0.25
    assert "affinity_correlation" not in scores


def test_metagenes_without_a_match_count_as_not_recovered(cortex):
    chosen = [0, 1, 4, 5, 6]
    scores = rc.score_model(cortex, cortex.obsm["true_latent_states"][:, chosen],
                            cortex.varm["true_metagenes"][:, chosen])
    full = rc.match_states(cortex.obsm["true_latent_states"], cortex.obsm["true_latent_states"][:, chosen])
    assert (full.permutation >= 0).sum() == 5
    assert scores["state_correlation"] == pytest.approx(np.nansum(full.correlations) / 10)


def test_morans_i_is_its_definition(cortex):
    graph = cortex.obsp["spatial_connectivities"]
    values = np.random.default_rng(2).normal(size=(200, 3))
    values[:, 1] = cortex.obsm["spatial"][:, 0]
    values[:, 2] = 1.5
    found, dense = morans_i(values, graph), graph.toarray()
    for column in range(2):
        u = values[:, column] - values[:, column].mean()
        byhand = 200 / dense.sum() * sum(dense[i, j] * u[i] * u[j] for i, j in np.argwhere(dense)) / (u @ u)
        assert found[column] == pytest.approx(byhand)
    assert abs(found[0]) < 0.15
    assert found[1] > 0.8
    assert np.isnan(found[2])


def test_affinity_of_true_states_attracts_within_layers(cortex):
    proportions = np.eye(2)[(cortex.obsm["spatial"][:, 0] > 0.5).astype(int)]
    affinity = affinity_of_states(proportions, sparse.csr_array(cortex.obsp["spatial_connectivities"]), 1e-3)
    assert affinity[0, 0] < affinity[0, 1] > affinity[1, 1]


def test_shares_in_own_type(cortex):
    types = cortex.obs["cell_type"].to_numpy(dtype=str)
    _, labels = np.unique(types, return_inverse=True)
    assert share_in_own_type((labels + 3) % 8, types, rc.EXCITATORY_TYPES) == 1.0
    merged = np.where(types == "eL2", labels[types == "eL4"][0], labels)
    smaller = min((types == "eL2").sum(), (types == "eL4").sum())
    excitatory = np.isin(types, rc.EXCITATORY_TYPES).sum()
    assert share_in_own_type(merged, types, rc.EXCITATORY_TYPES) == pytest.approx(1 - smaller / excitatory)
    assert share_in_own_type(merged, types, rc.SCATTERED_TYPES) == 1.0


def test_best_cut_has_the_highest_ari_of_all_cuts():
    rng = np.random.default_rng(0)
    truth = rng.integers(6, size=150)
    tree = ward_tree(3 * np.eye(6)[truth] + rng.standard_normal((150, 6)))
    scores = {k: adjusted_rand_index(cut_tree(tree, k), truth) for k in range(2, 20)}
    best = best_cut(tree, truth, range(2, 20))
    assert len(np.unique(best)) == max(scores, key=scores.get)
    assert adjusted_rand_index(best, truth) == max(scores.values())
    with pytest.raises(ValueError, match="10 and 9 cells"):
        best_cut(ward_tree(rng.random((10, 2))), np.zeros(9), [2])


def test_assignments_count_every_excitatory_neuron(cortex):
    types = cortex.obs["cell_type"].to_numpy(dtype=str)
    _, labels = np.unique(types, return_inverse=True)
    labels[np.flatnonzero(types == "eL1")[:3]] = 8  # a ninth cluster matches no type
    figure, ax = plt.subplots()
    right, wrong, none = draw_assignments(ax, cortex.obsm["spatial"], types, labels)
    plt.close(figure)
    assert (wrong, none) == (0, 3)
    assert right == np.isin(types, rc.EXCITATORY_TYPES).sum() - 3
