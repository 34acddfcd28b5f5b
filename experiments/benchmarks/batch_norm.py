"""What batch normalisation costs: a network with one after each convolution, and without.

Ours and PyTorch's, with and without, are trained in turns; `over_plain` is the time with over the
time without, of the same side. PyTorch is the strict peer of ``peer.py``, with the layout that is
the faster for the plain network.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.jobs import BATCH_NORM, LAYOUTS, Job
from experiments.benchmarks.machine import describe, has_torch
from experiments.benchmarks.processes import Worker, as_columns, forget, in_turns, spread, train
from experiments.benchmarks.speed import TURN, timing

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "what batch normalisation after each convolution costs, ours and PyTorch's"
NEEDS = ()
SHOWN = ("net", "threads", "by", "microseconds_per_sample", "over_plain")
NETS = ("lenet5", "deep", "original_cnn")

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--rounds", type=int, default=9)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time every net on one and on two workers."""
    nets, rounds = (["lenet5"], 1) if asked.quick else (asked.nets, asked.rounds)
    for net in nets:
        for threads in (1,) if asked.quick else (1, 2):
            with Worker() as ours, Worker() as theirs:
                machine = ours.call(describe)
                sides = {Job(net, threads=threads): ours}
                if has_torch():
                    sides |= {Job(net, by, threads=threads): theirs for by in LAYOUTS}
                yield from (row | machine for row in measure_net(sides, rounds))


def measure_net(sides: dict[Job, Worker], rounds: int) -> Iterator[Row]:
    """Time a net with and without, on every side."""
    workers = {}
    for job, worker in sides.items():
        workers |= {job: worker, Job(job.net + BATCH_NORM, job.by, threads=job.threads): worker}
    count = {}
    for job, worker in workers.items():
        worker.call(train, job, 5)  # worker processes are forked after some
        count[job] = max(2, round(TURN / worker.call(train, job, 2) * 2))
    timers = {job: _timer(worker, job, count[job]) for job, worker in workers.items()}
    figures = in_turns(timers, rounds)
    for job, times in figures.items():
        plain = figures[Job(job.net.removesuffix(BATCH_NORM), job.by, threads=job.threads)]
        ratios = spread([a / b for a, b in zip(times, plain, strict=True)])
        row = as_columns(job) | timing(spread(times)) | {"over_plain": ratios["median"]}
        yield row | {f"over_plain_{key}": ratios[key] for key in ("low", "high")}
    for worker in sides.values():
        worker.call(forget)


def _timer(worker: Worker, job: Job, count: int) -> Any:
    return lambda: worker.call(train, job, count) / (count * job.batch) * 1e6


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Nothing is drawn: the table says it."""
