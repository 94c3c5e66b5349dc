"""The findings in STARmap as numbers, on cells built to have them or not; and the section's figures."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from models import neighbor_graph
from paper import verdicts
from paper.shared.annotation import FEW, LAYER_DEPTHS, all_markers, name_clusters
from paper.shared.markers import STARMAP_MARKERS
from paper.shared.two_ways import TypedWay
from paper.shared.typed_cells import TypedCells
from paper.starmap import claims as starmap_claims
from paper.starmap import figures
from paper.starmap import findings as sf

from spicemix_core.datasets import load_starmap
from spicemix_core.inputs.anndata import expression_frame
from spicemix_core.tl import differential_expression

NAMES = ("eL2/3", "eL4", "eL5", "eL6-1", "eL6-2", "PVALB", "SST", "Astro", "Oligo-1", "Oligo-2", "Astro/Oligo", "Endo")
LAYERS = ("L2/3", "L4", "L5", "L6", "L6", "", "", "", "", "", "", "")
CLASSES = ("eL2/3", "eL4", "eL5", "eL6-1", "eL6-2", "PVALB", "SST", "Astro-2", "Oligo", "Oligo", "Oligo", "Endo")
N_EACH = 16


def index(*names):
    return [NAMES.index(name) for name in names]


def section_as_in_the_paper(random_state=0):
    """Cells with every finding of the paper: a metagene for each type, those of layers attract themselves."""
    rng = np.random.default_rng(random_state)
    names, layers, clusters = (np.repeat(values, N_EACH).astype("U16") for values in (NAMES, LAYERS, CLASSES))
    types = np.array([name if name == "Astro/Oligo" else name.split("-")[0] for name in names])
    classes = np.where(np.char.startswith(types, "eL"), "excitatory",
                       np.where(np.isin(types, ("PVALB", "SST")), "inhibitory", "glia"))
    layers[names == "Astro"] = np.tile(("L2/3", "L4", "L5", "L6"), N_EACH // 4)
    eL4, eL5 = np.flatnonzero(names == "eL4"), np.flatnonzero(names == "eL5")
    clusters[eL4[:8]] = "eL2/3"  # cells of eL4, in L4, that were called eL2/3
    clusters[eL5[:6]] = "Astro-1"  # neurons of L5 that were called astrocytes
    clusters[eL5[6:10]] = "eL4"  # and others that were called eL4
    clusters[np.flatnonzero(names == "eL6-1")[:5]] = "eL5"
    own = np.eye(len(NAMES))[np.repeat(np.arange(len(NAMES)), N_EACH)]
    weights = own + 0.002 * rng.random(own.shape)
    affinity = rng.normal(scale=0.1, size=(len(NAMES),) * 2)
    affinity = affinity + affinity.T
    layered = index("eL2/3", "eL4", "eL5", "eL6-1", "eL6-2")
    affinity[layered, layered] = -5.0
    first, second, astro = index("eL6-1", "eL6-2", "Astro")
    affinity[first, second] = affinity[second, first] = -4.0
    for number, k in enumerate(index("eL2/3", "PVALB", "SST", "Oligo-1", "Oligo-2", "Endo")):
        # Six strong pairs elsewhere, so that the astrocytes' attractions are moderate.
        affinity[k, layered[number % 5]] = affinity[layered[number % 5], k] = -3.0 if number else -5.0
    affinity[astro, :] = affinity[:, astro] = -1.0
    cells = TypedCells(names, types, classes, weights / weights.sum(axis=1, keepdims=True), affinity)
    position = {"L2/3": 3.0, "L4": 2.0, "L5": 1.0, "L6": 0.0}
    x = np.array([position.get(layer, np.nan) for layer in layers])
    x = np.where(np.isnan(x), rng.uniform(0, 4, len(x)), x + rng.random(len(x)))
    coordinates = np.column_stack([x, rng.random(len(x))])
    return cells, sf.Section(clusters, layers, neighbor_graph(coordinates)), coordinates


def expression_of(section, random_state=0):
    """Genes of neurons in neurons and Astro-1, genes of astrocytes in Astro-2, and genes without information."""
    rng = np.random.default_rng(random_state)
    high = {gene: ["Astro-2"] for gene in sf.ASTRO_GENES}
    high |= {gene: ["Astro-1", "eL2/3", "eL4", "eL5", "eL6-1", "eL6-2"] for gene in sf.NEURON_GENES}
    frame = pd.DataFrame({gene: 3.0 * np.isin(section.clusters, own) for gene, own in high.items()})
    frame = pd.concat([frame, pd.DataFrame(0.0, frame.index, [f"g{i}" for i in range(30)])], axis=1)
    return frame + rng.exponential(0.5, frame.shape)


@pytest.fixture(scope="module")
def paper():
    return section_as_in_the_paper()


def without(cells, *types):
    """The same cells with the clusters of some types pooled as few cells."""
    gone = np.isin(cells.types, types)
    return replace(cells, names=np.where(gone, FEW, cells.names), types=np.where(gone, FEW, cells.types))


def test_every_condition_holds_in_cells_built_to_have_them(paper):
    cells, section, _ = paper
    nmf = without(replace(cells, names=cells.types), "SST", "Astro/Oligo")
    assert sf.new_types(cells, nmf) == {"SST": True, "Astro/Oligo": True, "more Oligo": True, "two more eL6": False}
    assert sf.new_types(cells, without(nmf, "eL6"))["two more eL6"]
    assert all(sf.pvalb_conditions(cells, section).values())
    assert all(sf.el6_conditions(cells).values())
    genes = differential_expression(expression_of(section), section.clusters == "Astro-1",
                                    section.clusters == "Astro-2")
    means = expression_of(section).groupby(section.clusters).mean()
    assert all(sf.astro_gene_conditions(genes, means).values())
    assert sf.neuron_genes_higher(genes) == list(sf.NEURON_GENES)


def test_missing_types_and_silent_genes_count_against_a_claim(paper):
    cells, section, _ = paper
    lacking = without(cells, "PVALB", "eL6", "Astro", "eL2/3", "eL4", "eL5")
    assert not any(sf.pvalb_conditions(lacking, section).values())
    assert not any(sf.el6_conditions(lacking).values())
    assert np.isnan(sf.moderate_attractions(lacking, "Astro")) and np.isnan(sf.self_attraction(lacking))
    assert not any(sf.new_types(cells, cells).values())
    noise = expression_of(section)
    noise = noise.iloc[np.random.default_rng(1).permutation(len(noise))].reset_index(drop=True)
    genes = differential_expression(noise, section.clusters == "Astro-1", section.clusters == "Astro-2")
    conditions = sf.astro_gene_conditions(genes, noise.groupby(section.clusters).mean())
    assert not sf.neuron_genes_higher(genes) and not any(conditions[f"{gene} lower"] for gene in sf.ASTRO_GENES)


def test_misplaced_cells_are_counted_in_their_layers(paper):
    cells, section, _ = paper
    assert section.types[section.clusters == "eL6-2"].tolist()[0] == "eL6"
    assert sf.upper_in_deep_layers(section).sum() == 4
    assert sf.el5_outside(section).sum() == 5
    moved, fit = sf.upper_reassigned(cells, section)
    assert moved.sum() == fit.moved == fit.into == 8 and fit.out_of == 0 and fit.share == 1
    numbers = starmap_claims.measure(cells, section, n_bootstrap=50)
    assert numbers["upper-corrected"] == 1 and numbers["astro-1-el5"] == 1 and numbers["oligo-types"] == 3


def test_types_that_follow_the_layers_have_more_information_on_them(paper):
    cells, section, _ = paper
    better = sf.layer_information(cells, section.clusters, section, n_bootstrap=100, random_state=0)
    assert better.first > better.second and better.share_first_higher == 1
    assert sf.layer_information(cells, cells.names, section, n_bootstrap=20).share_first_higher == 0
    assert sf.layer_information(replace(cells, classes=np.full(len(cells.names), "glia")), cells.names, section) is None


def test_share_of_a_metagene_in_a_layer():
    layers = np.array(["L4", "L4", "L5", "L6", "", ""])
    assert sf.layer_share(np.array([1.0, 1.0, 0.0, 0.0, 9.0, 9.0]), layers, "L4") == 1
    assert sf.layer_share(np.ones(6), layers, "L4") == pytest.approx(1 / 3)  # by means, not by numbers of cells
    assert sf.layer_share(np.zeros(6), layers, "L4") == 0
    assert sf.layer_share(np.ones(6), layers, "L2/3") == 0


def test_self_attraction_is_one_if_planted_and_undefined_for_nmf(paper):
    cells, _, _ = paper
    assert [NAMES[k] for k in np.flatnonzero(sf.layer_metagenes(cells))] == [
        "eL2/3", "eL4", "eL5", "eL6-1", "eL6-2"]
    assert sf.self_attraction(cells) > 0.95
    assert sf.self_attraction(replace(cells, affinity=-cells.affinity)) < 0.05
    assert np.isnan(sf.self_attraction(replace(cells, affinity=np.zeros_like(cells.affinity))))


def test_the_pair_of_el6_needs_contrary_metagenes_and_a_strong_affinity(paper):
    cells, _, _ = paper
    pair = sf.el6_pairs(cells).iloc[0]
    assert (pair["metagene_first"], pair["metagene_second"]) == tuple(index("eL6-1", "eL6-2"))
    assert pair["area"] == 1 and pair["rank"] < sf.STRONG
    weak = cells.affinity.copy()
    first, second = index("eL6-1", "eL6-2")
    weak[first, second] = weak[second, first] = 1.0
    assert sf.el6_conditions(replace(cells, affinity=weak)) == {
        "two eL6": True, "contrary metagenes": True, "strong affinity": False}
    same = cells.proportions.copy()
    same[:, index("eL6-1", "eL6-2")] = 0.1
    blurred = sf.el6_conditions(replace(cells, proportions=same))
    assert not blurred["contrary metagenes"] and not blurred["strong affinity"]


def test_moderate_attractions_are_neither_strong_nor_none(paper):
    cells, _, _ = paper
    assert sf.moderate_attractions(cells, "Astro") == 1
    astro = index("Astro")[0]
    for level in (-9.0, 2.0):
        affinity = cells.affinity.copy()
        affinity[astro, :6] = affinity[:6, astro] = level
        assert sf.moderate_attractions(replace(cells, affinity=affinity), "Astro") <= 5 / 11


def test_coherence_is_lost_by_scattering_the_cells_and_not_by_the_order_of_the_metagenes(paper):
    cells, section, _ = paper
    permuted = replace(cells, proportions=cells.proportions[:, ::-1])
    assert sf.coherence_gain(cells, permuted, section.graph) == pytest.approx(0, abs=1e-12)
    scattered = replace(cells, proportions=np.random.default_rng(2).permutation(cells.proportions))
    assert sf.coherence_gain(cells, scattered, section.graph) > 0.05
    assert sf.coherence_gain(scattered, cells, section.graph) < -0.05


def test_clusters_of_the_panel_get_the_names_of_their_markers():
    rng, kinds = np.random.default_rng(0), {}
    for major, genes in STARMAP_MARKERS.major.items():
        for kind, own in STARMAP_MARKERS.subtypes.get(major, {major: ()}).items():
            kinds[kind] = list(dict.fromkeys([*genes, *own]))
    labels = np.repeat(np.arange(len(kinds)), 40)
    genes = all_markers(markers=STARMAP_MARKERS)
    expression = pd.DataFrame(rng.exponential(0.3, (len(labels), len(genes))), columns=genes)
    for cluster, own in enumerate(kinds.values()):
        expression.loc[labels == cluster, own] += rng.exponential(1.0, (40, len(own)))
    depth = np.array([LAYER_DEPTHS.get(kind, 0.5) for kind in kinds])[labels]
    naming = name_clusters(expression, labels, depth, markers=STARMAP_MARKERS, withheld=sf.WITHHELD)
    assert naming["name"].to_dict() == dict(enumerate(kinds))


def test_markers_of_a_major_type_peak_in_a_class_of_that_type(real_data, monkeypatch):
    monkeypatch.setenv("SPICEMIX_DATA", str(real_data))
    adata = load_starmap(download=False)
    means = expression_frame(adata, adata.var_names).groupby(adata.obs["cell_type"].to_numpy(dtype=str)).mean()
    inhibitory = ("VIP", "SST", "PVALB", "Reln")
    for major, genes in STARMAP_MARKERS.major.items():
        for gene in genes:
            peak = means[gene].idxmax()
            kind = ("Excitatory" if peak[:2] == "eL" or peak == "HPC" else "Inhibitory" if peak in inhibitory
                    else {"Smc": "SMC", "Astro-2": "Astro"}.get(peak, peak))
            assert kind == major, f"{gene} of {major} is highest in {peak}"


def test_every_claim_of_the_ledger_is_measured_and_holds_where_it_was_planted(paper, tmp_path):
    cells, section, _ = paper
    nmf = without(replace(cells, affinity=np.zeros_like(cells.affinity)), "SST", "Astro/Oligo")
    slabs = np.array([["L2/3", "L4", "L5", "L6", ""].index(layer) for layer in section.layers])
    with_sst = np.where(section.clusters == "SST", 9, slabs)
    way = TypedWay("title", None, None, cells, nmf, cells, [cells] * 2, [nmf] * 2, [cells] * 2)
    hmrf = {0.0: section.clusters, 2.0: np.zeros_like(slabs), 4.0: slabs, 6.0: with_sst}
    found = starmap_claims.measurements(way, section, section, expression_of(section), hmrf, n_bootstrap=50)
    table = verdicts.evaluate("starmap", found, found, folder=tmp_path)
    holds = ["oligo-types", "layers", "upper-corrected", "reassigned-layer", "astro-1-local", "astro-1-el5",
             "astro-genes", "neuron-genes", "hmrf-smooth", "el4-metagene", "pvalb-metagene", "self-affinity",
             "el6-pair", "astro-affinity"]
    judged = table.loc[[f"starmap-{name}" for name in holds], "verdict"]
    assert (judged == "reproduced").all(), judged
    assert found["starmap-data"].value == 0 and table.loc["starmap-data", "verdict"] == "not reproduced"
    assert found["starmap-hmrf-layers"].value == 0  # the slabs are the layers themselves
    shares = [sf.scattered_share(labels, section) for labels in (cells.names, slabs, with_sst)]
    beta = sf.best_beta(section, hmrf)  # one beta for both claims, and never zero
    assert beta == 6 and shares[1] < shares[2]
    assert found["starmap-hmrf-smooth"].value == pytest.approx(shares[0] - shares[2])
    assert found["starmap-new-types"].value == 2 and found["starmap-nmf-diffuse"].value == pytest.approx(0)
    assert "NMF" in found["starmap-layers"].comment and "beta = 6" in found["starmap-hmrf-layers"].comment
    assert "as many clusters: 0" in found["starmap-new-types"].comment


def test_comparisons_hold_each_cell_once_and_the_figures_draw_them(paper):
    cells, section, coordinates = paper
    plt.switch_backend("Agg")
    panels = figures.comparisons(cells.types, section.types, section.layers, figures.PAPER_ROLES)
    for groups in panels.values():
        assert np.sum(list(groups.values()), axis=0).max() == 1
    assert panels["upper"]["eL4 - eL2/3*"].sum() == 8 and panels["glia"]["eL5 - Astro-1*"].sum() == 6
    assert panels["upper"]["other - eL2/3* or eL4*, deeper"].sum() == 4
    elsewhere = np.where(section.layers == "L5", "", section.layers)
    none = figures.comparisons(cells.types, section.types, elsewhere, figures.PAPER_ROLES)["upper"]
    assert none["other - eL2/3* or eL4*, deeper"].sum() == 0
    styles = figures.comparison_styles(figures.PAPER_ROLES, {})
    assert set(styles) == {label for groups in panels.values() for label in groups}
    bands = {"L6": (0.0, 1.0), "L5": (1.0, 2.0)}
    figure, axes = plt.subplots(1, 4)
    figures.draw_comparison(axes[0], coordinates, panels["upper"], styles, bands, limits=(0.5, 1.2), title="t")
    assert [text.get_text() for text in axes[0].texts] == ["L6", "L5"]
    assert axes[0].get_legend().get_texts()[3].get_text() == "eL4 - eL2/3* (8)"
    points = figures.draw_metagene_strip(axes[1], coordinates, np.zeros(len(coordinates)), bands, title="m")
    assert points.get_array().max() == 0
    table = pd.DataFrame({"difference": [1.0, 1.0, -1.0], "p_adjusted": [1e-100, 1e-100, 0.0]}, index=["a", "b", "c"])
    figures.draw_volcano(axes[2], table, {"a": "red", "b": "red", "c": "blue"}, label="d")
    places = {text.get_text(): text.xyann[1] for text in axes[2].texts}
    assert places["b"] - places["a"] > 5  # labels of equal points do not lie on one another; p = 0 stays finite
    figures.draw_group_means(axes[3:], pd.DataFrame({"a": np.arange(4.0)}), {"one": np.ones(4, bool)}, ["a"],
                             {"one": "red"})
    figure.canvas.draw()
    plt.close(figure)
