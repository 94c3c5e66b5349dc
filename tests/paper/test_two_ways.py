"""Both ways to fit a data set: stored results, repetitions, equal numbers of clusters, and figures of both."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from paper.shared import figures, fits, panels
from paper.shared.annotation import name_by_reference
from paper.shared.fits import PROCEDURE, RECOMMENDED, Sizes, fit_both_ways
from paper.shared.two_ways import each_once, name_way
from paper.shared.typed_cells import states_in_order, typed_cells
from paper.shared.views import figure_of_both, views_of

from spicemix_core import datasets, tl

pytestmark = pytest.mark.filterwarnings("ignore")  # few iterations
SIZES = Sizes(seeds=3, master_seeds=2, runs=3)


@pytest.fixture(scope="module")
def tissue():
    adata = datasets.simulate_cortex(2, n_cells=70, n_genes=30, random_state=0)
    adata.X = abs(adata.X)
    return adata


@pytest.fixture(scope="module")
def fitted(tissue, tmp_path_factory):
    """The folder of the stored results, and the results."""
    folder = tmp_path_factory.mktemp("fits")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("published_procedure", "fit_consensus"):
            short = partial(getattr(fits, name), max_iter=4)
            short.__name__ = name
            patch.setattr(fits, name, short)
        return folder, fit_both_ways(tissue, 5, SIZES, folder, n_jobs=1)


@pytest.fixture(scope="module")
def views(tissue, fitted):
    truth = tissue.obs["cell_type"].to_numpy(dtype=str)

    def name(labels):
        return name_by_reference(labels, truth, np.where(np.char.startswith(truth, "eL"), "Excitatory", "Astro"))

    def describe(labels, solution):
        return typed_cells(labels, name(labels), solution.states, solution.model.affinity_)

    ways = [name_way(way, describe) for way in fitted[1].ways(tissue.obs["sample"])]
    return views_of(ways, name)


def test_a_stored_result_is_read_and_the_data_are_not_changed(tissue, fitted, monkeypatch):
    folder, first = fitted
    assert "spicemix" not in tissue.uns and len(list(folder.glob("*.joblib"))) == 3 + SIZES.master_seeds
    assert not [path for path in folder.iterdir() if path.is_dir()]  # nothing of the unfinished fits is left

    def forbidden(*args, **settings):
        raise AssertionError("fitted again")

    forbidden.__name__ = "fit_consensus"
    monkeypatch.setattr(fits, "published_procedure", forbidden)
    monkeypatch.setattr(fits, "fit_consensus", forbidden)
    again = fit_both_ways(tissue, 5, SIZES, folder, n_jobs=1)
    pd.testing.assert_frame_equal(again.published.run_summary, first.published.run_summary)
    np.testing.assert_array_equal(again.consensuses[1].labels, first.consensuses[1].labels)
    other = tissue.copy()
    other.X = 2 * other.X
    with pytest.raises(AssertionError, match="fitted again"):
        fit_both_ways(other, 5, SIZES, folder, n_jobs=1)


def test_the_papers_procedure_shows_the_run_with_the_highest_q_and_repeats_all(tissue, fitted):
    samples = tissue.obs["sample"]
    procedure, recommended = fitted[1].ways(samples)
    assert (procedure.title, recommended.title) == (PROCEDURE, RECOMMENDED)
    assert [len(way.repeats) for way in (procedure, recommended)] == [3, 2]
    assert [len(way.nmf_repeats) for way in (procedure, recommended)] == [3, 2]
    for own, repeats in ((procedure.chosen, procedure.repeats), (procedure.nmf, procedure.nmf_repeats)):
        best = max(repeats, key=lambda run: run.model.history_["Q"].iloc[-1])
        np.testing.assert_array_equal(own.labels, best.labels)
    assert not procedure.nmf.model.affinity_.any() and procedure.chosen.criterion == "Calinski-Harabasz index"
    result = fitted[1].consensuses[0]
    np.testing.assert_array_equal(recommended.chosen.labels, result.labels)
    np.testing.assert_array_equal(recommended.chosen.states, states_in_order(result.model, samples))
    assert recommended.chosen.criterion == "separation" and procedure.chosen.confidence is None


def test_nmf_starts_as_spicemix_does_in_each_way(fitted):
    starts = [[run.init for run in result.runs] for result in (fitted[1].published_nmf, fitted[1].nmf)]
    assert starts == [["expression"] * SIZES.seeds, [run.init for run in fitted[1].consensuses[0].runs]]
    assert not any(run.spatial for result in (fitted[1].published_nmf, fitted[1].nmf) for run in result.runs)


def test_a_tree_is_cut_again_at_another_number_of_clusters(tissue, fitted):
    for way in fitted[1].ways(tissue.obs["sample"]):
        for solution in (way.chosen, way.nmf):
            assert len(np.unique(solution.cut(4))) == 4
            assert tl.adjusted_rand_index(solution.cut(solution.n_clusters), solution.labels) == 1
            assert solution.n_clusters in solution.curve.index


def test_nmf_has_as_many_clusters_as_spicemix_in_the_control(views):
    for view in views:
        assert len(view.way.equal_repeats) == len(view.way.repeats)
    way = views[0].way  # a Ward tree can be cut at any number
    sizes = np.unique(way.nmf.cut(way.chosen.n_clusters), return_counts=True)[1]
    assert len(sizes) == way.chosen.n_clusters
    assert len(np.unique(way.equal_cells.names)) <= len(sizes)  # clusters of few cells are pooled


def test_each_object_is_computed_once():
    calls, value = [], object()
    assert each_once(lambda one: calls.append(one) or len(calls), [value, value, object()]) == [1, 1, 2]
    assert len(calls) == 2


def test_the_same_panels_are_drawn_for_both_with_common_colours(views, tissue, monkeypatch):
    plt.switch_backend("Agg")
    monkeypatch.setattr(tl, "umap_embedding", lambda states, random_state: states[:, :2])  # a real one compiles
    first, second = views
    common = set(first.names) & set(second.names)
    assert common and all(first.own_colors[name] == second.own_colors[name] for name in common)
    graph, samples = tissue.obsp["spatial_connectivities"], tissue.obs["sample"].to_numpy(dtype=str)
    truth = tissue.obs["cell_type"].to_numpy(dtype=str)

    def contacts(part, view):
        table = tl.cell_type_affinity(graph, view.cells.names, samples)
        panels.draw_both_affinities(part, view, table, table > 0, [(0, 1)])

    def latent_space(part, view):
        enclosed = {"#e69f00": tuple(np.unique(view.cells.types)), "#009e73": ("no such type",)}
        panels.draw_latent_space(part, view, tissue.X, 0, enclosed)
        assert len(part.axes[0].patches) == 1

    for draw in (panels.draw_curves, contacts, latent_space,
                 partial(panels.draw_agreement, reference=truth, marked=(0, None)),
                 partial(panels.draw_nmf, reference=truth, suffix="*"),
                 partial(panels.draw_markers, expression=pd.DataFrame(tissue.X, columns=tissue.var_names),
                         families=dict.fromkeys(tissue.var_names[:3], first.types[0]))):
        figure = figure_of_both(views, draw, (6, 3))
        titles = [part.get_suptitle() for part in figure.subfigs]
        assert titles == ["Paper's procedure", "Recommended fit"]
        assert all(part.axes for part in figure.subfigs)
        plt.close(figure)


def test_an_ellipse_holds_its_share_of_the_points_and_no_outlier():
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(75, 2)) * (3, 0.5), rng.normal((20, 30), size=(25, 2))])
    figure, ax = plt.subplots()
    figures.enclose(ax, points, "#e69f00")
    (ellipse,) = ax.patches
    inside = ellipse.get_patch_transform().inverted().transform(points)  # to the unit circle
    inside = np.linalg.norm(inside, axis=1) < 1
    assert 0.7 * len(points) <= inside.sum() <= 75 and not inside[75:].any()
    plt.close(figure)


def test_arrows_point_at_fields_and_metagenes_have_the_names_of_their_types(views):
    view = views[0]
    figure, ax = plt.subplots()
    figures.point_at(ax, [(2, 5)])
    (arrow,) = ax.texts
    assert np.allclose(arrow.xy, (5.6, 2.4))
    plt.close(figure)
    figure = plt.figure()
    table = pd.DataFrame(0.0, view.types, view.types)
    panels.draw_both_affinities(figure.subfigures(), view, table, table > 0, [(0, 1)])
    right = figure.subfigs[0].axes[1]
    names = [label.get_text() for label in right.get_yticklabels()]
    assert names == [f"{view.means[k].idxmax()}  {number}" for number, k in enumerate(view.order, 1)]
    (arrow,) = [text for text in right.texts if not text.get_text()]
    first, second = sorted(view.number[[0, 1]] - 1)
    assert np.allclose(arrow.xy, (second + 0.6, first + 0.4))
    plt.close(figure)
