"""Groups of samples: differences that were planted are found, chance is not, and few samples are said to be few."""

import math

import numpy as np
import pandas as pd
import pytest

from spicemix_core import tl
from spicemix_core.datasets import simulate_cortex
from spicemix_core.tl.sample_groups import permutation_test


@pytest.fixture(scope="module")
def tissue():
    """Eight samples; in the samples "b", three quarters of a type are gone and the layers are dissolved."""
    adata = simulate_cortex(8, n_cells=120, random_state=0)
    adata.obsm["X_spicemix"] = adata.obsm["true_latent_states"]
    adata.obs["condition"] = np.where(adata.obs["sample"].astype(int) < 4, "a", "b")
    return adata


@pytest.fixture(scope="module")
def changed(tissue):
    second = (tissue.obs["condition"] == "b").to_numpy()
    rare = (tissue.obs["cell_type"] == "Glial-2").to_numpy()
    adata = tissue[~(second & rare & (np.arange(tissue.n_obs) % 4 > 0))].copy()
    rng = np.random.default_rng(0)
    types, states = adata.obs["cell_type"].to_numpy(dtype=str), adata.obsm["X_spicemix"].copy()
    for sample in np.unique(adata.obs["sample"][adata.obs["condition"] == "b"]):
        inside = np.flatnonzero(adata.obs["sample"] == sample)
        moved = rng.permutation(inside)
        types[inside], states[inside] = types[moved], states[moved]
    adata.obs["type"], adata.obsm["X_spicemix"] = types, states
    return adata


def rows_of(table, kind):
    return table[table["kind"] == kind].set_index(["first", "second"])


def test_a_type_that_is_lost_and_layers_that_dissolve_are_found(changed):
    table = tl.conditions(changed, "condition", "sample", "type")
    smallest = 2 / math.comb(8, 4)
    shares, affinity = rows_of(table, "type"), rows_of(table, "type affinity")
    assert shares.loc["Glial-2", ""]["p_value"].item() == pytest.approx(smallest)
    assert shares.loc["Glial-2", ""]["difference"].item() > 0
    for layer in ("eL1", "eL2", "eL3", "eL4"):
        row = affinity.loc[(layer, layer)]
        assert row["p_value"] == pytest.approx(smallest) and row["mean_first"] > 1 > abs(row["mean_second"])
    contacts = rows_of(table, "metagene contact")
    assert contacts.loc[("metagene 8", "metagene 8"), "p_value"] == pytest.approx(smallest)  # the metagene of a layer
    assert contacts.loc[("metagene 8", "metagene 8"), "difference"] > 0


def test_means_and_differences_are_those_of_the_samples(changed):
    table = tl.conditions(changed, "condition", "sample", "type")
    z = tl.normalize_states(changed.obsm["X_spicemix"], "proportions")[:, 3]
    by_sample = pd.Series(z).groupby(changed.obs["sample"].to_numpy(dtype=str)).mean()
    row = rows_of(table, "metagene").loc[("metagene 3", "")]
    assert row["mean_first"] == pytest.approx(by_sample.iloc[:4].mean())
    assert row["mean_second"] == pytest.approx(by_sample.iloc[4:].mean())
    shares = changed.obs.groupby("sample", observed=True)["type"].apply(lambda names: (names == "Inh-1").mean())
    assert rows_of(table, "type").loc[("Inh-1", ""), "difference"] == pytest.approx(
        shares.iloc[:4].mean() - shares.iloc[4:].mean())
    assert (table["p_adjusted"] >= table["p_value"]).all()
    assert changed.uns["spicemix"]["conditions"]["first"] == "a"


def test_p_values_keep_their_level_under_chance():
    values = np.random.default_rng(0).normal(size=(2000, 10))
    first = np.arange(10) < 5
    p = permutation_test(values, first, 10_000)
    assert abs((p <= 0.05).mean() - 0.05) < 0.02
    drawn = permutation_test(values, first, 200, random_state=0)
    assert (drawn <= 0.05).mean() < 0.08 and np.corrcoef(p, drawn)[0, 1] > 0.95


def test_all_divisions_are_used_where_there_are_few():
    with pytest.warns(UserWarning, match=r"With 2 and 2 samples no p-value can be below 0\.33\. More samples"):
        p = permutation_test(np.array([[0.0, 1, 10, 11], [1, 1, 1, 1]]), np.array([True, True, False, False]), 1000)
    assert p.tolist() == pytest.approx([2 / 6, 1])
    with pytest.warns(UserWarning, match="below 0.1"):
        p = permutation_test(np.array([[5.0, 6, 0, 1, 2]]), np.arange(5) < 2, 1000)
    assert p.item() == pytest.approx(1 / 10)


def test_types_that_a_sample_lacks_have_the_share_zero_and_no_affinity(tissue):
    gone = (tissue.obs["sample"] == "0") & (tissue.obs["cell_type"] == "Inh-2")
    table = tl.conditions(tissue[~gone.to_numpy()].copy(), "condition", "sample", "cell_type")
    assert ("Inh-2", "") in rows_of(table, "type").index
    assert not [pair for pair in rows_of(table, "type affinity").index if "Inh-2" in pair]


def test_without_types_only_metagenes_are_compared(tissue):
    table = tl.conditions(tissue, "condition", "sample", None)
    assert set(table["kind"]) == {"metagene", "metagene contact"}


@pytest.mark.parametrize("change, said", [
    ({"condition": "a"}, "has 1 values. Pass a column with two"),
    ({"condition": lambda obs: np.where(obs.index == obs.index[0], "b", obs["condition"])},
     "Sample '0' has cells of both values of obs\\['condition'\\]"),
    ({"condition": lambda obs: np.where(obs["sample"].astype(int) < 1, "a", "b")},
     "Condition 'a' has 1 sample. Two samples of each")])
def test_groups_that_cannot_be_compared_are_refused(tissue, change, said):
    adata = tissue.copy()
    for key, value in change.items():
        adata.obs[key] = value(adata.obs) if callable(value) else value
    with pytest.raises(ValueError, match=said):
        tl.conditions(adata, "condition", "sample", "cell_type")
