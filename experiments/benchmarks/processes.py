"""Measurements in processes of their own, taken in turns.

Each contender works in a fresh Python process, so that the threads of one library never disturb
another, and so that settings which are read once, at the start of a process, can be given to it:
the architecture that OpenBLAS computes for, and how glibc hands memory back. The processes live
side by side; one works at a time, the others wait.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from experiments.benchmarks.jobs import LAYOUTS, Job

Result = TypeVar("Result")
Environment = Mapping[str, str | None]  # None: not set

CORETYPE = "OPENBLAS_CORETYPE"
# glibc gives large arrays back to the system at once, and pays for their pages again; PyTorch's
# passes are much faster if it is kept from doing so. Both sides get the same.
RAISED_MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
PAUSE = 0.03  # seconds before a turn, three times as long as threads of PyTorch's spin
DEFAULT_MALLOC: Environment = dict.fromkeys(RAISED_MALLOC)


class Worker:
    """A process that is given functions to call, one after another.

    Parameters
    ----------
    environment : mapping
        Variables to set or, with None, to unset; glibc's limits are raised if it says nothing.
    """

    def __init__(self, environment: Environment | None = None) -> None:
        self._environment: Environment = {**RAISED_MALLOC, **(environment or {})}
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self.call(os.getpid)  # the process starts at its first call

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what a function of a module returns in that process."""
        with changed_environment(self._environment):
            return self._pool.submit(function, *arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def changed_environment(changes: Environment) -> Iterator[None]:
    """Change environment variables for a while; a process that starts meanwhile has them so."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: Environment) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class Runner(Protocol):
    """What is timed in a process: a network with its optimizer and its images."""

    def train(self, batches: int) -> float:
        """Train on some batches and return the seconds."""

    def infer(self, samples: int, at_once: int) -> float:
        """Predict some samples and return the seconds."""


_runners: dict[Job, Runner] = {}  # of this process


def runner_of(job: Job) -> Runner:
    """Return the network of a job in this process; made when it is first asked for."""
    if job not in _runners:
        if job.by in LAYOUTS:
            from experiments.benchmarks.peer import Peer

            _runners[job] = Peer(job)
        elif job.by == "torch.compile":
            from experiments.benchmarks.peer import CompiledPeer

            _runners[job] = CompiledPeer(job)
        elif job.by == "jax":
            from experiments.benchmarks.jax_peer import JaxPeer

            _runners[job] = JaxPeer(job)
        else:
            from experiments.benchmarks.ours import Ours

            _runners[job] = Ours(job)
    return _runners[job]


def forget() -> None:
    """Let go of all networks of this process."""
    _runners.clear()


def train(job: Job, batches: int) -> float:
    """Train a job on some batches, in this process, and return the seconds."""
    return runner_of(job).train(batches)


def infer(job: Job, samples: int, at_once: int) -> float:
    """Predict some samples by the network of a job, in this process; return the seconds."""
    return runner_of(job).infer(samples, at_once)


def in_turns(timers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call all timers in turns, A B C A B C, and return the figures of each; one round unheeded.

    Threads of a contender may spin for some milliseconds after its turn, and take a core from the
    next one. So each turn begins with a pause.
    """
    figures: dict[str, list[float]] = {name: [] for name in timers}
    for turn in range(rounds + 1):
        for name, timer in timers.items():
            time.sleep(PAUSE)
            figure = timer()
            if turn:
                figures[name].append(figure)
    return figures


def spread(figures: Sequence[float]) -> dict[str, float]:
    """Return the median and the quartiles."""
    if len(figures) == 1:
        return {"median": figures[0], "low": figures[0], "high": figures[0]}
    low, median, high = statistics.quantiles(figures, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def as_columns(job: Job) -> dict[str, Any]:
    """Return the fields of a job as columns of a result."""
    wanted = ("net", "by", "batch", "threads", "micro_batch", "fuse", "dtype")
    return {key: value for key, value in asdict(job).items() if key in wanted}
