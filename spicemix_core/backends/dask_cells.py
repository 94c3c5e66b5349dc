"""Cells on the workers of a Dask cluster, each of which holds some samples and the states of their cells.

Every worker holds its cells as a Dask actor. The expression is sent to it once, and the states are returned once, at
the end (and for each checkpoint). All other messages are parameters and sums over the cells of a worker: K x K and
G x K arrays and numbers; G x 50 arrays while the leading directions are computed; the coordinates of the cells that
k-means uses, at most 20,000, once (:mod:`spicemix_core.initialization`); and the P x P curvature with
P = K (K + 1) / 2 while S is estimated. The sums are added in a fixed order, so the result is that of one process up to
the rounding of sums, and does not depend on the speed of the workers.

If a worker is lost, its states are lost with it. The calls that change states are recorded with their parameters, at
most G x K numbers per iteration. The lost part is rebuilt on another worker and the calls are repeated, which gives the
same states.
"""

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spicemix_core.cells import Cells, StateSums
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.samples import Samples, aligned

if TYPE_CHECKING:
    from distributed import Client

MOST_LOSSES = 3  # losses of one part during one call, after which the fit fails
SECONDS = 30.0  # time that the fit waits for a worker if there is none
_POLL = 2.0
_CHANGE_STATES = ("solve_states", "update_states")

log = logging.getLogger(__name__)


class WorkerLostError(RuntimeError):
    """The workers of a part were lost repeatedly, or the cluster has no workers."""


class SchedulerLostError(RuntimeError):
    """The scheduler of the cluster does not answer."""


class DaskCells(Cells):
    """Cells on the workers of a Dask client.

    Parameters
    ----------
    client : distributed.Client
    samples : Samples
        All samples. A worker gets whole samples; this process keeps them in case a worker is lost.
    place : callable
        Makes the cells of a worker, on the worker, from samples, first cells and ``states``.
    states : tuple of arrays, shapes (N, K) and (N,), optional
        Proportions and sizes to start from.
    """

    def __init__(self, client: "Client", samples: Samples, place: Callable[..., Cells], *,
                 states: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        self.samples, self._client, self._place, self._start = samples, client, place, states
        self._calls = []  # those that have changed the states: (name, arguments)
        workers = self._workers()
        self._parts = [_RemotePart(samples, indices, worker)
                       for indices, worker in zip(_distribute(samples, len(workers)), workers, strict=False)]
        self._threads = ThreadPoolExecutor(len(self._parts), thread_name_prefix="spicemix-parts")

    @property
    def states(self) -> tuple[np.ndarray, np.ndarray]:
        """Proportions (N, K) and sizes (N,), collected from the workers."""
        order = np.argsort(np.concatenate([part.cell_ids for part in self._parts]))
        return tuple(np.concatenate(pieces)[order] for pieces in zip(*self._ask("states"), strict=True))

    def gram_times(self, columns: np.ndarray) -> np.ndarray:
        return _added(self._ask("gram_times", columns))

    def profiles(self, directions: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(np.concatenate(pieces) for pieces in zip(*self._ask("profiles", directions, chosen), strict=True))

    def expression_of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.concatenate(pieces) for pieces in zip(*self._ask("expression_of", chosen), strict=True))

    def cluster_sums(self, directions: np.ndarray, centroids: np.ndarray) -> np.ndarray:
        return _added(self._ask("cluster_sums", directions, centroids))

    def solve_states(self, metagenes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _added_each(self._ask("solve_states", metagenes))

    def update_states(self, metagenes: np.ndarray, affinity: np.ndarray, noise: float,
                      state_penalty: float) -> StateSums:
        answers = self._ask("update_states", metagenes, affinity, noise, state_penalty)
        return StateSums(*_added_each(answers))._replace(n_sweeps=max(answer.n_sweeps for answer in answers))

    def affinity_sums(self, affinity: np.ndarray, order: int, spacing: int = 1) -> tuple:
        return _added_each(self._ask("affinity_sums", affinity, order, spacing))

    def _ask(self, name, *arguments):
        """The answers of all parts to a call, in the order of the parts."""
        answers = list(self._threads.map(lambda part: self._answer(part, name, arguments), self._parts))
        if name in _CHANGE_STATES:
            self._calls.append((name, arguments))
        log.debug("%s: %d bytes to the workers, %d bytes from them", name, len(self._parts) * _n_bytes(arguments),
                  _n_bytes(answers))
        return answers

    def _answer(self, part, name, arguments):
        """The answer of a part, which is made if it does not exist yet, and made again if its worker is lost."""
        for _ in range(1 + MOST_LOSSES):
            try:
                if part.actor is None:
                    self._make(part)
                return self._wait(part, part.actor.call(name, *arguments))
            except Exception as error:
                if not self._is_lost(part, error):
                    raise
                log.warning("Worker %s was lost: its %d samples move to another worker, where %d steps are repeated.",
                            part.worker, len(part.indices), len(self._calls))
                part.actor = part.worker = None
        raise WorkerLostError(f"The workers of {len(part.indices)} samples were lost {1 + MOST_LOSSES} times during "
                              f"{name}: check their logs and their memory.")

    def _make(self, part):
        """Make the part on its worker, or else on the worker with the fewest cells, in its current state."""
        workers = self._workers()
        if part.worker not in workers:
            load = {worker: sum(len(p.cell_ids) for p in self._parts if p.worker == worker) for worker in workers}
            part.worker = min(workers, key=load.get)
        states = None if self._start is None else tuple(array[part.cell_ids] for array in self._start)
        data, states = self._client.scatter([part.samples, states], workers=[part.worker], hash=False)
        made = self._client.submit(_WorkerCells, data, part.first_cells, self._place, states, actor=True,
                                   workers=[part.worker], pure=False)
        part.actor = self._wait(part, made)
        self._wait(part, part.actor.replay(self._calls))

    def _wait(self, part, future):
        while True:
            try:
                return future.result(timeout=_POLL)
            except TimeoutError:
                if future.done() or part.worker not in self._n_threads():
                    raise

    def _is_lost(self, part, error):
        """Whether an error means that the worker or the connection to it is lost, not that the call is wrong."""
        if isinstance(error, (OSError, CancelledError)):  # the state of the part is unknown, so it counts as lost
            return True
        if part.worker not in self._n_threads():
            return True
        removed = Event()  # the scheduler may notice it later than this process

        def notice(event):
            if event[1].get("action") == "remove-worker":
                removed.set()

        self._client.subscribe_topic(part.worker, notice)
        parts = max(1, round(_POLL))  # it may have noticed before the subscription, so it is asked every second
        is_lost = any(removed.wait(_POLL / parts) or part.worker not in self._n_threads() for _ in range(parts))
        self._client.unsubscribe_topic(part.worker)
        return is_lost

    def _workers(self):
        try:
            self._client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError as error:
            raise WorkerLostError(f"The Dask cluster has had no worker for {SECONDS:.0f} seconds: start workers."
                                  ) from error
        except Exception:
            self._n_threads()
            raise
        return list(self._n_threads())

    def _n_threads(self):
        """Number of threads of each worker."""
        try:
            return self._client.nthreads()
        except Exception as error:  # of many kinds, from the client and the libraries below it
            raise SchedulerLostError("The Dask scheduler does not answer. Start the cluster again, connect a new "
                                     "client, and repeat the fit, which resumes from its checkpoint if it has one."
                                     ) from error


class _RemotePart:
    """What this process knows of a part: its samples, the indices of its cells, its worker, and the actor there."""

    def __init__(self, samples, indices, worker):
        self.indices, self.worker, self.actor = indices, worker, None
        self.samples, self.first_cells = samples.take(indices), samples.offsets[indices]
        self.cell_ids = samples.cells_of(indices)


class _WorkerCells:
    """The cells of a part, on its worker."""

    def __init__(self, samples, first_cells, place, states):
        expressions = [_usable(y) for y in samples.expressions]
        samples = replace(samples, expressions=expressions, graph=_usable(samples.graph))
        states = None if states is None else tuple(map(_usable, states))
        self._cells = place(samples, first_cells, states=states)

    def call(self, name, *arguments):
        with one_blas_thread():
            value = getattr(self._cells, name)
            return value(*map(_usable, arguments)) if callable(value) else value

    def replay(self, calls):
        for name, arguments in calls:
            self.call(name, *arguments)


def _usable(array):
    """The array, aligned and writeable; messages leave arrays read-only, for which kernels would be compiled again."""
    return aligned(array, "AW")


def _distribute(samples: Samples, n: int) -> list[list[int]]:
    """Indices of the samples of at most ``n`` parts, ascending: the largest remaining sample to the least loaded."""
    weights = [y.nnz if sp.issparse(y) else y.size for y in samples.expressions]
    parts, loads = [[] for _ in range(n)], [0] * n
    for i in sorted(range(len(weights)), key=lambda i: -weights[i]):
        least = loads.index(min(loads))
        parts[least].append(i)
        loads[least] += weights[i]
    return [sorted(indices) for indices in parts if indices]


def _added(answers):
    return sum(answers[1:], start=answers[0])


def _added_each(answers):
    return tuple(_added(pieces) for pieces in zip(*answers, strict=True))


def _n_bytes(value: Any) -> int:
    """Bytes of the arrays and numbers in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return sum(map(_n_bytes, value))
    return getattr(value, "nbytes", 8)
