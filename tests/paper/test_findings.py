"""The findings in seqFISH+ as numbers, on cells built to have them or not; and the figures of cell types."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from models import neighbor_graph
from paper import verdicts
from paper.seqfish_plus import claims as seqfish_plus_claims
from paper.seqfish_plus import findings as fd
from paper.shared import figures
from paper.shared.annotation import FEW
from paper.shared.contacts import excess_contacts
from paper.shared.two_ways import TypedWay
from paper.shared.typed_cells import (
    TypedCells,
    cell_table,
    specificity_against_level,
    states_in_order,
    type_counts,
    typed_cells,
)

from spicemix_core import pl

NAMES = ("eL4", "eL5b", "eL6", "VIP", "SST", "OPC", "Oligo-1", "Oligo-2", "SMC", "Endo")


def tissue_as_in_the_paper(random_state=0, n_each=15):
    """Cells that have every finding of the paper: one metagene per type, and Oligo-2 between OPC and Oligo-1."""
    rng = np.random.default_rng(random_state)
    names = np.repeat(NAMES, n_each)
    types = np.array([name.split("-")[0] for name in names])
    classes = np.where(np.char.startswith(types, "eL"), "excitatory", np.where(np.isin(types, ("VIP", "SST")),
                                                                               "inhibitory", "glia"))
    own = np.eye(len(NAMES))[np.repeat(np.arange(len(NAMES)), n_each)]
    opc, oligo = NAMES.index("OPC"), NAMES.index("Oligo-1")
    own[names == "Oligo-2"] = 0.5 * np.eye(len(NAMES))[opc] + 0.5 * np.eye(len(NAMES))[oligo]
    weights = own + 0.05 * rng.random(own.shape)
    affinity = rng.normal(scale=0.1, size=(len(NAMES),) * 2)
    affinity = affinity + affinity.T
    for k in (NAMES.index("eL5b"), NAMES.index("eL6")):
        affinity[k, oligo] = affinity[oligo, k] = -3.0
    cells = TypedCells(names, types, classes, weights / weights.sum(axis=1, keepdims=True), affinity)

    high = {"Col6a1": {"eL5b": 1}, "Ctgf": {"eL6": 1}, "Cspg4": {"OPC": 2}, "Tcf7l2": {"Oligo-2": 2},
            "Mog": {"Oligo-2": 1, "Oligo-1": 2}, "Bgn": {"SMC": 2}, "Flt1": {"SMC": 2, "Endo": 2}}
    expression = pd.DataFrame({gene: [levels.get(name, 0.0) for name in names] for gene, levels in high.items()})
    expression += rng.exponential(0.1, size=expression.shape)
    fields = np.where(np.arange(len(names)) % n_each < n_each // 2, "0", "1")
    fields[classes == "excitatory"] = np.where(types == "eL4", "0", "1")[classes == "excitatory"]
    clusters = np.where(np.isin(types, ("eL5b", "eL6")), np.where(rng.random(len(names)) < 0.5, "4", "5"),
                        np.where(classes == "excitatory", rng.choice(["4", "5"], len(names)), types))
    clusters[np.isin(types, ("SMC", "Endo"))] = "vessel"
    graph = neighbor_graph(rng.random((len(names), 2))).tolil()
    graph[fields[:, None] != fields[None, :]] = 0
    return cells, fd.Tissue(expression, fields, graph.tocsr(), clusters, classes)


@pytest.fixture(scope="module")
def paper():
    return tissue_as_in_the_paper()


def without(cells, *types):
    """The same cells with the clusters of some types pooled as few cells."""
    gone = np.isin(cells.types, types)
    return TypedCells(np.where(gone, FEW, cells.names), np.where(gone, FEW, cells.types), cells.classes,
                      cells.proportions, cells.affinity)


def test_every_condition_holds_in_cells_built_to_have_them(paper):
    cells, tissue = paper
    differences = fd.contrasts(cells, tissue, n_bootstrap=500, random_state=0)
    assert differences.notna().all(axis=None)
    assert all(fd.oligo_2_conditions(cells, tissue, differences).values())
    assert all(fd.smc_endo_conditions(cells, differences).values())
    assert all(fd.el5b_el6_conditions(cells, tissue, differences).values())


def test_runs_with_all_five_conditions_are_counted_at_each_number_of_clusters(paper):
    cells, tissue = paper
    merged = without(cells, "OPC")

    def describe(labels, solution):
        return cells if labels >= solution.least else merged

    runs = {"SpiceMix": [SimpleNamespace(least=8, cut=int), SimpleNamespace(least=20, cut=int)],
            "NMF": [SimpleNamespace(least=30, cut=int)]}
    table = seqfish_plus_claims.oligo_2_by_number(runs, describe, tissue, (8, 24))
    assert table.to_dict("index") == {"SpiceMix": {8: 1, 24: 2}, "NMF": {8: 0, 24: 0}}


def test_no_condition_holds_where_the_genes_carry_no_information(paper):
    cells, tissue = paper
    shuffled = np.random.default_rng(1).permutation(len(cells.names))
    blind = fd.Tissue(tissue.expression.iloc[shuffled].reset_index(drop=True), tissue.fields, tissue.graph,
                      tissue.clusters, tissue.classes)
    differences = fd.contrasts(cells, blind, n_bootstrap=500, random_state=0)
    genes = [text for text in differences.index if not text.startswith("OPC metagene")]
    assert (differences.loc[genes, "low"] > 0).sum() <= 2


def test_missing_types_count_against_a_claim(paper):
    cells, tissue = paper
    lacking = without(cells, "SMC", "OPC", "eL5b")
    differences = fd.contrasts(lacking, tissue, n_bootstrap=100, random_state=0)
    assert fd.smc_endo_conditions(lacking, differences) == {
        "SMC and Endo": False, "Bgn in SMC": False, "Flt1 in SMC": False, "Flt1 in Endo": True}
    assert not any(fd.oligo_2_conditions(lacking, tissue, differences).values())
    assert sum(fd.el5b_el6_conditions(lacking, tissue, differences).values()) == 0
    assert fd.oligodendrocytes_against_opcs(lacking) == 0


def test_metagenes_are_found_by_content(paper):
    cells, _ = paper
    assert NAMES[fd.oligodendrocyte_metagene(cells)] == "Oligo-1"
    assert NAMES[fd.opc_metagene(cells)] == "OPC"
    assert {NAMES[k] for k in np.flatnonzero(fd.deep_metagenes(cells))} == {"eL5b", "eL6"}
    assert fd.oligodendrocytes_against_opcs(cells) == 1
    assert set(cells.names[fd.oligo_2_cells(cells)]) == {"Oligo-2"}
    assert fd.oligodendrocyte_metagene(without(cells, "Oligo")) is None


def test_attraction_of_deep_metagenes_is_one_and_undefined_for_nmf(paper):
    cells, _ = paper
    k = fd.oligodendrocyte_metagene(cells)
    assert fd.deep_attraction(cells, k) == 1 and np.isnan(fd.deep_attraction(cells, None))
    nmf = TypedCells(cells.names, cells.types, cells.classes, cells.proportions, np.zeros_like(cells.affinity))
    assert np.isnan(fd.deep_attraction(nmf, k))
    repelled = TypedCells(cells.names, cells.types, cells.classes, cells.proportions, -cells.affinity)
    assert fd.deep_attraction(repelled, k) == 0


def test_the_attraction_of_other_types_is_measured_in_the_same_way(paper):
    cells, _ = paper
    areas = fd.attraction_by_type(cells)
    assert areas.index[0] == "Oligo" and areas["Oligo"] == 1
    assert set(areas.index) == {"Oligo", "VIP", "SST", "OPC", "SMC", "Endo"} and areas.drop("Oligo").max() < 1


def test_a_marker_has_power_where_it_is_detected_in_more_of_its_cells():
    expression = pd.DataFrame({"a": [1.0, 2.0, 0.0, 0.0], "b": [0.0, 0.0, 0.5, 1.0]})
    table = fd.detection(expression, ["a", "b", "absent"], [True, True, False, False])
    assert table["inside"].to_dict() == {"a": 1, "b": 0} and table["others"].to_dict() == {"a": 0, "b": 1}
    assert table["informative"].to_dict() == {"a": True, "b": False}


def test_rank_of_the_deep_metagene_that_attracts_oligodendrocytes_most(paper):
    cells, _ = paper
    k, others = NAMES.index("Oligo-1"), len(NAMES) - 1
    assert fd.deepest_attraction(cells) == {"rank": 1, "deep": 2, "others": others, "by_chance": (others + 1) / 3}

    def ranked(affinity):
        return fd.deepest_attraction(TypedCells(cells.names, cells.types, cells.classes, cells.proportions, affinity))

    affinity = cells.affinity.copy()
    affinity[k, [NAMES.index("VIP"), NAMES.index("SST")]] = -4.0
    affinity[k, k] = -9.0  # a metagene's affinity with itself takes no part
    assert ranked(affinity)["rank"] == 3
    assert ranked(-cells.affinity)["rank"] == others - 1  # the better of the last two
    assert np.isnan(ranked(np.zeros_like(affinity))["rank"])
    for lacking in (without(cells, "Oligo"), without(cells, "eL5b", "eL6")):
        assert np.isnan([fd.deepest_attraction(lacking)[key] for key in ("rank", "by_chance")]).all()


def test_contacts_are_in_excess_where_they_were_planted():
    names = np.tile(["Oligo", "eL6", "OPC", "eL4"], 50)
    types, classes = names, np.where(np.char.startswith(names, "eL"), "excitatory", "glia")
    cells = TypedCells(names, types, classes, np.full((200, 2), 0.5), np.zeros((2, 2)))
    adjacency = np.zeros((200, 200))
    for i in range(0, 200, 4):  # oligodendrocytes touch eL6; OPCs touch anyone
        adjacency[i, i + 1] = adjacency[i, (i + 5) % 200] = 1
        adjacency[i + 2, (i + 7) % 200] = adjacency[i + 2, (i + 13) % 200] = adjacency[i + 2, (i + 20) % 200] = 1
    adjacency = np.maximum(adjacency, adjacency.T)
    excess = excess_contacts(cells, adjacency, np.zeros(200), n_permutations=500)
    assert excess.loc["Oligo", "eL6"] and (excess == excess.T).all(axis=None)
    assert fd.partners(cells, excess, ("Oligo",), fd.DEEP) == 1
    assert fd.partners(cells, excess, ("OPC",), ("eL6",)) == 0


def test_overlap_with_the_closest_cluster():
    reference = np.array(["a", "a", "b", "b", "b"])
    assert fd.closest_overlap([0, 0, 1, 1, 1], reference) == 1
    assert fd.closest_overlap([1, 0, 0, 0, 0], reference) == 0.5
    assert np.isnan(fd.closest_overlap([0] * 5, reference))


def test_counts_specificity_and_classes(paper):
    cells, _ = paper
    assert type_counts(cells).to_dict() == {"excitatory": 3, "inhibitory": 2, "glia": 5}
    assert type_counts(without(cells, "SMC"))["glia"] == 4
    proportions = np.array([[0.8, 0.1, 0.1]] * 3 + [[0.0, 0.6, 0.4]] * 3)
    names = np.repeat(["a", "b"], 3)
    one = TypedCells(names, names, names, proportions, np.zeros((3, 3)))
    assert specificity_against_level(one) == pytest.approx(1)
    assert fd.reference_classes(["Interneuron", "Astrocyte", "Neuroblast", "Excitatory neuron"]).tolist() == [
        "inhibitory", "glia", "other", "excitatory"]


def test_typed_cells_join_labels_names_and_states():
    naming = pd.DataFrame({"name": ["eL4", FEW, FEW], "type": ["eL4", FEW, FEW],
                           "major": ["Excitatory", "Astro", "Astro/Excitatory"]}, index=[2, 0, 1])
    cells = typed_cells([0, 1, 2, 2], naming, np.array([[1.0, 3.0], [0, 0], [2, 2], [4, 0]]), np.zeros((2, 2)))
    assert cells.classes.tolist() == ["glia", "mixed", "excitatory", "excitatory"]
    np.testing.assert_allclose(cells.proportions, [[0.25, 0.75], [0, 0], [0.5, 0.5], [1, 0]])
    assert cells.means.to_dict("index") == {"eL4": {0: 0.75, 1: 0.25}}
    table = cell_table(pd.DataFrame({"sample": pd.Categorical([*"aabb"])}, index=[*"wxyz"]), cells, [1, 0], sure=0.5)
    assert table.iloc[0].to_dict() == {"cell": "w", "sample": "a", "type": FEW, "sure": 0.5, "metagene 1": 0.75,
                                       "metagene 2": 0.25}


def test_states_of_interleaved_samples_come_back_in_the_order_of_the_cells():
    class Run:
        latent_states_ = (np.array([[0.0], [2.0], [3.0]]), np.array([[1.0], [4.0]]))

    assert states_in_order(Run, ["b", "a", "b", "b", "a"]).ravel().tolist() == [0, 1, 2, 3, 4]


def test_every_claim_of_the_ledger_is_measured_and_holds_where_it_was_planted(paper, tmp_path):
    cells, tissue = paper
    nmf = without(cells, "SMC", "OPC")
    way = TypedWay("title", None, None, cells, nmf, cells, [cells, cells], [nmf, nmf], [cells, cells])
    found = seqfish_plus_claims.measurements(way, tissue, 2470)
    table = verdicts.evaluate("seqfish_plus", found, found, folder=tmp_path)
    holds = ["vip-sst", "el5b-el6", "oligo-metagene", "oligo-2", "oligo-affinity", "layers", "nmf-oligo-2",
             "nmf-smc", "eng-smc", "major-types"]
    reason = found["seqfish-nmf-oligo-2-reason"]  # here NMF finds Oligo-2 when it has as many clusters
    assert reason.value == 5 and list(reason.runs) == [5, 5] and found["seqfish-nmf-oligo-2"].value < 5
    assert table.loc["seqfish-nmf-oligo-2-reason", "verdict"] == "not reproduced"
    assert (table.loc[[f"seqfish-{name}" for name in holds], "verdict"] == "reproduced").all()
    assert found["seqfish-data"].value == 1 and table.loc["seqfish-data", "verdict"] == "not reproduced"
    assert all(len(set(np.nan_to_num(measurement.runs, nan=-1))) <= 1 for measurement in found.values())  # same seed


def test_the_figures_draw_what_they_are_given(paper):
    cells, _ = paper
    plt.switch_backend("Agg")
    colors = figures.type_colors([*NAMES, FEW])
    assert len(set(colors.values())) == len(colors) and colors[FEW] == figures.GREY
    names, tree = figures.type_tree(cells.proportions, cells.names)
    figure, axes = plt.subplots(1, 5, figsize=(20, 4))
    figures.draw_tree(axes[0], names, tree, colors)
    assert {text.get_text() for text in axes[0].get_yticklabels()} == set(NAMES)
    figures.draw_type_rows(axes[1], cells.means, colors, counts=dict.fromkeys(NAMES, 15), label="x")
    figures.color_column_names(axes[1], [None, *NAMES[1:]], colors)
    pl.mark_fields(axes[1], np.eye(10, dtype=bool))
    assert axes[1].get_yticklabels()[0].get_text() == f"{cells.means.index[0]} (15)"
    shares = pd.DataFrame({"0": [0.4, 1.0], "1": [0.6, 0.0]}, index=["a", "b"])
    effective = pd.DataFrame({"effective_positions": [1.96, 1.0]}, index=["a", "b"])
    figures.draw_shares(axes[2], shares, effective, title="t")
    assert sum(patch.get_width() for patch in axes[2].patches) == pytest.approx(2)
    table = pd.DataFrame({"difference": [1.0, np.nan], "low": [0.5, np.nan], "high": [2.0, np.nan]}, index=["x", "y"])
    figures.draw_intervals(axes[3], table, label="d")
    assert [text.get_text() for text in axes[3].texts] == ["no such type"]
    figures.draw_affinities_by_run(axes[4], [np.arange(3.0)], [np.array([True, False, False])], marked_label="m",
                                   label="s")
    assert len(axes[4].collections[1].get_offsets()) == 1
    figure.canvas.draw()
    plt.close(figure)
