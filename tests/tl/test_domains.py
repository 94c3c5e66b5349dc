"""Tissue domains: simulated layers are found, and each step does what it says."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spicemix_core import fit_consensus, tl
from spicemix_core.datasets import simulate_cortex
from spicemix_core.inputs import delaunay_graph, graph_by_sample, knn_graph, radius_graph
from spicemix_core.tl import regions as module
from spicemix_core.tl.trees import cut_tree, ward_tree


def tissue(n_samples=2, n_cells=400, seed=0):
    """Simulated cortex with its true states in place of a fit."""
    cortex = simulate_cortex(n_samples, n_cells=n_cells, n_genes=20, random_state=seed)
    cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"]
    return cortex


@pytest.fixture(scope="module")
def cortex():
    return tissue()


def line(n):
    """The graph of cells in a line."""
    return sparse.csr_array(sparse.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_layers_of_the_simulated_cortex_are_found_with_their_number_in_all_samples_together(seed):
    cortex = tissue(seed=seed)
    found = tl.domains(cortex)
    assert found.n_domains == 4 == cortex.obs["layer"].nunique() and found.n_averagings == 2
    assert tl.adjusted_rand_index(found.labels, cortex.obs["layer"]) > 0.8
    for _, own in cortex.obs.groupby("sample", observed=True):
        assert tl.adjusted_rand_index(own["spicemix_domain"], own["layer"]) > 0.75
    assert tl.adjusted_rand_index(tl.cluster(cortex, n_clusters=4).labels, cortex.obs["layer"]) < 0.5


def test_domains_are_numbered_by_size_and_written_with_their_settings(cortex):
    found = tl.domains(cortex, n_domains=5, key_added="region")
    sizes = cortex.obs["region"].value_counts(sort=False)
    assert list(sizes.index) == ["0", "1", "2", "3", "4"] and sizes.is_monotonic_decreasing
    np.testing.assert_array_equal(cortex.obs["region"].astype(int), found.labels)
    stored = cortex.uns["spicemix"]["domains"]
    assert (stored["key"], stored["n_domains"], stored["n_averagings"], stored["smooth"]) == ("region", 5, 2, True)
    assert list(stored["table"]["n_domains"]) == [5]


def test_types_are_unchanged_by_domains(cortex):
    before = tl.cluster(cortex, n_clusters=8).labels
    tl.domains(cortex)
    np.testing.assert_array_equal(cortex.obs["spicemix_cluster"].astype(int), before)
    np.testing.assert_array_equal(tl.cluster(cortex, n_clusters=8).labels, before)


def test_domains_do_not_depend_on_the_order_of_the_cells(cortex):
    order = np.random.default_rng(0).permutation(cortex.n_obs)
    shuffled = cortex[order].copy()
    labels = tl.domains(cortex, n_domains=4).labels
    assert tl.adjusted_rand_index(tl.domains(shuffled, n_domains=4).labels, labels[order]) == 1.0


def test_an_average_is_over_the_cell_and_its_neighbours_with_equal_weights():
    values = np.array([[0.0], [3.0], [6.0], [0.0]])
    weights = module.averaging_weights(line(4))
    once = module.average_over_neighbours(values, weights, 1)
    np.testing.assert_allclose(once.ravel(), [1.5, 3.0, 3.0, 3.0])
    np.testing.assert_allclose(module.average_over_neighbours(values, weights, 2), weights @ once)


def hexagonal():
    rows, columns = (part.ravel() for part in np.mgrid[:10, :10])
    return radius_graph(np.column_stack([columns + 0.5 * (rows % 2), rows * np.sqrt(3) / 2]), 1.1)


@pytest.mark.parametrize(("graph", "times"), [
    (hexagonal(), 2), (knn_graph(np.random.default_rng(0).random((100, 2)), 15), 1), (line(100), None),
    (sparse.csr_array((100, 100)), 10)])
def test_states_are_averaged_until_ten_cells_have_a_part(graph, times):
    weights = module.averaging_weights(sparse.csr_array(graph))
    found = module.averagings_for(weights)
    assert times in (None, found)
    effective = [np.median(1 / np.square(np.linalg.matrix_power(weights.toarray(), n)).sum(axis=1))
                 for n in (found - 1, found)]
    assert effective[0] < 10 and (effective[1] >= 10 or found == 10)


def test_the_explained_share_is_that_of_the_cuts_of_the_tree():
    rows = np.random.default_rng(0).normal(size=(60, 3))
    tree = ward_tree(rows)
    total = np.square(rows - rows.mean(axis=0)).sum()
    for k, share in module.explained_shares(tree, 2, 6).items():
        labels = cut_tree(tree, k)
        within = sum(np.square(rows[labels == c] - rows[labels == c].mean(axis=0)).sum() for c in range(k))
        assert share == pytest.approx(1 - within / total)


@pytest.mark.parametrize(("shares", "chosen"), [
    ([0.5, 0.7, 0.74, 0.76], 4), ([0.5, 0.51, 0.6, 0.61], 4), ([0.5, 0.51, 0.52, 0.53], 2)])
def test_the_number_of_domains_is_the_last_that_explains_three_per_cent(shares, chosen):
    assert module.last_worthwhile(pd.Series(shares, index=range(2, 6))) == chosen


def test_smoothing_gives_each_cell_the_label_of_most_around_it_until_nothing_changes():
    np.testing.assert_array_equal(module.smooth_labels([0, 0, 1, 0, 0, 1, 1, 1], line(8)), [0, 0, 0, 0, 0, 1, 1, 1])
    tie = sparse.csr_array(np.array([[0, 1], [1, 0]]))
    np.testing.assert_array_equal(module.smooth_labels([0, 1], tie), [0, 1])
    ring = line(4).tolil()
    ring[0, 3] = ring[3, 0] = 1.0
    flipping = module.smooth_labels([0, 1, 0, 1], sparse.csr_array(ring))  # goes back and forth, and ends
    assert set(flipping) == {0, 1}


def test_smoothing_is_optional_and_leaves_fewer_borders(cortex):
    edges = cortex.obsp["spatial_connectivities"].tocoo()
    borders = [(labels[edges.row] != labels[edges.col]).sum() for labels in
               (tl.domains(cortex, n_domains=4, n_averagings=0, smooth=smooth).labels for smooth in (True, False))]
    assert borders[0] < borders[1]


@pytest.fixture(scope="module")
def consensus():
    cortex = simulate_cortex(n_cells=150, n_genes=30, sigma_x=1.5, random_state=0)
    with pytest.warns(UserWarning):
        return cortex, fit_consensus(cortex, 6, n_runs=3, max_iter=3, tol=0.05, random_state=0)


def test_confidence_is_the_share_of_the_runs_that_agree_with_the_domain(consensus):
    cortex, result = consensus
    found = tl.domains(cortex, n_domains=4, smooth=False, runs=result.runs)
    own = []
    for run in result.runs:
        alone = cortex.copy()
        alone.obsm["X_spicemix"] = np.concatenate(run.latent_states_)
        own.append(tl.domains(alone, n_domains=4, smooth=False).labels)
    votes = np.array([tl.match_labels(labels, found.labels).loc[labels].to_numpy() == found.labels for labels in own])
    np.testing.assert_allclose(found.confidence, votes.mean(axis=0), atol=1e-12)
    assert found.confidence.min() < 1 and found.confidence.max() == pytest.approx(1)
    np.testing.assert_array_equal(cortex.obs["spicemix_domain_confidence"], found.confidence)
    tl.domains(cortex, n_domains=4)
    assert "spicemix_domain_confidence" not in cortex.obs  # it belonged to the domains of the runs


def test_runs_are_assigned_to_the_cells_by_name(consensus):
    cortex, result = consensus
    order = np.random.default_rng(0).permutation(cortex.n_obs)
    labels = tl.domains(cortex, n_domains=4, smooth=False, runs=result.runs)
    shuffled = tl.domains(cortex[order].copy(), n_domains=4, smooth=False, runs=result.runs)
    assert tl.adjusted_rand_index(shuffled.labels, labels.labels[order]) == 1.0
    np.testing.assert_allclose(shuffled.confidence, labels.confidence[order])
    with pytest.raises(ValueError, match="states of 150 cells, which are not the 100 cells of the data"):
        tl.domains(cortex[:100].copy(), n_domains=4, runs=result.runs)


def test_many_cells_are_clustered_through_a_subset(cortex, monkeypatch):
    whole = tl.domains(cortex, n_domains=4).labels
    monkeypatch.setattr("spicemix_core.tl.trees.MAX_TREE_CELLS", 300)
    assert tl.adjusted_rand_index(tl.domains(cortex, n_domains=4).labels, whole) > 0.8


@pytest.mark.parametrize(("change", "options", "message"), [
    (lambda a: a.obsm.pop("X_spicemix"), {}, "no latent states"),
    (lambda a: a.obsp.pop("spatial_connectivities"), {}, "no neighbour graph 'spatial_connectivities'"),
    (lambda a: a.obsp.update(spatial_connectivities=sparse.csr_array((a.n_obs, a.n_obs))), {},
     r"obsp\['spatial_connectivities'\] has no edges"),
    (lambda a: None, {"n_domains": 1}, "into 1 domains is impossible"),
    (lambda a: None, {"n_averagings": -1}, "n_averagings must be an integer of at least 0, not -1"),
    (lambda a: None, {"graph_key": "other"}, "no neighbour graph 'other'")])
def test_impossible_requests_are_refused_and_leave_the_data_unchanged(change, options, message):
    small = tissue(1, 40)
    change(small)
    columns = list(small.obs)
    with pytest.raises((KeyError, ValueError), match=message):
        tl.domains(small, **options)
    assert list(small.obs) == columns


def test_samples_are_clustered_together_but_not_averaged_with_each_other():
    cortex = tissue(2, 60)
    one = cortex.obs["sample"] == "0"
    graph = graph_by_sample(cortex.obsm["spatial"], cortex.obs["sample"].to_numpy(), delaunay_graph)
    weights = module.averaging_weights(sparse.csr_array(graph))
    values = one.to_numpy(dtype=float)[:, None]
    np.testing.assert_allclose(module.average_over_neighbours(values, weights, 3), values)
