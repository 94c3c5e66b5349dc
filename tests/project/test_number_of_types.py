"""The number of cell types: cuts, separation, support and the two levels, each against its definition."""

import number_of_types
import numpy as np
import pandas as pd
import pytest
from branches import accepted_splits, branch_support
from number_of_types import (
    cell_types,
    choose_number,
    clipped_scores,
    remarks,
    separation_curve,
)
from scipy.cluster.hierarchy import linkage

from spicemix_core.tl.matching import adjusted_rand_index
from spicemix_core.tl.trees import cut_tree


def runs_of(kind, n_runs=4, noise=0.15, n_metagenes=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.gamma(0.5, size=(kind.max() + 1, n_metagenes))
    return [centres[kind] + noise * rng.random((len(kind), n_metagenes)) for _ in range(n_runs)]


def test_without_small_branches_the_cuts_are_those_of_the_tree():
    rows = np.concatenate([np.random.default_rng(i).normal(4 * i, 1, size=(30, 2)) for i in range(4)])
    tree = linkage(rows, "ward")
    labels = np.zeros(len(rows), dtype=int)
    for number, split in enumerate(accepted_splits(tree, 4), start=1):
        labels[split.smaller] = number
        assert adjusted_rand_index(labels, cut_tree(tree, number + 1)) == 1.0


def test_outlying_cells_stay_in_the_branch_that_they_left():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 1, (40, 2)), rng.normal(12, 1, (40, 2)), [[300.0, 0.0]], [[0.0, -300.0]]])
    first, *_ = accepted_splits(linkage(rows, "ward"), 5)
    assert sorted([len(first.larger), len(first.smaller)]) == [40, 42]
    assert {80, 81} <= set(first.larger)
    for split in accepted_splits(linkage(rows, "ward"), 10):
        assert min(len(split.larger), len(split.smaller)) >= 5
        assert set(split.branch) == set(split.larger) | set(split.smaller)


def test_separation_is_the_simplified_silhouette_of_each_cut():
    rows = np.random.default_rng(3).normal(size=(90, 4))
    splits = accepted_splits(linkage(rows, "ward"), 6)
    curve, labels = separation_curve(rows, splits), np.zeros(90, dtype=int)
    for number, split in enumerate(splits, start=1):
        labels[split.smaller] = number
        means = [rows[labels == k].mean(axis=0) for k in range(number + 1)]
        values = []
        for row, own in zip(rows, labels, strict=True):
            distances = [np.linalg.norm(row - mean) for mean in means]
            a, b = distances[own], min(d for k, d in enumerate(distances) if k != own)
            values.append((b - a) / max(a, b))
        assert curve[number + 1] == pytest.approx(np.mean(values), rel=1e-12)


def test_the_largest_number_within_the_tolerance_is_chosen():
    curve = pd.Series([0.3, 0.50, 0.49, 0.485, 0.4], index=range(2, 7))
    assert choose_number(curve) == 5
    assert choose_number(curve - [0, 0, 0, 0.006, 0]) == 4


def test_remarks_name_the_end_of_the_range_and_a_flat_curve_and_nothing_else():
    peak = pd.Series([0.2, 0.6, 0.3], index=range(2, 5))
    assert remarks(peak, 3, 40) == []
    rising = pd.Series([0.2, 0.4, 0.6], index=range(2, 5))
    assert "largest that was considered" in remarks(rising, 4, 4)[0]
    flat = pd.Series(np.full(19, 0.4), index=range(2, 21))
    assert "between 2 and 20 clusters" in remarks(flat, 20, 40)[0]


def test_the_support_of_a_branch_is_its_highest_jaccard_index_in_each_run():
    rng = np.random.default_rng(1)
    rows, others = rng.normal(size=(40, 3)), [rng.normal(size=(40, 3)) for _ in range(2)]
    splits, trees = accepted_splits(linkage(rows, "ward"), 4), [linkage(x, "ward") for x in others]
    support = branch_support(splits, trees)

    def nodes(tree):
        sets = [{i} for i in range(40)]
        for a, b in tree[:, :2].astype(int):
            sets.append(sets[a] | sets[b])
        return sets

    branches = [set(part) for split in splits for part in (split.larger, split.smaller)]
    expected = [np.mean([max(len(c & s) / len(c | s) for s in nodes(tree)) for tree in trees]) for c in branches]
    np.testing.assert_allclose(support, [1.0, *expected], rtol=1e-6)


def test_separate_types_are_found_exactly_with_full_support():
    kind = np.repeat(np.arange(5), [60, 40, 30, 20, 8])
    found = cell_types(runs_of(kind))
    assert found.n_types == found.n_coarse == 5 and found.messages == []
    assert adjusted_rand_index(found.labels, kind) == 1.0
    assert (np.bincount(found.labels) == [60, 40, 30, 20, 8]).all()
    np.testing.assert_allclose(found.branches["support"], 1.0)


def test_what_only_one_run_sees_is_fine_but_not_coarse():
    kind = np.repeat([0, 1], 60)
    runs = runs_of(kind, n_runs=10, noise=0.05)
    halves = np.tile([0.0, 3.0], 60)
    runs[0] = np.concatenate([runs[0], np.repeat(halves[:, None], 8, axis=1)], axis=1)
    found = cell_types(runs, n_types=4)
    assert found.n_types == 4 and found.n_coarse == 2
    assert adjusted_rand_index(found.coarse_labels, kind) == 1.0


def test_the_order_of_cells_and_runs_does_not_matter():
    kind = np.repeat(np.arange(4), 30)
    runs = runs_of(kind, noise=1.5)
    order = np.random.default_rng(0).permutation(len(kind))
    first, second = cell_types(runs), cell_types([x[order] for x in runs[::-1]])
    assert adjusted_rand_index(first.labels[order], second.labels) == 1.0
    np.testing.assert_allclose(first.separation, second.separation, rtol=1e-9)


def test_the_branches_are_a_tree_whose_leaves_are_the_fine_clusters():
    found = cell_types(runs_of(np.repeat(np.arange(6), 20), noise=1.0), n_types=6)
    table = found.branches
    assert table["parent"].iloc[0] == -1 and table["cells"].iloc[0] == 120
    for row, group in table.iloc[1:].groupby("parent"):
        assert table["cells"][row] == group["cells"].sum() and table["cluster"][row] == -1
    leaves = table[table["cluster"] >= 0].sort_values("cluster")
    assert leaves["cells"].tolist() == np.bincount(found.labels).tolist()
    assert pd.crosstab(found.coarse_labels, found.labels).astype(bool).sum().eq(1).all()


def test_scores_are_limited_and_constant_metagenes_do_not_count():
    states = np.random.default_rng(0).random(size=(200, 3))
    states[:, 1], states[0, 2] = 2.0, 1e6
    scores = clipped_scores(states)
    assert (scores[:, 1] == 0).all() and scores[0, 2] == 5.0
    np.testing.assert_allclose(scores[:, 0], (states[:, 0] - states[:, 0].mean()) / states[:, 0].std())


def test_more_types_than_there_are_branches_are_refused():
    with pytest.raises(ValueError, match=r"only .* branches of at least 5 cells"):
        cell_types(runs_of(np.repeat([0, 1], 8)), n_types=9)


def test_a_subset_of_many_cells_is_clustered_and_all_are_assigned(monkeypatch):
    kind = np.tile(np.arange(5), 80)
    runs = runs_of(kind)
    monkeypatch.setattr(number_of_types, "MAX_TREE_CELLS", 100)
    found = cell_types(runs)
    assert found.n_types == 5 and found.branches["cells"].iloc[0] == 100
    assert adjusted_rand_index(found.labels, kind) == adjusted_rand_index(found.coarse_labels, kind) == 1.0
