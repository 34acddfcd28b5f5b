"""What each idea on the way from im2col to fast bought.

Training with one idea after another, all taken in turns in one process. `im2col` is the textbook:
the whole batch at once, one product per layer. The other rows add what stands in their names.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.jobs import NETS, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, as_columns, forget, in_turns, spread, train
from experiments.benchmarks.speed import TURN, timing

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "what each idea between im2col and fast bought"
NEEDS = ()
SHOWN = ("net", "step", "microseconds_per_sample", "over_im2col")
WHOLE = {"micro_batch": 128}  # a mini-batch as one micro-batch
STEPS: dict[str, dict[str, Any]] = {
    "im2col": {"by": "im2col", **WHOLE},
    "sg": {"by": "sg", **WHOLE},
    "fast, whole batches": {"fuse": False, **WHOLE},
    "fast, fused": {**WHOLE},
    "fast, in micro-batches": {"fuse": False},
    "fast, fused, in micro-batches": {},
    "fast, with 2 workers": {"threads": 2},
}

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    default = ["original_cnn", "lenet5", "deep"]
    parser.add_argument("--nets", nargs="+", choices=NETS, default=default)
    parser.add_argument("--rounds", type=int, default=5)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time all steps of every net in turns."""
    if asked.quick:
        asked.nets, asked.rounds = ["original_cnn"], 1
    for net in asked.nets:
        with Worker() as worker:
            machine = worker.call(describe)
            yield from (row | machine for row in measure_net(worker, net, asked.rounds))


def measure_net(worker: Worker, net: str, rounds: int) -> Iterator[Row]:
    """Time all steps of one net; each trains on as many batches as the fastest does in a turn."""
    jobs = {step: replace(Job(net), **changes) for step, changes in STEPS.items()}
    last = jobs[list(jobs)[-2]]
    worker.call(train, last, 2)
    count = max(2, round(TURN / worker.call(train, last, 1)))
    timers = {step: _timer(worker, job, count) for step, job in jobs.items()}
    figures = {step: spread(times) for step, times in in_turns(timers, rounds).items()}
    base = figures["im2col"]["median"]
    for step, job in jobs.items():
        row = {"net": net, "step": step} | as_columns(job) | timing(figures[step])
        yield row | {"over_im2col": figures[step]["median"] / base}
    worker.call(forget)


def _timer(worker: Worker, job: Job, count: int) -> Any:
    return lambda: worker.call(train, job, count) / (count * job.batch) * 1e6


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw bars for each net."""
    from experiments.benchmarks.pictures import draw_steps

    draw_steps(frame, path)
