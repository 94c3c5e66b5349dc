"""Blocks of cells, distributed over threads, with the same result for any number of threads.

The blocks depend only on the number of cells, one thread processes each block, and results are added in the order of
the blocks. The kernels release Python's global lock, and idle threads sleep. Several fits on one machine thus do not
slow each other down as spinning threads of BLAS or OpenMP do.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numba
from threadpoolctl import OpenBLASController, ThreadpoolController

_lock, _limits, _blocks = Lock(), [], []  # of one_blas_thread, for all threads of the process
BLOCK = 1024  # cells; a block takes at least a millisecond, a hundred times the cost of passing it to a thread


def n_threads() -> int:
    """Number of threads: the environment variable ``NUMBA_NUM_THREADS``, by default the number of cores."""
    return numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]


def over_blocks(function: Callable[[int, int], Any], n: int, block: int = BLOCK) -> list:
    """``function(start, stop)`` for consecutive blocks of ``range(n)``, on all threads; results in order of the blocks.

    ``function`` must not call :func:`over_blocks`.
    """
    bounds = [(start, min(start + block, n)) for start in range(0, n, block)]
    if len(bounds) < 2 or n_threads() < 2:
        return [function(*b) for b in bounds]
    return list(_pool(n_threads()).map(lambda b: function(*b), bounds))


@cache
def _pool(n):
    return ThreadPoolExecutor(n, thread_name_prefix="spicemix")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which BLAS and OpenMP use one thread each, because :func:`over_blocks` uses all cores.

    Fits may run in several threads of a process. OpenMP has a number of threads for each of them, and BLAS has one for
    the process, which the last block to end restores.
    """
    controller = ThreadpoolController()  # made anew: libraries may have been loaded since the last fit
    with controller.select(user_api="openmp", threading_layer="openmp").limit(limits=1):
        with _lock:
            _take_control()
            _limits.append(controller.select(user_api="blas").limit(limits=1))
            _blocks.append(None)
        try:
            yield
        finally:
            with _lock:
                _blocks.pop()
                _take_control()
                while _limits and not _blocks:
                    _limits.pop().restore_original_limits()  # the first one knows the original numbers


def _take_control():
    """From version 3.8, threadpoolctl ignores threads other than the first one that has set a number."""
    getattr(OpenBLASController, "clear_controlling_thread", dict)(force=True)


if hasattr(os, "register_at_fork"):  # not on Windows; a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
