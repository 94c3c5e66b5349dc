"""Figures of a fitted object: they show the data, no text overlaps, and the user's style is unchanged."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.backends.backend_agg import FigureCanvasAgg

from spicemix_core import SpiceMix, pl, tl
from spicemix_core.datasets import simulate_cortex
from spicemix_core.pl import GREY, palette
from spicemix_core.pl.style import N_COLORS
from spicemix_core.tl.clustering import normalize_states, write_clusters, write_labels
from spicemix_core.tl.trees import ward_tree

mpl.use("agg")
pytestmark = pytest.mark.filterwarnings("ignore:expression has negative")


@pytest.fixture(scope="module")
def adata():
    adata = simulate_cortex(3, n_cells=100, n_genes=60, random_state=0)
    SpiceMix(6, random_state=0, max_iter=20, tol=0.05).fit(adata, sample_key="sample")
    tl.cluster(adata)
    write_labels(adata, tl.cut_tree(ward_tree(adata.obsm["X_spicemix"]), 40))
    tl.markers(adata)
    tl.metagene_genes(adata)
    tl.domains(adata, n_domains=5)
    tl.enrichment(adata, {f"a set of genes with quite a long name, number {i}": adata.var_names[i : i + 9]
                          for i in range(50)})
    tl.type_affinity(adata, sample_key="sample", n_permutations=19, random_state=0)
    adata.obsm["X_spicemix_umap"] = adata.obsm["X_spicemix"][:, :2]  # the embedding itself is tested elsewhere
    adata.obs["many"] = [f"type {i % 60}" for i in range(adata.n_obs)]
    adata.obs["gaps"] = adata.obs["cell_type"].where(np.arange(adata.n_obs) % 2 == 0)
    return adata


TABLE = pd.DataFrame({
    "n_metagenes": [5, 10, 5, 10], "affinity_penalty": [1e-4, 1e-4, 1e-3, 1e-3], "error": [0.3, 0.2, 0.31, 0.21],
    "difference_se": [0.01, 0.0, 0.01, 0.02], "ari": [0.9, 0.7, 0.8, 0.6], "separation": [0.5, 0.4, 0.45, 0.4],
    "seconds": [1.0, 2.0, 1.1, 2.1], "suggested": [False, True, False, False]})
ALL = {
    "places": lambda a: pl.spatial(a, sample_key="sample"), "domains": pl.domains, "one": pl.spatial,
    "many": lambda a: pl.spatial(a, "many"),
    "gene": lambda a: pl.spatial(a, "gene3", "sample"), "metagenes": lambda a: pl.metagenes(a, "sample"),
    "affinity": pl.affinity, "type_affinity": pl.type_affinity, "umap": pl.umap, "genes": pl.metagene_genes,
    "umap of a number": lambda a: pl.umap(a, "metagene 2"), "markers": pl.markers, "enrichment": pl.enrichment,
    "cluster": pl.cluster, "tree": pl.tree, "history": pl.history, "selection": lambda a: pl.selection(TABLE)}


def texts(figure):
    """Texts of a drawn figure with their boxes."""
    FigureCanvasAgg(figure).draw()
    renderer, beyond = figure.canvas.get_renderer(), set()
    for axis in figure.findobj(mpl.axis.Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high:  # such ticks exist but are not drawn
                beyond |= set(tick.findobj(mpl.text.Text))
    found = [text for text in figure.findobj(mpl.text.Text)
             if text.get_visible() and text.get_text().strip() and text not in beyond]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found]


@pytest.mark.parametrize("name", ALL)
def test_no_text_covers_another_or_leaves_the_figure_with_forty_clusters(adata, name):
    figure = ALL[name](adata)
    drawn = texts(figure)
    width, height = figure.canvas.get_width_height()
    for text, box in drawn:
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, f"{text!r} is cut"
    for i, (text, box) in enumerate(drawn):
        for other, place in drawn[:i]:
            overlap = min(box.x1, place.x1) - max(box.x0, place.x0), min(box.y1, place.y1) - max(box.y0, place.y0)
            assert not (overlap[0] > 1.5 and overlap[1] > 2.5), f"{text!r} covers {other!r} by {overlap}"


@pytest.mark.parametrize("name", ALL)
def test_figures_leave_style_and_data_as_they_were_and_are_closed(adata, name):
    style, keys = mpl.rcParams.copy(), (list(adata.obs), list(adata.uns["spicemix"]), list(adata.obsm))
    expression = adata.X.copy()
    figure = ALL[name](adata)
    assert isinstance(figure, mpl.figure.Figure)
    assert mpl.rcParams == style
    assert not plt.get_fignums()
    assert (list(adata.obs), list(adata.uns["spicemix"]), list(adata.obsm)) == keys
    np.testing.assert_array_equal(adata.X, expression)


def points(ax):
    return [artist for artist in ax.collections if isinstance(artist, mpl.collections.PathCollection)]


def test_every_cell_is_drawn_in_the_panel_of_its_sample_in_the_colour_of_its_group(adata):
    figure = pl.spatial(adata, "cell_type", "sample")
    colors = palette(adata.obs["cell_type"].cat.categories)
    for ax, name in zip(figure.axes, adata.obs["sample"].cat.categories, strict=True):
        assert ax.get_title() == name
        drawn = {mpl.colors.to_hex(group.get_facecolor()[0]): np.asarray(group.get_offsets()) for group in points(ax)
                 if len(group.get_offsets())}
        for kind, color in colors.items():
            own = ((adata.obs["sample"] == name) & (adata.obs["cell_type"] == kind)).to_numpy()
            if own.any():
                np.testing.assert_array_equal(drawn[color], adata.obsm["spatial"][own])


def test_without_a_sample_key_the_panels_are_those_of_the_fit(adata):
    def drawn(**options):
        return [(ax.get_title(), len(points(ax)[0].get_offsets())) for ax in pl.spatial(adata, "gene3", **options).axes
                if ax.get_title()]

    fitted = adata.uns["spicemix"]["input"]["sample_key"]
    assert drawn() == drawn(sample_key=fitted) and len(drawn()) == adata.obs[fitted].nunique() > 1


def test_colours_of_a_gene_and_of_a_metagene_are_their_values(adata):
    adata.obs["whole"] = "whole"
    for color, values in (("gene3", np.asarray(adata[:, "gene3"].X).ravel()),
                          ("metagene 2", normalize_states(adata.obsm["X_spicemix"], "proportions")[:, 2])):
        ax = pl.spatial(adata, color, sample_key="whole").axes[0]  # all samples in one panel
        (group,) = points(ax)
        order = np.argsort(values, kind="stable")
        np.testing.assert_allclose(group.get_array(), values[order])
        np.testing.assert_array_equal(group.get_offsets(), adata.obsm["spatial"][order])


@pytest.mark.parametrize("draw", [lambda a: pl.spatial(a, "cell_type"), pl.metagenes])
def test_the_second_coordinate_runs_downwards_as_in_images(adata, draw):
    for ax in draw(adata).axes[:1]:
        lowest = adata.obsm["spatial"][adata.obsm["spatial"][:, 1].argmin()]
        highest = adata.obsm["spatial"][adata.obsm["spatial"][:, 1].argmax()]
        assert ax.transData.transform(lowest)[1] > ax.transData.transform(highest)[1]


def test_samples_of_metagene_maps_are_in_rows_from_the_top():
    cortex = simulate_cortex(7, n_cells=30, n_genes=5, random_state=0)
    cortex.obsm["X_spicemix"] = cortex.obsm["true_latent_states"][:, :2]
    cortex.obsm["X_spicemix"][:] = 1.0  # points keep their order
    ax = pl.metagenes(cortex, "sample").axes[0]
    places = ax.transData.transform(np.asarray(points(ax)[0].get_offsets()))
    middle = pd.DataFrame(places).groupby(cortex.obs["sample"].to_numpy()).mean()
    first, second, fifth = (middle.loc[str(i)] for i in (0, 1, 4))
    assert first[0] < second[0] and abs(first[1] - second[1]) < 30 and fifth[1] < first[1] - 30


def test_samples_of_metagene_maps_are_next_to_each_other(adata):
    figure = pl.metagenes(adata, "sample")
    places = np.asarray(points(figure.axes[0])[0].get_offsets())
    assert len(places) == adata.n_obs
    assert np.ptp(places[:, 0]) > 2.8 * np.ptp(adata.obsm["spatial"][:, 0])
    titles = [ax.get_title() for ax in figure.axes[:6]]
    assert [title.split("  ")[0] for title in titles] == [f"metagene {k}" for k in range(6)]


def test_beyond_forty_the_rarest_categories_are_pooled_in_grey(adata):
    legend = pl.spatial(adata, "many").legends[0]
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == N_COLORS
    assert names[-1] == "all others (105)"
    assert legend.legend_handles[-1].get_color() == GREY


def test_cells_without_a_group_are_grey_and_counted(adata):
    legend = pl.spatial(adata, "gaps").legends[0]
    assert legend.get_texts()[-1].get_text() == "missing (150)"
    assert legend.legend_handles[-1].get_color() == GREY


def test_marks_of_many_cells_are_a_picture_and_grow_smaller(adata):
    many = simulate_cortex(n_cells=3000, n_genes=5, random_state=0)
    sizes = []
    for cells in (adata, many):
        groups = points(pl.spatial(cells, "layer").axes[0])
        sizes.append(groups[0].get_sizes()[0])
        assert all(group.get_rasterized() for group in groups) == (cells is many)
    assert sizes[1] < sizes[0] / 2


def test_affinity_maps_are_symmetric_and_dots_mark_what_is_significant(adata):
    table = adata.uns["spicemix"]["type_affinity"]["table"]
    ax = pl.type_affinity(adata).axes[0]
    mesh = next(artist for artist in ax.collections if isinstance(artist, mpl.collections.QuadMesh))
    values = np.asarray(mesh.get_array()).reshape(40, 40)
    np.testing.assert_array_equal(values, values.T)
    row = table[(table["first"] == "10") & (table["second"] == "2")].iloc[0]
    assert values[10, 2] == row["affinity"]
    significant = table["p_adjusted"] < 0.05
    same = table["first"] == table["second"]
    dots = sum(len(group.get_offsets()) for group in points(ax))
    assert dots == 2 * significant.sum() - (significant & same).sum()


@pytest.mark.parametrize(("call", "message"), [
    (lambda a: pl.spatial(a, "nope"), "Nothing in the data is named 'nope'"),
    (lambda a: pl.spatial(a, "metagene 6"), "Nothing in the data is named 'metagene 6'"),
    (lambda a: pl.umap(a, "nope"), "Nothing in the data is named 'nope'"),
    (lambda a: pl.spatial(a, sample_key="nope"), "There is no column 'nope' in obs")])
def test_a_name_that_the_data_lack_is_refused(adata, call, message):
    with pytest.raises(KeyError, match=message):
        call(adata)
    assert not plt.get_fignums()


@pytest.mark.parametrize(("draw", "message"), [
    (pl.metagenes, "no latent states 'X_spicemix'"), (pl.affinity, r"no result 'affinity' in .*\. Fit SpiceMix"),
    (pl.umap, "Call tl.umap first"), (pl.history, "no result 'history'"),
    (pl.type_affinity, r"no result 'type_affinity' in .*\. Call tl.type_affinity first"),
    (pl.enrichment, "Call tl.enrichment"), (pl.cluster, "Call tl.cluster"), (pl.tree, "Call tl.cluster"),
    (pl.domains, "Call tl.domains"), (pl.markers, "Call tl.markers"), (pl.metagene_genes, "Call tl.metagene")])
def test_errors_name_the_call_that_is_missing(draw, message):
    with pytest.raises(KeyError, match=message):
        draw(simulate_cortex(n_cells=30, n_genes=5, random_state=0))


def test_maps_of_data_without_clusters_name_the_call_that_makes_them(adata):
    plain = adata.copy()
    del plain.obs["spicemix_cluster"]
    with pytest.raises(KeyError, match=r"no clusters in the column 'spicemix_cluster' of obs\. Call tl\.cluster first"):
        pl.spatial(plain)


def test_cells_without_coordinates_are_left_out_of_maps_and_change_no_colour(adata):
    mixed = adata.copy()
    loose = (mixed.obs["sample"] == "1").to_numpy()
    mixed.obsm["spatial"][loose] = np.nan
    figure = pl.spatial(mixed, "cell_type", "sample")
    titles = [ax.get_title() for ax in figure.axes]
    assert "0" in titles and "2" in titles and "1" not in titles
    drawn = {text for text, _ in texts(figure) if "(" in text}
    whole = {text for text, _ in texts(pl.spatial(mixed[~loose].copy(), "cell_type", "sample")) if "(" in text}
    assert drawn == whole  # types with the numbers of cells that are drawn
    only = mixed.copy()
    only.obs["cell_type"] = np.where(loose, "0 loose", only.obs["cell_type"].astype(str))
    colors = palette(sorted(only.obs["cell_type"].unique()))
    figure = pl.spatial(only, "cell_type")
    drawn = {mpl.colors.to_hex(color) for marks in figure.axes[0].collections for color in marks.get_facecolors()}
    assert drawn == {mpl.colors.to_hex(color) for name, color in colors.items() if name != "0 loose"}
    assert pl.metagenes(mixed, "sample").get_supxlabel().endswith("0, 2")
    assert pl.spatial(mixed, "metagene 1").axes
    mixed.obsm["spatial"][:] = np.nan
    with pytest.raises(ValueError, match=r"All coordinates in obsm.* are missing"):
        pl.spatial(mixed, "cell_type")


@pytest.mark.parametrize(("places", "message"), [
    (np.full((300, 2), "far"), "holds entries that are no numbers"), (np.ones((300, 1)), "has the shape")])
def test_coordinates_that_are_not_numbers_in_two_columns_are_refused(adata, places, message):
    wrong = adata.copy()
    wrong.obsm["spatial"] = places
    with pytest.raises(ValueError, match=message):
        pl.spatial(wrong, "cell_type")


def test_history_of_a_result_of_the_authors_is_its_objective(adata):
    old = adata.copy()
    old.uns["spicemix"]["history"] = pd.DataFrame({"iteration": [1, 10, 20], "Q": [3.0, 4.0, 5.0]})
    (panel,) = pl.history(old).axes
    assert panel.get_title() == "objective Q" and list(panel.lines[0].get_ydata()) == [3, 4, 5]


ONE_PANEL = {"domains": lambda a, ax: pl.domains(a, ax=ax), "spatial": lambda a, ax: pl.spatial(a, ax=ax),
             "gene": lambda a, ax: pl.spatial(a, "gene3", ax=ax),
             "umap": lambda a, ax: pl.umap(a, ax=ax), "affinity": lambda a, ax: pl.affinity(a, ax=ax),
             "type_affinity": lambda a, ax: pl.type_affinity(a, ax=ax), "markers": lambda a, ax: pl.markers(a, ax=ax),
             "enrichment": lambda a, ax: pl.enrichment(a, ax=ax), "cluster": lambda a, ax: pl.cluster(a, ax=ax),
             "tree": lambda a, ax: pl.tree(a, ax=ax)}


@pytest.mark.parametrize("name", ONE_PANEL)
def test_figures_of_one_panel_are_drawn_on_given_axes_and_leave_the_figure_and_its_style_alone(adata, name):
    figure, (ax, other) = plt.subplots(1, 2, figsize=(9, 4))
    style = mpl.rcParams.copy()
    assert ONE_PANEL[name](adata, ax) is ax
    assert ax.has_data() and not other.has_data()
    assert plt.fignum_exists(figure.number) and tuple(figure.get_size_inches()) == (9, 4) and mpl.rcParams == style
    plt.close(figure)


def test_the_legend_of_given_axes_belongs_to_them(adata):
    figure, ax = plt.subplots()
    pl.spatial(adata, "cell_type", ax=ax)
    counts = adata.obs["cell_type"].value_counts()
    assert not figure.legends
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {f"{k} ({n})" for k, n in counts.items()}
    plt.close(figure)


def test_several_samples_are_not_drawn_on_one_panel(adata):
    figure, ax = plt.subplots()
    with pytest.raises(ValueError, match="The cells are of 3 samples, which one panel cannot show"):
        pl.spatial(adata, sample_key="sample", ax=ax)
    plt.close(figure)


def drawn_colors(figure):
    return {mpl.colors.to_hex(group.get_facecolor()[0]) for group in points(figure.axes[0])
            if len(group.get_offsets())}


def test_samples_drawn_by_hand_have_y_downwards_too(adata):
    figure, axes = plt.subplots(1, 3)
    types = adata.obs["cell_type"]
    pl.draw_samples(axes, adata.obsm["spatial"], adata.obs["sample"], types, palette(types.cat.categories))
    pl.draw_samples(axes, adata.obsm["spatial"], adata.obs["sample"], types, palette(types.cat.categories),
                    outlines=True)
    assert all(ax.yaxis.get_inverted() for ax in axes)
    plt.close(figure)


@pytest.mark.parametrize("draw", [pl.spatial, pl.umap])
def test_colours_in_uns_are_used_if_there_is_one_for_each_category_and_never_written(adata, draw):
    own = adata.copy()
    categories = own.obs["cell_type"].cat.categories
    draw(own, "cell_type")
    assert "cell_type_colors" not in own.uns
    shades = [mpl.colors.to_hex(mpl.cm.viridis(i / 9)) for i in range(len(categories))]
    own.uns["cell_type_colors"] = np.array(shades, dtype=object)
    assert drawn_colors(draw(own, "cell_type")) == set(shades)
    some = own[own.obs["cell_type"].isin(categories[2:4])]  # keeps all categories and their colours
    assert drawn_colors(draw(some, "cell_type")) == set(shades[2:4])
    own.uns["cell_type_colors"] = shades[:3]
    assert drawn_colors(draw(own, "cell_type")) == set(palette(categories).values())


def test_colours_in_uns_suffice_for_any_number_of_categories(adata):
    own = adata.copy()
    own.obs["many"] = pd.Categorical(own.obs["many"])
    own.uns["many_colors"] = [mpl.colors.to_hex(mpl.cm.viridis(i / 60)) for i in range(60)]
    assert len(pl.spatial(own, "many").legends[0].get_texts()) == 60


def test_the_library_shows_its_public_names_and_each_has_a_documentation():
    assert dir(pl) == sorted(pl.__all__) and not [name for name in pl.__all__ if not hasattr(pl, name)]
    assert not [name for name in pl.__all__ if callable(getattr(pl, name)) and not getattr(pl, name).__doc__]


def test_tree_draws_every_branch_at_its_height_and_marks_the_unsure_ones():
    """Three runs that agree on three types, and on none of their parts."""
    truth = np.repeat(np.arange(3), 30)
    runs = [np.eye(3)[truth] + 0.3 * np.random.default_rng(seed).random((90, 3)) for seed in range(3)]
    found = tl.cluster_states(runs, n_clusters=5)
    data = AnnData(np.ones((90, 2)))
    write_clusters(data, found)
    ax = pl.tree(data).axes[0]
    branches = found.branches
    ends = sorted(line.get_xdata()[-1] for line in ax.lines)
    np.testing.assert_allclose(ends, np.sort(branches["height"][1:]))
    dashed = sum(line.get_linestyle() == "--" for line in ax.lines)
    assert dashed == (branches["support"] < 0.6).sum() > 0
    names = [label.get_text() for label in ax.get_yticklabels()]
    leaves = branches[branches["cluster"] >= 0]
    assert sorted(names) == sorted(f"{c} ({n})" for c, n in zip(leaves["cluster"], leaves["cells"], strict=True))
