"""The definition of cell types: which splits count, how many types there are, and what supports each."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from spicemix_core.tl import cluster_states, normalize_states
from spicemix_core.tl.branches import accepted_splits, coarse_labels_of
from spicemix_core.tl.separation import choose_number, remarks, separation_curve
from spicemix_core.tl.trees import ward_tree


def blobs(sizes, n_dimensions, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return 3 * np.eye(len(sizes), n_dimensions)[truth] + 1 + spread * rng.random((len(truth), n_dimensions)), truth


def runs_of(truth, n_runs=4, noise=0.3, seed=0):
    """States of several runs: the types as metagenes, in an order of its own for each run."""
    rng, n = np.random.default_rng(seed), truth.max() + 1
    return [np.eye(n)[truth][:, rng.permutation(n)] + noise * rng.random((len(truth), n)) for _ in range(n_runs)]


def test_planted_types_and_their_number_are_found_in_the_order_of_their_size():
    states, truth = blobs([40, 30, 50, 20, 60, 25, 35], n_dimensions=7)
    order = np.random.default_rng(0).permutation(len(truth))
    found = cluster_states(states[order])
    assert found.n_clusters == 7 == found.separation.idxmax()
    assert adjusted_rand_score(truth[order], found.labels) == 1
    np.testing.assert_array_equal(np.bincount(found.labels), [60, 50, 40, 35, 30, 25, 20])
    assert found.remarks == []


@pytest.mark.parametrize("n_types", [4, 5, 6])
def test_clean_types_are_not_split_up_to_the_end_of_the_range(n_types):
    truth = np.repeat(np.arange(n_types), 60)
    found = cluster_states(runs_of(truth))
    assert found.n_clusters == found.n_coarse == n_types
    assert adjusted_rand_score(truth, found.labels) == 1


def test_separation_is_the_silhouette_with_distances_to_means():
    rows = np.random.default_rng(1).random((80, 3))
    splits = accepted_splits(ward_tree(rows), 6)
    curve = separation_curve(rows, splits)
    labels = np.zeros(80, dtype=int)
    for number, split in enumerate(splits, 1):
        labels[split.smaller] = number
        means = np.array([rows[labels == k].mean(axis=0) for k in range(number + 1)])
        to_means = np.linalg.norm(rows[:, None] - means, axis=2)
        own = to_means[np.arange(80), labels]
        others = np.where(np.arange(number + 1) == labels[:, None], np.inf, to_means).min(axis=1)
        assert curve[number + 1] == pytest.approx(np.mean((others - own) / np.maximum(own, others)))
    assert np.corrcoef(curve, [silhouette_samples(rows, _labels(splits[:k])).mean() for k in range(1, 6)])[0, 1] > 0


def _labels(splits):
    labels = np.zeros(80, dtype=int)
    for number, split in enumerate(splits, 1):
        labels[split.smaller] = number
    return labels


def test_a_few_outlying_cells_are_no_type_and_stay_with_their_neighbours():
    states, _ = blobs([50, 50, 4], n_dimensions=3)
    found = cluster_states(states, n_clusters=2)
    assert len(np.unique(found.labels)) == 2
    with pytest.raises(ValueError, match="branches of at least 5 cells"):
        cluster_states(states[:12], n_clusters=4)
    for split in accepted_splits(ward_tree(states), 40):
        assert min(len(split.larger), len(split.smaller)) >= 5
        np.testing.assert_array_equal(np.sort(np.concatenate([split.larger, split.smaller])), split.branch)


def test_the_largest_number_that_is_nearly_as_well_separated_is_chosen():
    states, _ = blobs([40, 40, 40], n_dimensions=3)
    curve = cluster_states(states).separation
    flat = curve.copy()
    flat[:] = 0.2
    flat[7] = 0.195
    flat[8:] = 0.1
    assert choose_number(flat.loc[:7]) == 7
    flat[7] = 0.185
    assert choose_number(flat.loc[:7]) == 6
    assert "hardly differs between 2 and 6" in remarks(flat.loc[:7], 40)[0]
    assert "largest that was considered" in remarks(curve.loc[:3], 3)[0]
    assert remarks(curve, 40) == []


def test_a_number_at_the_end_of_the_range_is_said():
    states, _ = blobs([40] * 6, n_dimensions=6)
    assert "4, is the largest that was considered" in cluster_states(states, n_clusters_range=(2, 4)).remarks[0]
    assert cluster_states(states, n_clusters=4).remarks == []


def test_several_fits_are_clustered_as_one_matrix_of_their_scores():
    runs = runs_of(np.repeat(np.arange(5), 40), noise=2.0)
    joined = np.concatenate([normalize_states(x, "clipped_zscore") for x in runs], axis=1)
    splits = accepted_splits(ward_tree(joined), 40)
    found = cluster_states(runs)
    np.testing.assert_allclose(found.separation, separation_curve(joined, splits))


def test_support_is_one_for_branches_of_every_run_and_lower_for_others():
    truth = np.repeat(np.arange(5), 40)
    sure = cluster_states(runs_of(truth), n_clusters=5).branches
    np.testing.assert_array_equal(sure.loc[sure["cluster"] >= 0, "support"], 1.0)
    unsure = cluster_states(runs_of(truth), n_clusters=9).branches
    new = unsure[(unsure["cluster"] >= 0) & (unsure["cells"] < 40)]
    assert len(new) and (new["support"] < 0.9).all()
    assert unsure.loc[unsure["cluster"] >= 0, "cells"].sum() == 200


def test_coarse_types_are_supported_unions_of_fine_ones():
    truth = np.repeat(np.arange(4), 60)
    found = cluster_states(runs_of(truth, n_runs=6, noise=0.6), n_clusters=12)
    assert found.n_coarse < 12
    for label in range(12):
        assert len(np.unique(found.coarse_labels[found.labels == label])) == 1
    single = cluster_states(runs_of(truth)[0])
    assert single.coarse_labels is None and single.n_coarse is None
    assert single.branches["support"].isna().all()


def test_an_unsupported_part_does_not_make_the_rest_of_the_tree_coarser():
    """Of the tree ((0, 1), (2, (3, 4))), only the branch 4 is unsure, so 3 and 4 are one coarse type."""
    branches = pd.DataFrame({"parent": [-1, 0, 0, 1, 1, 2, 2, 6, 6],
                             "support": [1.0, 0.3, 0.9, 0.8, 0.7, 0.9, 0.8, 0.9, 0.5],
                             "cluster": [-1, -1, -1, 0, 1, 2, -1, 3, 4]})
    labels = np.repeat(np.arange(5), [9, 8, 7, 6, 5])
    np.testing.assert_array_equal(coarse_labels_of(branches, labels), np.repeat([1, 2, 3, 0, 0], [9, 8, 7, 6, 5]))
    branches.loc[6, "support"] = 0.2  # nor is their union sure: 2 joins them
    np.testing.assert_array_equal(coarse_labels_of(branches, labels), np.repeat([1, 2, 0, 0, 0], [9, 8, 7, 6, 5]))


def test_a_random_subset_determines_the_types_of_very_many_cells(monkeypatch):
    states, truth = blobs([40, 300, 160], n_dimensions=3)
    runs = [states, states[:, ::-1]]
    whole = cluster_states(runs)
    monkeypatch.setattr("spicemix_core.tl.trees.MAX_TREE_CELLS", 120)
    drawn = cluster_states(runs)
    assert drawn.branches["cells"][0] == 120
    assert drawn.n_clusters == whole.n_clusters == 3
    np.testing.assert_array_equal(drawn.labels, whole.labels)  # by size too: 0 is the largest
    np.testing.assert_array_equal(drawn.coarse_labels, whole.coarse_labels)
    assert adjusted_rand_score(drawn.labels, truth) == 1
    np.testing.assert_array_equal(cluster_states(runs).labels, drawn.labels)


def test_the_order_of_cells_and_metagenes_does_not_matter():
    runs = runs_of(np.repeat(np.arange(5), 40), noise=1.5)
    rng = np.random.default_rng(3)
    order = rng.permutation(200)
    again = cluster_states([x[order][:, rng.permutation(5)] for x in runs])
    assert adjusted_rand_score(cluster_states(runs).labels[order], again.labels) == 1


@pytest.mark.parametrize(("states", "options", "message"), [
    (np.ones((30, 3)), {}, "same state"),
    (np.random.default_rng(0).random((30, 3)), {"n_clusters": 1}, "into 1 clusters is impossible"),
    (np.random.default_rng(0).random((30, 3)), {"n_clusters": 29}, "into 29 clusters is impossible. Choose from 2 to"),
    (np.random.default_rng(0).random((30, 3)), {"n_clusters_range": (9, 5)}, "into 9 clusters is impossible"),
    (np.full((30, 3), np.nan), {}, "NaN or infinite"),
])
def test_impossible_clusterings_are_refused(states, options, message):
    with pytest.raises(ValueError, match=message):
        cluster_states(states, **options)
