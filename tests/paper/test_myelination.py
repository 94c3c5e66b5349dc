"""Myelination: the right cells and metagenes are found, opposition beyond closure, genes left out, the claims."""

from types import SimpleNamespace

import anndata
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from models import neighbor_graph, small_samples
from paper import ledger
from paper.myelination import cells as my
from paper.myelination import claims as mc
from paper.myelination import figures
from paper.myelination.left_out import regress_left_out
from paper.shared.markers import MYELINATION_MARKERS

from spicemix_core import SpiceMix
from spicemix_core.datasets import load_gene_set
from spicemix_core.runs.held_out import states_without

SHEATH = ("Mbp", "Mobp", "Plp1", "Atp1a2", "Sirt2", "Ina")
KINDS = {"neuron": 60, "astrocyte": 40, "mixed astrocyte": 12, "mixed oligo": 36, "oligo": 60, "vessel": 20}


def tissue_as_in_the_paper(random_state=0, *, effects=(2.0, 1.5, 1.0, -1.0, 0.0)):
    """Cells with a mixed cluster, superficial astrocytes in it, and genes that follow two opposed metagenes."""
    rng = np.random.default_rng(random_state)
    kinds = np.repeat(list(KINDS), list(KINDS.values()))
    labels = pd.Series(kinds).replace({"mixed astrocyte": "mixed", "mixed oligo": "mixed"}).to_numpy()
    is_oligo, is_astro = np.isin(kinds, ("oligo", "mixed oligo")), np.isin(kinds, ("astrocyte", "mixed astrocyte"))
    depth = rng.uniform(0.3, 1.0, len(kinds))
    depth[kinds == "mixed astrocyte"] = rng.uniform(0.0, 0.05, (kinds == "mixed astrocyte").sum())
    states = 0.05 * rng.random((len(kinds), 5))
    states[~is_oligo, 2 + (labels[~is_oligo] == "neuron")] += 1.0
    share = rng.uniform(0.1, 1.0, is_oligo.sum())
    states[is_oligo, 0], states[is_oligo, 4] = share, 1.1 - share
    t = np.zeros(len(kinds))
    t[is_oligo] = states[is_oligo, 0] - states[is_oligo, 4]

    columns = {"Trf": is_oligo, "Mal": is_oligo, "Aqp4": is_astro, "Gja1": is_astro, "Slc17a7": kinds == "neuron",
               "Gad1": kinds == "neuron", "Pdgfra": False, "Lhfpl3": False, "Slco1c1": kinds == "vessel",
               "Acta2": kinds == "vessel"}
    expression = {gene: 3.0 * np.broadcast_to(high, len(kinds)) + rng.normal(size=len(kinds)) for gene, high in
                  columns.items()}
    for gene, effect in zip(SHEATH, effects, strict=False):
        expression[gene] = 3.0 + effect * t + rng.normal(size=len(kinds))
    expression["Ina"] = rng.normal(size=len(kinds))
    expression = pd.DataFrame(expression)
    detected = pd.DataFrame(True, expression.index, expression.columns).assign(Ina=rng.random(len(kinds)) < 0.1)
    reference = pd.Series(kinds).replace({"astrocyte": "Astro-2", "oligo": "Oligo", "mixed astrocyte": "Micro",
                                          "mixed oligo": "Micro"}).to_numpy()
    tissue = mc.Tissue(expression, detected, depth, depth < 0.1, reference, list(SHEATH))
    return SimpleNamespace(tissue=tissue, labels=labels, states=states, oligo=is_oligo, kinds=kinds, t=t)


@pytest.fixture(scope="module")
def paper():
    return tissue_as_in_the_paper()


@pytest.fixture(scope="module")
def analysis(paper):
    return mc.analyse(paper.labels, paper.states, paper.tissue)


# --- cells and metagenes ---------------------------------------------------------------------------------------------


def test_oligodendrocytes_are_separated_from_the_astrocytes_of_their_cluster(paper, analysis):
    assert set(analysis.found.clusters) == {"oligo", "mixed"}
    assert (analysis.found.chosen == paper.oligo).mean() > 0.98
    assert not analysis.found.chosen[paper.kinds == "mixed astrocyte"].any()


def test_markers_and_position_are_two_criteria(paper):
    blind = paper.tissue.expression.assign(Aqp4=0.0, Gja1=0.0)
    by_position = my.find_oligodendrocytes(blind, paper.labels, paper.tissue.surface).chosen
    assert not by_position[paper.kinds == "mixed astrocyte"].any()
    everywhere = np.zeros(len(paper.labels), dtype=bool)
    by_markers = my.find_oligodendrocytes(paper.tissue.expression, paper.labels, everywhere, withheld=SHEATH).chosen
    assert (by_markers == paper.oligo).mean() > 0.98


def test_a_withheld_gene_has_no_part_in_the_choice(paper, analysis):
    shuffled = paper.tissue.expression.copy()
    shuffled[list(SHEATH)] = np.random.default_rng(1).normal(size=(len(shuffled), len(SHEATH)))
    again = my.find_oligodendrocytes(shuffled, paper.labels, paper.tissue.surface, withheld=SHEATH)
    assert np.array_equal(again.chosen, analysis.found.chosen)
    not_withheld = my.find_oligodendrocytes(shuffled, paper.labels, paper.tissue.surface)
    assert not not_withheld.scores.equals(again.scores)


def test_the_rule_keeps_markers_when_the_whole_set_is_withheld():
    sheath = load_gene_set("GO:0043209")
    for kind in ("Oligo", "Astro"):
        assert len([gene for gene in MYELINATION_MARKERS[kind] if gene not in sheath]) >= 3


def test_small_and_other_clusters_are_ignored(paper):
    labels = paper.labels.astype(object)
    labels[np.flatnonzero(paper.kinds == "oligo")[:3]] = "few"
    found = my.find_oligodendrocytes(paper.tissue.expression, labels, paper.tissue.surface)
    assert set(found.clusters) == {"oligo", "mixed"}
    neurons = np.isin(paper.kinds, ("neuron", "vessel"))
    assert my.find_oligodendrocytes(paper.tissue.expression, labels, paper.tissue.surface, lead=1e6).clusters == []
    none = my.find_oligodendrocytes(paper.tissue.expression[neurons], labels[neurons], paper.tissue.surface[neurons])
    assert "oligo" not in none.clusters


def test_unknown_markers_are_refused(paper):
    with pytest.raises(ValueError, match="markers of Oligo was measured"):
        my.find_oligodendrocytes(paper.tissue.expression[["Aqp4", "Gad1"]], paper.labels, paper.tissue.surface)
    with pytest.raises(ValueError, match="a type other than Oligo and Astro"):
        my.find_oligodendrocytes(paper.tissue.expression[["Aqp4", "Mal"]], paper.labels, paper.tissue.surface)


def test_the_two_metagenes_are_found_and_opposed(paper, analysis):
    pair = analysis.opposition
    assert set(pair.metagenes) == {0, 4} and pair.correlation < -0.9
    assert pair.proportions[:, 0].mean() >= pair.proportions[:, 1].mean()
    assert np.allclose(pair.trajectory, pair.proportions[:, 0] - pair.proportions[:, 1])
    everywhere = pair.over_all_cells()
    assert np.isnan(everywhere[~pair.cells]).all() and np.array_equal(everywhere[pair.cells], pair.trajectory)
    swapped = my.two_metagenes(paper.states, pair.cells, pair.metagenes[::-1])
    assert my.agreement(pair, pair) == pytest.approx(1.0) and my.agreement(pair, swapped) == pytest.approx(-1.0)
    nowhere = my.highest_two(paper.states, ~pair.cells)
    assert np.isnan(my.agreement(pair, nowhere))


def test_opposition_beyond_closure_is_distinguished_from_closure_alone(analysis, paper):
    rng = np.random.default_rng(3)
    independent = rng.gamma(4.0, size=(300, 3)) * (3.0, 2.0, 0.5)
    pair = my.highest_two(independent, np.ones(300, dtype=bool))
    expected = my.closure_correlations(independent, pair, n=200, random_state=0)
    assert pair.correlation < -0.5 and np.percentile(expected, 0.5) < pair.correlation < np.percentile(expected, 99.5)
    more = my.closure_correlations(paper.states, analysis.opposition, n=200, random_state=0)
    assert analysis.opposition.correlation < more.min()


def test_fewer_than_three_cells_are_refused(paper):
    with pytest.raises(ValueError, match="There are 2 cells, too few"):
        my.highest_two(paper.states, np.arange(len(paper.labels)) < 2)


def test_a_valley_is_deep_between_two_groups_and_absent_in_one():
    rng = np.random.default_rng(0)
    one, even, two = rng.normal(size=500), rng.uniform(size=500), np.r_[rng.normal(size=250), rng.normal(6, size=250)]
    assert my.valley(one) > 0.9 and my.valley(even) > 0.67 and my.valley(two) < 0.25
    assert np.isnan(my.valley(np.ones(5)))


def test_genes_are_tested_from_the_cut_on(paper, analysis):
    assert analysis.slopes.index.tolist() == list(SHEATH[:5])
    cells, detected = np.array([True] * 10 + [False] * 5), pd.DataFrame({"a": [True] * 3 + [False] * 12, "b": False})
    assert my.tested_genes(detected, cells, ["b", "a", "not measured"]) == ["a"]
    assert my.tested_genes(detected, cells, ["a"], min_share=0.31) == []


# --- genes left out --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    expressions, graphs = small_samples(0)
    return SpiceMix(4, max_iter=60, tol=1e-2, random_state=0).fit_arrays(expressions, graphs), expressions, graphs


def test_with_no_gene_left_out_the_states_are_those_of_the_fit(fitted):
    model, expressions, graphs = fitted
    for found, own in zip(states_without(model, expressions, graphs, []), model.latent_states_, strict=True):
        assert np.corrcoef(found.ravel(), own.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_the_states_do_not_depend_on_a_gene_left_out(fitted, kind):
    model, expressions, graphs = fitted
    changed = [y.copy() for y in expressions]
    for y in changed:
        y[:, [3, 7]] = np.random.default_rng(0).random((len(y), 2))
    first = states_without(model, [kind(y) for y in expressions], graphs, [3, 7])
    second = states_without(model, [kind(y) for y in changed], graphs, [3, 7])
    with_all = states_without(model, [kind(y) for y in changed], graphs, [])
    assert all(np.allclose(a, b, atol=1e-12) for a, b in zip(first, second, strict=True))
    assert not any(np.allclose(a, b, atol=1e-3) for a, b in zip(first, with_all, strict=True))


def test_without_neighbours_the_states_are_non_negative_least_squares(fitted):
    from scipy.optimize import nnls

    expressions = fitted[1]
    model = SpiceMix(4, spatial=False, state_penalty=0.0, tol=0.1, random_state=0).fit_arrays(expressions)
    found, kept = states_without(model, expressions, None, [0, 1])[0], slice(2, None)
    for i in range(5):
        assert np.allclose(found[i], nnls(model.metagenes_[kept], expressions[0][i, kept])[0], atol=1e-6)


def test_only_a_gene_that_follows_nothing_but_itself_loses_its_effect_when_left_out():
    """Two metagenes of many genes, and a gene of noise, which is related to the states only because they saw it."""
    rng = np.random.default_rng(0)
    n, share = 150, rng.uniform(0.2, 0.8, 150)
    metagenes = rng.gamma(1.0, size=(20, 2))
    y = np.outer(share, metagenes[:, 0]) + np.outer(1 - share, metagenes[:, 1]) + 0.1 * rng.random((n, 20))
    y[:, 0] = 12.0 * rng.gamma(4.0, size=n)
    coordinates = rng.random((n, 2))
    adata = anndata.AnnData(y, var=pd.DataFrame(index=[f"g{i}" for i in range(20)]),
                            obsp={"spatial_connectivities": neighbor_graph(coordinates)})
    model = SpiceMix(3, tol=0.03, random_state=0).fit(adata)
    states = model.latent_states_[0]
    pair = my.highest_two(states, np.ones(n, dtype=bool))
    seen = mc.regress(pd.DataFrame({"g0": y[:, 0]}), pair.trajectory)
    left_out = regress_left_out(model, adata, pair, ["g0"])
    assert abs(seen.loc["g0", "effect"]) > 0.5 > 0.25 > abs(left_out.loc["g0", "effect"])


@pytest.mark.parametrize(("change", "message"), [
    (lambda y, g: (y, g, [30]), "genes 0 to 29"),
    (lambda y, g: (y, g, np.arange(28)), "2 genes are left for 4"),
    (lambda y, g: ([a[:, :20] for a in y], g, []), "2 samples of 30 genes, the expression 2 of 20"),
    (lambda y, g: (y[:1], g[:1], []), "expression 1 of 30")])
def test_genes_and_data_that_do_not_fit_the_model_are_refused(fitted, change, message):
    model, expressions, graphs = fitted
    with pytest.raises(ValueError, match=message):
        states_without(model, *change(expressions, graphs))


# --- claims and figures ----------------------------------------------------------------------------------------------


def test_all_claims_hold_in_cells_built_to_have_them(paper, analysis):
    nmf = mc.analyse(paper.labels, np.random.default_rng(0).random(paper.states.shape), paper.tissue)
    found = mc.measurements(mc.Way(analysis, [analysis] * 2, nmf, [nmf] * 2), paper.tissue)
    entries = ledger.load_ledger()
    own = entries[entries["chapter"] == "myelination"]
    assert set(found) == set(own.index)
    verdicts = {name: ledger.verdict(own.loc[name], found[name]) for name in own.index}
    assert verdicts.pop("myelin-panel") == "not reproduced" and found["myelin-panel"].value == 5
    assert set(verdicts.values()) == {"reproduced"}, verdicts


def test_no_gene_is_found_where_the_trajectory_is_shuffled(paper, analysis):
    shuffled = paper.states.copy()
    shuffled[paper.oligo] = np.random.default_rng(5).permutation(shuffled[paper.oligo])
    blind = mc.analyse(paper.labels, shuffled, paper.tissue)
    assert analysis.significant == 4 and blind.significant == 0


def test_the_claim_requires_superficial_astrocytes(paper, analysis):
    found, tissue = analysis.found, paper.tissue
    assert all(my.astro_oligo_conditions(found, paper.labels, tissue.depth, tissue.reference).values())
    turned = my.astro_oligo_conditions(found, paper.labels, -tissue.depth, tissue.reference)
    assert turned == {"both kinds in one cluster": True, "astrocytes superficial": False,
                      "markers of their classes": True}
    exchanged = pd.Series(tissue.reference).replace({"Astro-2": "Oligo", "Oligo": "Astro-2"}).to_numpy()
    assert not my.astro_oligo_conditions(found, paper.labels, tissue.depth, exchanged)["markers of their classes"]
    pure = my.astro_oligo_conditions(found, paper.kinds, tissue.depth, tissue.reference)
    assert not any(pure.values())


def test_without_oligodendrocytes_the_claims_cannot_be_tested(paper, analysis):
    neurons = np.full(len(paper.labels), "neuron")
    empty = mc.analyse(neurons, paper.states, paper.tissue)
    assert empty.opposition is None and empty.significant == 0 and len(empty.slopes) == 0
    row = mc.summary(empty, analysis)
    assert row["cells"] == 0 and np.isnan(row["correlation"]) and np.isnan(row["agreement"])
    found = mc.measurements(mc.Way(empty, [empty], analysis, [analysis]), paper.tissue)
    assert np.isnan(found["myelin-genes"].value) and found["myelin-genes"].comment.startswith("no oligodendrocytes")
    assert found["myelin-astro-oligo"].value == 0 and found["myelin-panel"].value == 5  # of all cells
    assert found["myelin-panel"].comment.endswith("tested cells: 0")


def test_the_choices_of_cells_are_the_largest_cluster_the_mixed_ones_and_all(paper, analysis):
    choices = mc.choices_of_cells(analysis)
    assert choices["largest cluster"].clusters == ["oligo"]
    assert choices["largest and mixed"].clusters == ["oligo", "mixed"]
    np.testing.assert_array_equal(choices["all clusters"].chosen, analysis.found.chosen)
    assert choices["largest cluster"].chosen.sum() < analysis.found.chosen.sum()
    assert mc.cluster_names(analysis) == {"oligo": "Oligo-1", "mixed": "Oligo-2, mixed"}  # by size


def test_figures_show_every_cell_once(analysis, paper):
    figure, (left, right) = plt.subplots(1, 2)
    groups = paper.labels[analysis.found.chosen]
    figures.draw_opposition(left, analysis.opposition, groups, {"oligo": "#0072b2", "mixed": "#d55e00"})
    assert sum(len(points.get_offsets()) for points in left.collections) == analysis.found.chosen.sum()
    assert left.get_title() == f"r = {analysis.opposition.correlation:.2f}"
    places = np.random.default_rng(0).random((len(paper.labels), 2))
    points = figures.draw_trajectory_in_tissue(right, places, analysis.opposition.over_all_cells())
    assert sum(len(drawn.get_offsets()) for drawn in right.collections) == len(paper.labels)
    assert points.get_clim()[0] == -points.get_clim()[1]
    plt.close(figure)


def test_names_are_on_the_side_with_more_room():
    assert list(figures.label_sides([0.0, 1.0, 3.0], [0.0, 0.0, 0.0])) == [-1, 1, 1]
    assert list(figures.label_sides([0.0, 0.1], [0.0, 1.0])) == [1, 1]  # not of one height: no matter


def test_on_the_measured_data_the_chosen_cells_are_wangs_oligodendrocytes(real_data):
    from spicemix_core.datasets import load_starmap
    from spicemix_core.datasets.starmap import LAYER_BANDS

    adata = load_starmap(download=False)
    expression = pd.DataFrame(adata.X, columns=adata.var_names)
    classes = adata.obs["cell_type"].to_numpy(dtype=str)
    surface = adata.obsm["spatial"][:, 0] >= LAYER_BANDS["L2/3"][1]
    found = my.find_oligodendrocytes(expression, classes, surface, withheld=load_gene_set("GO:0043209"))
    assert found.clusters == ["Oligo"]
    assert found.chosen.sum() > 100 and (classes[found.chosen] == "Oligo").all()
