"""The claims about the simulated cortex, measured in a study whose numbers were planted."""

import numpy as np
import pandas as pd
import pytest
from paper import verdicts
from paper.simulation import claims as sc
from paper.simulation.methods import PUBLISHED
from paper.simulation.study import COLUMNS, RELEASED, SCENARIOS, compare

from spicemix_core.tl import DEFAULT_NORMALIZATION

# Mean index of each method; NMF is best on proportions, and only HMRF on components is close to SpiceMix.
LEVELS = {(PUBLISHED, "zscore"): 0.7,
          ("SpiceMix consensus", DEFAULT_NORMALIZATION): 0.8, ("SpiceMix", "zscore"): 0.6, ("NMF*", "zscore"): 0.58,
          ("NMF*", "proportions"): 0.62, ("NMF", "zscore"): 0.3, ("NMF", "proportions"): 0.35,
          ("NMF consensus", DEFAULT_NORMALIZATION): 0.5, ("HMRF", "zscore"): 0.15,
          ("HMRF, 10 PCs", "zscore of genes, then cells"): 0.7,
          ("SpiceMix, co-association", DEFAULT_NORMALIZATION): 0.9}
LAYERS = {"SpiceMix consensus": {"layer_correlation": 0.9, "scattered_correlation": 0.6, "layer_morans_i": 0.5,
                                 "excitatory_share": 0.95, "silhouette_gain": 0.2},
          PUBLISHED: {"layer_correlation": 0.7, "scattered_correlation": 0.4, "layer_morans_i": 0.35,
                      "excitatory_share": 0.8, "silhouette_gain": 0.1},
          "NMF": {"layer_morans_i": 0.3, "excitatory_share": 0.6},
          "HMRF": {"excitatory_share": 0.35, "scattered_share": 0.25}}


def planted(n_replicates=6, changes=None):
    """A study of four scenarios; each noise takes 0.02 from every index, replicates differ by up to 0.005."""
    rows = []
    for scenario in SCENARIOS:
        lost = 0.02 * ((scenario.sigma_x > 1.5) + (scenario.sigma_y > 2))
        for replicate, shift in enumerate(np.linspace(-0.005, 0.005, n_replicates)):
            for (method, normalization), level in (LEVELS | (changes or {})).items():
                values = LAYERS.get(method, {})
                if scenario != RELEASED:
                    values = dict.fromkeys(values, -9.0)  # the claims on layers are about one scenario
                rows.append({"scenario": scenario.name, "sigma_x": scenario.sigma_x, "sigma_y": scenario.sigma_y,
                             "replicate": replicate, "method": method, "normalization": normalization,
                             "ari": level - lost + shift * (1 + level)} | values)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def test_every_claim_of_the_ledger_is_measured(tmp_path):
    table = verdicts.evaluate("simulation", sc.measure(planted()), sc.measure(planted(), PUBLISHED), folder=tmp_path)
    assert table.loc[table["verdict"] != "reproduced"].index.tolist() == ["sim-diffuse-metagene"]  # planted at 0.6


def test_planted_numbers_are_measured():
    found = {name: measurement.value for name, measurement in sc.measure(planted()).items()}
    assert found == pytest.approx({
        "sim-spicemix-ari": 0.76, "sim-spicemix-best": 4, "sim-nmf-ari": 0.3, "sim-nmf-half": 0.3 / 0.8,
        "sim-nmf-star-range": 4, "sim-nmf-star-worse": 4, "sim-hmrf-ari": 0.15, "sim-variance": 8,
        "sim-layer-metagene": 0.9, "sim-diffuse-metagene": 0.6, "sim-nmf-incoherent": 0.2,
        "sim-layers-delineated": 0.95, "sim-nmf-layers": 0.35, "sim-hmrf-smooths": 0.25, "sim-hmrf-layers": 0.6,
        "sim-umap": 0.2})


def test_the_same_numbers_are_measured_for_the_papers_procedure():
    found = {name: measurement.value for name, measurement in sc.measure(planted(), PUBLISHED).items()}
    others = ("sim-nmf-ari", "sim-nmf-star-range", "sim-hmrf-ari", "sim-hmrf-smooths")
    own = {name: measurement.value for name, measurement in sc.measure(planted()).items()}
    assert {name: found[name] for name in others} == {name: own[name] for name in others}
    assert {name: found[name] for name in (
        "sim-spicemix-ari", "sim-nmf-half", "sim-layer-metagene", "sim-nmf-incoherent", "sim-layers-delineated",
        "sim-umap")} == pytest.approx({
            "sim-spicemix-ari": 0.66, "sim-nmf-half": 0.3 / 0.7, "sim-layer-metagene": 0.7, "sim-nmf-incoherent": 0.05,
            "sim-layers-delineated": 0.8, "sim-umap": 0.1})


def test_single_runs_are_the_replicates_of_the_scenario_that_decides():
    measurement = sc.measure(planted())["sim-spicemix-ari"]
    assert measurement.runs == pytest.approx(list(0.76 + 1.8 * np.linspace(-0.005, 0.005, 6)))
    assert measurement.comment.startswith("σx = 3, σy = 3")
    assert "single fits at worst 0.56" in measurement.comment


def test_a_baseline_that_is_better_counts_against_spicemix():
    star = sc.measure(planted(changes={("NMF*", "zscore"): 0.85}))
    assert star["sim-spicemix-best"].value == star["sim-nmf-star-worse"].value == 0
    at_best = sc.measure(planted(changes={("NMF*", "proportions"): 0.85}))
    assert at_best["sim-spicemix-best"].value == at_best["sim-nmf-star-worse"].value == 4
    assert "0 of 4 against every baseline at its best" in at_best["sim-spicemix-best"].comment
    assert "0 at the best normalisation of NMF*" in at_best["sim-nmf-star-worse"].comment
    assert "single fits: 4" in at_best["sim-nmf-star-worse"].comment


def test_an_index_that_rises_with_noise_does_not_count_as_a_fall():
    table = planted()
    nmf = table["method"] == "NMF"
    table.loc[nmf, "ari"] = 0.3 + 0.02 * table.loc[nmf, "sigma_x"] - 0.02 * table.loc[nmf, "sigma_y"]
    assert sc.measure(table)["sim-variance"].value == 7


def test_too_few_replicates_cannot_be_tested():
    found = sc.measure(planted(n_replicates=4))
    assert found["sim-nmf-star-worse"].value is None
    assert sc.measure(planted(n_replicates=5))["sim-nmf-star-worse"].value == 4


def test_other_forms_of_spicemix_are_neither_shown_nor_baselines():
    table = planted()
    assert set(sc.rows_shown(table)["method"]) == set(sc.SHOWN)
    strongest = sc.strongest_baselines(compare(table, "SpiceMix consensus", DEFAULT_NORMALIZATION))
    assert set(strongest["method"]) == {"NMF", "NMF*", "NMF consensus", "HMRF", "HMRF, 10 PCs"}
    nmf = strongest[strongest["method"].isin(["NMF", "NMF*"])]
    assert (nmf["normalization"] == "proportions").all() and len(nmf) == 8
    assert sc.scenarios_ahead(strongest) == 4


def test_scores_of_a_model_are_shown_in_the_row_of_the_normalisation_that_is_shown():
    table = planted()
    table["n_iter"] = np.nan
    first = table[table["method"] == "NMF"].index[table.loc[table["method"] == "NMF", "normalization"] == "proportions"]
    table.loc[table["method"] == "NMF", "layer_morans_i"] = np.nan
    table.loc[first, "layer_morans_i"] = 0.3
    shown = sc.rows_shown(table)
    nmf = shown[shown["method"] == "NMF"]
    assert (nmf["normalization"] == "zscore").all()
    assert (nmf["layer_morans_i"] == 0.3).all()
