"""What a fit was given is printed, remembered in the model and the data, and used by the other commands."""

import os
import re
import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from spicemix_core import SpiceMix, prepare
from spicemix_core.command_line import main
from spicemix_core.inputs.graphs import delaunay_graph, knn_graph
from spicemix_core.report.data import complete

K, FAST = 3, ("-k", "3", "--max-iter", "4")
LATTICE = np.array([(x + y % 2 / 2, y * np.sqrt(3) / 2) for y in range(8) for x in range(9)]) * 100


def tissue(n_samples=2, seed=0):
    """Counts of cells of three types in bands, at scattered positions; samples differ in their depth."""
    rng = np.random.default_rng(seed)
    profiles = rng.gamma(0.5, size=(3, 20)) + 0.02
    parts = []
    for s in range(n_samples):
        xy = 100 * rng.random((50, 2))
        means = profiles[(xy[:, 0] // 34).astype(int)]
        counts = rng.poisson(200 * (1 + 2 * s) * means / means.sum(axis=1, keepdims=True)) + (np.arange(20) == 0)
        obs = pd.DataFrame({"slide": f"slide {s}"}, index=[f"s{s}-c{i}" for i in range(50)])
        parts.append(anndata.AnnData(counts.astype(float), obs=obs, obsm={"spatial": xy}))
    whole = anndata.concat(parts)
    whole.var_names = [f"gene{g}" for g in range(20)]
    return whole


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A fit to two samples of counts in a layer, with three nearest neighbours."""
    folder = tmp_path_factory.mktemp("remembered")
    adata = tissue()
    adata.layers["umi"], adata.X = adata.X, np.random.default_rng(0).random(adata.shape)
    adata.write_h5ad(folder / "t.h5ad")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(("fit", "t.h5ad", "-o", "m.h5", "-a", "f.h5ad", "--sample-key", "slide", "--layer", "umi",
                     "--normalize", "--graph", "knn", "--n-neighbors", "3", *FAST)) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(fitted, tmp_path, monkeypatch):
    for path in fitted.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(name):
    return anndata.read_h5ad(name).obsm["X_spicemix"]


# --- printed ---------------------------------------------------------------------------------------------------------


def test_what_was_understood_is_printed_before_the_fit_and_stored(here, capsys):
    assert main(("fit", "t.h5ad", "-o", "n.h5", "-a", "g.h5ad", "--sample-key", "slide", "--layer", "umi",
                 "--normalize", "--graph", "delaunay", "--max-length", "1.2x", *FAST)) == 0
    graph = anndata.read_h5ad("g.h5ad").obsp["spatial_connectivities"].tocoo()
    xy = tissue().obsm["spatial"]
    degrees = np.bincount(graph.row, minlength=100)
    lengths = np.linalg.norm(xy[graph.row] - xy[graph.col], axis=1)
    assert (degrees == 0).sum() == 1
    median, longest = np.median(lengths), lengths.max()
    printed = capsys.readouterr().out.splitlines()
    assert printed[:4] == [
        "data: 100 cells, 20 genes, 2 samples (slide)",
        "expression: counts in layers['umi'], log-normalised to 10,000 per cell",
        f"graph: built (Delaunay), {graph.nnz // 2} edges, {degrees.mean():.1f} neighbours per cell on average, "
        f"1 cell without neighbours",
        f"edges: median length {median:.4g}, longest {longest:.4g} ({longest / median:.1f} times the median)"]
    stored = anndata.read_h5ad("g.h5ad").uns["spicemix"]["input"]
    assert stored["n_edges"] == graph.nnz // 2 and stored["longest_edge"] == pytest.approx(longest)
    assert (stored["sample_key"], stored["n_samples"], stored["graph"]) == ("slide", 2, "Delaunay")


@pytest.mark.parametrize(("change", "options", "line"), [
    (lambda a: None, ("--non-spatial",), "graph: none"),
    (lambda a: a.obsp.__setitem__("spatial_connectivities", delaunay_graph(a.obsm["spatial"])), (),
     "graph: found in the data, "),
    (lambda a: a.obsm.__setitem__("spatial", np.resize(LATTICE, (50, 2))), (), "graph: built (hexagonal lattice), "),
    (lambda a: a.obsm["spatial"].__setitem__(slice(25), a.obsm["spatial"][:25] + 900.0), (),
     "graph: built (Delaunay), ")])
def test_the_graph_that_is_used_is_printed(here, capsys, change, options, line):
    adata = tissue(1)
    change(adata)
    adata.write_h5ad("one.h5ad")
    assert main(("fit", "one.h5ad", "-o", "n.h5", "--normalize", *options, *FAST)) == 0
    assert any(text.startswith(line) for text in capsys.readouterr().out.splitlines())


def test_quiet_prints_nothing_but_warnings(here, capsys):
    assert main(("fit", "t.h5ad", "-o", "n.h5", "--sample-key", "slide", *FAST, "--quiet")) == 0
    out, err = capsys.readouterr()
    assert out == "" and all(line.startswith("Warning: ") for line in err.splitlines())
    assert main(("cluster", "f.h5ad", "-o", "c.h5ad", "-q")) == 0
    assert capsys.readouterr() == ("", "")


def test_a_warning_about_the_data_is_printed_before_the_fit(here, monkeypatch, capsys):
    adata = tissue()
    adata.obsm["spatial"][50:] = adata.obsm["spatial"][:50]
    adata.write_h5ad("stacked.h5ad")

    def fail(*arguments):
        raise ValueError("The fit failed.")

    monkeypatch.setattr("spicemix_core.algorithm.initialize", fail)
    assert main(("fit", "stacked.h5ad", "--normalize", "-o", "n.h5", *FAST)) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning.startswith("Warning: All cells are taken as one sample, but 100% of the cells have the position of")
    assert warning.endswith("such as 'slide', give its name with --sample-key.") and error == "Error: The fit failed."


# --- remembered ------------------------------------------------------------------------------------------------------


def test_transform_prepares_the_data_as_those_of_the_fit(here, capsys):
    assert main(("transform", "m.h5", "t.h5ad", "-o", "s.h5ad")) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "data: 100 cells, 20 genes, 2 samples (slide)",
        "expression: counts in layers['umi'], log-normalised to 10,000 per cell",
        "graph: built (3 nearest neighbours), 190 edges, 3.8 neighbours per cell on average, 0 cells without "
        "neighbours"]
    model, adata = SpiceMix.load("m.h5"), anndata.read_h5ad("t.h5ad")
    by_hand = prepare(adata, sample_key="slide", layer="umi", normalize=True, graph="knn", n_neighbors=3)
    right = model.transform(by_hand, "slide", "spatial_connectivities", None)
    np.testing.assert_array_equal(states("s.h5ad"), right)
    np.testing.assert_array_equal(anndata.read_h5ad("s.h5ad").X, by_hand.X)
    assert main(("transform", "m.h5", "t.h5ad", "-o", "one.h5ad", "--one-sample")) == 0
    assert abs(states("one.h5ad") - right).max() > 0.05 * right.max()  # its scaling is another
    assert main(("transform", "m.h5", "f.h5ad", "-o", "again.h5ad")) == 0  # prepared data are not prepared again
    np.testing.assert_array_equal(states("again.h5ad"), right)


def test_options_that_are_given_replace_those_of_the_fit(here):
    adata = anndata.read_h5ad("t.h5ad")
    adata.obs["half"] = ["a", "b"] * 50
    adata.layers["other"] = adata.layers["umi"] + 1
    adata.write_h5ad("t.h5ad")
    assert main(("transform", "m.h5", "t.h5ad", "-o", "s.h5ad", "--sample-key", "half", "--layer", "other", "--graph",
                 "delaunay")) == 0
    by_hand = prepare(adata, sample_key="half", layer="other", normalize=True, graph="delaunay")
    right = SpiceMix.load("m.h5").transform(by_hand, "half", "spatial_connectivities", None)
    np.testing.assert_array_equal(states("s.h5ad"), right)
    assert main(("transform", "m.h5", "t.h5ad", "-o", "n.h5ad", "--layer", "other", "--no-normalize")) == 1  # counts


def test_transform_asks_for_a_sample_key_that_the_data_lack(here, capsys):
    adata = anndata.read_h5ad("t.h5ad")[:50].copy()
    del adata.obs["slide"]
    adata.write_h5ad("new.h5ad")
    assert main(("transform", "m.h5", "new.h5ad", "-o", "s.h5ad")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: The model was fitted with the samples in obs['slide'], which these data lack. Name the column of "
        "their samples with --sample-key, or pass --one-sample if all cells are of one sample."]
    assert main(("transform", "m.h5", "new.h5ad", "-o", "s.h5ad", "--one-sample")) == 0
    adata.obs["slide"] = "only"
    right = SpiceMix.load("m.h5").transform(
        prepare(adata, layer="umi", normalize=True, graph="knn", n_neighbors=3), layer=None)
    np.testing.assert_array_equal(states("s.h5ad"), right)


def test_the_graph_of_the_data_is_used_where_they_have_one(here):
    adata = anndata.read_h5ad("t.h5ad")
    blocks = [delaunay_graph(adata.obsm["spatial"][cells]).toarray() for cells in (slice(50), slice(50, 100))]
    adata.obsp["spatial_connectivities"] = np.kron(np.eye(2), np.ones((50, 50))) * np.tile(np.hstack(blocks), (2, 1))
    adata.obsp["spatial_connectivities"] = np.block([[blocks[0], np.zeros((50, 50))], [np.zeros((50, 50)), blocks[1]]])
    adata.write_h5ad("graph.h5ad")
    assert main(("transform", "m.h5", "graph.h5ad", "-o", "s.h5ad")) == 0
    assert anndata.read_h5ad("s.h5ad").obsp["spatial_connectivities"].sum() == sum(block.sum() for block in blocks)
    assert main(("transform", "m.h5", "graph.h5ad", "-o", "r.h5ad", "--rebuild-graph")) == 0
    expected = [knn_graph(adata.obsm["spatial"][cells], 3).sum() for cells in (slice(50), slice(50, 100))]
    assert anndata.read_h5ad("r.h5ad").obsp["spatial_connectivities"].sum() == sum(expected)


def test_figures_use_the_sample_key_of_the_fit(here):
    assert main(("plot", "spatial", "f.h5ad", "-o", "a.svg")) == 0
    assert main(("plot", "spatial", "f.h5ad", "-o", "b.svg", "--sample-key", "slide")) == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()
    assert re.search("slide 1", Path("a.svg").read_text())


@pytest.mark.parametrize("key", ["um", "x,y"])
def test_positions_of_the_fit_are_used_by_all_commands_and_other_ones_are_kept(here, capsys, key):
    adata = tissue()
    right, xy = adata.copy(), adata.obsm["spatial"] * [1, 5]
    right.obsm["spatial"], adata.obsm["um"] = xy, xy
    adata.obs["x"], adata.obs["y"] = xy.T
    adata.write_h5ad("um.h5ad")
    options = ("--sample-key", "slide", "--normalize", "--target-sum", "500", "--graph", "radius", "--radius", "50")
    assert main(("fit", "um.h5ad", "-o", "n.h5", "-a", "g.h5ad", "--spatial-key", key, *options, *FAST)) == 0
    place = "obsm['um']" if key == "um" else "the columns 'x' and 'y' of obs"
    assert f"\npositions: {place}\ngraph: built (radius 50), " in capsys.readouterr().out
    assert main(("transform", "n.h5", "um.h5ad", "-o", "s.h5ad")) == 0
    assert main(("fit", "g.h5ad", "-o", "again.h5", "-a", "again.h5ad", "--sample-key", "slide", "--rebuild-graph",
                 "--graph", "radius", "--radius", "50", *FAST)) == 0
    expected = prepare(right, sample_key="slide", normalize=True, target_sum=500, graph="radius", radius=50)
    for name in ("g.h5ad", "s.h5ad", "again.h5ad"):
        found = anndata.read_h5ad(name)
        assert (found.obsp["spatial_connectivities"] != expected.obsp["spatial_connectivities"]).nnz == 0
        np.testing.assert_array_equal(found.obsm["spatial"], adata.obsm["spatial"])  # for instance those of an image
        np.testing.assert_allclose(found.X, expected.X)
        assert found.uns["spicemix"]["input"]["spatial_key"] == key
        assert found.uns["spicemix"]["input"]["longest_edge"] <= 50
    figures = {}
    for given in (None, key, "spatial"):
        words = () if given is None else ("--spatial-key", given)
        assert main(("plot", "metagenes", "g.h5ad", "-o", f"{given}.svg", *words)) == 0
        figures[given] = Path(f"{given}.svg").read_bytes()
    assert figures[None] == figures[key] != figures["spatial"]
    shown, _, graph_key = complete(anndata.read_h5ad("um.h5ad"), SpiceMix.load("n.h5"), None)  # of the report
    assert (shown.obsp[graph_key] != expected.obsp[graph_key]).nnz == 0
    np.testing.assert_allclose(shown.X, expected.X)
    SpiceMix.load("n.h5").transform(expected, "slide")
    np.testing.assert_allclose(shown.obsm["X_spicemix"], expected.obsm["X_spicemix"])
    assert main(("convert", "g.h5ad", "text", "--sample-key", "slide")) == 0
    np.testing.assert_allclose(np.loadtxt("text/coordinates_slide 0.txt"), xy[:50])


def test_data_of_transform_hold_the_metagenes_and_are_drawn(here):
    adata = anndata.read_h5ad("t.h5ad")
    more = anndata.concat([adata, adata[:, :2].copy()], axis=1, merge="same")
    more.var_names = [*adata.var_names, "new0", "new1"]
    more.obsm["spatial"] = adata.obsm["spatial"]
    more[:, 3:].write_h5ad("more.h5ad")
    with pytest.warns(UserWarning, match="3 of the 20 genes"):
        assert main(("transform", "m.h5", "more.h5ad", "-o", "s.h5ad", "--debug")) == 0
    found, model = anndata.read_h5ad("s.h5ad"), SpiceMix.load("m.h5")
    np.testing.assert_array_equal(found.varm["metagenes"][:17], model.metagenes_[3:])
    assert np.isnan(found.varm["metagenes"][17:]).all()
    np.testing.assert_array_equal(found.uns["spicemix"]["affinity"], model.affinity_)
    Path("sets.gmt").write_text("one\t-\tgene4\tgene5\tgene6\nnew\t-\tnew0\tnew1\tgene7\n")
    for kind, options in (("genes", ()), ("affinity", ()), ("enrichment", ("--gene-sets", "sets.gmt")),
                          ("history", ())):
        assert main(("plot", kind, "s.h5ad", "-o", f"{kind}.svg", *options)) == 0
    assert "new0" not in Path("genes.svg").read_text()


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "sentence"), [
    (("--radius", "60"), "--radius has no effect on the graph 'auto'. Leave it out, or choose --graph radius."),
    (("--n-neighbors", "15"), "--n-neighbors has no effect on the graph 'auto'. Leave it out, or choose --graph knn."),
    (("--graph", "knn", "--max-length", "20"), "--max-length has no effect on the graph 'knn'."),
    (("--max-length", "wide"), "Error: --max-length must be a positive length or a multiple of the median length"),
    (("--graph-key", "spatial_conectivities"),
     "There is no neighbour graph 'spatial_conectivities' in obsp, which holds no graph. Correct --graph-key, leave it "
     "out, or add --rebuild-graph to build a graph and store it under this name."),
    (("--non-spatial", "--graph", "knn"), "There is no graph with --non-spatial."),
    (("--non-spatial", "--radius", "60"), "--radius has no effect without a graph."),
    (("--n-clusters", "5"), "Add --n-runs, or use `spicemix cluster` after the fit.")])
def test_an_option_without_effect_is_refused(here, capsys, options, sentence):
    assert main(("fit", "t.h5ad", "-o", "n.h5", "--sample-key", "slide", *options, *FAST)) in (1, 2)
    [line] = capsys.readouterr().err.splitlines()
    assert sentence in line and not Path("n.h5").exists()


def test_options_of_a_graph_are_refused_where_the_file_has_one(here, capsys):
    fit = ("fit", "f.h5ad", "-o", "n.h5", "-a", "g.h5ad", "--sample-key", "slide", *FAST)
    assert main((*fit, "--graph", "radius", "--radius", "30")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: --radius has no effect, because the neighbour graph in obsp['spatial_connectivities'] of the data is "
        "used. Leave it out to use that graph, or add --rebuild-graph to build a new one."]
    assert main((*fit, "--graph", "radius", "--radius", "30", "--rebuild-graph")) == 0
    graph = anndata.read_h5ad("g.h5ad").obsp["spatial_connectivities"].tocoo()
    xy = tissue().obsm["spatial"]
    assert np.linalg.norm(xy[graph.row] - xy[graph.col], axis=1).max() <= 30 and graph.nnz > 500


def test_a_stale_checkpoint_is_named_and_force_starts_anew(here, monkeypatch, capsys):
    fit = ("fit", "f.h5ad", "-o", "n.h5", "--sample-key", "slide", *FAST)
    with monkeypatch.context() as patch:
        patch.setattr("spicemix_core.model.SpiceMix.save", lambda *_: 1 / 0)
        assert main(fit) == 1 and Path("n.h5.checkpoint").exists()
    capsys.readouterr()
    other = (*fit, "--affinity-penalty", "0.01")
    assert main(other) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line == ("Error: n.h5.checkpoint is stale: it is the checkpoint of a fit with other data, other parameters "
                    "or another version of the package. Give --force to start anew, or choose another file with "
                    "--checkpoint.")
    assert Path("n.h5.checkpoint").exists() and main((*other, "--force")) == 0
    assert "is of another fit, so this one starts anew" in capsys.readouterr().out
    assert main(("fit", "f.h5ad", "-o", "right.h5", "--sample-key", "slide", "--affinity-penalty", "0.01", *FAST)) == 0
    np.testing.assert_array_equal(SpiceMix.load("n.h5").affinity_, SpiceMix.load("right.h5").affinity_)


def test_the_consensus_has_the_number_of_clusters_that_is_asked_for(here):
    assert main(("fit", "f.h5ad", "-o", "n.h5", "-a", "g.h5ad", "--sample-key", "slide", "--n-runs", "2",
                 "--n-clusters", "4", *FAST)) == 0
    assert anndata.read_h5ad("g.h5ad").obs["spicemix_cluster"].nunique() == 4
