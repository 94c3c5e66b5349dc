"""Blocks of cells, shared out among threads, with the same result for any number of threads.

The blocks depend on the number of cells alone, each is worked on by one thread, and whoever adds up their results does
so in their order. The kernels release Python's lock, and threads that wait sleep: several fits on one machine do not
keep each other from the cores, as spinning threads of BLAS or OpenMP do.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
from threadpoolctl import ThreadpoolController

BLOCK = 1024  # cells; one takes at least a millisecond, a hundred times what handing it to a thread takes


def n_threads():
    """Threads that work on blocks: ``NUMBA_NUM_THREADS`` of the environment, by default all cores."""
    return numba.config.NUMBA_NUM_THREADS


def over_blocks(function, n, block=BLOCK):
    """``function(start, stop)`` for consecutive blocks of ``range(n)``, on all threads; results in the blocks' order.

    ``function`` must not call this one again.
    """
    bounds = [(start, min(start + block, n)) for start in range(0, n, block)]
    if len(bounds) < 2 or n_threads() < 2:
        return [function(*b) for b in bounds]
    return list(_pool(n_threads()).map(lambda b: function(*b), bounds))


@cache
def _pool(n):
    return ThreadPoolExecutor(n, thread_name_prefix="spicemix")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of the threads


def one_blas_thread():
    """Context in which BLAS and OpenMP use one thread each: the threads are those of :func:`over_blocks`."""
    return _controller().limit(limits=1)


@cache
def _controller():
    return ThreadpoolController()
