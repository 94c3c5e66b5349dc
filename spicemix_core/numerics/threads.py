"""Blocks of cells, distributed over threads, with the same result for any number of threads.

The blocks depend only on the number of cells, one thread processes each block, and results are added in the order of
the blocks. The kernels release Python's global lock, and idle threads sleep. Several fits on one machine thus do not
slow each other down as spinning threads of BLAS or OpenMP do.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numba
from threadpoolctl import ThreadpoolController

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


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads


def one_blas_thread() -> AbstractContextManager:
    """Context in which BLAS and OpenMP use one thread each, because :func:`over_blocks` uses all cores."""
    return ThreadpoolController().limit(limits=1)  # made anew: libraries may have been loaded since the last fit
