"""Genes and cells that are kept: no controls, chosen or variable genes, cells with counts; the right totals."""

import numpy as np
import pandas as pd
import platforms
import pytest
import scipy.sparse as sp

from spicemix_core import SpiceMix, prepare, read_data
from spicemix_core.inputs.errors import InputWarning
from spicemix_core.inputs.filters import control_features
from spicemix_core.inputs.graphs import delaunay_graph
from spicemix_core.inputs.normalize import log_normalize


def dense(x):
    return x.toarray() if sp.issparse(x) else x


@pytest.mark.parametrize("names", [
    ["NegControlProbe_00042", "NegControlCodeword_0500", "UnassignedCodeword_0003", "DeprecatedCodeword_0321",
     "BLANK_0006", "antisense_LGI3", "Intergenic_Region_1186"],  # Xenium
    ["Blank-1", "blank-23", "Blank_7"],  # MERSCOPE and MERFISH
    ["NegPrb1", "NegPrb12", "Negative01", "SystemControl3", "FalseCode12", "NegPrb-3"],  # CosMx
    ["DEPRECATED_ENSG00000002079", "ERCC-00130"],  # Visium; spike-ins
])
def test_controls_are_recognised_by_the_names_of_the_platforms(names):
    assert control_features(pd.DataFrame(index=names)).all()


def test_genes_with_similar_names_are_no_controls():
    names = ["NEGR1", "Neg1", "NELFB", "BLNK", "Blank", "SYS1", "CTRL", "CTRB1", "ERCC1", "ERCC6L", "ANTXR1",
             "NEGATIVE", "CONTROL", "DEPDC1", "INTS1", "Gene-12", "FALZ", "NRIR"]
    assert not control_features(pd.DataFrame(index=names)).any()


def test_types_of_features_tell_controls_and_antibodies_from_genes():
    types = ["Gene Expression", "Negative Control Probe", "Genomic Control", "Antibody Capture", "Gene Expression"]
    for key in ("feature_types", "feature_type"):
        controls = control_features(pd.DataFrame({key: types}, index=list("abcde")))
        assert controls.tolist() == [False, True, True, True, False]
    only = pd.DataFrame({"feature_types": ["Antibody Capture"] * 2}, index=["CD3", "CD4"])
    assert not control_features(only).any()  # data of proteins
    assert control_features(pd.DataFrame({"CodeClass": ["Endogenous", "Negative"]}, index=["A", "B"])).tolist() == [
        False, True]


@pytest.mark.parametrize("write", [platforms.write_xenium, platforms.write_cosmx, platforms.write_merscope])
def test_control_probes_of_a_platform_are_left_out_with_a_sentence_and_kept_on_request(tmp_path, write):
    written = write(tmp_path / "outs")
    adata = read_data(tmp_path / "outs")
    n_controls = adata.n_vars - 30
    with pytest.warns(InputWarning, match=rf"controls of the platform or other .* left out: {n_controls} \('"):
        ready = prepare(adata, normalize=True)
    assert list(ready.var_names) == [f"Gene{g}" for g in range(30)]
    np.testing.assert_allclose(dense(ready.X), log_normalize(dense(written.X)[:, :30]))  # controls are in no total
    kept = prepare(adata, normalize=True, keep_controls=True)
    np.testing.assert_allclose(dense(kept.X), log_normalize(dense(written.X)))
    assert adata.n_vars == 30 + n_controls


def test_empty_bins_are_left_out_before_the_graph_is_built(tmp_path):
    platforms.write_visium_hd(tmp_path)
    adata = read_data(tmp_path / "binned_outputs" / "square_016um")
    ready = prepare(adata, normalize=True, min_counts=1, graph="delaunay")
    kept = np.setdiff1d(np.arange(144), [5, 77])
    assert list(ready.obs_names) == list(adata.obs_names[kept])
    graph = delaunay_graph(adata.obsm["spatial"][kept])
    assert (ready.obsp["spatial_connectivities"] != graph).nnz == 0
    totals = np.asarray(adata.X.sum(axis=1)).ravel()
    assert prepare(adata, normalize=True, min_counts=150).n_obs == (totals >= 150).sum()
    assert ready.uns["spicemix"]["preparation"]["n_cells_left_out"] == 2
    SpiceMix(3, max_iter=2, tol=1.0).fit(ready)


def test_genes_of_few_cells_are_left_out():
    adata = platforms.tissue()
    expressed = (dense(adata.X) > 0).sum(axis=0)
    ready = prepare(adata, normalize=True, min_cells=100)
    assert list(ready.var_names) == list(adata.var_names[expressed >= 100]) and 0 < ready.n_vars < 30
    np.testing.assert_allclose(dense(ready.X), log_normalize(dense(adata.X))[:, expressed >= 100])


def test_chosen_genes_are_kept_with_the_totals_of_all():
    adata = platforms.tissue()
    right = log_normalize(dense(adata.X))
    ready = prepare(adata, normalize=True, genes=["Gene7", "Gene3"])
    np.testing.assert_allclose(dense(ready.X), right[:, [3, 7]])
    assert list(ready.var_names) == ["Gene3", "Gene7"]
    adata.var["highly_variable"] = np.arange(30) % 3 == 0
    ready = prepare(adata, normalize=True, genes="highly_variable", target_sum=1e3)
    np.testing.assert_allclose(dense(ready.X), log_normalize(dense(adata.X), 1e3)[:, ::3])
    np.testing.assert_array_equal(dense(ready.layers["counts"]), dense(adata.X)[:, ::3])


def residual_variances(counts):
    """Variance of the analytic Pearson residuals, written out."""
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    residuals = (counts - expected) / np.sqrt(expected + expected**2 / 100)
    return np.clip(residuals, -np.sqrt(len(counts)), np.sqrt(len(counts))).var(axis=0)


def test_variable_genes_have_the_largest_variance_of_residuals_within_the_samples():
    adata = platforms.tissue()
    counts = dense(adata.X)
    top = np.sort(np.argsort(-residual_variances(counts))[:8])
    assert list(prepare(adata, normalize=True, n_top_genes=8).var_names) == list(adata.var_names[top])
    adata.obs["sample"] = ["a"] * 50 + ["b"] * 70
    counts[:50, 0] *= 50  # a gene that differs between the samples only
    adata.X = sp.csr_matrix(counts)
    variances = 50 * residual_variances(counts[:50]) + 70 * residual_variances(counts[50:])
    top = np.sort(np.argsort(-variances)[:8])
    chosen = prepare(adata, normalize=True, n_top_genes=8, sample_key="sample")
    assert list(chosen.var_names) == list(adata.var_names[top])


def test_in_place_the_object_itself_is_narrowed():
    adata = platforms.tissue()
    expected = prepare(adata, normalize=True, n_top_genes=8, min_counts=150)
    assert prepare(adata, normalize=True, n_top_genes=8, min_counts=150, copy=False) is None
    assert adata.shape == expected.shape and adata.n_obs < 120
    np.testing.assert_array_equal(dense(adata.X), dense(expected.X))
    assert (adata.obsp["spatial_connectivities"] != expected.obsp["spatial_connectivities"]).nnz == 0


@pytest.mark.parametrize(("options", "sentence"), [
    ({"genes": ["Sst", "Vip"]}, "None of the 2 genes in the list is in the data, whose genes have names such as"),
    ({"genes": ["Gene1", "Sst"]}, "The data lack 1 of the genes in the list: 'Sst'. Correct them"),
    ({"genes": "highly_variable"}, "There is no column 'highly_variable' in var that marks genes. Give a list"),
    ({"genes": "length"}, "The column 'length' of var must hold true or false"),
    ({"n_top_genes": 31}, "n_top_genes is 31, but there are 30 genes to choose from."),
    ({"n_top_genes": 5, "normalize": False, "layer": "log"}, "n_top_genes needs counts. Pass normalize=True, or name"),
    ({"min_counts": 1e6}, "No cell has a total of at least 1e+06; the largest total is"),
    ({"min_counts": 0}, "min_counts must be a positive number, not 0"),
    ({"min_cells": 0}, "min_cells must be an integer of at least 1"),
    ({"min_cells": 1000}, "No gene is left. Check genes and min_cells."),
    ({"target_sum": -1}, "target_sum must be a positive number"),
    ({"target_sum": 500, "normalize": False, "layer": "log"}, "target_sum has no effect without a normalisation. P"),
])
def test_choices_that_leave_nothing_are_refused(options, sentence):
    adata = platforms.tissue()
    adata.var["length"], adata.layers["log"] = 1.5, log_normalize(dense(adata.X))
    with pytest.raises((ValueError, KeyError)) as caught:
        prepare(adata, **{"normalize": True, **options})
    assert sentence in str(caught.value) and adata.shape == (120, 30)
