"""Options of the command line about reading and preparing data: their effect on the fit, and their messages."""

import anndata
import numpy as np
import platforms
import pytest

from spicemix_core import prepare, read_data
from spicemix_core.command_line import main
from spicemix_core.model import SpiceMix

FAST = ("--max-iter", "2", "-k", "3", "-o", "model.h5", "-a", "fitted.h5ad")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fitted(*words):
    assert main(("fit", *words, *FAST, "--force")) == 0
    return anndata.read_h5ad("fitted.h5ad")


def assert_prepared(written, adata, **options):
    """The command prepared the data as the function does with these options."""
    right = prepare(adata, normalize=True, **options)
    np.testing.assert_allclose(written.X.toarray(), right.X.toarray())
    assert list(written.obs_names) == list(right.obs_names) and list(written.var_names) == list(right.var_names)
    assert (written.obsp["spatial_connectivities"] != right.obsp["spatial_connectivities"]).nnz == 0


@pytest.mark.parametrize(("words", "options"), [
    (("--target-sum", "500"), {"target_sum": 500}), (("--min-counts", "150"), {"min_counts": 150}),
    (("--min-cells", "100"), {"min_cells": 100}), (("--n-top-genes", "8"), {"n_top_genes": 8}),
    (("--keep-controls",), {"keep_controls": True}), (("--genes", "panel.txt"), {"genes": ["Gene2", "Gene4", "Gene7"]}),
    (("--genes", "marked"), {"genes": "marked"}), (("--spatial-key", "x,y"), {"spatial_key": "x,y"}),
    (("--layer", "raw"), {"layer": "raw"})], ids=lambda value: value[0] if isinstance(value, tuple) else "")
def test_an_option_prepares_the_data_as_the_parameter_of_its_name_does(here, words, options):
    adata = platforms.with_controls(platforms.tissue(), ["Blank-1"])
    adata.var["marked"] = np.arange(31) % 2 == 0
    adata.obs["x"], adata.obs["y"] = (adata.obsm["spatial"] * [1, 3]).T
    adata.raw = adata
    adata.write_h5ad("tissue.h5ad")
    (here / "panel.txt").write_text("Gene7\nGene2\n\nGene4\n")
    assert_prepared(fitted("tissue.h5ad", "--normalize", *words), adata, **options)


def test_what_is_left_out_is_printed(here, capsys):
    platforms.write_xenium(here / "xenium")
    fitted("xenium", "--normalize", "--min-counts", "150")
    printed = capsys.readouterr()
    n_cells = 120 - anndata.read_h5ad("fitted.h5ad").n_obs
    assert n_cells and f"30 genes, 1 sample (left out: {n_cells} cells and 4 genes)" in printed.out
    assert "other than genes are left out: 4 (" in printed.err and "Pass --keep-controls" in printed.err


def test_positions_of_a_table_are_used_by_fit_transform_select_and_convert(here):
    written = platforms.write_starmap(here / "data")
    source = ("data/counts.csv", "--positions", "data/positions.csv")
    assert_prepared(fitted(*source, "--normalize"), written)
    assert main(("transform", "model.h5", *source, "-o", "states.h5ad")) == 0
    np.testing.assert_array_equal(anndata.read_h5ad("states.h5ad").obsm["spatial"], written.obsm["spatial"])
    grid = ("-k", "2,3", "--n-seeds", "2", "--max-iter", "2", "-o", "g.csv")
    assert main(("select", *source, "--normalize", *grid)) == 0
    assert main(("convert", "data/counts.csv", "tissue.h5ad", "--positions", "data/positions.csv")) == 0
    np.testing.assert_array_equal(read_data("tissue.h5ad").obsm["spatial"], written.obsm["spatial"])


def test_transform_prepares_new_cells_as_those_of_the_fit(here):
    adata = platforms.with_controls(platforms.tissue(), ["Blank-1"])
    adata.obs["x"], adata.obs["y"] = adata.obsm.pop("spatial").T
    adata.write_h5ad("tissue.h5ad")
    options = ("--spatial-key", "x,y", "--target-sum", "500", "--n-top-genes", "12")
    states = fitted("tissue.h5ad", "--normalize", *options).obsm["X_spicemix"]
    assert main(("transform", "model.h5", "tissue.h5ad", "-o", "again.h5ad")) == 0
    again = anndata.read_h5ad("again.h5ad")
    model = SpiceMix.load("model.h5")
    right = prepare(adata, normalize=True, spatial_key="x,y", target_sum=500)
    np.testing.assert_allclose(again.X.toarray(), right.X.toarray())
    np.testing.assert_allclose(again.obsm["X_spicemix"], model.transform(right.copy()))
    assert again.obsm["X_spicemix"].shape == states.shape


@pytest.mark.parametrize(("words", "sentence"), [
    (("tissue.h5ad", "--normalize"),
     "There are no coordinates 'spatial' in obsm. Positions may be in the columns 'x' and 'y' of obs: name them with "
     "--spatial-key, for instance x,y, or pass --non-spatial."),
    (("tissue.h5ad", "--spatial-key", "x,y", "--target-sum", "500"),
     "--target-sum has no effect without a normalisation. Pass --normalize, or leave it out."),
    (("tissue.h5ad", "--spatial-key", "x,y"), "Pass --normalize, or put log-normalised expression there."),
    (("tissue.h5ad", "--spatial-key", "x,y", "--normalize", "--genes", "none.txt"),
     "There is no column 'none.txt' in var that marks genes. Give a list of genes with --genes."),
    (("tissue.h5ad", "--spatial-key", "x,y", "--normalize", "--n-top-genes", "50"),
     "--n-top-genes is 50, but there are 30 genes to choose from. Lower it, or leave it out."),
    (("empty.h5ad", "--spatial-key", "x,y", "--normalize"),
     "There are cells without counts: 1 of 120, the first is 'cell4'. Leave them out with --min-counts 1.")])
def test_what_cannot_be_prepared_is_refused_with_the_options_that_help(here, capsys, words, sentence):
    adata = platforms.tissue()
    adata.obs["x"], adata.obs["y"] = adata.obsm.pop("spatial").T
    adata.write_h5ad("tissue.h5ad")
    adata.X = adata.X.toarray() * (np.arange(120) != 4)[:, None]
    adata.write_h5ad("empty.h5ad")
    assert main(("fit", *words, *FAST)) == 1
    assert sentence in capsys.readouterr().err and not (here / "model.h5").exists()
