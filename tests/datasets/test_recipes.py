"""Normalisation against its formula, and the paper's recipes on small counts of known outcome."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from spicemix_core.datasets.recipes import seqfish_plus_recipe, starmap_recipe
from spicemix_core.inputs.normalize import log_normalize

COUNTS = np.array([[1, 0, 3], [0, 5, 5], [2, 2, 0]])
CONTAINERS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "csr_array": sparse.csr_array}


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


def raw_data(counts, samples=None):
    n = len(counts)
    obs = pd.DataFrame({"sample": pd.Categorical(samples or ["0"] * n)}, index=[f"c{i}" for i in range(n)])
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs,
                           obsm={"spatial": np.random.default_rng(0).random((n, 2)) * 100})


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_log_normalize_is_its_formula_in_every_container(container):
    counts = container(COUNTS)
    expected = [[np.log(1 + 100 * c / sum(row)) for c in row] for row in COUNTS.tolist()]
    np.testing.assert_allclose(dense(log_normalize(counts, target_sum=100)), expected, rtol=1e-14)
    np.testing.assert_array_equal(dense(counts), COUNTS)  # the input is untouched
    assert sparse.issparse(log_normalize(counts)) == sparse.issparse(counts)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_totals_of_all_genes_are_used_for_a_subset_of_them(container):
    whole = dense(log_normalize(container(COUNTS)))
    part = log_normalize(container(COUNTS[:, :2]), totals=COUNTS.sum(axis=1))
    np.testing.assert_allclose(dense(part), whole[:, :2], rtol=1e-14)


def test_normalisation_undone_gives_the_target_sum():
    np.testing.assert_allclose(np.expm1(log_normalize(COUNTS)).sum(axis=1), 1e4)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize(("cell", "gene", "value", "message"), [
    (1, 2, -1.0, "cell 1, gene 2 is -1"), (2, 0, np.nan, "cell 2, gene 0 is nan"),
    (0, 1, np.inf, "cell 0, gene 1 is inf")])
def test_impossible_counts_are_refused_by_cell_and_gene(container, cell, gene, value, message):
    counts = COUNTS.astype(float)
    counts[cell, gene] = value
    with pytest.raises(ValueError, match=message):
        log_normalize(container(counts))


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_a_cell_without_counts_is_refused(container):
    counts = COUNTS.copy()
    counts[1] = 0
    with pytest.raises(ValueError, match="Cell 1 has the total 0"):
        log_normalize(container(counts))


def test_wrong_number_of_totals_is_refused():
    with pytest.raises(ValueError, match="totals has 2 entries, but there are 3 cells"):
        log_normalize(COUNTS, totals=[1, 2])


def test_seqfish_recipe_filters_genes_on_the_kept_fields_and_divides_by_all_genes():
    counts = np.ones((12, 5), dtype=int)
    counts[:, 1] = 0
    counts[:4, 1] = 7  # in 4 of the 10 cells kept: 40 %, not more
    counts[5:, 2] = 0  # in 5 of 10
    counts[10:] = 50  # other field, must not count
    raw = raw_data(counts, ["0"] * 5 + ["3"] * 5 + ["6"] * 2)
    adata = seqfish_plus_recipe(raw)
    assert adata.shape == (10, 4) and "1" not in adata.var_names
    totals = counts[:10].sum(axis=1)
    np.testing.assert_allclose(adata.X, np.log1p(1e4 * counts[:10][:, [0, 2, 3, 4]] / totals[:, None]))
    np.testing.assert_array_equal(adata.obs["total_counts"], totals)
    np.testing.assert_array_equal(dense(adata.layers["counts"]), counts[:10][:, [0, 2, 3, 4]])
    assert list(adata.obs["sample"].cat.categories) == ["0", "3"]
    fields = adata.obs["sample"].to_numpy()
    rows, columns = adata.obsp["spatial_connectivities"].nonzero()
    assert (fields[rows] == fields[columns]).all() and len(rows)


def test_all_genes_and_modelled_genes_agree_where_both_have_them():
    raw = raw_data(np.random.default_rng(1).poisson(0.6, size=(30, 40)) + np.eye(30, 40, dtype=int))
    some, every = seqfish_plus_recipe(raw), seqfish_plus_recipe(raw, genes="all")
    assert sparse.issparse(every.X) and every.n_vars == 40 > some.n_vars > 0
    np.testing.assert_allclose(some.X, every[:, some.var_names].X.toarray())


def test_starmap_recipe_keeps_totals_above_200_up_to_3000():
    counts = np.zeros((6, 4), dtype=int)
    counts[:, 0] = [200, 201, 3000, 3001, 500, 600]
    adata = starmap_recipe(raw_data(counts))
    assert adata.obs["total_counts"].tolist() == [201, 3000, 500, 600]
    np.testing.assert_allclose(adata.X[:, 0], np.log1p(1e4))


def test_recipes_do_not_change_the_raw_data():
    raw = raw_data(np.full((5, 4), 100))
    before = raw.copy()
    starmap_recipe(raw), seqfish_plus_recipe(raw)
    assert (raw.X != before.X).nnz == 0 and list(raw.obs) == list(before.obs) and not raw.obsp


@pytest.mark.parametrize(("call", "message"), [
    (lambda raw: seqfish_plus_recipe(raw, genes="some"), '"modelled" or "all"'),
    (lambda raw: seqfish_plus_recipe(raw, fields=("9",)), "None of the 5 cells"),
    (lambda raw: starmap_recipe(raw, min_total=1e6), "None of the 5 cells")])
def test_recipes_that_leave_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(raw_data(np.full((5, 4), 100)))
