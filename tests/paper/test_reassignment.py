"""Reassigned cells, borders of layers and differential expression, where the answers are known."""

import numpy as np
import pandas as pd
import pytest
from paper.starmap.layer_borders import layer_borders
from paper.starmap.reassignment import layer_fit, marker_support, moved_between
from scipy.stats import binomtest, mannwhitneyu

from spicemix_core.tl import differential_expression

HOMES = {"a": "A", "b": "B"}


def test_moves_are_counted_by_the_layer_that_the_cells_lie_in():
    old = np.array(["a", "a", "b", "b", "b", "c", "a"])
    new = np.array(["b", "b", "a", "a", "b", "a", "c"])
    layers = np.array(["B", "A", "A", "C", "B", "A", "B"])
    assert moved_between(new, old, HOMES).tolist() == [True] * 4 + [False] * 3
    fit = layer_fit(new, old, layers, HOMES)
    assert (fit.moved, fit.into, fit.out_of) == (4, 2, 1)
    assert fit.share == pytest.approx(2 / 3) and fit.p_value == pytest.approx(binomtest(2, 3).pvalue)
    reverse = layer_fit(old, new, layers, HOMES)
    assert (reverse.into, reverse.out_of) == (1, 2)


def test_without_a_move_there_is_no_evidence():
    fit = layer_fit(["a", "b"], ["a", "b"], ["A", "A"], HOMES)
    assert fit.moved == 0 and np.isnan(fit.share) and fit.p_value == 1


def test_types_that_share_a_layer_do_not_move_between_layers():
    assert layer_fit(["a"], ["b"], ["A"], {"a": "A", "b": "A"}).moved == 0


def test_random_moves_fit_the_layers_no_better_than_chance():
    rng = np.random.default_rng(0)
    p = [layer_fit(*rng.choice(["a", "b"], (2, 80)), rng.choice(["A", "B"], 80), HOMES).p_value for _ in range(100)]
    assert np.mean(np.array(p) <= 0.05) <= 0.1


def test_marker_support_counts_the_cells_that_score_higher_for_the_new_type():
    scores = pd.DataFrame({"a": [1.0, 0.0, 0.0, 5.0, 1.0], "b": [0.0, 1.0, 1.0, 0.0, 1.0]})
    assert marker_support(scores, ["a", "b", "a", "a", "a"], ["b", "a", "b", "a", "c"]) == (2, 3)


def slanted_tissue(slope, random_state=0, n_cells=400, wrong=0.2):
    """Cells of three layers at borders 1 and 2 along x - slope y, a fifth of them with a class drawn at random."""
    rng = np.random.default_rng(random_state)
    coordinates = rng.uniform((0.0, 0.0), (3.0, 1.0), (n_cells, 2))
    classes = np.searchsorted([1.0, 2.0], coordinates @ (1.0, -slope)).astype(str)
    return coordinates, np.where(rng.random(n_cells) < wrong, rng.choice(["0", "1", "2", "x"], n_cells), classes)


def test_planted_borders_are_found_among_wrong_classes():
    coordinates, classes = slanted_tissue(0.0)
    found = layer_borders(coordinates, classes, 3)
    np.testing.assert_allclose(found.borders, [1, 2], atol=0.05)
    bands = found.bands(coordinates, ["A", "B", "C"])
    assert np.mean(bands == np.array(["A", "B", "C"])[np.searchsorted([1, 2], coordinates[:, 0])]) > 0.97


def test_the_slope_of_slanted_borders_is_found():
    coordinates, classes = slanted_tissue(0.4)
    slopes = np.arange(-0.8, 0.9, 0.2)
    found = layer_borders(coordinates, classes, 3, slopes=slopes)
    assert found.slope == pytest.approx(0.4)
    np.testing.assert_allclose(found.borders, [1, 2], atol=0.05)
    np.testing.assert_allclose(found.depth([[1.0, 1.0]]), [0.6])
    assert found.log_likelihood > layer_borders(coordinates, classes, 3).log_likelihood + 20


def test_the_borders_are_the_best_of_all_possible_ones():
    rng = np.random.default_rng(3)
    coordinates, classes = np.column_stack([np.arange(9.0), np.zeros(9)]), rng.choice(["a", "b"], 9)

    def likelihood(cuts):
        counts = [pd.Series(part).value_counts() for part in np.split(classes, cuts)]
        return sum((n * np.log(n / n.sum())).sum() for n in counts)

    best = max(likelihood([i, j]) for i in range(1, 8) for j in range(i + 1, 9))
    found = layer_borders(coordinates, classes, 3)
    assert found.log_likelihood == pytest.approx(best)
    assert likelihood(np.searchsorted(coordinates[:, 0], found.borders)) == pytest.approx(best)
    whole = layer_borders(coordinates, classes, 1)
    assert len(whole.borders) == 0 and whole.log_likelihood == pytest.approx(likelihood([]))


def test_borders_do_not_depend_on_the_order_of_the_cells():
    coordinates, classes = slanted_tissue(0.2)
    order = np.random.default_rng(1).permutation(len(classes))
    np.testing.assert_array_equal(layer_borders(coordinates, classes, 4).borders,
                                  layer_borders(coordinates[order], classes[order], 4).borders)


@pytest.mark.parametrize(("coordinates", "classes", "number", "message"), [
    (np.zeros((3, 2)), ["a", None, "b"], 2, "a class per cell"), (np.zeros((2, 2)), ["a"], 1, "1 classes"),
    (np.full((2, 2), np.nan), ["a", "b"], 1, "finite"),
    (np.zeros((2, 2)), ["a", "b"], 3, "n_segments is 3: choose from 1 to 2")])
def test_impossible_borders_are_refused(coordinates, classes, number, message):
    with pytest.raises(ValueError, match=message):
        layer_borders(coordinates, classes, number)


def genes(n_each=40, n_null=300, n_true=30, random_state=0):
    """Sparse log-expression of two groups; the first ``n_true`` genes are higher in the first group."""
    rng = np.random.default_rng(random_state)
    first = np.arange(2 * n_each) < n_each
    rate = np.full((2 * n_each, n_null + n_true), 0.6)
    rate[np.ix_(first, np.arange(n_true))] = 4.0
    frame = pd.DataFrame(np.log1p(rng.poisson(rate)), columns=[f"g{g}" for g in range(n_null + n_true)])
    return frame, first, np.arange(n_null + n_true) < n_true


def test_planted_genes_are_found_at_the_promised_rate_of_false_ones():
    wrong, found = [], []
    for seed in range(20):
        expression, first, true = genes(random_state=seed)
        table = differential_expression(expression, first, ~first)
        hits = (table["p_adjusted"] < 0.05).to_numpy()
        wrong.append(hits[~true].sum() / max(1, hits.sum()))
        found.append((hits & (table["auc"] > 0.5).to_numpy())[true].mean())
    assert np.mean(wrong) < 0.08 and np.mean(found) > 0.98


def test_without_a_difference_genes_are_rarely_found():
    hits = []
    for seed in range(40):
        expression, first, _ = genes(n_true=0, random_state=seed)
        hits.append((differential_expression(expression, first, ~first)["p_adjusted"] < 0.05).any())
    assert np.mean(hits) <= 0.15


def test_each_gene_is_tested_as_scipy_does_and_effects_have_the_sign_of_the_first_group():
    expression, first, _ = genes(n_null=5, n_true=1)
    expression["constant"] = 1.0
    table = differential_expression(expression, first, ~first)
    for gene in expression.columns[:-1]:
        a, b = expression[gene][first], expression[gene][~first]
        assert table.loc[gene, "p_value"] == pytest.approx(mannwhitneyu(a, b, method="asymptotic").pvalue)
        assert table.loc[gene, "share_second"] == (b > 0).mean()
    assert table.loc["g0", "difference"] > 0 and table.loc["g0", "auc"] > 0.9
    assert table.loc["constant", ["p_value", "p_adjusted", "auc"]].tolist() == [1, 1, 0.5]
    swapped = differential_expression(expression, ~first, first)
    np.testing.assert_allclose(swapped["auc"], 1 - table["auc"])
    assert (table["p_adjusted"] >= table["p_value"] - 1e-12).all()


def test_groups_that_cannot_be_compared_are_refused():
    expression, first, _ = genes(n_null=2)
    with pytest.raises(ValueError, match="two separate groups"):
        differential_expression(expression, first, first)
    with pytest.raises(ValueError, match="1 and 79 cells"):
        differential_expression(expression, np.arange(80) == 0, np.arange(80) > 0)
