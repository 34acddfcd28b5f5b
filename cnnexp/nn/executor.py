"""Executors: how the micro-batches of a mini-batch are shared among workers.

A mini-batch is split by the size of a micro-batch, not by the number of workers, and all
sums are taken in the order of the micro-batches. So the numbers are the same on one worker or on
sixteen. There are three executors with one interface:

========= =====================================================================================
Serial    this thread runs one micro-batch after the other
Threads   threads share them; NumPy releases the interpreter lock inside its loops and products
Processes forked processes share them (`processes`): no lock at all, but memory must be shared
========= =====================================================================================
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Implementation
from cnnexp.nn.blas import ignore_fp_warnings

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Job = Callable[[int, int], Any]
"""Called with the number of a worker and the number of a micro-batch."""


class Executor(ABC):
    """Runs a job for every micro-batch.

    Attributes
    ----------
    workers : int
        The number of workers that run in parallel.
    shared : bool
        Whether jobs may run in other processes: they may then read and write only memory from
        `allocate`.
    """

    workers: int = 1
    shared: bool = False

    @abstractmethod
    def map(self, job: Job, count: int) -> None:
        """Call ``job(worker, k)`` for every k below `count`, and wait until all are done."""

    def allocate(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return an array of zeros that all workers can write to."""
        return np.zeros(shape, dtype)

    def ready(  # noqa: B027 - most have nothing to prepare
        self, jobs: Sequence[Job], count: int, prepare: Callable[[], None]
    ) -> None:
        """Prepare for jobs that are repeated; all memory that they need is allocated.

        Parameters
        ----------
        jobs : sequence of callable
            The jobs that other processes may run.
        count : int
            Micro-batches of a mini-batch.
        prepare : callable
            Called first in each new process.
        """

    def forget(self) -> None:  # noqa: B027
        """End other processes: the memory that they share has been replaced."""

    def close(self) -> None:  # noqa: B027
        """End all workers; new ones are started when needed."""


class Serial(Executor):
    """Runs one micro-batch after the other."""

    def map(self, job: Job, count: int) -> None:
        """Call the job for every micro-batch, as worker 0."""
        for k in range(count):
            job(0, k)


class Threads(Executor):
    """Threads; each takes the next micro-batch when it is free.

    Parameters
    ----------
    workers : int
        Number of threads, the calling one included.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ThreadPoolExecutor | None = None

    def map(self, job: Job, count: int) -> None:
        """Call the job for every micro-batch, each in the next free thread."""
        others = min(self.workers, count) - 1
        queue = iter(range(count))
        lock = threading.Lock()
        failed: dict[int, Exception] = {}

        def work(worker: int) -> None:
            while not failed:
                with lock:
                    k = next(queue, None)
                if k is None:
                    return
                try:
                    job(worker, k)
                except Exception as error:
                    failed[k] = error

        def work_quietly(worker: int) -> None:
            with ignore_fp_warnings():
                work(worker)

        if others > 0 and self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.workers - 1, thread_name_prefix="cnnexp")
        waiting = [self._pool.submit(work_quietly, k) for k in range(1, others + 1)]  # type: ignore[union-attr]
        try:
            work(0)
        finally:
            for other in waiting:
                other.result()
        if failed:  # those before the first of them were taken before it, and did not fail
            raise failed[min(failed)]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


_most_cores: list[int] = []


def limit_cores(count: int) -> None:
    """Limit the cores that this process uses; for jobs that run in parallel."""
    _most_cores[:] = [count]


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return min([found, *_most_cores])


def automatic_threads(implementation: Implementation) -> int:
    """Return one worker for Python loops and for a device, else all cores."""
    alone = implementation.device is not None or not implementation.releases_gil
    return 1 if alone else available_cores()
