"""Counts, expected counts, log-normalised and scaled values are told apart, and the place of the counts is named."""

import warnings

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

from spicemix_core import prepare
from spicemix_core.inputs.errors import InputWarning
from spicemix_core.inputs.normalize import log_normalize
from spicemix_core.inputs.summary import summarize_input


def tissue(n_cells=80, n_genes=40, depth=200, random_state=0):
    rng = np.random.default_rng(random_state)
    profile = rng.gamma(0.5, size=n_genes) + 0.02
    counts = rng.poisson(depth * rng.gamma(8, 1 / 8, size=(n_cells, 1)) * profile / profile.sum())
    counts[:, 0] += 1
    adata = anndata.AnnData(counts.astype(float), obsm={"spatial": rng.random((n_cells, 2))})
    adata.obs_names = [f"cell{i}" for i in range(n_cells)]
    adata.var_names = [f"Gene{g}" for g in range(n_genes)]
    return adata


def expected(adata, random_state=1):
    """As a probabilistic quantifier gives: a part of every count."""
    return adata.X * np.random.default_rng(random_state).uniform(0.85, 1.0, size=adata.shape)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_expected_counts_are_normalised_like_counts_with_a_sentence(form):
    adata = tissue()
    values = expected(adata)
    adata.X = form(values)
    with pytest.warns(InputWarning, match=r"X holds numbers that are not whole\. They are taken as expected c"):
        ready = prepare(adata, normalize=True)
    right = np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(ready.X.toarray() if sp.issparse(ready.X) else ready.X, right)


def test_counts_and_normalised_values_give_no_warning():
    adata = tissue()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ready = prepare(adata, normalize=True)
        again = prepare(ready)
    np.testing.assert_array_equal(again.X, log_normalize(adata.X))


@pytest.mark.parametrize(("target", "log"), [(1e4, np.log1p), (1e6, np.log1p), (1e4, lambda x: np.log2(1 + x)),
                                             (1e3, lambda x: np.log10(1 + x))])
@pytest.mark.parametrize("part", [slice(None), slice(5, 30)], ids=["all genes", "some genes"])
def test_log_normalised_values_are_not_normalised_again(target, log, part):
    adata = tissue()
    adata.X = log(target * adata.X / adata.X.sum(axis=1, keepdims=True)).astype(np.float32)
    adata = adata[:, part].copy()
    with pytest.raises(ValueError, match=r"is to be normalised but holds log-normalised values already\. Put raw"):
        prepare(adata, normalize=True)


@pytest.mark.parametrize(("where", "sentence", "layer"), [
    (lambda a, counts: a.layers.__setitem__("counts", counts), "in the layer 'counts': choose 'counts' with", "counts"),
    (lambda a, counts: setattr(a, "raw", anndata.AnnData(counts, var=a.var)), "in raw: choose 'raw' with", "raw"),
    (lambda a, counts: (a.layers.__setitem__("scaled", a.X), setattr(a, "X", counts)), "in X: leave out", None)],
    ids=["layer", "raw", "X"])
@pytest.mark.parametrize("normalize", [True, False])
def test_scaled_values_are_refused_with_the_place_of_the_counts(where, sentence, layer, normalize):
    adata = tissue()
    counts, log = adata.X.copy(), log_normalize(adata.X)
    adata.X = (log - log.mean(axis=0)) / log.std(axis=0)
    where(adata, counts)
    with pytest.raises(ValueError, match="negative") as caught:
        prepare(adata, layer="scaled" if layer is None else None, normalize=normalize)
    assert f"The counts are {sentence}" in str(caught.value) and "normalize=True" in str(caught.value)
    np.testing.assert_allclose(prepare(adata, layer=layer, normalize=True).X, log)


def test_counts_in_raw_keep_the_totals_of_all_genes():
    adata = tissue()
    part = adata[:, 5:15].copy()
    part.raw = adata
    part.X = part.X - part.X.mean(axis=0)
    ready = prepare(part, layer="raw", normalize=True)
    np.testing.assert_allclose(ready.X, log_normalize(adata.X)[:, 5:15])
    assert summarize_input(ready)["expression"] == "counts in raw, log-normalised to 10,000 per cell"
    part.raw = adata[:, :10].copy()
    with pytest.raises(KeyError, match=r"The expression in raw lacks 5 of the genes, the first is 'Gene10'"):
        prepare(part, layer="raw", normalize=True)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_gaps_of_an_outer_join_are_named(normalize, form):
    left, right = tissue(), tissue(random_state=1)
    right.obs_names, right.var_names = "r" + right.obs_names, [*right.var_names[:-3], "New1", "New2", "New3"]
    joined = anndata.concat([left, right], join="outer", fill_value=np.nan)
    joined.X = form(joined.X if normalize else np.log1p(joined.X))
    with pytest.raises(ValueError) as caught:
        prepare(joined, normalize=normalize)
    assert str(caught.value) == (
        "X has no value (NaN) for 6 of the 43 genes in 160 of the 160 cells, the first is gene 'New1' in cell "
        "'cell0'. An outer join of data with different genes leaves such gaps; keep the genes that were measured in "
        "all cells.")


def test_sums_of_half_precision_do_not_overflow():
    adata = tissue()
    adata.X[3] *= 2000  # a total above 65,504
    counts = adata.X.copy()
    adata.X = counts.astype(np.float16)
    exact = adata.X.astype(float)
    np.testing.assert_allclose(prepare(adata, normalize=True).X, log_normalize(exact))
    np.testing.assert_allclose(log_normalize(adata.X), log_normalize(exact))
    assert np.isfinite(log_normalize(adata.X)).all()


def test_values_too_large_for_logarithms_give_a_warning():
    adata = tissue()
    adata.X = expected(adata)
    assert adata.X.max() > 20
    with pytest.warns(InputWarning, match=r"holds values up to .*, which log-normalised expression does not reach"):
        prepare(adata)


def test_true_and_false_are_no_counts():
    adata = tissue()
    adata.X = adata.X > 2
    with pytest.raises(ValueError, match="is to be normalised but holds true and false, which are no counts"):
        prepare(adata, normalize=True)


def test_cells_without_counts_are_named():
    adata = tissue()
    adata.X[[7, 9]] = 0
    with pytest.raises(ValueError, match=r"cells without counts: 2 of 80, the first is 'cell7'\. Leave .*min_counts=1"):
        prepare(adata, normalize=True)
