"""The estimator: Algorithm 1 as a whole, its results, and the input that it refuses."""

import warnings

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from models import neighbor_graph, small_samples
from sklearn.base import clone
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix
from spicemix_core.algorithm import Options
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.history import History
from spicemix_core.inputs.arrays import check_samples


@pytest.fixture(scope="module")
def samples():
    return small_samples(0)


def fitted(samples, **options):
    expressions, graphs = samples
    model = SpiceMix(**{"n_metagenes": 4, "random_state": 0, "max_iter": 20, "tol": 0.0} | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit_arrays(expressions, graphs)


def as_anndata(samples, shuffle=False):
    expressions, graphs = samples
    names = np.repeat(["first", "second"], [len(y) for y in expressions])
    adata = anndata.AnnData(np.concatenate(expressions), obs={"slide": names})
    adata.obsp["spatial_connectivities"] = sp.block_diag(graphs, format="csr")
    return adata[np.random.default_rng(0).permutation(adata.n_obs)].copy() if shuffle else adata


def test_results_have_the_documented_shapes_and_constraints(samples):
    model = fitted(samples)
    assert model.metagenes_.shape == (30, 4) and (model.metagenes_ >= 0).all()
    np.testing.assert_allclose(model.metagenes_.sum(axis=0), 1.0, atol=1e-10)
    assert [x.shape for x in model.latent_states_] == [(80, 4), (60, 4)]
    assert all((x >= 0).all() for x in model.latent_states_)
    np.testing.assert_array_equal(model.affinity_, model.affinity_.T)
    assert len(model.history_) == model.n_iter_ == 20 and not model.converged_
    assert np.isfinite(model.history_.to_numpy(dtype=float)).all()


def test_states_are_in_the_units_of_the_data(samples):
    model = fitted(samples)
    for y, x, scaling in zip(samples[0], model.latent_states_, model.scaling_, strict=True):
        assert ((y - x @ model.metagenes_.T) ** 2).mean() < 0.05 * y.var()
        assert scaling == pytest.approx(4 / y.sum(axis=1).mean())


def test_noise_is_the_residual_of_the_scaled_data(samples):
    model = fitted(samples)
    residuals = [
        c * (y - x @ model.metagenes_.T)
        for y, x, c in zip(samples[0], model.latent_states_, model.scaling_, strict=True)
    ]
    assert model.noise_ == pytest.approx(np.sqrt((np.concatenate(residuals) ** 2).mean()), rel=1e-9)


def test_objective_is_the_sum_of_its_documented_parts(samples):
    """Q recomputed from the results alone (method page, section on the objective)."""
    from spicemix_core.partition_function import log_simplex_integral

    model = fitted(samples)
    expressions, graphs = samples
    states = np.concatenate([c * x for x, c in zip(model.latent_states_, model.scaling_, strict=True)])
    z = states / states.sum(axis=1, keepdims=True)
    graph = sp.block_diag(graphs, format="csr")
    fields = (graph @ z) @ model.affinity_
    n = sum(y.size for y in expressions)
    Q = (
        -n / 2
        - n / 2 * np.log(2 * np.pi * model.noise_**2)
        - states.sum()
        - ((z * fields).sum() + log_simplex_integral(fields).sum())
        - 0.5 * model.affinity_penalty * graph.nnz * (model.affinity_**2).sum()
    )
    assert model.history_["Q"].iloc[-1] == pytest.approx(Q, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_energy_falls_once_the_affinity_is_fixed(seed):
    """Under a fixed S, states, metagenes and noise lower one and the same energy (book, eq-likelihood)."""
    history = fitted(small_samples(seed), affinity_iterations=3, max_iter=40).history_
    energy = history["energy"].to_numpy()
    assert (np.diff(energy[3:]) <= 1e-7 * abs(energy[3:-1])).all()
    assert (history["change_affinity"].iloc[3:] == 0).all() and (history["change_affinity"].iloc[:3] > 0).all()


def test_energy_is_the_negative_log_likelihood_of_expression_and_states(samples):
    model = fitted(samples, max_iter=8)
    expressions, graphs = samples
    energy = 0.0
    for y, x, c, g in zip(expressions, model.latent_states_, model.scaling_, graphs, strict=True):
        z = x / x.sum(axis=1, keepdims=True)
        energy += ((c * (y - x @ model.metagenes_.T)) ** 2).sum() / (2 * model.noise_**2)
        energy += 0.5 * y.size * np.log(2 * np.pi * model.noise_**2) + c * x.sum()
        energy += sum(z[i] @ model.affinity_ @ z[j] for i, j in zip(*sp.triu(g).nonzero(), strict=True))
    assert model.history_["energy"].iloc[-1] == pytest.approx(energy, rel=1e-9)


def test_same_seed_same_numbers(samples):
    one, two, other = fitted(samples), fitted(samples), fitted(samples, random_state=1)
    np.testing.assert_array_equal(one.metagenes_, two.metagenes_)
    np.testing.assert_array_equal(one.affinity_, two.affinity_)
    assert not np.array_equal(one.metagenes_, other.metagenes_)


def test_sparse_and_dense_expression_give_the_same_fit(samples):
    expressions, graphs = samples
    dense, sparse = fitted(samples), fitted(([sp.csr_matrix(y) for y in expressions], graphs))
    np.testing.assert_allclose(sparse.metagenes_, dense.metagenes_, atol=1e-6)
    np.testing.assert_allclose(sparse.affinity_, dense.affinity_, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def at_odd_address(array):
    """A copy that begins one byte after a multiple of eight, as arrays may that came in a message."""
    place = np.empty(array.nbytes + 9, dtype=np.uint8)
    moved = place[1 - place.ctypes.data % 8 :][: array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def test_expression_at_odd_addresses_gives_the_same_fit(samples):
    expressions, graphs = samples
    rows = [sp.csr_array(y) for y in expressions]
    odd_rows = [sp.csr_array(y) for y in expressions]
    for y in odd_rows:
        y.data, y.indices = at_odd_address(y.data), at_odd_address(y.indices)
    for odd, plain in ((list(map(at_odd_address, expressions)), expressions), (odd_rows, rows)):
        checked = check_samples(odd, graphs, 4).expressions
        assert all(array.flags.aligned for y in checked for array in ([y.data, y.indices] if sp.issparse(y) else [y]))
        one, other = fitted((odd, graphs)), fitted((plain, graphs))
        np.testing.assert_array_equal(one.metagenes_, other.metagenes_)


def test_the_non_spatial_model_reaches_the_loss_of_scikit_learn():
    expressions, graphs = small_samples(3, n_cells=(150,), noise=0.1)
    model = fitted((expressions, graphs), spatial=False, max_iter=300, state_penalty=0.0)
    ours = ((expressions[0] - model.latent_states_[0] @ model.metagenes_.T) ** 2).sum()
    runs = [NMF(4, init="random", random_state=seed, max_iter=3000, tol=1e-8).fit(expressions[0]) for seed in range(5)]
    assert ours <= 1.01 * min(run.reconstruction_err_ for run in runs) ** 2
    assert not model.affinity_.any()


def test_nmf_loss_falls_at_every_iteration(samples):
    noise = fitted(samples, spatial=False, state_penalty=0.0).history_["noise"].to_numpy()
    assert (np.diff(noise) <= 1e-12).all()


def test_a_non_spatial_model_ignores_the_graph(samples):
    expressions, _ = samples
    np.testing.assert_array_equal(
        fitted(samples, spatial=False).metagenes_, fitted((expressions, None), spatial=True).metagenes_
    )


def test_fit_stops_when_no_block_changes(samples):
    expressions, graphs = samples
    model = SpiceMix(4, random_state=0, max_iter=500, tol=1e-2).fit_arrays(expressions, graphs)
    changes = model.history_.filter(like="change_")
    assert model.converged_ and model.n_iter_ < 500
    assert (changes.iloc[-1] < 1e-2).all() and (changes.iloc[:-1].max(axis=1) >= 1e-2).all()
    with pytest.warns(ConvergenceWarning, match="in 2 iterations"):
        SpiceMix(4, random_state=0, max_iter=2, tol=0.0).fit_arrays(expressions, graphs)


@pytest.mark.parametrize("block", ["states", "metagenes", "affinity", "noise"])
def test_every_block_must_have_converged(block):
    settled = {f"change_{name}": 0.9e-3 for name in ("states", "metagenes", "affinity", "noise")} | {"energy": 5.0}
    samples = check_samples([np.ones((2, 2))], None, 2)
    assert History(Options(2), samples, [{"change_states": 1.0}, settled]).has_converged(1e-3)
    assert not History(Options(2), samples, [settled, settled | {f"change_{block}": 1e-3}]).has_converged(1e-3)


def test_changes_are_those_of_the_blocks(samples):
    """Of the third iteration, from the parameters and states of fits that stop before and after it."""
    before, after = (fitted(samples, max_iter=n, affinity_iterations=None) for n in (2, 3))
    z0, z1 = (np.concatenate(m.latent_states_) for m in (before, after))
    z0, z1 = (z / z.sum(axis=1, keepdims=True) for z in (z0, z1))
    expected = {"states": 0.5 * abs(z1 - z0).sum(axis=1).mean(),
                "metagenes": 0.5 * abs(after.metagenes_ - before.metagenes_).sum(axis=0).mean(),
                "affinity": abs(after.affinity_ - before.affinity_).max() / max(1.0, abs(after.affinity_).max()),
                "noise": abs(after.noise_ - before.noise_) / after.noise_}
    last = after.history_.iloc[-1]
    assert {name: last[f"change_{name}"] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_planted_affinity_is_found():
    """Metagenes 0 and 1 fill neighbouring halves of a plane: each attracts itself more than the other."""
    rng = np.random.default_rng(5)
    coordinates = rng.random((300, 2))
    weights = np.where(coordinates[:, :1] < 0.5, [[0.9, 0.1]], [[0.1, 0.9]])
    metagenes = np.repeat(np.eye(2), 5, axis=0) / 5
    expression = rng.gamma(10, size=(300, 1)) * weights @ metagenes.T + 0.02 * rng.random((300, 10))
    model = fitted(([expression], [neighbor_graph(coordinates)]), n_metagenes=2)
    S = model.affinity_
    assert S[0, 0] < S[0, 1] and S[1, 1] < S[0, 1]


def test_anndata_is_read_by_sample_and_written_in_place(samples):
    adata, options = as_anndata(samples, shuffle=True), dict(max_iter=5, tol=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = SpiceMix(4, random_state=0, **options).fit(adata, sample_key="slide")
    assert adata.varm["metagenes"].shape == (30, 4) and adata.uns["spicemix"]["affinity"].shape == (4, 4)
    for name, x in zip(adata.obs["slide"].unique(), model.latent_states_, strict=True):
        np.testing.assert_array_equal(adata.obsm["X_spicemix"][adata.obs["slide"] == name], x)


def test_results_survive_a_file(samples, tmp_path):
    adata = as_anndata(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        SpiceMix(4, random_state=0, max_iter=3).fit(adata, sample_key="slide")
    adata.write_h5ad(tmp_path / "fit.h5ad")
    read = anndata.read_h5ad(tmp_path / "fit.h5ad")
    np.testing.assert_array_equal(read.obsm["X_spicemix"], adata.obsm["X_spicemix"])
    assert read.uns["spicemix"]["history"]["Q"].tolist() == adata.uns["spicemix"]["history"]["Q"].tolist()


def test_isolated_cells_and_non_spatial_samples_are_accepted(samples):
    expressions, graphs = samples
    graph = graphs[0].tolil()
    graph[3], graph[:, 3] = 0.0, 0.0
    model = fitted((expressions, [graph.tocsr(), None]))
    assert all(np.isfinite(x).all() for x in model.latent_states_) and model.latent_states_[0][3].sum() > 0


def test_estimator_follows_scikit_learn(samples):
    model = SpiceMix(7, affinity_penalty=0.1, random_state=3)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(n_metagenes=4).n_metagenes == 4


def spoiled(samples, change):
    """A copy of the samples' first expression and graph (as LIL) after ``change(y, g)``, which may return new ones."""
    y, g = samples[0][0].copy(), samples[1][0].tolil()
    y, g = change(y, g) or (y, g)
    return [y, samples[0][1]], [g.tocsr() if sp.issparse(g) else g, samples[1][1]]


def put(index, value, target="y"):
    def change(y, g):
        (y if target == "y" else g)[index] = value

    return change


BAD_INPUT = {
    "NaN": (put((2, 3), np.nan), "sample 0 has 1 NaN or infinite.*cell 2"),
    "infinity": (put((4, 1), np.inf), "sample 0.*NaN or infinite.*cell 4"),
    "cell of zeros": (put(5, 0.0), "1 cells of sample 0 have no expression.*cell 5"),
    "sample of zeros": (put(slice(None), 0.0), "Every cell of sample 0 is zero"),
    "centred expression": (lambda y, g: (y - y.mean(axis=1, keepdims=True) - 1e-3, g), "mean total.*positive"),
    "graph of the wrong size": (lambda y, g: (y, g[:-1, :-1]), r"graph of sample 0.*shape \(79, 79\).*80 cells"),
    "asymmetric graph": (lambda y, g: (y, sp.triu(g, format="lil")), "not symmetric"),
    "self-loops": (put((7, 7), 1.0, "g"), "self-loops.*cell 7"),
    "weighted graph": (lambda y, g: (y, 0.5 * g), "other than 0 and 1"),
    "different genes": (lambda y, g: (y[:, :-2], g), "different numbers of genes, 28 in sample 0 and 30 in sample 1"),
    "no cells": (lambda y, g: (y[:0], g), "non-empty"),
}


@pytest.mark.filterwarnings("ignore:Expression has negative values")
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_refused_in_one_sentence(samples, case):
    change, message = BAD_INPUT[case]
    with pytest.raises(ValueError, match=message) as error:
        SpiceMix(4).fit_arrays(*spoiled(samples, change))
    assert "\n" not in str(error.value)


def test_sparse_expression_is_checked_too(samples):
    y = sp.csr_matrix(samples[0][0])
    y.data[10] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        SpiceMix(4).fit_arrays([y], samples[1][:1])


@pytest.mark.parametrize(("options", "message"), [
    (dict(n_metagenes=200), "200 metagenes but only 140 cells. Lower n_metagenes"),
    (dict(n_metagenes=31), "31 metagenes but only 30 genes"),
    (dict(n_metagenes=1), "n_metagenes"),
    (dict(n_metagenes=2.5), "n_metagenes"),
    (dict(affinity_penalty=0.0), "affinity_penalty"),
    (dict(state_penalty=-1.0), "state_penalty"),
    (dict(tol=np.nan), "tol"),
    (dict(affinity_penalty="x"), "affinity_penalty"),
    (dict(max_iter=0), "max_iter"),
    (dict(affinity_iterations=-1), "affinity_iterations"),
    (dict(solver="barrier"), "solver must be"),
    (dict(solver="gurobi", device="cpu"), "runs without a device"),
])
def test_bad_parameters_are_refused(samples, options, message):
    with pytest.raises(ValueError, match=message):
        SpiceMix(**options).fit_arrays(*samples)


def test_wrong_lists_are_refused(samples):
    expressions, graphs = samples
    wrong = {"list": (expressions[0], graphs), "empty": ([], []), "1 graphs": (expressions, graphs[:1])}
    for message, arguments in wrong.items():
        with pytest.raises(ValueError, match=message):
            SpiceMix(4).fit_arrays(*arguments)


def test_anndata_without_a_named_column_layer_or_graph_is_refused(samples):
    adata = as_anndata(samples)
    with pytest.raises(KeyError, match="There is no column 'section' in obs"):
        SpiceMix(4).fit(adata, sample_key="section")
    with pytest.raises(KeyError, match="There is no layer 'log' in layers"):
        SpiceMix(4).fit(adata, layer="log")
    with pytest.raises(KeyError, match="There is no neighbour graph 'neighbours' in obsp"):
        SpiceMix(4).fit(adata, graph_key="neighbours")
    adata.obs["slide"] = adata.obs["slide"].where(np.arange(adata.n_obs) != 4)
    with pytest.raises(ValueError, match="missing for 1 cells"):
        SpiceMix(4).fit(adata, sample_key="slide")


def test_a_dense_neighbour_graph_is_accepted(samples):
    adata = as_anndata(samples)
    dense = adata.copy()
    dense.obsp["spatial_connectivities"] = adata.obsp["spatial_connectivities"].toarray()
    options = dict(max_iter=3, tol=10.0, random_state=0, affinity_iterations=None)
    one, two = (SpiceMix(4, **options).fit(a, sample_key="slide") for a in (adata, dense))
    np.testing.assert_array_equal(one.affinity_, two.affinity_)
    assert dense.uns["spicemix"]["parameters"]["affinity_iterations"] == "None"


def test_edges_between_samples_are_refused(samples):
    adata = as_anndata(samples)
    graph = adata.obsp["spatial_connectivities"].tolil()
    graph[0, 139] = graph[139, 0] = 1.0
    adata.obsp["spatial_connectivities"] = graph.tocsr()
    with pytest.raises(ValueError, match="1 edges between cells of different samples"):
        SpiceMix(4).fit(adata, sample_key="slide")


def test_fit_transform_returns_the_states_of_the_fit(samples):
    first, second = as_anndata(samples), as_anndata(samples)
    model = SpiceMix(4, max_iter=5, tol=1.0, random_state=0)
    states = model.fit_transform(first, "slide")
    SpiceMix(4, max_iter=5, tol=1.0, random_state=0).fit(second, "slide")
    np.testing.assert_array_equal(states, second.obsm["X_spicemix"])
    np.testing.assert_array_equal(first.obsm["X_spicemix"], states)


def test_what_was_understood_of_the_data_is_stored_with_the_results(samples):
    adata = as_anndata(samples)
    SpiceMix(4, max_iter=2, tol=10.0, random_state=0).fit(adata, "slide")
    degrees = np.asarray(adata.obsp["spatial_connectivities"].sum(axis=1)).ravel()
    assert adata.uns["spicemix"]["input"] == {
        "sample_key": "slide", "graph_key": "spatial_connectivities", "n_cells": 140, "n_genes": 30, "n_samples": 2,
        "expression": "X, as it is", "graph": "found", "n_edges": int(degrees.sum() / 2),
        "mean_degree": pytest.approx(degrees.mean()), "n_isolated": 0}


def test_noise_around_zero_in_simulated_expression_gives_no_warning(recwarn):
    adata = simulate_cortex(n_cells=300, random_state=0)
    assert adata.X.min() < 0
    SpiceMix(4, max_iter=2, tol=10.0, random_state=0).fit(adata)
    assert not [w for w in recwarn if "negative" in str(w.message)]


def test_negative_expression_is_kept_with_a_warning(samples):
    expressions, graphs = samples
    shifted = [y - 0.1 for y in expressions]
    with pytest.warns(UserWarning, match="negative values"):
        SpiceMix(4, max_iter=2, tol=10.0, random_state=0).fit_arrays(shifted, graphs)


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_energy_falls_if_the_model_reproduces_the_expression_exactly(seed, spatial):
    """Cells of two kinds only. The noise is at its lower limit, and the fit says so."""
    rng = np.random.default_rng(seed)
    n_cells, n_genes, K = int(rng.integers(8, 25)), int(rng.integers(3, 15)), 3
    expression = rng.uniform(1.0, 2.0, (n_cells, 1)) * rng.random((2, n_genes))[rng.integers(2, size=n_cells)]
    edges = np.triu(rng.random((n_cells, n_cells)) < 4 / n_cells, 1)
    model = SpiceMix(K, max_iter=60, random_state=0, tol=0.0, spatial=spatial)
    with pytest.warns(UserWarning, match="reproduces the expression almost exactly, so that the noise is at its lower"):
        model.fit_arrays([expression], [sp.csr_array((edges | edges.T).astype(float))])
    scaled = model.scaling_[0] * expression
    assert model.noise_ == pytest.approx(1e-4 * np.sqrt((scaled**2).mean()), rel=1e-6)
    energy = model.history_["energy"].to_numpy()[3:]
    assert (np.diff(energy) <= 1e-8 * abs(energy[:-1])).all()


def test_energy_at_the_least_noise_has_the_residual_that_is_left():
    expression = np.random.default_rng(0).random((2, 8))[[0, 1] * 6]
    with pytest.warns(UserWarning, match="almost exactly"):
        model = SpiceMix(3, max_iter=30, random_state=0, tol=0.0, spatial=False).fit_arrays([expression])
    scaled, states = model.scaling_[0] * expression, model.scaling_[0] * model.latent_states_[0]
    residual = ((scaled - states @ model.metagenes_.T) ** 2).sum()
    energy = (residual / (2 * model.noise_**2) + 0.5 * scaled.size * np.log(2 * np.pi * model.noise_**2) + states.sum())
    assert model.history_["energy"].iloc[-1] == pytest.approx(energy, rel=1e-6)


@pytest.mark.parametrize("factor", [1e-300, 1e-160, 1e-40, 1e40, 1e160, 1e300])
def test_expression_whose_squares_cannot_be_stored_is_refused_in_a_sentence(samples, factor):
    expressions, graphs = samples
    with pytest.raises(ValueError, match=r"The largest entry of the expression of sample 1 is .*e[+-]\d+, but its sq"):
        check_samples([expressions[0], factor * expressions[1]], graphs, 4)


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**60])
def test_the_unit_of_the_expression_does_not_matter(samples, factor):
    expressions, graphs = samples
    model, other = fitted(samples), fitted(([factor * y for y in expressions], graphs))
    np.testing.assert_array_equal(model.metagenes_, other.metagenes_)
    np.testing.assert_array_equal(factor * model.latent_states_[0], other.latent_states_[0])
    assert model.noise_ == other.noise_
