"""Properties that hold for every input, tested on inputs that Hypothesis generates and, after a failure, simplifies."""

from functools import partial

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import neighbor_graph
from paper.shared.layers import effective_positions, position_shares
from scipy import sparse

from spicemix_core import SpiceMix
from spicemix_core.affinity import AffinityProblem, pseudo_likelihood_sums
from spicemix_core.baselines import cluster_by_index
from spicemix_core.datasets import load_spicemix_directory, read_spicemix_result
from spicemix_core.inputs.checks import check_graph
from spicemix_core.inputs.graphs import delaunay_graph, graph_by_sample, knn_graph, radius_graph
from spicemix_core.inputs.normalize import log_normalize
from spicemix_core.metagenes import TOL
from spicemix_core.numerics.active_set import nonnegative_least_squares
from spicemix_core.numerics.coloring import color_classes
from spicemix_core.steps import (
    affinity_objective,
    duality_gap,
    log_simplex_integral,
    project_to_simplex,
    simplex_moments,
    split_states,
    squared_residual,
    states_energy,
    update_affinity,
    update_latent_states,
    update_metagenes,
)
from spicemix_core.tl import (
    adjusted_rand_index,
    cell_type_affinity,
    cut_tree,
    match_labels,
    match_metagenes,
    normalize_states,
)
from spicemix_core.tl.trees import calinski_harabasz_curve, ward_tree

some = settings(deadline=None, derandomize=True, max_examples=60, database=None)
few = settings(some, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def finite(low, high):
    """Floats without the subnormal ones, whose products vanish."""
    return st.floats(low, high, allow_subnormal=False)


def vectors(low=-50.0, high=50.0, smallest=1, largest=12):
    return st.integers(smallest, largest).flatmap(lambda k: arrays(float, k, elements=finite(low, high)))


@st.composite
def programs(draw, largest=8):
    """A positive semi-definite matrix, often singular, and linear terms."""
    k, rank, rng = draw(st.integers(1, largest)), draw(st.integers(1, largest)), np.random.default_rng(draw(seeds))
    factor = rng.gamma(0.5, size=(rank, k))
    return factor.T @ factor, rng.normal(size=(5, k)) * draw(finite(1e-3, 1e3))


@st.composite
def tissues(draw, largest=5):
    """Gram matrix, linear terms, affinity, graph and states of a few cells, some of size zero."""
    k, n, rng = draw(st.integers(2, largest)), draw(st.integers(4, 25)), np.random.default_rng(draw(seeds))
    metagenes = rng.gamma(0.5, size=(12, k)) * draw(finite(0.1, 30.0))
    if draw(st.booleans()):  # linearly dependent metagenes
        metagenes[:, 0] = metagenes[:, 1:].mean(axis=1)
    linear = rng.gamma(1.0, size=(n, 12)) @ metagenes
    affinity = rng.normal(size=(k, k)) * draw(finite(0.0, 30.0))
    sizes = rng.gamma(2.0, size=n) * (rng.random(n) > draw(finite(0.0, 0.5)))
    return (metagenes.T @ metagenes, linear, affinity + affinity.T, neighbor_graph(rng.random((n, 2))),
            rng.dirichlet(np.full(k, 0.3), size=n), sizes)


@st.composite
def neighbor_statistics(draw):
    """Proportions, neighbour sums, directed edges and penalty: the input of the affinity step."""
    _, _, affinity, graph, proportions, _ = draw(tissues(4))
    return affinity, (proportions, graph @ proportions, int(graph.nnz), draw(finite(1e-4, 1.0)))


def on_simplex(z, tolerance=1e-12):
    return (z >= 0).all() and np.abs(z.sum(axis=-1) - 1).max() < tolerance


# --- the partition function ------------------------------------------------------------------------------------------


@some
@given(vectors(), seeds)
def test_integral_does_not_depend_on_the_order_of_the_metagenes(eta, seed):
    order = np.random.default_rng(seed).permutation(eta.size)
    assert log_simplex_integral(eta[order]) == pytest.approx(log_simplex_integral(eta), rel=1e-11, abs=1e-11)
    mean, permuted = simplex_moments(eta[None])[1], simplex_moments(eta[None, order])[1]
    np.testing.assert_allclose(permuted, mean[:, order], rtol=1e-10, atol=1e-13)


@some
@given(vectors(), finite(-300.0, 300.0))
def test_a_shift_of_the_field_scales_the_integral(eta, shift):
    """I(eta + c) = exp(-c) I(eta), because proportions sum to one."""
    assert log_simplex_integral(eta + shift) == pytest.approx(log_simplex_integral(eta) - shift, rel=1e-10, abs=1e-9)


@some
@given(vectors(), st.integers(0, 11), finite(1e-3, 20.0))
def test_integral_falls_where_the_field_rises(eta, k, rise):
    higher = eta.copy()
    higher[k % eta.size] += rise
    fall = log_simplex_integral(eta) - log_simplex_integral(higher)
    assert -1e-9 <= fall <= rise + 1e-9  # the mean of z_k lies in [0, 1]
    bounds = log_simplex_integral(np.full(eta.size, eta.max())), log_simplex_integral(np.full(eta.size, eta.min()))
    assert bounds[0] - 1e-9 <= log_simplex_integral(eta) <= bounds[1] + 1e-9


@some
@given(vectors(smallest=2))
def test_integral_is_a_divided_difference_of_those_with_one_metagene_less(eta):
    """I(eta) = (I(eta without its highest entry) - I(eta without its lowest)) / (highest - lowest)."""
    low, high = eta.argmin(), eta.argmax()
    assume(eta[high] - eta[low] >= 1.0)
    without = [log_simplex_integral(np.delete(eta, k)) for k in (high, low)]
    difference = -np.expm1(without[1] - without[0]) / (eta[high] - eta[low])
    assert log_simplex_integral(eta) == pytest.approx(without[0] + np.log(difference), abs=1e-10)


@some
@given(vectors(smallest=2))
def test_moments_are_those_of_a_distribution_on_the_simplex(eta):
    _, mean, second = simplex_moments(eta[None], order=2)
    assert on_simplex(mean[0], 1e-11) and (second >= 0).all()
    np.testing.assert_allclose(second[0].sum(axis=1), mean[0], rtol=1e-10, atol=1e-13)  # sum_l E[z_k z_l] = E[z_k]
    covariance = second[0] - np.outer(mean[0], mean[0])
    assert np.linalg.eigvalsh(covariance).min() > -1e-12
    order = np.argsort(eta, kind="stable")
    assert (np.diff(mean[0][order]) <= 1e-12).all()  # a higher field means less of the metagene


# --- the simplex -----------------------------------------------------------------------------------------------------


@some
@given(vectors(-1e3, 1e3), seeds)
def test_projection_is_the_nearest_point_of_the_simplex_and_stays_there(v, seed):
    z = project_to_simplex(v)
    assert on_simplex(z, 1e-9)
    np.testing.assert_allclose(project_to_simplex(z), z, atol=1e-12)
    others = np.vstack([np.random.default_rng(seed).dirichlet(np.full(v.size, 0.5), size=20), np.eye(v.size)])
    # z is the projection if and only if (v - z)(w - z) <= 0 for every w of the simplex
    assert ((others - z) @ (v - z)).max() <= 1e-9 * (1 + np.abs(v).max())


@some
@given(vectors(-1e3, 1e3), finite(-1e3, 1e3))
def test_projection_ignores_a_shift_of_all_entries(v, shift):
    np.testing.assert_allclose(project_to_simplex(v + shift), project_to_simplex(v), atol=1e-9)


@some
@given(programs())
def test_the_active_set_ends_at_a_point_that_satisfies_the_conditions_of_an_optimum(program):
    Q, C = program
    tolerance = 1e-7 * (1 + np.abs(C).max() + np.abs(Q).max())
    X = nonnegative_least_squares(Q + 1e-3 * np.eye(len(Q)), C)
    gradient = X @ Q + 1e-3 * X - C
    assert (X >= 0).all() and gradient.min() > -tolerance
    assert np.abs(gradient * X).max() < tolerance * (1 + X.max())


# --- the steps of a fit ----------------------------------------------------------------------------------------------


@few
@given(tissues(), finite(0.0, 5.0))
def test_the_state_step_never_raises_the_energy(tissue, state_penalty):
    gram, linear, affinity, graph, proportions, sizes = tissue
    fixed = gram, linear, affinity, graph
    before = states_energy(*fixed, proportions, sizes, state_penalty=state_penalty)
    z, s, _ = update_latent_states(*fixed, proportions, sizes, state_penalty=state_penalty)
    after = states_energy(*fixed, z, s, state_penalty=state_penalty)
    assert after <= before + 1e-9 * (1 + abs(before))
    assert on_simplex(z, 1e-9) and (s >= 0).all() and np.isfinite(s).all()


@few
@given(tissues())
def test_every_cell_ends_at_the_conditions_of_an_optimum_given_its_neighbours(tissue):
    gram, linear, affinity, graph, proportions, sizes = tissue
    z, s, _ = update_latent_states(gram, linear, affinity, graph, proportions, sizes, state_penalty=1.0)
    gradient = s[:, None] ** 2 * (z @ gram) - s[:, None] * linear + graph @ z @ affinity
    gap = (gradient * z).sum(axis=1) - gradient.min(axis=1)
    along_size = s * np.einsum("nk,kl,nl->n", z, gram, z) - (z * linear).sum(axis=1) + 1.0
    scale = 1 + np.abs(s[:, None] ** 2 * (z @ gram)).max(axis=1) + np.abs(affinity).max()
    settled = 0.05 * np.abs(affinity).max() * graph.sum(axis=1)  # neighbours may still move by a little afterwards
    assert (gap <= 1e-3 * scale + settled).all()
    assert (np.abs(along_size)[s > 0] <= 1e-2 * scale[s > 0]).all() and (along_size[s == 0] >= -1e-6).all()


@few
@given(tissues(), seeds)
def test_the_state_step_does_not_depend_on_the_order_of_the_metagenes(tissue, seed):
    """Without a field, where the lowest energy of each cell is unique, even if metagenes tie."""
    gram, linear, affinity, graph, proportions, sizes = tissue
    order = np.random.default_rng(seed).permutation(len(gram))
    energies = []
    for columns in (np.arange(len(gram)), order):
        fixed = gram[np.ix_(columns, columns)].copy("C"), linear[:, columns].copy("C"), 0 * affinity, graph
        z, s, _ = update_latent_states(*fixed, proportions[:, columns].copy("C"), sizes, state_penalty=1.0)
        energies.append(states_energy(*fixed, z, s, state_penalty=1.0))
    assert energies[0] == pytest.approx(energies[1], rel=1e-7, abs=1e-7)


@few
@given(st.integers(2, 5), st.integers(5, 15), seeds)
def test_the_metagene_step_never_raises_the_residual_and_ends_on_the_simplex(k, n_genes, seed):
    rng = np.random.default_rng(seed)
    states, expression = rng.gamma(0.5, size=(20, k)), rng.gamma(0.5, size=(20, n_genes))
    start = rng.dirichlet(np.ones(n_genes), size=k).T
    gram, cross, total = states.T @ states, expression.T @ states, float((expression**2).sum())
    metagenes = update_metagenes(start, gram, cross, sum_of_squares=total)
    assert on_simplex(metagenes.T, 1e-9)
    residuals = [squared_residual(m, gram, cross, total) for m in (start, metagenes)]
    assert residuals[1] <= residuals[0] * (1 + 1e-12)
    assert residuals[1] == pytest.approx(np.square(expression - states @ metagenes.T).sum())
    assert duality_gap(metagenes, gram, cross) <= 0.5 * TOL * residuals[1]


@few
@given(neighbor_statistics(), finite(0.0, 1.0))
def test_the_affinity_objective_is_convex(statistics, share):
    affinity, fixed = statistics
    ends = [affinity_objective(s, *fixed) for s in (affinity, np.zeros_like(affinity))]
    between = affinity_objective(share * affinity, *fixed)
    assert between <= share * ends[0] + (1 - share) * ends[1] + 1e-9 * (1 + max(map(abs, ends)))


def value_and_gradient(affinity, proportions, neighbors, n_edges, penalty):
    def sums(S, order, spacing):
        return pseudo_likelihood_sums(S, proportions, neighbors, order)

    return AffinityProblem(sums, len(proportions), n_edges, penalty).value_and_gradient(affinity)


@few
@given(neighbor_statistics(), seeds)
def test_the_gradient_of_the_affinity_objective_is_its_slope(statistics, seed):
    affinity, fixed = statistics
    direction = np.random.default_rng(seed).normal(size=affinity.shape)
    direction += direction.T
    upper = np.triu_indices(len(affinity))
    value, gradient = value_and_gradient(affinity, *fixed)
    assert value == pytest.approx(affinity_objective(affinity, *fixed), rel=1e-12, abs=1e-12)
    step = 1e-5
    slope = (affinity_objective(affinity + step * direction, *fixed)
             - affinity_objective(affinity - step * direction, *fixed)) / (2 * step)
    assert gradient @ direction[upper] == pytest.approx(slope, rel=1e-5, abs=1e-6)


@few
@given(neighbor_statistics())
def test_the_affinity_step_ends_lower_than_it_starts_where_the_gradient_vanishes(statistics):
    affinity, (proportions, neighbors, n_edges, penalty) = statistics
    found = update_affinity(affinity, proportions, neighbors, n_edges, affinity_penalty=penalty)
    np.testing.assert_array_equal(found, found.T)
    fixed = proportions, neighbors, n_edges, penalty
    value, gradient = value_and_gradient(found, *fixed)
    assert value <= affinity_objective(affinity, *fixed) + 1e-12
    assert np.abs(gradient).max() < 1e-4


@some
@given(arrays(float, st.tuples(st.integers(1, 8), st.integers(1, 6)), elements=finite(0.0, 1e6)))
def test_states_are_size_times_proportions(states):
    proportions, sizes = split_states(states)
    assert on_simplex(proportions, 1e-9) and (sizes >= 0).all()
    np.testing.assert_allclose(sizes[:, None] * proportions, states, rtol=1e-9, atol=1e-9)


# --- graphs ----------------------------------------------------------------------------------------------------------


@some
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=6, max_size=40, unique=True), seeds)
def test_every_graph_is_symmetric_without_self_loops_and_follows_its_cells(points, seed):
    xy = np.array(points, dtype=float)
    samples = np.random.default_rng(seed).integers(2, size=len(xy))
    assume(np.bincount(samples, minlength=2).min() > 3)
    for build in (delaunay_graph, partial(delaunay_graph, max_length=9.0), partial(knn_graph, n_neighbors=3),
                  partial(radius_graph, radius=7.0)):
        graph = graph_by_sample(xy, samples, build)
        assert (graph != graph.T).nnz == 0 and not graph.diagonal().any() and set(graph.data) <= {1.0}
        edges = graph.tocoo()
        assert (samples[edges.row] == samples[edges.col]).all()
        assert (check_graph(graph, len(xy)) != graph).nnz == 0
    order = np.random.default_rng(seed).permutation(len(xy))
    ordered = radius_graph(xy[order], 7.0)
    assert (ordered != radius_graph(xy, 7.0)[order][:, order]).nnz == 0


@some
@given(st.integers(1, 30), finite(0.0, 0.5), seeds)
def test_cells_of_one_color_are_not_neighbours(n, density, seed):
    graph = sparse.random(n, n, density, random_state=np.random.default_rng(seed), format="csr")
    graph = sparse.csr_array(((graph + graph.T) > 0).astype(float))
    graph.setdiag(0)
    graph.eliminate_zeros()
    classes = color_classes(graph)
    assert sorted(np.concatenate(classes).tolist()) == list(range(n))
    assert all(graph[cells][:, cells].nnz == 0 for cells in classes)


# --- clustering and agreement ----------------------------------------------------------------------------------------


@some
@given(st.integers(8, 30), st.integers(2, 4), st.sampled_from(["zscore", "proportions", "zscore_proportions", "none"]),
       seeds)
def test_clusters_do_not_depend_on_the_order_of_the_cells(n, k, method, seed):
    rng = np.random.default_rng(seed)
    states = rng.gamma(1.0, size=(n, k))
    order = rng.permutation(n)
    first, second = (cluster_by_index(x, normalization=method, n_clusters=4) for x in (states, states[order]))
    assert adjusted_rand_index(first.labels[order], second.labels) == pytest.approx(1.0)
    sizes = np.bincount(first.labels)
    assert len(sizes) == 4 and (np.diff(sizes) <= 0).all()


@some
@given(st.integers(5, 30), st.integers(1, 3), seeds)
def test_coarser_cuts_join_whole_clusters(n, k, seed):
    tree = ward_tree(np.random.default_rng(seed).normal(size=(n, k)))
    for number in range(1, n):
        fine, coarse = cut_tree(tree, number + 1), cut_tree(tree, number)
        assert len(set(zip(fine, coarse, strict=True))) == number + 1 == len(set(fine))
    assert (calinski_harabasz_curve(tree, range(2, n)) >= 0).all()


@some
@given(arrays(float, st.tuples(st.integers(2, 8), st.integers(1, 5)), elements=finite(0.0, 1e3)), finite(0.1, 100.0))
def test_proportions_ignore_the_size_of_a_cell(states, scale):
    sizes = np.ones((len(states), 1))
    sizes[0] = scale
    for method in ("proportions", "zscore_proportions"):
        normalised = normalize_states(states, method)
        assert np.isfinite(normalised).all()
    np.testing.assert_allclose(normalize_states(sizes * states, "proportions"), normalize_states(states, "proportions"),
                               atol=1e-12)


@some
@given(st.integers(2, 12), st.integers(1, 6), seeds)
def test_matching_of_metagenes_is_a_permutation_and_the_same_both_ways(n_genes, k, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.gamma(1.0, size=(2, n_genes, k))
    there, back = match_metagenes(a, b), match_metagenes(b, a)
    assert sorted(there.permutation) == list(range(k))
    assert there.correlations.sum() == pytest.approx(back.correlations.sum(), abs=1e-9)
    assert np.abs(there.correlations).max() <= 1 + 1e-12
    order = rng.permutation(k)
    own = match_metagenes(a, a[:, order] * rng.uniform(0.5, 2.0, size=k))
    assert own.correlations.sum() == pytest.approx(match_metagenes(a, a).correlations.sum(), abs=1e-9)


labellings = st.integers(1, 25).flatmap(lambda n: st.tuples(*[
    st.lists(st.sampled_from("abcde"), min_size=n, max_size=n)] * 2))


@some
@given(labellings)
def test_agreement_of_labellings_does_not_depend_on_names_or_order(pair):
    a, b = map(np.array, pair)
    score = adjusted_rand_index(a, b)
    assert score <= 1 + 1e-12 and adjusted_rand_index(a, a) == 1
    assert score == pytest.approx(adjusted_rand_index(b, a))
    renamed = np.array([{"a": 9, "b": 3, "c": 7, "d": 1, "e": 0}[name] for name in a])
    assert score == pytest.approx(adjusted_rand_index(renamed[::-1], b[::-1]))
    matched = match_labels(a, b).dropna()
    assert matched.is_unique and set(matched) <= set(b)
    assert (match_labels(a, renamed).loc[a].to_numpy() == renamed).all()


# --- cells in space --------------------------------------------------------------------------------------------------


@some
@given(st.integers(5, 25), seeds)
def test_contacts_of_types_are_symmetric_and_do_not_depend_on_names_or_order(n, seed):
    rng = np.random.default_rng(seed)
    graph, labels, order = neighbor_graph(rng.random((n, 2))), rng.choice(list("abc"), size=n), rng.permutation(n)
    table = cell_type_affinity(graph, labels)
    np.testing.assert_allclose(table, table.T, atol=1e-12)
    again = cell_type_affinity(graph[order][:, order], labels[order])
    pd.testing.assert_frame_equal(table, again)


@some
@given(labellings)
def test_effective_positions_lie_between_one_and_all(pair):
    shares = position_shares(*pair)
    numbers = effective_positions(shares)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert numbers.between(1 - 1e-9, shares.shape[1] + 1e-9).all()


@some
@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 10_000)))
def test_log_normalisation_ignores_a_factor_of_a_cell_and_keeps_the_order_of_its_genes(counts):
    counts = counts + (counts.sum(axis=1, keepdims=True) == 0)
    expression = log_normalize(counts)
    np.testing.assert_allclose(np.expm1(expression).sum(axis=1), 1e4)
    np.testing.assert_allclose(log_normalize(7 * counts), expression)
    np.testing.assert_allclose(log_normalize(sparse.csr_matrix(counts)).toarray(), expression)
    for row, values in zip(counts, expression, strict=True):
        assert (np.diff(values[np.argsort(row, kind="stable")]) >= 0).all()


# --- refusals --------------------------------------------------------------------------------------------------------


def refused(error, call, *arguments):
    """The message of the refusal: one sentence, neither short nor without an end."""
    with pytest.raises(error) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message and len(message.split()) >= 5, message
    return message


FILES = {"expression_0.txt": b"1 2\n3 4\n5 6\n", "genes_0.txt": b"G1\nG2\n", "neighborhood_0.txt": b"0 1\n1 2\n",
         "coordinates_0.txt": b"0 0\n0 1\n1 1\n", "celltypes_0.txt": b"x\ny\nx\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@some
@given(st.sampled_from([name for name in FILES if "gene" not in name and "types" not in name]),
       st.one_of(st.binary(max_size=30), st.text("0123456789 .-nainf\n", max_size=30).map(str.encode)))
def test_a_text_layout_with_a_damaged_table_is_read_or_refused_by_its_name(folder, damaged, content):
    for name, whole in FILES.items():
        (folder / name).write_bytes(content if name == damaged else whole)
    try:
        adata = load_spicemix_directory(folder, [0])
    except ValueError as error:
        assert "\n" not in str(error) and ("_0.txt" in str(error) or "coordinates" in str(error))
        return
    assert np.isfinite(adata.X).all() and np.isfinite(adata.obsm["spatial"]).all()
    check_graph(adata.obsp["spatial_connectivities"], 3)


@few
@given(st.binary(max_size=300))
def test_a_result_file_of_anything_else_is_refused(folder, content):
    path = folder / "result.h5"
    path.write_bytes(content)
    assert str(path) in refused(ValueError, read_spicemix_result, path)


@some
@given(st.integers(2, 6), st.integers(0, 5), st.integers(0, 5), st.sampled_from([np.nan, np.inf, 2.0, -1.0]))
def test_an_invalid_graph_is_refused(n, i, j, value):
    graph = np.zeros((n, n))
    graph[i % n, j % n] = value
    assert "graph" in refused(ValueError, check_graph, graph, n)
    one_way = np.zeros((n, n))
    one_way[i % n, j % n] = 1
    refused(ValueError, check_graph, one_way, n)  # one way, or a self-loop
    refused(ValueError, check_graph, np.zeros((n, n)), n + 1)


@few
@given(st.integers(0, 5), st.integers(0, 3), st.sampled_from([np.nan, np.inf, -np.inf]),
       st.sampled_from(["expression", "graph", "sample"]))
def test_a_fit_refuses_what_it_cannot_use_and_leaves_it_untouched(cell, gene, value, place):
    adata = anndata.AnnData(np.random.default_rng(0).gamma(1.0, size=(6, 4)), obs=pd.DataFrame(
        {"sample": pd.Categorical(["a"] * 6)}, index=[f"cell{i}" for i in range(6)]))
    graph = np.diag(np.ones(5), 1) + np.diag(np.ones(5), -1)
    if place == "expression":
        adata.X[cell, gene] = value
    elif place == "graph":
        graph[cell, (cell + 1 + gene) % 6] = value
    else:
        adata.obs.iloc[cell, 0] = None
    adata.obsp["spatial_connectivities"] = sparse.csr_matrix(graph)
    message = refused(ValueError, partial(SpiceMix(2, random_state=0, max_iter=2).fit, sample_key="sample"), adata)
    assert any(word in message for word in ("expression", "graph", "sample"))
    assert not adata.varm and not adata.obsm and "spicemix" not in adata.uns


@few
@given(st.sampled_from(["n_metagenes", "max_iter", "affinity_penalty", "state_penalty", "tol", "affinity_iterations"]),
       st.sampled_from([-1, -0.5, np.nan, "two", [1], True]))
def test_an_invalid_parameter_is_refused_by_its_name(name, value):
    assume(not (value is True and name not in ("n_metagenes", "max_iter")))
    model = SpiceMix(**{"n_metagenes": 2, name: value})
    assert name in refused(ValueError, model.fit_arrays, [np.ones((5, 4))])
