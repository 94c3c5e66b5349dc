"""Observed minus expected contacts between cell types."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spicemix_core.tl import affinity_permutation_test, cell_type_affinity, metagene_affinity


def random_graph(n_cells, n_edges, rng):
    i, j = np.triu_indices(n_cells, 1)
    kept = rng.choice(len(i), n_edges, replace=False)
    graph = np.zeros((n_cells, n_cells))
    graph[i[kept], j[kept]] = graph[j[kept], i[kept]] = 1
    return graph


def ring(n_cells):
    graph = np.eye(n_cells, k=1) + np.eye(n_cells, k=n_cells - 1)
    return graph + graph.T


def by_double_loop(graph, labels):
    """The stated formula, cell by cell."""
    types = sorted(set(labels))
    table = pd.DataFrame(0.0, index=types, columns=types)
    degree = dict.fromkeys(types, 0)
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            if graph[i, j]:
                table.loc[a, b] += 1
                degree[a] += 1
    m = sum(degree.values())
    n = {a: list(labels).count(a) for a in types}
    for a in types:
        for b in types:
            if a == b:
                table.loc[a, a] = (table.loc[a, a] - degree[a] * (degree[a] - 1) / (m - 1)) / n[a]
            else:
                excess = table.loc[a, b] - degree[a] * degree[b] / (m - 1)
                table.loc[a, b] = 2 * excess / np.sqrt(n[a] * n[b])
    return table


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("as_graph", [np.asarray, sparse.csr_matrix, sparse.coo_array])
def test_affinity_equals_the_double_loop(seed, as_graph):
    rng = np.random.default_rng(seed)
    graph, labels = random_graph(40, 90, rng), np.array(list("abcd"))[rng.integers(4, size=40)]
    found = cell_type_affinity(as_graph(graph), labels)
    pd.testing.assert_frame_equal(found, by_double_loop(graph, labels), rtol=1e-12)


def test_observed_and_expected_contacts_balance_for_each_type():
    rng = np.random.default_rng(7)
    graph, labels = random_graph(60, 120, rng), rng.integers(5, size=60)
    affinity = cell_type_affinity(graph, labels).to_numpy()
    size = np.bincount(labels)
    difference = affinity * np.sqrt(np.outer(size, size)) / (2 - np.eye(5))
    np.testing.assert_allclose(difference.sum(axis=1), 0, atol=1e-10)
    np.testing.assert_allclose(affinity, affinity.T)


def test_planted_attraction_and_avoidance_have_their_sign_and_are_significant():
    # On a ring, b and c alternate in one half, a fills the other: a meets itself, b meets c and never b.
    labels = np.array(["a"] * 60 + ["b", "c"] * 30)
    affinity = cell_type_affinity(ring(120), labels)
    p_values = affinity_permutation_test(ring(120), labels, n_permutations=199, random_state=0)
    assert affinity.loc["b", "c"] > 0
    assert affinity.loc["a", "a"] > 0
    assert (affinity.loc[["b", "c"], "a"] < 0).all()
    assert affinity.loc["b", "b"] < 0
    assert p_values.loc["b", "c"] == p_values.loc["a", "a"] == p_values.loc["b", "b"] == 0.01  # 2 / (1 + 199)


def test_p_values_of_random_labels_are_not_small_too_often():
    rng = np.random.default_rng(0)
    graph, corner = random_graph(50, 150, rng), []
    for seed in range(200):
        labels = rng.permutation(np.repeat(["a", "b"], [20, 30]))
        p_values = affinity_permutation_test(graph, labels, n_permutations=79, random_state=seed)
        corner.append(p_values.loc["a", "b"])
    assert 0.1 < np.mean(np.array(corner) <= 0.25) <= 0.25 + 3 * np.sqrt(0.25 * 0.75 / 200)


def test_labels_are_permuted_within_their_sample_only():
    # One type per sample: within samples nothing can change, so nothing is significant.
    graph = sparse.block_diag([ring(20), ring(20)])
    labels, samples = np.repeat(["a", "b"], 20), np.repeat([0, 1], 20)
    within = affinity_permutation_test(graph, labels, samples, n_permutations=99, random_state=0)
    across = affinity_permutation_test(graph, labels, n_permutations=99, random_state=0)
    assert (within == 1).all(axis=None)
    assert across.loc["a", "b"] == 0.02


def test_samples_may_be_interleaved():
    rng = np.random.default_rng(0)
    graph = sparse.block_diag([ring(20), ring(20)]).tocsr()
    labels, samples = rng.integers(3, size=40), np.repeat([0, 1], 20)
    order = rng.permutation(40)
    graph_shuffled, labels_shuffled, samples_shuffled = graph[order][:, order], labels[order], samples[order]
    shuffled = cell_type_affinity(graph_shuffled, labels_shuffled, samples_shuffled)
    pd.testing.assert_frame_equal(shuffled, cell_type_affinity(graph, labels, samples))
    one_type_each = affinity_permutation_test(graph_shuffled, samples_shuffled, samples_shuffled,
                                              n_permutations=19, random_state=1)
    assert (one_type_each == 1).all(axis=None)


def test_same_seed_gives_the_same_p_values():
    labels = np.random.default_rng(0).integers(3, size=30)
    first, again = (affinity_permutation_test(ring(30), labels, n_permutations=50, random_state=4)
                    for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_a_single_type_is_neither_attracted_nor_avoided():
    assert cell_type_affinity(ring(10), ["a"] * 10).to_numpy() == pytest.approx(0)


def test_bad_labels_and_samples_are_refused():
    with pytest.raises(ValueError, match="labels has no value for the cell in row 2"):
        cell_type_affinity(ring(4), ["a", "b", None, "a"])
    with pytest.raises(ValueError, match="samples has 3 entries for 4 cells"):
        cell_type_affinity(ring(4), list("abab"), [0, 0, 1])
    with pytest.raises(ValueError, match="joins cells of different samples"):
        cell_type_affinity(ring(4), list("abab"), [0, 0, 1, 1])
    with pytest.raises(ValueError, match="no edges"):
        cell_type_affinity(np.zeros((4, 4)), list("abab"))
    with pytest.raises(ValueError, match=r"n_permutations must be .* not 0"):
        affinity_permutation_test(ring(4), list("abab"), n_permutations=0)


def test_metagene_affinity_has_mean_zero_and_keeps_differences_and_kind():
    affinity = np.random.default_rng(0).normal(3, 1, (4, 4))
    centred = metagene_affinity(affinity)
    assert centred.mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(np.ptp(affinity - centred), 0, atol=1e-12)
    named = pd.DataFrame(affinity, index=list("abcd"), columns=list("abcd"))
    pd.testing.assert_frame_equal(metagene_affinity(named), pd.DataFrame(centred, named.index, named.columns))
    with pytest.raises(ValueError, match="K x K"):
        metagene_affinity(np.ones((2, 3)))
