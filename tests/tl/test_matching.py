"""Agreement of labellings and of metagenes."""

import numpy as np
import pytest

from spicemix_core.tl import adjusted_rand_index, contingency, match_labels, match_metagenes


def ari_by_pairs(a, b):
    """Hubert and Arabie's index from all pairs of cells."""
    i, j = np.triu_indices(len(a), 1)
    same_a, same_b = a[i] == a[j], b[i] == b[j]
    expected = same_a.sum() * same_b.sum() / len(i)
    return ((same_a & same_b).sum() - expected) / ((same_a.sum() + same_b.sum()) / 2 - expected)


@pytest.mark.parametrize("seed", range(3))
def test_adjusted_rand_index_equals_the_count_over_pairs(seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(4, size=60)
    b = np.where(rng.random(60) < 0.6, a, rng.integers(6, size=60))
    assert adjusted_rand_index(a, b) == pytest.approx(ari_by_pairs(a, b), abs=1e-12)
    assert adjusted_rand_index(a, np.array(list("wxyz"))[a]) == 1


def test_contingency_counts_every_cell_once():
    table = contingency([0, 0, 1, 1, 1], ["x", "y", "y", "y", "z"])
    assert table.loc[1, "y"] == 2
    assert table.loc[0, "z"] == 0
    assert table.to_numpy().sum() == 5


def test_clusters_are_matched_to_types_for_most_cells_right_not_greedily():
    # Cluster 0 overlaps most with type a, but cluster 1 has cells of type a only.
    predicted = np.repeat([0, 0, 1], [10, 9, 8])
    reference = np.repeat(["a", "b", "a"], [10, 9, 8])
    assert match_labels(predicted, reference).to_dict() == {0: "b", 1: "a"}


def test_clusters_beyond_the_types_or_without_a_cell_of_a_type_stay_unmatched():
    matched = match_labels([0, 0, 0, 1, 1, 2], ["a", "a", "a", "b", "b", "b"])
    assert matched.to_dict() == {0: "a", 1: "b", 2: None}
    assert match_labels([0, 0, 1], ["a", "a", "a"]).to_dict() == {0: "a", 1: None}
    # Assigning cluster 1 to type b or c would be arbitrary: none of its cells is of either.
    assert match_labels([0, 0, 0, 1, 0], ["a", "a", "a", "a", "b"]).to_dict() == {0: "a", 1: None}


@pytest.mark.parametrize("call", [adjusted_rand_index, contingency, match_labels])
def test_labellings_that_do_not_fit_are_refused(call):
    with pytest.raises(ValueError, match="3 and 2 cells"):
        call([0, 1, 1], [0, 1])
    with pytest.raises(ValueError, match="row 1 has no label"):
        call([0, 1, 1], ["a", None, "b"])


@pytest.mark.parametrize("seed", range(3))
def test_permuted_noisy_metagenes_are_matched_back(seed):
    rng = np.random.default_rng(seed)
    metagenes = rng.gamma(4, size=(80, 6))
    permutation = rng.permutation(6)
    other = 3 * metagenes[:, permutation] + 0.1 * rng.random((80, 6))
    match = match_metagenes(metagenes, other)
    np.testing.assert_array_equal(permutation[match.permutation], np.arange(6))
    matched = other[:, match.permutation]
    expected = [np.corrcoef(metagenes[:, k], matched[:, k])[0, 1] for k in range(6)]
    np.testing.assert_allclose(match.correlations, expected)


def test_metagenes_of_different_number_leave_some_unpaired():
    metagenes = np.random.default_rng(0).gamma(4, size=(80, 5))
    match = match_metagenes(metagenes, metagenes[:, [3, 1]])
    np.testing.assert_array_equal(match.permutation, [-1, 1, -1, 0, -1])
    np.testing.assert_array_equal(np.isnan(match.correlations), [True, False, True, False, True])
    np.testing.assert_array_equal(match_metagenes(metagenes[:, :2], metagenes).permutation, [0, 1])


def test_constant_metagene_correlates_with_nothing_and_bad_metagenes_are_refused():
    metagenes = np.random.default_rng(0).gamma(4, size=(30, 2))
    metagenes[:, 1] = 0.1
    np.testing.assert_allclose(match_metagenes(metagenes, metagenes).correlations, [1, 0])
    with pytest.raises(ValueError, match="30 genes and metagenes_b has 29"):
        match_metagenes(metagenes, metagenes[1:])
    with pytest.raises(ValueError, match="metagenes_b is not a finite matrix"):
        match_metagenes(metagenes, metagenes * np.nan)
