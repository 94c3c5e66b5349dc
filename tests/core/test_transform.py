"""States of cells under a model's parameters: new cells, other genes, no coordinates."""

import warnings

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from models import small_adata, small_samples
from scipy.optimize import linear_sum_assignment, nnls
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from spicemix_core import SpiceMix
from spicemix_core.datasets.simulation import simulate_cortex


@pytest.fixture(scope="module")
def adata():
    return small_adata()


@pytest.fixture(scope="module")
def model(adata):
    return SpiceMix(4, max_iter=60, tol=1e-2, random_state=0).fit(adata.copy(), "slide")


def own(model):
    return np.concatenate(model.latent_states_)


def test_the_training_data_get_the_states_of_the_fit(model, adata):
    copy = adata.copy()
    states = model.transform(copy, "slide")
    assert np.corrcoef(states.ravel(), own(model).ravel())[0, 1] > 0.999
    assert np.median(abs(states - own(model))) < 0.01 * own(model).max()
    np.testing.assert_array_equal(copy.obsm["X_spicemix"], states)


def test_order_of_cells_and_genes_and_other_genes_do_not_matter(model, adata):
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    wide = adata[cells][:, genes].copy()
    more = wide[:, :5].copy()
    more.var_names = [f"Other{i}" for i in range(5)]
    wide = anndata.concat([wide, more], axis="var", merge="first", pairwise=True)
    np.testing.assert_allclose(model.transform(wide, "slide"), model.transform(adata.copy(), "slide")[cells],
                               atol=1e-3 * own(model).max())


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, lambda x: np.asarray(x, dtype=np.float32)])
def test_sparse_and_single_precision_expression_give_the_same_states(model, adata, kind):
    other = adata.copy()
    other.X = kind(adata.X)
    np.testing.assert_allclose(model.transform(other, "slide"), model.transform(adata.copy(), "slide"),
                               atol=1e-3 * own(model).max())


def test_new_cells_of_the_same_tissue_are_explained_up_to_their_noise(model):
    new = small_adata(0, n_cells=(80, 60), noise=0.02)
    expressions = [new.X[:80] * 3.0, new.X[80:]]  # a sample measured three times as deep
    graphs = [new.obsp["spatial_connectivities"][:80, :80], new.obsp["spatial_connectivities"][80:, 80:]]
    deep, plain = model.transform_arrays(expressions, graphs)
    alone = model.transform_arrays([new.X[:80]], graphs[:1])[0]
    np.testing.assert_allclose(deep, 3.0 * alone, rtol=1e-6, atol=1e-9)
    assert ((new.X[80:] - plain @ model.metagenes_.T) ** 2).mean() < 0.05 * new.X[80:].var()


def test_a_single_cell_can_be_transformed(model, adata):
    one = adata[:1].copy()
    states = model.transform(one, graph_key=None)
    assert states.shape == (1, 4) and states.sum() > 0


def test_without_coordinates_the_states_are_non_negative_least_squares(adata):
    model = SpiceMix(4, max_iter=60, tol=1e-2, state_penalty=0.0, random_state=0).fit(adata.copy(), "slide")
    free = adata.copy()
    del free.obsp["spatial_connectivities"]
    states = model.transform(free, "slide", graph_key=None)
    for i in range(0, adata.n_obs, 20):
        np.testing.assert_allclose(states[i], nnls(model.metagenes_, adata.X[i])[0], atol=1e-6)
    empty = adata.copy()
    empty.obsp["spatial_connectivities"] = sp.csr_matrix(adata.obsp["spatial_connectivities"].shape)
    np.testing.assert_array_equal(model.transform(empty, "slide"), states)
    assert not np.allclose(model.transform(adata.copy(), "slide"), states, atol=1e-3)
    with pytest.raises(KeyError, match="pass graph_key=None to take the cells as dissociated"):
        model.transform(free, "slide")


def test_a_non_spatial_model_needs_no_graph(adata):
    model = SpiceMix(4, spatial=False, max_iter=60, tol=1e-2, random_state=0).fit(adata.copy(), "slide")
    free = adata.copy()
    del free.obsp["spatial_connectivities"]
    assert np.corrcoef(model.transform(free, "slide").ravel(), own(model).ravel())[0, 1] > 0.999


def test_missing_genes_are_named_and_the_states_keep_their_units(model, adata):
    heavy = np.argsort(-model.metagenes_[:, 0])[:8]  # the genes that hold most of one metagene
    fewer = adata[:, np.setdiff1d(np.arange(30), heavy)].copy()
    with pytest.warns(UserWarning, match=r"8 of the 30 genes of the model are missing \(Gene\d+, Gene\d+, Gene\d+, "
                                         r"...\)\. The states .* other genes, which hold \d+ % of a metagene"):
        states = model.transform(fewer, "slide")
    assert abs(states.sum() / own(model).sum() - 1) < 0.02
    assert np.corrcoef(states.ravel(), own(model).ravel())[0, 1] > 0.97


def penalised(metagenes, y, penalty):
    """min |y - M x|^2 / 2 + penalty sum(x) over x >= 0, as a least-squares problem in the Cholesky factor of M'M."""
    factor = np.linalg.cholesky(metagenes.T @ metagenes)
    return np.array([nnls(factor.T, np.linalg.solve(factor, metagenes.T @ row - penalty))[0] for row in y])


def test_the_scaling_counts_the_expression_that_the_missing_genes_would_have_had():
    expressions, graphs = small_samples(0)
    model = SpiceMix(4, max_iter=60, tol=1e-2, random_state=0).fit_arrays(expressions, graphs)
    penalty = 0.02
    model.set_params(state_penalty=penalty / model.noise_**2)  # so large that the states show the scaling
    kept = np.argsort(-model.metagenes_[:, 0])[:10]
    metagenes, y = model.metagenes_[kept], expressions[0][:, kept]
    mass = metagenes.sum(axis=0)
    alone = 4 / y.sum(axis=1).mean()  # as if there were no other genes
    first = penalised(metagenes, alone * mass.mean() * y, penalty)
    scaling = alone * (first @ mass).sum() / first.sum()
    found = model.transform_arrays([y], genes=kept)[0]
    np.testing.assert_allclose(found, penalised(metagenes, scaling * y, penalty) / scaling, atol=1e-6)
    assert abs(found - penalised(metagenes, alone * y, penalty) / alone).max() > 1e-3


@pytest.mark.parametrize(("change", "options", "message"), [
    (lambda a: a[:, :14].copy(), {}, r"16 of the 30 genes of the model are missing .Gene14, Gene15, Gene16, \.{3}., "
                                     r"but the data must have 50% of them"),
    (lambda a: a[:, :20].copy(), {"min_genes": 0.9},
     r"but the data must have 90% of them\. Check that .* names, or lower min_genes\."),
    (lambda a: a[:, :3].copy(), {"min_genes": 0.1}, "3 genes do not determine 4 metagenes"),
    (lambda a: a, {"min_genes": 0}, "min_genes must be a number above 0"),
    (lambda a: a, {"min_genes": "half"}, "min_genes must be a number above 0"),
    (lambda a: a[:, [0, *range(30)]].copy(), {}, "The gene names are not unique: 'Gene0' occurs again"),
    (lambda a: a[[0, *range(140)]].copy(), {}, "The cell names are not unique: 'cell0' occurs again"),
])
@pytest.mark.filterwarnings("ignore:.*genes of the model are missing", "ignore:.*names are not unique")
def test_genes_that_do_not_match_are_refused(model, adata, change, options, message):
    changed = change(adata)
    with pytest.raises(ValueError, match=message):
        model.transform(changed, **options)
    assert "X_spicemix" not in changed.obsm


def with_value(value):
    def change(adata):
        adata.X[3, 2] = value
        return adata
    return change


@pytest.mark.parametrize(("change", "message"), [
    (with_value(np.nan), "expression of sample 'left' has 1 NaN or infinite values, the first in cell 'cell3'"),
    (with_value(np.inf), "expression of sample 'left' has 1 NaN or infinite values, the first in cell 'cell3'"),
    (lambda a: setattr(a, "X", a.X.astype(complex)) or a, "entries of X are of type complex128"),
])
def test_values_that_do_not_fit_are_refused_as_in_a_fit(model, adata, change, message):
    with pytest.raises(ValueError, match=message):
        model.transform(change(adata.copy()), "slide")


def test_negative_values_warn_as_in_a_fit(model, adata):
    with pytest.warns(UserWarning, match="Expression has negative values"):
        model.transform(with_value(-99.0)(adata.copy()), "slide")


def test_cells_are_transformed_with_the_keys_of_the_fit_unless_others_are_given(adata):
    """The samples differ in depth, so that states depend on what is a sample."""
    deep = adata.copy()
    deep.X[deep.obs["slide"] == "right"] *= 3.0
    deep.obsp["near"], deep.layers["log"], deep.X = deep.obsp.pop("spatial_connectivities"), deep.X, deep.X[::-1].copy()
    model = SpiceMix(4, max_iter=40, tol=1.0, random_state=0).fit(deep, "slide", "near", "log")
    assert model.input_ == {"sample_key": "slide", "graph_key": "near", "layer": "log", "preparation": {}}
    deep.obsp["spatial_connectivities"] = sp.csr_matrix(deep.obsp["near"].shape)
    right = model.transform(deep.copy(), "slide", "near", "log")
    np.testing.assert_array_equal(model.transform(deep.copy()), right)
    parts = [model.transform(deep[deep.obs["slide"] == name].copy(), None, "near", "log") for name in ("left", "right")]
    np.testing.assert_allclose(right, np.concatenate(parts), rtol=1e-6, atol=1e-9)  # each sample has its own scaling
    moved = {"sample_key": None, "graph_key": None, "layer": None}
    for name, other in moved.items():
        assert abs(model.transform(deep.copy(), **{name: other}) - right).max() > 1e-3 * right.max(), name
    del deep.obs["slide"]
    lacking = r"fitted with the samples in obs\['slide'\], which these data lack\. Name the .* with sample_key, or "
    with pytest.raises(KeyError, match=lacking + "pass sample_key=None if all cells are of one sample"):
        model.transform(deep.copy())
    del deep.layers["log"]
    with pytest.raises(KeyError, match=r"fitted with the expression in layers\['log'\], which these data lack"):
        model.transform(deep, None)


def test_data_of_transform_hold_the_parameters_of_the_model(model, adata):
    new = adata[:, 5:].copy()
    new.var_names = [*new.var_names[:-1], "another"]
    with pytest.warns(UserWarning, match="6 of the 30 genes of the model are missing"):
        model.transform(new)
    np.testing.assert_array_equal(new.varm["metagenes"][:-1], model.metagenes_[5:29])
    assert np.isnan(new.varm["metagenes"][-1]).all()
    np.testing.assert_array_equal(new.uns["spicemix"]["affinity"], model.affinity_)
    assert new.uns["spicemix"]["input"]["sample_key"] == "slide" and new.uns["spicemix"]["input"]["n_genes"] == 25


def test_models_that_cannot_transform_raise_an_error(model, adata):
    with pytest.raises(NotFittedError, match="call fit, or load a fitted model"):
        SpiceMix().transform(adata.copy())
    nameless = SpiceMix(4, max_iter=30, tol=1.0).fit_arrays(*small_samples(0))
    with pytest.raises(ValueError, match="has no gene names because it was fitted to arrays: use transform_arrays"):
        nameless.transform(adata.copy())
    with pytest.raises(ValueError, match="expression has 29 genes, but 30 genes of the model were expected"):
        model.transform_arrays([adata.X[:, 1:]])
    for genes in (np.zeros(29, int), np.arange(2, 31), np.arange(29) / 1.0):
        with pytest.raises(ValueError, match="genes must be different integers from 0 to 29"):
            model.transform_arrays([adata.X[:, 1:]], genes=genes)


# --- dissociated cells in a fit --------------------------------------------------------------------------------------


def tissue_and_dissociated(seed, n_spatial, n_dissociated):
    """A strip of a simulated cortex with neighbours and cells of two other cortices without, in one AnnData."""
    cortex = simulate_cortex(3, random_state=seed, sigma_y=4.0)
    first = np.flatnonzero(cortex.obs["sample"] == cortex.obs["sample"].iloc[0])
    strip = first[np.argsort(cortex.obsm["spatial"][first, 1])[:n_spatial]]
    others = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(cortex.n_obs), first))[:n_dissociated]
    adata = cortex[np.concatenate([strip, others])].copy()
    loose = np.arange(adata.n_obs) >= n_spatial
    adata.obs["slide"] = np.where(loose, "dissociated", "tissue")
    kept = sp.diags_array((~loose).astype(float))
    adata.obsp["spatial_connectivities"] = sp.csr_matrix(kept @ adata.obsp["spatial_connectivities"] @ kept)
    return adata


def fit_both(adata):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Expression has negative values")
        return SpiceMix(13, affinity_penalty=1e-3, max_iter=60, tol=1e-2, random_state=0).fit(adata, "slide")


@pytest.mark.parametrize("seed", [0, 1])
def test_dissociated_cells_of_the_same_tissue_improve_the_metagenes_of_a_small_sample(seed):
    """Correlation of the true metagenes with those found, matched one to one; measured: 0.47 alone, 0.62 with them."""
    found = []
    for n in (0, 1000):
        adata = tissue_and_dissociated(seed, 60, n)
        metagenes = fit_both(adata).metagenes_
        correlation = np.corrcoef(adata.varm["true_metagenes"].T, metagenes.T)[:13, 13:]
        found.append(correlation[linear_sum_assignment(-correlation)].mean())
    assert found[1] > found[0] + 0.08


def test_a_sample_without_edges_is_one_without_a_graph():
    adata = tissue_and_dissociated(0, 60, 100)
    model = fit_both(adata)
    expressions = [adata.X[:60], adata.X[60:]]
    graph = adata.obsp["spatial_connectivities"][:60, :60]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = SpiceMix(13, affinity_penalty=1e-3, max_iter=60, tol=1e-2, random_state=0).fit_arrays(
            expressions, [graph, None])
    assert model.sample_names_ == ["tissue", "dissociated"]
    np.testing.assert_array_equal(model.metagenes_, other.metagenes_)
    np.testing.assert_array_equal(model.affinity_, other.affinity_)
