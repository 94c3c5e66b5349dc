"""What a fit does about differences between sections, as the book states in "Batch effects between sections"."""

import numpy as np
import pytest

from spicemix_core import SpiceMix, datasets, tl


@pytest.fixture(scope="module")
def pair():
    return datasets.simulate_cortex(2, n_cells=200, n_genes=60, random_state=0)


def fitted(adata, factor):
    """The model and its data, with the expression of the second section times ``factor``."""
    adata = adata.copy()
    adata.X = np.where((adata.obs["sample"] == "1").to_numpy()[:, None], factor, 1.0) * adata.X
    return SpiceMix(8, random_state=0, max_iter=30, tol=1e-3).fit(adata, sample_key="sample"), adata


def alone(adata, n_clusters=8):
    """How many clusters are in one section only."""
    labels = tl.cluster_states(adata.obsm["X_spicemix"], n_clusters=n_clusters).labels
    second = (adata.obs["sample"] == "1").to_numpy()
    shares = np.array([second[labels == label].mean() for label in range(n_clusters)])
    return int(((shares < 0.1) | (shares > 0.9)).sum())


@pytest.mark.filterwarnings("ignore:No convergence")
def test_the_depth_of_a_section_changes_its_states_by_the_same_factor_and_nothing_else(pair):
    model, plain = fitted(pair, 1.0)
    deeper_model, deeper = fitted(pair, 4.0)
    second = (pair.obs["sample"] == "1").to_numpy()
    np.testing.assert_allclose(deeper_model.metagenes_, model.metagenes_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(deeper_model.affinity_, model.affinity_, rtol=1e-9, atol=1e-9)
    assert deeper_model.scaling_ == pytest.approx(model.scaling_ / [1.0, 4.0])
    states = plain.obsm["X_spicemix"] * np.where(second, 4.0, 1.0)[:, None]
    np.testing.assert_allclose(deeper.obsm["X_spicemix"], states, rtol=1e-9, atol=1e-9)
    assert alone(plain) == 0 and alone(deeper) > 4


@pytest.mark.filterwarnings("ignore:No convergence")
def test_effects_on_single_genes_split_the_types_and_equal_means_join_them(pair):
    bias = np.exp(0.3 * np.random.default_rng(0).normal(size=pair.n_vars))
    _, biased = fitted(pair, bias)
    mended = biased.copy()
    second = (pair.obs["sample"] == "1").to_numpy()
    ratio = mended.X[~second].mean(axis=0) / mended.X[second].mean(axis=0)
    _, mended = fitted(mended, ratio)
    assert alone(biased) > 4 and alone(mended) == 0


def test_centred_expression_is_refused(pair):
    centred = pair.copy()
    centred.X = centred.X - centred.X.mean(axis=0)
    with pytest.warns(UserWarning, match="negative values"), pytest.raises(ValueError, match="not centred"):
        SpiceMix(8).fit(centred, sample_key="sample")
