"""Workers as threads and as processes: training, in turns, on one worker and on more.

`over_one` is the time over that of one worker, of the same implementation in the same row of turns.
More workers than cores are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from experiments.benchmarks.jobs import NETS, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, as_columns, in_turns, spread
from experiments.benchmarks.speed import TURN, timing

SUMMARY = "workers as threads and as processes"
NEEDS = ()
SHOWN = ("net", "by", "batch", "threads", "executor", "microseconds_per_sample", "over_one")
WORKERS = (1, 2, 4, 8, 16)
EXECUTORS = ("threads", "processes")

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--batches", nargs="+", type=int, default=[128, 512])
    parser.add_argument("--impls", nargs="+", default=["compiled", "fast"])
    parser.add_argument("--workers", nargs="+", type=int, default=WORKERS)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time all numbers of workers and both kinds, for each net, implementation and batch size."""
    from cnnexp.nn.executor import available_cores

    if asked.quick:
        asked.nets, asked.batches, asked.impls = ["flat"], [128], ["fast"]
        asked.workers, asked.rounds = [1, 2], 1
    workers = [count for count in asked.workers if count <= available_cores()]
    for net in asked.nets:
        for impl in asked.impls:
            for batch in asked.batches:
                with Worker() as worker:
                    machine = worker.call(describe)
                    for row in measure_net(worker, Job(net, impl, batch), workers, asked.rounds):
                        yield row | machine


def measure_net(worker: Worker, job: Job, workers: list[int], rounds: int) -> Iterator[Row]:
    """Time one net on all numbers of workers, in one process."""
    from dataclasses import replace

    jobs = {}
    for count in workers:
        for kind in EXECUTORS if count > 1 else ("none",):
            jobs[f"{count} {kind}"] = replace(job, threads=count), kind
    counts = {}
    for key, (one, kind) in jobs.items():
        worker.call(train, one, kind, 8)  # processes are forked after some
        counts[key] = max(2, round(TURN / worker.call(train, one, kind, 4) * 4))
    timers = {key: _timer(worker, *jobs[key], counts[key]) for key in jobs}
    figures = in_turns(timers, rounds)
    alone = figures[next(iter(jobs))]
    for key, (one, kind) in jobs.items():
        ratios = spread([a / b for a, b in zip(figures[key], alone, strict=True)])
        row = as_columns(one) | {"executor": kind} | timing(spread(figures[key]))
        row |= {"over_one": ratios["median"], "over_one_low": ratios["low"]}
        yield row | {"over_one_high": ratios["high"], "rounds": rounds}


def _timer(worker: Worker, job: Job, kind: str, batches: int) -> Any:
    return lambda: worker.call(train, job, kind, batches) / (batches * job.batch) * 1e6


_runners: dict[tuple[Job, str], Any] = {}  # of this process


def train(job: Job, kind: str, batches: int) -> float:
    """Train a job on some batches, in this process, on workers of a kind; return the seconds."""
    from cnnexp.nn import network
    from experiments.benchmarks.ours import Ours

    if (job, kind) not in _runners:
        possible = network.POSSIBLE
        network.POSSIBLE = kind == "processes"
        try:
            _runners[job, kind] = Ours(job)
        finally:
            network.POSSIBLE = possible
    seconds: float = _runners[job, kind].train(batches)
    return seconds
