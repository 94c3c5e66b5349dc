"""Regression of genes on a trajectory: planted effects are found, shuffled ones are not, error rates are kept."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from paper.myelination import figures
from paper.myelination import trajectory as tr
from scipy import stats
from scipy.ndimage import gaussian_filter1d


def planted(random_state=0, n=120, effects=(1.0, -0.8, 0.6, 0.0, 0.0, 0.0)):
    """A trajectory and genes that depend on it with the given effects, plus noise of standard deviation one."""
    rng = np.random.default_rng(random_state)
    t = rng.normal(size=n)
    y = np.outer(t, effects) + rng.normal(size=(n, len(effects)))
    return t, pd.DataFrame(y, columns=[f"g{i}" for i in range(len(effects))])


def test_a_planted_trajectory_is_found_and_a_shuffled_one_is_not():
    t, genes = planted()
    table = tr.regress(genes, t)
    assert (table["p_corrected"] < 0.05).tolist() == [True, True, True, False, False, False]
    assert np.allclose(table["slope"], (1.0, -0.8, 0.6, 0.0, 0.0, 0.0), atol=0.25)
    assert ((table["low"] < table["slope"]) & (table["slope"] < table["high"])).all()
    shuffled = tr.regress(genes, np.random.default_rng(1).permutation(t))
    assert not (shuffled["p_corrected"] < 0.05).any()


def test_without_covariates_the_numbers_are_those_of_scipy():
    t, genes = planted()
    table = tr.regress(genes, t)
    for gene in genes:
        line, rank = stats.linregress(t, genes[gene]), stats.spearmanr(t, genes[gene])
        expected = line.intercept, line.slope, line.rvalue, line.pvalue, rank.statistic, rank.pvalue
        columns = ["intercept", "slope", "effect", "p_value", "spearman", "spearman_p"]
        assert np.allclose(table.loc[gene, columns].astype(float), expected, rtol=1e-9)
    mean, low, high = tr.band(t, genes["g0"], [0.0, 1.0])
    assert np.allclose(mean, table.loc["g0", "intercept"] + table.loc["g0", "slope"] * np.array([0.0, 1.0]))
    assert (low < mean).all() and (mean < high).all()


def test_a_gene_that_follows_only_a_covariate_loses_its_effect():
    rng = np.random.default_rng(2)
    depth = rng.normal(size=300)
    t = depth + 0.5 * rng.normal(size=300)
    genes = pd.DataFrame({"by depth": depth + rng.normal(size=300), "by t": t + rng.normal(size=300)})
    alone, joint = tr.regress(genes, t), tr.regress(genes, t, pd.DataFrame({"depth": depth}))
    assert (alone["p_corrected"] < 0.001).all()
    assert joint.loc["by depth", "p_corrected"] > 0.05 > 0.001 > joint.loc["by t", "p_corrected"]
    assert joint.loc["by t", "slope"] == pytest.approx(1.0, abs=0.3)


def two_step(p_values, level=0.05):
    """Rejections of Benjamini, Krieger and Yekutieli (2006), definition 6, written out."""
    def step_up(q):
        p = np.sort(p_values)
        passing = np.flatnonzero(p <= q * np.arange(1, len(p) + 1) / len(p))
        return passing[-1] + 1 if len(passing) else 0

    q = level / (1 + level)
    first = step_up(q)
    if first in (0, len(p_values)):
        return first
    return step_up(q * len(p_values) / (len(p_values) - first))


def test_the_correction_is_the_two_step_procedure():
    rng = np.random.default_rng(3)
    for _ in range(200):
        p = np.where(rng.random(13) < 0.5, rng.random(13), rng.random(13) ** 6)
        assert (tr.corrected(p) < 0.05).sum() == two_step(p)
    assert np.array_equal(np.isnan(tr.corrected([0.01, np.nan, 0.5])), [False, True, False])
    assert tr.corrected([0.01, np.nan, 0.5])[0] == tr.corrected([0.01, 0.5])[0]
    assert len(tr.corrected([])) == 0


def test_the_false_discovery_rate_is_controlled_in_simulation():
    proportions, powers = [], []
    for seed in range(150):
        t, genes = planted(seed, n=80, effects=(0.6,) * 4 + (0.0,) * 8)
        found = (tr.regress(genes, t)["p_corrected"] < 0.05).to_numpy()
        proportions.append(found[4:].sum() / max(found.sum(), 1))
        powers.append(found[:4].mean())
    assert np.mean(proportions) < 0.05 + 2 * np.std(proportions) / np.sqrt(len(proportions))
    assert np.mean(powers) > 0.9


def smooth(rng, n):
    """A quantity that varies slowly along the cells, the last as close to the first as any two neighbours."""
    return stats.zscore(gaussian_filter1d(rng.normal(size=n), 4.0, mode="wrap"))


def test_rotation_keeps_the_error_rate_for_smooth_genes_where_permutation_does_not():
    place, rejected = np.arange(100), {"permuted": [], "rotated": []}
    for seed in range(100):
        rng = np.random.default_rng(seed)
        t, gene = smooth(rng, 100), pd.DataFrame({"g": smooth(rng, 100)})
        nulls = {"permuted": tr.permuted(t, 99, random_state=seed), "rotated": tr.rotated(t, place)}
        for name, draws in nulls.items():
            rejected[name].append(tr.null_test(gene, t, draws).p_values["g"] <= 0.05)
    assert np.mean(rejected["permuted"]) > 0.3
    assert np.mean(rejected["rotated"]) < 0.12


def test_a_planted_trajectory_is_significant_under_both_nulls():
    t, genes = planted()
    for nulls in (tr.permuted(t, 199, random_state=0), tr.rotated(t, np.arange(len(t)))):
        result = tr.null_test(genes, t, nulls)
        assert result.observed == 3 == (tr.regress(genes, t)["p_corrected"] < 0.05).sum()
        assert result.p_value < 0.02 and (result.p_values[["g0", "g1", "g2"]] < 0.02).all()
        assert (result.p_values[["g3", "g4", "g5"]] > 0.02).all()
        assert len(result.counts) == len(nulls) and result.counts.max() < 3
        for gene in genes:
            r = np.array([stats.pearsonr(each, genes[gene]).statistic for each in (t, *nulls)])
            assert result.p_values[gene] == pytest.approx(np.mean(np.abs(r) >= np.abs(r[0])))


def test_null_trajectories_keep_their_values_and_rotations_their_order():
    t, order = np.array([1.0, 2.0, 3.0, 4.0]), np.array([30, 10, 20, 0])
    assert np.array_equal(np.sort(tr.permuted(t, 5, random_state=0), axis=1), np.tile(t, (5, 1)))
    assert np.array_equal(tr.permuted(t, 5, random_state=0), tr.permuted(t, 5, random_state=0))
    turned = tr.rotated(t, order)
    assert turned.shape == (3, 4)
    along = [4.0, 2.0, 3.0, 1.0]  # the values in the order of the cells
    for shift, row in enumerate(turned, 1):
        assert row[np.argsort(order)].tolist() == np.roll(along, shift).tolist()


def test_a_gene_without_variation_does_not_count_as_a_test():
    t, genes = planted()
    table = tr.regress(genes.assign(flat=1.0), t)
    assert table.loc["flat"].isna().all()
    assert np.allclose(table.drop(index="flat"), tr.regress(genes, t))
    assert "flat" not in tr.null_test(genes.assign(flat=1.0), t, tr.permuted(t, 9, random_state=0)).p_values
    assert len(tr.regress(genes[[]], t)) == 0


@pytest.mark.parametrize(("change", "message"), [
    (lambda t, y, c: (y, t[:-1], None), "120 cells with expression but 119"),
    (lambda t, y, c: (y, t, c[:-1]), "same cells, also for covariates"),
    (lambda t, y, c: (y, np.where(t > 1, np.nan, t), None), "missing or infinite"),
    (lambda t, y, c: (y, np.ones_like(t), None), "do not determine a slope"),
    (lambda t, y, c: (y, t, c.assign(again=2 * c["c"])), "do not determine a slope with 2"),
    (lambda t, y, c: (y[:3], t[:3], None), "3 cells do not"),
])
def test_input_that_cannot_be_regressed_is_refused(change, message):
    t, genes = planted()
    with pytest.raises(ValueError, match=message):
        tr.regress(*change(t, genes, pd.DataFrame({"c": np.arange(120.0) ** 2})))


def test_too_few_permutations_are_refused():
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        tr.permuted([1.0, 2.0], 0)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_titles_of_the_genes_show_corrected_p_and_significance():
    assert [figures.p_text(p) for p in (2e-5, 0.0312, 0.051, np.nan)] == ["< 0.001*", "0.031*", "0.051", ""]
    t, genes = planted()
    table = tr.regress(genes, t)
    figure, (first, second) = plt.subplots(1, 2)
    figures.draw_gene(first, t, genes["g0"].to_numpy(), table.loc["g0"], gene="g0", singled_out=True)
    figures.draw_gene(second, t, genes["g5"].to_numpy(), table.loc["g5"], gene="g5")
    assert first.get_title() == f"$\\it{{g0}}$, {figures.p_text(table.loc['g0', 'p_corrected'])}"
    assert first.get_title().endswith("*") and not second.get_title().endswith("*")
    plt.close(figure)


def test_effects_are_marked_where_significant_and_empty_where_not_tested():
    t, genes = planted()
    table, text = figures.effects({"all": tr.regress(genes, t), "some": tr.regress(genes[["g1", "g5"]], t)})
    assert table.shape == text.shape == (6, 2)
    assert [entry.endswith("*") for entry in text[:, 0]] == [True, True, True, False, False, False]
    _, alone = figures.effects({"all": tr.regress(genes, t)})
    assert np.array_equal(alone[:, 0], text[:, 0])
    assert text[0, 1] == "" and text[1, 1].endswith("*") and text[5, 1] and not text[5, 1].endswith("*")
    figure, ax = plt.subplots()
    figures.draw_effects(ax, {"all": tr.regress(genes, t)})
    assert [label.get_text() for label in ax.get_yticklabels()] == list(genes)
    plt.close(figure)


def test_the_null_figure_counts_each_draw_once():
    t, genes = planted()
    null = tr.null_test(genes, t, tr.permuted(t, 50, random_state=0))
    figure, ax = plt.subplots()
    figures.draw_nulls(ax, {"permuted": null}, 6)
    assert ax.lines[0].get_ydata().sum() == pytest.approx(1.0)
    assert ax.lines[-1].get_xdata()[0] == 3
    plt.close(figure)
