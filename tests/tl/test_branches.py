"""Branches of a Ward tree: which splits count, their support, and the table of the tree."""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage

from spicemix_core.tl import cluster_states
from spicemix_core.tl.branches import accepted_splits, branch_support
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


def test_what_only_one_run_sees_is_fine_but_not_coarse():
    kind = np.repeat([0, 1], 60)
    runs = runs_of(kind, n_runs=10, noise=0.05)
    halves = np.tile([0.0, 3.0], 60)
    runs[0] = np.concatenate([runs[0], np.repeat(halves[:, None], 8, axis=1)], axis=1)
    found = cluster_states(runs, n_clusters=4)
    assert found.n_clusters == 4 and found.n_coarse == 2
    assert adjusted_rand_index(found.coarse_labels, kind) == 1.0


def test_the_branches_are_a_tree_whose_leaves_are_the_fine_clusters():
    found = cluster_states(runs_of(np.repeat(np.arange(6), 20), noise=1.0), n_clusters=6)
    table = found.branches
    assert table["parent"].iloc[0] == -1 and table["cells"].iloc[0] == 120
    for row, group in table.iloc[1:].groupby("parent"):
        assert table["cells"][row] == group["cells"].sum() and table["cluster"][row] == -1
    leaves = table[table["cluster"] >= 0].sort_values("cluster")
    assert leaves["cells"].tolist() == np.bincount(found.labels).tolist()
    assert pd.crosstab(found.coarse_labels, found.labels).astype(bool).sum().eq(1).all()
