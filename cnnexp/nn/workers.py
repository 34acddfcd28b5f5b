"""Pieces of a batch on threads.

A batch is cut by `micro_batch`, never by the number of threads, and results are given back in the
order of the pieces. So sums over pieces have the same bits on one thread or on sixteen. NumPy lets
go of the interpreter lock inside its loops and products, so threads do run side by side; BLAS
itself is held to one thread meanwhile, because its products differ in the last bits between thread
counts.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


def pieces(samples: int, micro_batch: int | None) -> list[slice]:
    """Cut a number of samples into slices of `micro_batch`; the last may be shorter.

    A single sample that is left over joins the slice before it: alone it would not tell how its
    arrays lie in memory, and results would depend on which piece is ready first.

    Examples
    --------
    >>> pieces(8, 3)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 8, None)]
    >>> pieces(7, 3)
    [slice(0, 3, None), slice(3, 7, None)]
    >>> pieces(5, None)
    [slice(0, 5, None)]
    """
    size = max(samples, 1) if micro_batch is None else micro_batch
    starts = list(range(0, max(samples, 1), size))
    if size > 1 and len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], samples], strict=True)]


_most_cores: list[int] = []


def limit_cores(count: int) -> None:
    """Let this process count on so many cores only; for jobs that run side by side."""
    _most_cores[:] = [count]


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return min([found, *_most_cores])


class Workers:
    """Threads that share the pieces of a batch.

    Parameters
    ----------
    threads : int
        How many; with one, everything runs in the thread that calls.

    Examples
    --------
    >>> with Workers(2) as workers:
    ...     workers.map(lambda worker, item: item * item, [1, 2, 3])
    [1, 4, 9]
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[int, Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return ``function(worker, item)`` of every item, in the order of the items.

        `worker` is a number below `threads`; two calls that run at the same time never have the
        same one.
        """
        helpers = min(self.threads, len(items)) - 1
        if helpers <= 0:
            with not_finite_is_no_news():
                return [function(0, item) for item in items]
        results: list[Any] = [None] * len(items)
        queue = iter(range(len(items)))
        lock = threading.Lock()

        def work(worker: int) -> None:
            with not_finite_is_no_news():
                while True:
                    with lock:
                        k = next(queue, None)
                    if k is None:
                        return
                    results[k] = function(worker, items[k])

        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.threads - 1, thread_name_prefix="cnnexp")
        others = [self._pool.submit(work, worker) for worker in range(1, helpers + 1)]
        try:
            work(0)
        finally:
            for other in others:
                other.result()
        return results

    def close(self) -> None:
        """End the threads; they start again when they are needed."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def leave(self) -> None:
        """Forget the threads: in a forked process there are none."""
        self._pool = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def not_finite_is_no_news() -> np.errstate:
    """Keep NumPy from warning of infinity, in this thread: the loss tells, and ends a training."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


@functools.cache
def _blas() -> Any:
    """Return the controller of the BLAS libraries that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


class _OneThread:
    """Holds BLAS to one thread as long as anybody wants it; nested and parallel uses count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit = _blas().limit(limits=1)

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


_one_thread = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread for a while, and give it back its setting afterwards."""
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()
