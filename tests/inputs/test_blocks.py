"""Expression that is not in memory: a fit reads it in blocks of cells and gives the numbers of one in memory."""

import warnings

import anndata
import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from models import Stopped, small_adata
from sklearn.exceptions import ConvergenceWarning

from spicemix_core import SpiceMix, algorithm, prepare
from spicemix_core.files import checkpoint
from spicemix_core.inputs import blocks
from spicemix_core.inputs.anndata import read_samples
from spicemix_core.inputs.normalize import are_counts, log_normalize
from spicemix_core.numerics import blocks as numeric_blocks
from spicemix_core.numerics import products
from spicemix_core.numerics.blocks import Blocks

SEVEN = 7  # cells of a block
OPTIONS = dict(n_metagenes=3, random_state=0, max_iter=3, tol=0.0)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture
def adata():
    """Log-normalised expression of two slides, whose cells are mixed, with zeros that are not stored."""
    adata = small_adata(n_cells=(40, 30), n_genes=12)
    adata.X = sp.csr_matrix(np.where(adata.X < 0.1, 0.0, adata.X).astype(np.float32))
    return adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()


@pytest.fixture
def counts(adata):
    adata.X = sp.csr_matrix(np.random.default_rng(1).poisson(5 * adata.X.toarray() + 0.2).astype(np.float32))
    return adata


def seven_cells(monkeypatch, array):
    monkeypatch.setattr(blocks, "BYTES", int(SEVEN * blocks.bytes_per_cell(array)) + 1)


def same(one, other):
    for name in ("metagenes_", "affinity_", "noise_", "scaling_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(np.concatenate(one.latent_states_), np.concatenate(other.latent_states_))
    np.testing.assert_array_equal(one.history_["energy"], other.history_["energy"])


def stored(kind, adata, folder, monkeypatch):
    """The AnnData object with expression that is read in blocks of seven cells."""
    path = folder / "data.h5ad"
    if kind == "dask":
        chunks = da.from_array(adata.X.toarray(), chunks=(SEVEN, -1)).map_blocks(sp.csr_matrix)
        return anndata.AnnData(chunks, adata.obs.copy(), adata.var.copy(), obsp=dict(adata.obsp))
    if kind == "zarr":
        adata.write_zarr(folder / "data.zarr")
        import zarr

        found = adata.copy()
        found.X = anndata.io.sparse_dataset(zarr.open_group(folder / "data.zarr", mode="r")["X"])
    else:
        adata.write_h5ad(path)
        found = anndata.read_h5ad(path, backed="r")
    seven_cells(monkeypatch, found.X)
    return found


@pytest.mark.parametrize(("kind", "keys"), [("h5ad", {}), ("zarr", {}), ("dask", {}),
                                           ("h5ad", {"sample_key": "slide"})],
                         ids=["h5ad", "zarr", "dask", "two samples"])
def test_fit_and_transform_give_the_numbers_of_expression_in_memory(adata, tmp_path, monkeypatch, kind, keys):
    there = stored(kind, adata, tmp_path, monkeypatch)
    expressions, _, _ = read_samples(there, None, None, None, blocks=True)
    assert isinstance(expressions[0], Blocks) and expressions[0].size == SEVEN
    one, other = SpiceMix(**OPTIONS).fit(there, **keys), SpiceMix(**OPTIONS).fit(adata, **keys)
    same(one, other)
    np.testing.assert_array_equal(one.transform(there), other.transform(adata))
    np.testing.assert_array_equal(there.obsm["X_spicemix"], adata.obsm["X_spicemix"])


@pytest.mark.parametrize("options", [dict(spatial=False), dict(init="expression"), dict(init="profiles")],
                         ids=["non-spatial", "expression", "profiles"])
def test_all_kinds_of_fits_read_blocks(adata, tmp_path, monkeypatch, options):
    there = stored("h5ad", adata, tmp_path, monkeypatch)
    same(SpiceMix(**OPTIONS | options).fit(there), SpiceMix(**OPTIONS | options).fit(adata))


def test_transform_matches_genes_in_another_order(adata, tmp_path, monkeypatch):
    model = SpiceMix(**OPTIONS).fit(adata)
    shuffled = adata[:, ::-1].copy()[:, :10].copy()
    there = stored("h5ad", shuffled, tmp_path, monkeypatch)
    np.testing.assert_array_equal(model.transform(there), model.transform(shuffled))


def test_dense_expression_is_read_in_the_blocks_of_the_products(tmp_path):
    """Groups of 1,024 cells, whatever the chunks: the products of dense blocks depend on the number of their rows."""
    y = np.random.default_rng(0).random((2500, 5))
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["y"] = y
        there = blocks.in_blocks(da.from_array(file["y"], chunks=(SEVEN, 5)), "y")
        assert [first for first, _ in there.pieces()] == [0, 1024, 2048]
        rng = np.random.default_rng(1)
        metagenes, states = rng.random((5, 3)), rng.random((2500, 3))
        for product, arguments in ((products.times_metagenes, (metagenes,)), (products.times_states, (states,)),
                                   (products.gram_times, (metagenes, 0.5)), (products.row_summary, ())):
            np.testing.assert_array_equal(product(there, *arguments), product(y, *arguments))


@pytest.mark.parametrize("size", [7, 100, 1024, 3000, 10_000])
def test_sums_over_groups_of_cells_do_not_depend_on_the_size_of_the_blocks(monkeypatch, size):
    monkeypatch.setattr(products, "MOST_PARTS", 2)  # groups of 1,250 cells
    y = sp.random_array((2500, 8), density=0.3, format="csr", random_state=0)
    read = []

    def rows(start, stop):
        read.append((start, stop))
        return y[start:stop]

    there = Blocks(rows, y.shape, y.dtype, size, is_sparse=True)
    states = np.random.default_rng(1).random((2500, 3))
    np.testing.assert_array_equal(products.times_states(there, states), products.times_states(y, states))
    assert [0, *(stop for _, stop in read)] == [*(start for start, _ in read), 2500]  # each cell is read once
    columns = np.random.default_rng(2).random((8, 3))
    np.testing.assert_array_equal(products.gram_times(there, columns, 0.5), products.gram_times(y, columns, 0.5))


def test_rows_are_returned_in_the_given_order():
    y = sp.csr_array(np.arange(40.0).reshape(20, 2))
    there = Blocks(lambda start, stop: y[start:stop], y.shape, y.dtype, 3, is_sparse=True)
    chosen = np.array([19, 0, 7, 8, 3])
    np.testing.assert_array_equal(there.rows(chosen).toarray(), y[chosen].toarray())
    few = there.take(np.array([1, 2, 9, 15]))
    np.testing.assert_array_equal(few.loaded().toarray(), y[[1, 2, 9, 15]].toarray())


def test_the_next_block_is_read_while_one_is_used():
    from threading import Event

    second = Event()

    def read(start, stop):
        if start == 2:
            second.set()
        return np.zeros((stop - start, 1))

    there = numeric_blocks._read_ahead(read, [(0, 2), (2, 4)])
    next(there)
    assert second.wait(10)  # though only the first was asked for
    assert len(list(there)) == 1


# ---- preparing


def test_counts_are_normalised_when_they_are_read(counts, tmp_path, monkeypatch):
    there = stored("h5ad", counts, tmp_path, monkeypatch)
    ready, expected = prepare(there, normalize=True), prepare(counts, normalize=True)
    assert isinstance(ready.X, da.Array) and isinstance(ready.layers["counts"], da.Array)
    np.testing.assert_array_equal(ready.X.compute().toarray(), expected.X.toarray())
    np.testing.assert_array_equal(ready.layers["counts"].compute().toarray(), counts.X.toarray())
    same(SpiceMix(**OPTIONS).fit(ready), SpiceMix(**OPTIONS).fit(expected))
    np.testing.assert_array_equal(there.X[:].toarray(), counts.X.toarray())  # the file is as it was


def test_cells_and_genes_are_left_out_without_loading(counts, tmp_path, monkeypatch):
    least = float(np.median(np.asarray(counts.X.sum(axis=1))))
    options = dict(normalize=True, min_counts=least, min_cells=20, genes=[f"Gene{i}" for i in range(1, 11)])
    there = stored("h5ad", counts, tmp_path, monkeypatch)
    ready, expected = prepare(there, **options), prepare(counts, **options)
    assert 0 < expected.n_obs < counts.n_obs and isinstance(ready.X, da.Array)
    np.testing.assert_array_equal(ready.X.compute().toarray(), expected.X.toarray())
    assert list(ready.obs_names) == list(expected.obs_names) and ready.uns["spicemix"] == expected.uns["spicemix"]


def test_variable_genes_need_the_counts_in_memory(counts, tmp_path, monkeypatch):
    there = stored("h5ad", counts, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="n_top_genes needs the counts in memory"):
        prepare(there, normalize=True, n_top_genes=5)


def test_data_in_a_file_are_not_prepared_in_place(counts, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="not in memory, so they cannot be changed in place"):
        prepare(stored("h5ad", counts, tmp_path, monkeypatch), normalize=True, copy=False)


def test_counts_of_dask_are_normalised_by_their_own_totals(counts):
    lazy = log_normalize(da.from_array(counts.X.toarray(), chunks=(SEVEN, 4)), 100.0)
    np.testing.assert_allclose(lazy.compute(), log_normalize(counts.X, 100.0).toarray(), rtol=1e-15)


def test_the_kind_of_expression_is_that_of_all_blocks(adata, counts):
    whole = counts.X.toarray()
    whole[-1, -1] = 0.5
    for values, expected in ((counts.X.toarray(), True), (whole, False)):
        there = blocks.in_blocks(da.from_array(values, chunks=(SEVEN, -1)).map_blocks(sp.csr_matrix), "X")
        assert are_counts(there) is expected


# ---- bad input


def test_a_value_that_is_missing_in_the_last_block_is_named(adata, tmp_path, monkeypatch):
    adata.X[-1, 3] = np.nan
    there = stored("h5ad", adata, tmp_path, monkeypatch)
    last = adata.obs_names[-1]
    with pytest.raises(ValueError, match=f"has 1 NaN or infinite values, the first in cell '{last}': remove"):
        SpiceMix(**OPTIONS).fit(there)
    with pytest.raises(ValueError, match=rf"no value \(NaN\) for 1 of the 12 genes in 1 of the 70 cells, the first is "
                                         rf"gene 'Gene3' in cell '{last}'"):
        prepare(there)


def test_impossible_indices_in_the_last_block_reach_no_compiled_code(adata, tmp_path, monkeypatch):
    path = tmp_path / "data.h5ad"
    adata.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        file["X/indices"][-1] = 10**6
    there = anndata.read_h5ad(path, backed="r")
    seven_cells(monkeypatch, there.X)
    with pytest.raises(ValueError, match="X is corrupt: its indices do not fit its shape"):
        SpiceMix(**OPTIONS).fit(there)


def test_a_file_that_cannot_be_read_any_more_is_one_sentence_and_the_fit_resumes(adata, tmp_path, monkeypatch):
    """As if the file had been truncated, or its disk removed, in the third pass of an iteration."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    file, broken = tmp_path / "fit.h5", []
    chunks = da.from_array(adata.X.toarray(), chunks=(SEVEN, -1))

    def read(block):
        if broken and block.shape[0] < SEVEN + 1 and broken[0] <= 0:
            raise OSError("Can't synchronously read data (inflate() failed)")
        return sp.csr_matrix(block)

    there = anndata.AnnData(chunks.map_blocks(read, meta=sp.csr_matrix((0, 0))), adata.obs.copy(), adata.var.copy(),
                            obsp=dict(adata.obsp))
    iterate = algorithm.iterate

    def counted(*arguments, **keywords):
        broken[0] -= 1
        return iterate(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(algorithm, "iterate", counted)
        broken.append(2)
        with pytest.raises(OSError, match=r"Cells 0 to 7 of X cannot be read \(Can't synchronously read data "
                                          r"\(inflate\(\) failed\)\). The file is incomplete"):
            SpiceMix(**OPTIONS).fit(there, checkpoint=file)
    assert file.exists()
    broken.clear()
    began = []
    monkeypatch.setattr(algorithm, "initialize", lambda *arguments: began.append(arguments))  # must not start again
    resumed = SpiceMix(**OPTIONS).fit(there, checkpoint=file)
    monkeypatch.undo()
    assert not began and not file.exists()
    same(resumed, SpiceMix(**OPTIONS).fit(adata))


def test_a_checkpoint_of_a_fit_in_memory_continues_with_blocks(adata, tmp_path, monkeypatch):
    there, path = stored("h5ad", adata, tmp_path, monkeypatch), tmp_path / "fit.h5"

    def stop(*arguments, **keywords):
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(algorithm, "iterate", stop)
        SpiceMix(**OPTIONS).fit(adata, checkpoint=path)
    same(SpiceMix(**OPTIONS).fit(there, checkpoint=path), SpiceMix(**OPTIONS).fit(adata))
