"""Layer specificity, comparison of labellings by position, and effect sizes, where the answers are known."""

import numpy as np
import pytest
from paper.shared.effects import mean_difference, separation
from paper.shared.layers import (
    compare_information,
    effective_positions,
    layer_specificity,
    position_shares,
    shared_position_profile,
    widespread,
)
from sklearn.metrics import adjusted_mutual_info_score, roc_auc_score

POSITIONS = np.repeat(["0", "1", "2", "3"], 50)


def test_effective_positions_count_the_positions_of_an_even_spread():
    shares = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    np.testing.assert_allclose(effective_positions(shares), [1, 2, 4])


def test_specificity_distinguishes_layered_from_scattered_types():
    labels = np.where(np.arange(200) % 5 == 0, "scattered", np.where(POSITIONS == "1", "layered", "rest"))
    table = layer_specificity(labels, POSITIONS, n_permutations=200, random_state=0)
    assert table.loc["layered", "effective_positions"] == 1
    assert table.loc["layered", "p_value"] == 1 / 201
    assert table.loc["scattered", "effective_positions"] == pytest.approx(4)
    assert table.loc["scattered", "p_value"] > 0.5
    assert table["expected"].between(3, 4).all()
    assert table["cells"].sum() == 200


def test_specificity_has_honest_p_values_under_chance():
    rng = np.random.default_rng(0)
    p = [layer_specificity(rng.integers(2, size=200), POSITIONS, n_permutations=99, random_state=rng)["p_value"].iloc[0]
         for _ in range(60)]
    assert np.mean(np.array(p) <= 0.1) < 0.25 and np.mean(p) == pytest.approx(0.5, abs=0.15)


def test_more_clusters_alone_are_not_more_information():
    rng = np.random.default_rng(0)
    coarse, fine = POSITIONS, np.char.add(POSITIONS, rng.integers(5, size=200).astype(str))
    noise = rng.integers(20, size=200)
    against_fine = compare_information(coarse, fine, POSITIONS, n_bootstrap=50, random_state=0)
    assert against_fine.first == pytest.approx(1) and against_fine.low > 0 and against_fine.share_first_higher == 1
    against_noise = compare_information(noise, fine, POSITIONS, n_bootstrap=50, random_state=0)
    assert abs(against_noise.first) < 0.05 and against_noise.share_first_higher == 0


def test_information_is_the_adjusted_mutual_information():
    rng = np.random.default_rng(0)
    for n_cells, n_labels, n_places in ((2, 2, 2), (3, 1, 2), (3, 2, 1), (4, 1, 1), (40, 5, 3), (300, 30, 6)):
        labels, places = rng.integers(n_labels, size=n_cells), rng.integers(n_places, size=n_cells)
        found = compare_information(labels, places, places, n_bootstrap=1)
        assert found.first == pytest.approx(adjusted_mutual_info_score(places, labels), abs=1e-12)
        assert found.second == pytest.approx(1)


def test_a_labelling_is_not_better_than_itself():
    labels = np.random.default_rng(0).integers(4, size=200)
    same = compare_information(labels, labels, POSITIONS, n_bootstrap=20, random_state=0)
    assert same.low == same.high == same.share_first_higher == 0


def test_widespread_returns_the_dispersed_clusters():
    labels = np.concatenate([["a"] * 50, ["b"] * 45, ["a"] * 5, ["b"] * 50, ["b"] * 50])
    assert widespread(labels, POSITIONS) == ["b"]
    assert position_shares(labels, POSITIONS).sum(axis=1).to_numpy() == pytest.approx(1)


@pytest.mark.parametrize("technical", [True, False])
def test_a_shift_of_all_cells_is_distinguished_from_one_of_neurons(technical):
    rng = np.random.default_rng(1)
    place, neurons = np.repeat(np.arange(4), 50), rng.random(200) < 0.6
    expression = rng.normal(size=(200, 300))
    shift = rng.normal(size=(4, 300))[place]
    expression[neurons] += shift[neurons]
    if technical:
        expression[~neurons] += shift[~neurons]
    table = shared_position_profile(expression, place, neurons, ~neurons, n_permutations=200, random_state=0)
    assert (table["p_value"] < 0.05).all() == technical
    assert (table["correlation"] > 0.5).all() == technical
    assert (table["cells_first"] + table["cells_second"] == 50).all()


def test_bad_labels_and_groups_are_refused():
    with pytest.raises(ValueError, match="3 labels and 200 positions"):
        position_shares([1, 2, 3], POSITIONS)
    with pytest.raises(ValueError, match="Cell 1 has no label or no position"):
        layer_specificity([1, None, 2], [0, 0, 1])
    with pytest.raises(ValueError, match="lack cells at some position"):
        shared_position_profile(np.ones((4, 2)), [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 0])
    with pytest.raises(ValueError, match="two separate groups"):
        mean_difference([1.0, 2.0, 3.0], [True, False, False], [False, True, True])


def test_the_interval_of_a_difference_covers_the_truth():
    rng = np.random.default_rng(0)
    first = np.arange(60) < 30
    hits = 0
    for _ in range(100):
        found = mean_difference(rng.normal(size=60) + first, first, ~first, n_bootstrap=300, random_state=rng)
        hits += found.low <= 1 <= found.high
    assert hits >= 86
    assert found.n_first == found.n_second == 30
    assert found.standardized == pytest.approx(1, abs=0.7)


def test_constant_groups_have_a_difference_without_spread():
    first = np.array([True, True, False, False])
    found = mean_difference([2.0, 2.0, 1.0, 1.0], first, ~first)
    assert (found.difference, found.low, found.high, found.above) == (1, 1, 1, True)
    assert found.standardized == np.inf
    assert mean_difference(np.ones(4), first, ~first).standardized == 0


def test_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    values, first = rng.integers(5, size=80), rng.random(80) < 0.4
    assert separation(values, first, ~first) == pytest.approx(roc_auc_score(first, values))
    with pytest.raises(ValueError, match="not empty"):
        separation(values, first, np.zeros(80, bool))
