"""Large fits: products in blocks, single precision, sparse data left sparse, threads that change nothing."""

import multiprocessing
import os
import subprocess
import sys
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import scipy.sparse as sp
from models import small_samples
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import OpenBLASController, threadpool_info, threadpool_limits

from spicemix_core import SpiceMix
from spicemix_core.algorithm import Options, iterate
from spicemix_core.history import History
from spicemix_core.initialization import initialize
from spicemix_core.inputs.arrays import check_samples
from spicemix_core.local_cells import LocalCells
from spicemix_core.numerics import products
from spicemix_core.numerics import threads as parallel
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.objective import Theta


def expression(dtype, sparse, n_cells=2500, n_genes=70):
    rng = np.random.default_rng(0)
    dense = (rng.random((n_cells, n_genes)) * (rng.random((n_cells, n_genes)) < 0.3)).astype(dtype)
    dense[:, 0] = -1.0  # no row is empty, and negative values count
    return sp.csr_array(dense) if sparse else dense


def fitted(expressions, graphs, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return SpiceMix(**dict(n_metagenes=4, random_state=0, max_iter=4, tol=0.0) | options).fit_arrays(
            expressions, graphs)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_exact_in_double_precision(dtype, sparse):
    y = expression(dtype, sparse)
    dense = (y.toarray() if sparse else y).astype(float)
    rng = np.random.default_rng(1)
    metagenes, states = rng.random((70, 6)), rng.random((2500, 6))
    np.testing.assert_allclose(products.times_metagenes(y, metagenes), dense @ metagenes, rtol=1e-13)
    np.testing.assert_allclose(products.times_states(y, states), dense.T @ states, rtol=1e-13)


@pytest.mark.parametrize("sparse", [False, True])
def test_row_summary_counts_zeros_that_are_not_stored(sparse):
    y = expression(float, sparse, n_cells=60)
    dense = y.toarray() if sparse else y
    dense[7] = 2.0 + np.arange(70)  # a row without zeros
    dense[8] = abs(dense[8])  # and one with zeros, but without anything below
    summary = products.row_summary(sp.csr_array(dense) if sparse else dense)
    np.testing.assert_allclose(summary.T, [dense.sum(1), (dense**2).sum(1), dense.min(1), dense.max(1)], rtol=1e-13)
    assert summary[7:10, 2].tolist() == [2.0, 0.0, -1.0]


@pytest.mark.parametrize("sparse", [False, True])
def test_single_precision_gives_the_fit_of_double_precision(sparse):
    expressions, graphs = small_samples(0)
    single = [sp.csr_array(y, dtype=np.float32) if sparse else y.astype(np.float32) for y in expressions]
    samples = check_samples(single, graphs, 4)
    assert all(y.dtype == np.float32 for y in samples.expressions)
    one, two = fitted(single, graphs), fitted([y.astype(np.float32).astype(float) for y in expressions], graphs)
    np.testing.assert_allclose(one.metagenes_, two.metagenes_, atol=1e-7)
    np.testing.assert_allclose(one.affinity_, two.affinity_, atol=1e-4)


def test_sparse_expression_with_entries_in_two_parts_is_their_sum():
    expressions, graphs = small_samples(1, n_cells=(60,))
    y = sp.coo_array(expressions[0])
    parts = sp.coo_array((np.r_[0.25 * y.data, 0.75 * y.data], (np.r_[y.row, y.row], np.r_[y.col, y.col])), y.shape)
    split = csr_with_duplicates(parts)
    np.testing.assert_allclose(fitted([split], graphs).metagenes_, fitted(expressions, graphs).metagenes_, atol=1e-8)
    assert split.nnz == 2 * y.nnz  # the caller's matrix is unchanged


def csr_with_duplicates(parts):
    order = np.argsort(parts.row, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(parts.row, minlength=parts.shape[0]))])
    return sp.csr_array((parts.data[order], parts.col[order], indptr), shape=parts.shape)


def peak_of(function):
    """What ``function`` returns, and the most MiB that it had allocated at one time."""
    tracemalloc.start()
    try:
        result = function()
        return result, tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def test_sparse_expression_is_never_made_dense():
    """50,000 cells x 20,000 genes would be 7.5 GiB, and a gibibyte as a mask."""
    rng = np.random.default_rng(0)
    n_cells, n_genes, stored = 50_000, 20_000, 5
    step = n_genes // stored
    genes = np.arange(stored) * step + rng.integers(step, size=(n_cells, stored))
    y = sp.csr_array((rng.random(genes.size), genes.ravel(), np.arange(n_cells + 1) * stored), (n_cells, n_genes))
    model, peak = peak_of(lambda: fitted([y], None, n_metagenes=2, max_iter=2))
    assert model.metagenes_.shape == (n_genes, 2) and peak < 500


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_iteration_allocates_nothing_of_the_size_of_the_data(dtype, sparse):
    rng = np.random.default_rng(0)
    y = rng.random((12_000, 800)).astype(dtype)
    size = y.nbytes / 2**20
    y = sp.csr_array(y) if sparse else y
    metagenes, noise = initialize(LocalCells(check_samples([y[:200]], None, 3)), 3, rng)
    states = rng.dirichlet(np.ones(3), size=12_000), np.ones(12_000)
    samples, options = check_samples([y], None, 3), Options(n_metagenes=3)
    cells, theta = LocalCells(samples, states=states), Theta(metagenes, np.zeros((3, 3)), noise)
    history = History(options, samples)
    iterate(options, cells, theta, history)
    _, peak = peak_of(lambda: iterate(options, cells, theta, history))
    _, checked = peak_of(lambda: check_samples([y], None, 3))
    assert max(peak, checked) < 0.5 * size


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    expressions, graphs = small_samples(2, n_cells=(4000, 1500))
    fits = {}
    for threads in (1, 2, 3):
        monkeypatch.setattr(parallel, "n_threads", lambda threads=threads: threads)
        fits[threads] = fitted(expressions, graphs)
    for other in (fits[2], fits[3]):
        np.testing.assert_array_equal(fits[1].metagenes_, other.metagenes_)
        np.testing.assert_array_equal(fits[1].affinity_, other.affinity_)
        np.testing.assert_array_equal(np.concatenate(fits[1].latent_states_), np.concatenate(other.latent_states_))
        columns = ["Q", "energy", "n_sweeps"]
        assert fits[1].history_[columns].equals(other.history_[columns])


THREADS_OF_A_FIT = """
import sys, warnings
warnings.simplefilter("ignore")
from threadpoolctl import threadpool_info, threadpool_limits
from spicemix_core.numerics.threads import one_blas_thread
assert "sklearn" not in sys.modules
with one_blas_thread():
    pass
import sklearn.cluster  # loads further libraries
with threadpool_limits(2), one_blas_thread():
    print({library["num_threads"] for library in threadpool_info()})
from models import small_samples
from spicemix_core import SpiceMix
from spicemix_core.numerics import products
from spicemix_core.runs.held_out import states_without

seen, product, data = set(), products.times_metagenes, small_samples(0)

def spy(*arguments):
    seen.update((library["internal_api"], library["num_threads"]) for library in threadpool_info())
    return product(*arguments)

products.times_metagenes = spy
with threadpool_limits(2):
    model = SpiceMix(4, random_state=0, max_iter=4, tol=0.0).fit_arrays(*data)
    model.transform_arrays(*data)
    states_without(model, *data, [3])
    assert {library["num_threads"] for library in threadpool_info()} == {2}
print(sorted(number for _, number in seen if number != 1), sorted(seen))
"""


@pytest.fixture(scope="module")
def numbers_of_threads():
    """What a process of its own prints, because other tests and libraries leave threads and limits of their own."""
    run = subprocess.run([sys.executable, "-c", THREADS_OF_A_FIT], capture_output=True, text=True,
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.subprocess
def test_a_fit_leaves_the_threads_to_the_blocks(numbers_of_threads):
    """BLAS threads within the threads of the blocks would outnumber the cores, and change the last digits."""
    assert numbers_of_threads[1].startswith("[] [(")


@pytest.mark.subprocess
def test_libraries_that_are_loaded_after_the_first_fit_are_limited_too(numbers_of_threads):
    assert numbers_of_threads[0] == "{1}"


def blas_threads():
    """Numbers of threads of the BLAS libraries of this process."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_overlapping_fits_in_two_threads_restore_the_number_of_blas_threads():
    first_has_begun, second_has_begun = Event(), Event()

    def first():
        with one_blas_thread():
            first_has_begun.set()
            second_has_begun.wait()

    with threadpool_limits(2), ThreadPoolExecutor(1) as other:
        if hasattr(OpenBLASController, "clear_controlling_thread"):
            OpenBLASController.clear_controlling_thread()  # as before any thread has set a number
        running = other.submit(first)
        first_has_begun.wait()
        with one_blas_thread():
            second_has_begun.set()
            running.result()  # the first has ended
            during = blas_threads()
        assert during == {1} and blas_threads() == {2}


def test_blocks_are_processed_by_several_threads_and_returned_in_order(monkeypatch):
    import threading

    monkeypatch.setattr(parallel, "n_threads", lambda: 2)
    both = threading.Barrier(2, timeout=300)  # passes only if two blocks run at the same time

    def function(start, stop):
        both.wait()
        return start, stop, threading.current_thread().name

    blocks = parallel.over_blocks(function, 10, block=5)
    assert [b[:2] for b in blocks] == [(0, 5), (5, 10)] and len({b[2] for b in blocks}) == 2
    assert parallel.over_blocks(lambda a, b: 1 / 0, 0) == []
    with pytest.raises(ZeroDivisionError):
        parallel.over_blocks(lambda a, b: 1 / 0, 10, block=5)


def _sum_of_squares():
    return float((products.times_metagenes(expression(float, False), np.ones((70, 1))) ** 2).sum())


def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setattr(parallel, "n_threads", lambda: 2)
    expected = _sum_of_squares()  # starts the threads of this process
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(_sum_of_squares).get(timeout=300) == expected
