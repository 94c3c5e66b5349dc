"""Analyses on AnnData: results can be stored, agree with their definitions, and unusable input is refused."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata
import numba
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import hypergeom

from spicemix_core import SpiceMix, pl, tl
from spicemix_core.datasets.simulation import simulate_cortex
from spicemix_core.tl import (
    affinity_permutation_test,
    cell_type_affinity,
    cluster_states,
    differential_expression,
    read_gmt,
)
from spicemix_core.tl.overrepresentation import enrich, specific_weight, top_genes
from spicemix_core.tl.rank_tests import each_against_rest

pytestmark = pytest.mark.filterwarnings("ignore:expression has negative")


@pytest.fixture(scope="module")
def fitted():
    adata = simulate_cortex(2, n_cells=120, n_genes=60, random_state=0)
    SpiceMix(6, random_state=0, max_iter=20, tol=0.05).fit(adata, sample_key="sample")
    return adata


@pytest.fixture
def adata(fitted):
    return fitted.copy()


def test_no_module_of_the_analyses_has_the_name_of_a_public_function():
    modules = {path.stem for path in Path(tl.__file__).parent.glob("*.py")}
    assert not modules & set(tl.__all__)
    assert dir(tl) == sorted(tl.__all__)


def test_all_results_survive_a_file_even_with_slashes_in_names(adata, tmp_path):
    adata.obs["type/class"] = adata.obs["cell_type"].cat.rename_categories(lambda name: name.replace("eL", "L/"))
    tl.cluster(adata)
    tl.markers(adata, "type/class", n_genes=7)
    tl.metagene_genes(adata, 5)
    tl.enrichment(adata, {"a/b": list(adata.var_names[:9])})
    tl.type_affinity(adata, "type/class", "sample", n_permutations=9, random_state=0)
    adata.obs = adata.obs.rename(columns={"type/class": "type"})  # h5ad has no column names with slashes
    adata.write_h5ad(tmp_path / "all.h5ad")
    again = anndata.read_h5ad(tmp_path / "all.h5ad")
    pd.testing.assert_series_equal(again.obs["spicemix_cluster"], adata.obs["spicemix_cluster"])
    names = {"cluster", "markers", "metagene_genes", "enrichment", "type_affinity"}
    assert names <= set(again.uns["spicemix"])
    for name in names:
        before, after = adata.uns["spicemix"][name], again.uns["spicemix"][name]
        assert before.keys() == after.keys()
        pd.testing.assert_frame_equal(after["table"].astype(before["table"].dtypes), before["table"],
                                      check_index_type=False)
        for key in before.keys() - {"table", "branches"}:
            assert before[key] == after[key]
    branches = adata.uns["spicemix"]["cluster"]["branches"]
    pd.testing.assert_frame_equal(again.uns["spicemix"]["cluster"]["branches"], branches, check_index_type=False)


def test_clusters_are_those_of_the_states_and_named_in_the_order_of_their_size(adata):
    found = tl.cluster(adata, n_clusters_range=(11, 30), key_added="types")  # "10" comes after "9"
    expected = cluster_states(adata.obsm["X_spicemix"], n_clusters_range=(11, 30))
    np.testing.assert_array_equal(adata.obs["types"].astype(str).astype(int), expected.labels)
    assert list(adata.obs["types"].cat.categories) == [str(k) for k in range(found.n_clusters)]
    curve = adata.uns["spicemix"]["cluster"]["table"]
    np.testing.assert_array_equal(curve["separation"], expected.separation)


def test_few_cells_are_not_cut_into_clusters_of_a_few_each(adata):
    small = adata[:60].copy()
    assert tl.cluster(small).n_clusters <= 12
    assert small.obs["spicemix_cluster"].value_counts().min() >= 5
    with pytest.raises(ValueError, match="60 cells into 30 clusters is impossible"):
        tl.cluster(small, n_clusters=30)


def test_comparison_of_all_groups_equals_the_test_of_each():
    rng = np.random.default_rng(0)
    values = rng.poisson(0.7, size=(90, 11)).astype(float)  # many ties
    values[:, 3] = 2.0
    labels = rng.choice(["a", "b", "c/d"], 90)
    genes = [f"g{i}" for i in range(11)]
    table = each_against_rest(sparse.csr_matrix(values), genes, labels)
    for name in ("a", "b", "c/d"):
        own = table[table["group"] == name].set_index("gene").loc[genes].drop(columns="group")
        expected = differential_expression(pd.DataFrame(values, columns=genes), labels == name, labels != name)
        pd.testing.assert_frame_equal(own, expected, check_names=False, rtol=1e-10)


def test_comparison_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    values, labels = rng.random((40, 9)), rng.integers(3, size=40)
    whole = each_against_rest(values, range(9), labels)
    monkeypatch.setattr("spicemix_core.tl.rank_tests._BLOCK", 80)
    pd.testing.assert_frame_equal(each_against_rest(values, range(9), labels), whole)


def test_markers_find_the_gene_that_only_one_group_has(adata):
    adata.X = adata.X.copy()
    chosen = (adata.obs["cell_type"] == "Inh-1").to_numpy()
    adata.X[:, 17] = np.where(chosen, 1.0, 0.0)
    table = tl.markers(adata, "cell_type", n_genes=3)
    assert table.groupby("group").size().eq(3).all()
    first = table[table["group"] == "Inh-1"].iloc[0]
    assert first["gene"] == "gene17"
    assert first["auc"] == 1.0
    assert first["p_adjusted"] < 1e-6


def test_specific_weights_of_a_metagene_sum_to_its_divergence_from_the_mean():
    metagenes = np.random.default_rng(0).dirichlet(np.ones(30), size=4).T
    metagenes[0, 1] = 0.0
    metagenes /= metagenes.sum(axis=0)
    mean = metagenes.mean(axis=1)
    for k, column in enumerate(metagenes.T):
        there = column > 0
        divergence = (column[there] * np.log(column[there] / mean[there])).sum()
        assert specific_weight(metagenes)[:, k].sum() == pytest.approx(divergence)
        assert divergence > 0


def test_top_genes_prefer_what_is_specific_to_what_is_high_everywhere():
    metagenes = np.array([[0.5, 0.5], [0.3, 0.1], [0.1, 0.3], [0.1, 0.1]])
    table = top_genes(metagenes, list("wxyz"), 1)
    assert list(table["gene"]) == ["x", "y"]
    np.testing.assert_allclose(table["mean_loading"], 0.2)


def test_enrichment_is_the_hypergeometric_tail_over_the_measured_genes():
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(200)]
    metagenes = rng.dirichlet(np.ones(200), size=3).T
    top = top_genes(metagenes, genes, 20)
    own = list(top[top["metagene"] == 1]["gene"])
    sets = {"own": [*own[:8], "g_unmeasured"], "two": own[:2], "random": genes[:30]}
    table = enrich(metagenes, genes, sets, n_genes=20).set_index(["metagene", "gene_set"])
    row = table.loc[(1, "own")]
    assert (row["set_size"], row["overlap"], row["genes"]) == (8, 8, ",".join(own[:8]))
    ways = hypergeom(200, 8, 20)
    assert row["p_value"] == pytest.approx(sum(ways.pmf(k) for k in range(8, 9)))
    assert row["expected"] == pytest.approx(0.8)
    assert "two" not in table.index.get_level_values("gene_set")
    assert len(table) == 6
    assert table.loc[(0, "random"), "p_value"] == pytest.approx(
        hypergeom(200, 30, 20).sf(table.loc[(0, "random"), "overlap"] - 1))


def test_enrichment_is_conservative_for_random_sets():
    rng = np.random.default_rng(3)
    genes = np.array([f"g{i}" for i in range(300)])
    metagenes = rng.dirichlet(np.full(300, 0.5), size=4).T
    sets = {f"s{i}": rng.choice(genes, 15, replace=False) for i in range(150)}
    table = enrich(metagenes, genes, sets)
    assert (table["p_value"] < 0.05).mean() < 0.06
    assert (table["p_adjusted"] < 0.05).sum() <= 2
    assert (table["p_adjusted"] >= table["p_value"]).all()


def test_type_affinity_is_the_tables_of_pairs(adata):
    table = tl.type_affinity(adata, "cell_type", "sample", n_permutations=50, random_state=3)
    arguments = (adata.obsp["spatial_connectivities"], adata.obs["cell_type"].to_numpy(dtype=str),
                 adata.obs["sample"].to_numpy(dtype=str))
    affinity = cell_type_affinity(*arguments)
    p_values = affinity_permutation_test(*arguments, n_permutations=50, random_state=3)
    assert len(table) == 36
    for row in table.itertuples():
        assert row.affinity == affinity.loc[row.first, row.second]
        assert row.p_value == p_values.loc[row.first, row.second]
    assert (table["p_adjusted"] >= table["p_value"]).all()


# umap-learn would compile for half a minute, which does not pay for a few cells, and few epochs show the same.
UMAP = """
import anndata, numpy as np, umap
from functools import partial
from spicemix_core import tl

umap.UMAP = partial(umap.UMAP, n_epochs=20)

adata = anndata.AnnData(np.zeros((14, 2)))
states = np.random.default_rng(0).random((14, 3))
for factor, seed in ((1.0, 1), (1.0, 1), (1.0, 2), (np.array([8.0, 0.25, 1.0]), 1)):
    adata.obsm["X_spicemix"] = states * factor
    assert tl.umap(adata, seed) is adata.obsm["X_spicemix_umap"]
    print(adata.obsm["X_spicemix_umap"].dtype, *adata.obsm["X_spicemix_umap"].ravel().tolist())
"""


@pytest.mark.subprocess
def test_umap_is_the_same_from_the_same_seed_and_in_other_units():
    run = subprocess.run([sys.executable, "-c", UMAP], capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_DISABLE_JIT": "1"})
    assert run.returncode == 0, run.stderr
    first, again, other_seed, other_units = run.stdout.splitlines()
    kind, *values = first.split()
    assert kind == "float64" and len(values) == 28 and np.isfinite(np.array(values, dtype=float)).all()
    assert first == again == other_units != other_seed


def test_what_an_embedding_compiles_is_kept_for_other_processes(adata, monkeypatch, tmp_path):
    """With small functions of the names in umap-learn; that it has these names, the test above shows."""
    def fast_knn_indices(x):
        return x

    def smooth_knn_dist(x):
        return x + 1

    def compute_membership_strengths(x):
        return x + 2

    class Embedding(SimpleNamespace):
        def fit_transform(self, states):
            for function in functions.values():
                function(1.0)
            return states[:, :2]

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    functions = {f.__name__: numba.njit(f) for f in (fast_knn_indices, smooth_knn_dist, compute_membership_strengths)}
    parts = SimpleNamespace(**functions)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Embedding, umap_=parts, utils=parts))
    tl.umap(adata)
    assert {path.name.split("-")[0].split(".")[-1] for path in tmp_path.rglob("*.nbi")} == set(functions)


def test_a_new_fit_removes_the_results_of_the_one_before(adata):
    tl.metagene_genes(adata)
    SpiceMix(3, random_state=0, max_iter=2, tol=1.0).fit(adata, sample_key="sample")
    assert "metagene_genes" not in adata.uns["spicemix"]


@pytest.mark.parametrize("name", ["squidpy", "scanpy"])
def test_objects_of_other_packages_are_analysed_and_drawn_unchanged(name, tmp_path):
    path = tmp_path / f"{name}.h5ad"
    path.write_bytes(gzip.decompress((Path(__file__).parents[1] / f"fixtures/{name}.h5ad.gz").read_bytes()))
    adata = anndata.read_h5ad(path)
    theirs = set(adata.uns) | set(adata.obsm) | set(adata.obs)
    spatial = "spatial_connectivities" in adata.obsp
    SpiceMix(3, random_state=0, spatial=spatial, max_iter=3, tol=1.0).fit(adata, sample_key="library")
    tl.cluster(adata)
    assert len(tl.markers(adata, "cell_type", n_genes=4)) == 12
    tl.metagene_genes(adata)
    if spatial:
        assert len(tl.type_affinity(adata, "cell_type", "library", 9, 0)) == 6
        pl.type_affinity(adata)
        pl.affinity(adata)
    for draw in (lambda a: pl.spatial(a, "cell_type", "library"), lambda a: pl.metagenes(a, "library"), pl.markers,
                 pl.metagene_genes, pl.history):
        assert draw(adata).axes
    assert theirs <= set(adata.uns) | set(adata.obsm) | set(adata.obs)
    adata.write_h5ad(path)
    assert set(anndata.read_h5ad(path).uns["spicemix"]) == set(adata.uns["spicemix"])


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_gene_sets_are_read_with_empty_fields_repeats_and_any_line_ends(tmp_path):
    path = write(tmp_path / "a.gmt", "\ufeffone\thttp\tA\tB\tA\t\t\r\n\r\nzwei ä\t\tC\n")
    assert read_gmt(path) == {"one": ["A", "B"], "zwei ä": ["C"]}


@pytest.mark.parametrize(("content", "message"), [
    ("", "is empty"), ("\n\n", "has no gene set"), ("one\tdescription\n", "Line 1 of .* is not a gene set"),
    ("a\t\tX\nb X Y\n", "Line 2 of .* is not a gene set"), ("\tx\tG\n", "Line 1 of .* is not a gene set"),
    ("a\t\tX\na\t\tY\n", "Line 2 of .* repeats the name 'a'"), (b"a\t\tX\xff\n", "is not UTF-8 text"),
    (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 text"), ("a\tb\t \t\n", "Line 1 of .* is not a gene set")])
def test_files_that_are_not_gene_sets_are_refused_in_one_sentence(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_gmt(write(tmp_path / "bad.gmt", content))
    assert "\n" not in str(caught.value)
    assert "bad.gmt" in str(caught.value)


def test_gene_sets_named_unlike_the_data_are_refused(adata):
    with pytest.raises(ValueError, match=r"None of the 1 gene sets.*'gene0'.*'GENE0'"):
        tl.enrichment(adata, {"upper": [name.upper() for name in adata.var_names]})


def with_gap(adata):
    adata.obs["gap"] = adata.obs["cell_type"].where(np.arange(adata.n_obs) > 0)


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda a: tl.markers(a, "nope"), KeyError, "There is no column 'nope' in obs"),
    (lambda a: tl.markers(a, "gap"), ValueError, "is missing for 1 cells, the first is '0-0'"),
    (lambda a: tl.markers(a, "one"), ValueError, "single group"),
    (lambda a: tl.markers(a, "cell_type", layer="raw"), KeyError, "There is no layer 'raw' in layers"),
    (lambda a: tl.markers(a, "cell_type", n_genes=0), ValueError, "n_genes must be"),
    (lambda a: tl.metagene_genes(a, 0), ValueError, "n_genes must be"),
    (lambda a: tl.type_affinity(a, "cell_type", graph_key="g"), KeyError, "no neighbour graph 'g'"),
    (lambda a: tl.type_affinity(a, "cell_type", "nope"), KeyError, "There is no column 'nope' in obs"),
    (lambda a: tl.umap(a[:8].copy()), ValueError, "there are 8 cells"),
    (lambda a: tl.cluster(a, n_clusters=10**6), ValueError, "impossible"),
])
def test_unusable_input_is_refused_in_one_sentence(adata, call, error, message):
    with_gap(adata)
    adata.obs["one"] = "same"
    with pytest.raises(error, match=message):
        call(adata)


@pytest.mark.parametrize(("call", "message"), [
    (tl.cluster, "no latent states 'X_spicemix'"), (tl.umap, "no latent states 'X_spicemix'"),
    (tl.metagene_genes, "no metagenes 'metagenes'"), (lambda a: tl.enrichment(a, {"s": ["gene0"]}), "no metagenes"),
    (tl.markers, "no column 'spicemix_cluster'")])
def test_data_without_a_fit_are_refused_with_a_remedy(call, message):
    with pytest.raises(KeyError, match=message):
        call(simulate_cortex(n_cells=30, n_genes=20, random_state=0))
