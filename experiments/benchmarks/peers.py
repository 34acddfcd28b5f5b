"""Training with batches of 128, by all peers: PyTorch eager and compiled, JAX, and ours.

All contenders take turns, each in a process of its own. `ratio` is the time over that of PyTorch in
eager mode, the faster of its two layouts: the median of the quotients of turns side by side. What
is not installed is left out, and so is a peer that cannot compile a network here; which, is said.
A first call compiles; it is not part of any figure.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from experiments.benchmarks.jobs import LAYOUTS, NETS, NORMALISED, OTHERS, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, as_columns, in_turns, spread, train
from experiments.benchmarks.speed import TURN, check, timing

SUMMARY = "training by PyTorch, torch.compile, JAX and ours, batches of 128"
NEEDS = ("torch",)
SHOWN = ("net", "threads", "by", "microseconds_per_sample", "ratio")
OURS = ("compiled", "fast")
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    nets = (*NETS, *NORMALISED)
    parser.add_argument("--nets", nargs="+", choices=nets, default=nets)
    parser.add_argument("--threads", nargs="+", type=int, default=(1, 2))
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time every net on one and on two threads."""
    if asked.quick:
        asked.nets, asked.threads, asked.rounds = ["flat"], [1], 1
    for net in asked.nets:
        for threads in asked.threads:
            with ExitStack() as stack:
                timers, machine = {}, {}
                for by in contenders():
                    worker = stack.enter_context(Worker(ONE_THREAD if threads == 1 else None))
                    job = Job(net, by, threads=threads)
                    machine = worker.call(describe)
                    if by == LAYOUTS[0]:
                        check(worker, net, threads)
                    if count := batches_of_a_turn(worker, job):
                        timers[job] = _timer(worker, job, count)
                for row in rows_of(in_turns(timers, asked.rounds)):
                    yield row | machine


def contenders() -> list[str]:
    """Return all that are installed, PyTorch in eager mode first."""
    found = [*LAYOUTS, *OURS, *OTHERS]
    if importlib.util.find_spec("numba") is None:
        found.remove("compiled")
    if importlib.util.find_spec("jax") is None:
        found.remove("jax")
    return found


def batches_of_a_turn(worker: Worker, job: Job) -> int:
    """Return how many batches fill a turn, after some that compile; 0 if it cannot run here."""
    try:
        worker.call(train, job, 5)
        return max(2, round(2 * TURN / worker.call(train, job, 2)))
    except Exception as error:
        if job.by not in OTHERS:
            raise
        print(f"  {job.by} is left out for {job.net}: {str(error).splitlines()[0][:200]}")
        return 0


def _timer(worker: Worker, job: Job, count: int) -> Any:
    return lambda: worker.call(train, job, count) / (count * job.batch) * 1e6


def rows_of(figures: dict[Job, list[float]]) -> Iterator[Row]:
    """Return a row for each contender."""
    eager = [job for job in figures if job.by in LAYOUTS]
    best = min(eager, key=lambda job: spread(figures[job])["median"])
    for job, times in figures.items():
        pairs = zip(times, figures[best], strict=True)
        quotients = spread([a / b for a, b in pairs])
        row = as_columns(job) | timing(spread(times)) | {"ratio": quotients["median"]}
        row |= {f"ratio_{key}": quotients[key] for key in ("low", "high")}
        yield row | {"best_peer": best.by, "rounds": len(times)}
