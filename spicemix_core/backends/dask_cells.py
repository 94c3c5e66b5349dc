"""A fit over the workers of a Dask cluster, each of which holds some samples and the states of their cells.

Every worker holds a :class:`spicemix_core.cells.Part` as a Dask actor. The expression goes to it once, and the states
come back once, at the end (and for each checkpoint, if there is one). In between travel parameters, and sums over a
worker's cells: K x K and G x K arrays and numbers; G x 50 while the leading directions are found; once, the coordinates
along them of the cells that k-means is given, at most 20,000 (:mod:`spicemix_core.initialization`); and while S is
estimated, the P x P curvature with P = K (K + 1) / 2. The sums are added in one order, so the result is that of one
process up to the rounding of sums, and the same however long the workers take.

A worker that is lost takes its states with it. The calls that change states are recorded with their parameters, at most
G x K numbers for each iteration; the lost part is made anew on another worker, and these calls are made again, which
gives the same states. Nothing else is kept for it, and nothing is lost if no worker is.
"""

import logging
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from spicemix_core.backends.place import part_of
from spicemix_core.cells import StateSums
from spicemix_core.numerics.threads import one_blas_thread
from spicemix_core.samples import aligned

MOST_LOSSES = 3  # of one part during one call, before the fit gives up
SECONDS = 30.0  # that the fit waits for a worker if there is none
_POLL = 2.0
_CHANGE_STATES = ("solve_states", "update_states")


log = logging.getLogger(__name__)


class WorkerLostError(RuntimeError):
    """The workers of a part were lost again and again, or there is none left."""


class DistributedParts:
    """Parts on the workers of ``client``, called as one :class:`spicemix_core.cells.Part`.

    Parameters
    ----------
    client : distributed.Client
    samples : spicemix_core.samples.Samples
        All of them. A worker gets whole samples; this process keeps them for workers that are lost.
    options
        As :func:`spicemix_core.backends.place.part_of`.
    """

    def __init__(self, client, samples, **options):
        self.samples, self._client, self._options = samples, client, options
        self._states = None  # what the states were set to, if they were
        self._calls = []  # those that have changed the states since then: (name, arguments)
        workers = self._workers()
        self._parts = [_RemotePart(samples, share, worker)
                       for share, worker in zip(_share_out(samples, len(workers)), workers, strict=False)]
        self._threads = ThreadPoolExecutor(len(self._parts), thread_name_prefix="spicemix-parts")

    def twice_times(self, columns):
        return _added(self._ask("twice_times", columns))

    def profiles(self, directions, drawn):
        return tuple(np.concatenate(pieces) for pieces in zip(*self._ask("profiles", directions, drawn), strict=True))

    def cluster_sums(self, directions, centroids):
        return _added(self._ask("cluster_sums", directions, centroids))

    def solve_states(self, metagenes):
        return _added_each(self._ask("solve_states", metagenes))

    def update_states(self, *arguments):
        answers = self._ask("update_states", *arguments)
        return StateSums(*_added_each(answers))._replace(n_sweeps=max(answer.n_sweeps for answer in answers))

    def state_products(self):
        return _added_each(self._ask("state_products"))

    def affinity_value(self, affinity):
        return _added(self._ask("affinity_value", affinity))

    def affinity_sums(self, affinity, spacing):
        return _added_each(self._ask("affinity_sums", affinity, spacing))

    def affinity_curvature(self, affinity, spacing):
        return _added(self._ask("affinity_curvature", affinity, spacing))

    def get_states(self):
        numbers = np.concatenate([part.numbers for part in self._parts])
        return tuple(np.concatenate(pieces)[np.argsort(numbers)]
                     for pieces in zip(*self._ask("get_states"), strict=True))

    def set_states(self, proportions, sizes):
        self._states, self._calls = (proportions, sizes), []
        for part in self._parts:
            part.actor = None

    def _ask(self, name, *arguments):
        """The answers of all parts to a call, in the parts' order."""
        answers = list(self._threads.map(lambda part: self._answer(part, name, arguments), self._parts))
        if name in _CHANGE_STATES:
            self._calls.append((name, arguments))
        log.debug("%s: %d bytes to the workers, %d bytes from them", name, len(self._parts) * _n_bytes(arguments),
                  _n_bytes(answers))
        return answers

    def _answer(self, part, name, arguments):
        """The answer of a part, which is made where there is none, and anew where its worker is lost."""
        for _ in range(1 + MOST_LOSSES):
            try:
                if part.actor is None:
                    self._make(part)
                return self._wait(part, part.actor.call(name, *arguments))
            except Exception as error:
                if not self._is_lost(part, error):
                    raise
                log.warning("the worker %s was lost: its %d samples go to another, where %d steps are made again",
                            part.worker, len(part.share), len(self._calls))
                part.actor = part.worker = None
        raise WorkerLostError(f"the workers of {len(part.share)} samples were lost {1 + MOST_LOSSES} times during "
                              f"{name}; look at their logs and their memory")

    def _make(self, part):
        """Put the part on its worker, or on the one with the fewest cells, in the state that it should be in."""
        workers = self._workers()
        if part.worker not in workers:
            load = {worker: sum(len(p.numbers) for p in self._parts if p.worker == worker) for worker in workers}
            part.worker = min(workers, key=load.get)
        there = {"workers": [part.worker], "pure": False}
        data = self._client.scatter(part.samples, workers=[part.worker], hash=False)
        made = self._client.submit(_Held, data, part.first_cells, self._options, actor=True, **there)
        part.actor = self._wait(part, made)
        if self._states is not None:
            states = (array[part.numbers] for array in self._states)
            self._wait(part, part.actor.call("set_states", *states))
        self._wait(part, part.actor.replay(self._calls))

    def _wait(self, part, future):
        while True:
            try:
                return future.result(timeout=_POLL)
            except TimeoutError:
                if future.done() or part.worker not in self._client.nthreads():
                    raise

    def _is_lost(self, part, error):
        """Whether an error says that the worker, or the way to it, is gone, and not that the call is wrong."""
        if isinstance(error, (OSError, CancelledError)):  # the state of the part is not known, so it counts as lost
            return True
        end = time.monotonic() + _POLL  # the scheduler may learn of it later than this process
        while (there := part.worker in self._client.nthreads()) and time.monotonic() < end:
            time.sleep(0.1)
        return not there

    def _workers(self):
        try:
            self._client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError as error:
            raise WorkerLostError(f"the Dask cluster has had no worker for {SECONDS:.0f} seconds; start some"
                                  ) from error
        return list(self._client.nthreads())


class _RemotePart:
    """What this process knows of a part: its samples, the numbers of its cells, its worker, and the actor there."""

    def __init__(self, samples, share, worker):
        self.share, self.worker, self.actor = share, worker, None
        self.samples, self.first_cells = samples.take(share), samples.offsets[share]
        self.numbers = samples.numbers(share)


class _Held:
    """The part on its worker."""

    def __init__(self, samples, first_cells, options):
        expressions = [_usable(y) for y in samples.expressions]
        samples = replace(samples, expressions=expressions, graph=_usable(samples.graph))
        self._part = part_of(samples, first_cells, **options)

    def call(self, name, *arguments):
        with one_blas_thread():
            return getattr(self._part, name)(*map(_usable, arguments))

    def replay(self, calls):
        for name, arguments in calls:
            self.call(name, *arguments)


def _usable(array):
    """An array as compiled code wants it: messages leave arrays read-only, for which kernels would be compiled anew."""
    return aligned(array, "AW")


def _share_out(samples, n):
    """Numbers of the samples of at most ``n`` parts, ascending: always the largest sample left to the least loaded."""
    weights = [y.nnz if sp.issparse(y) else y.size for y in samples.expressions]
    shares, loads = [[] for _ in range(n)], [0] * n
    for i in sorted(range(len(weights)), key=lambda i: -weights[i]):
        least = loads.index(min(loads))
        shares[least].append(i)
        loads[least] += weights[i]
    return [sorted(share) for share in shares if share]


def _added(answers):
    return sum(answers[1:], start=answers[0])


def _added_each(answers):
    return tuple(_added(pieces) for pieces in zip(*answers, strict=True))


def _n_bytes(value):
    """Bytes of the arrays and numbers in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        return sum(map(_n_bytes, value))
    return getattr(value, "nbytes", 8)
