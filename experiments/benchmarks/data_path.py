"""How much of an epoch is not gradients and updates: shuffling, gathering, bookkeeping.

An epoch of training on made images, by the program's own trainer. The gathering of samples happens
inside the passes, on the threads that use them; it is timed there and counted to the data path.
Pixels are scaled once, when a data set is loaded, and not in an epoch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnnexp.nn.runner import Batch
from cnnexp.train import BatchDone, Trainer
from experiments.benchmarks.jobs import NETS, POOL, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, as_columns, spread

SUMMARY = "the share of an epoch that is not gradients and updates"
NEEDS = ()
SHOWN = ("net", "threads", "epoch_seconds", "gathering_seconds", "other_seconds", "share")
FIGURES = ("epoch_seconds", "gathering_seconds", "other_seconds", "share")

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="epochs")
    parser.add_argument("--pool", type=int, default=POOL, help="images of an epoch")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Take epochs apart; the median share of each job counts."""
    if asked.quick:
        asked.nets, asked.threads, asked.rounds, asked.pool = ["flat"], [1], 1, 1_024
    with Worker() as worker:
        machine = worker.call(describe)
        for net in asked.nets:
            for threads in asked.threads:
                job = Job(net, threads=threads, pool=asked.pool)
                yield as_columns(job) | worker.call(dissected, job, asked.rounds) | machine


def dissected(job: Job, rounds: int) -> Row:
    """Return the seconds of an epoch's parts, each a median over some epochs."""
    from experiments.benchmarks.ours import Ours

    trainer = Ours(job).trainer
    epochs = [one_epoch(trainer, job.threads) for _ in range(rounds + 1)][1:]
    return {name: spread([epoch[name] for epoch in epochs])["median"] for name in FIGURES}


def one_epoch(trainer: Trainer, threads: int) -> dict[str, float]:
    """Train an epoch and return the seconds of its parts; threads share the gathering."""
    with (
        timed(Batch, "part") as by_parts,
        timed(Batch, "gather") as at_once,
        timed(type(trainer.network), "batch_gradients") as passes,
        timed(type(trainer.optimizer), "step") as updates,
    ):
        trainer.epochs = trainer.state.epoch + 1
        total = sum(e.seconds for e in trainer.events() if isinstance(e, BatchDone))
    gathered = sum(by_parts) / threads + sum(at_once)
    other = total - sum(passes) - sum(updates)
    return {
        "epoch_seconds": total,
        "gathering_seconds": gathered,
        "other_seconds": other,
        "share": (gathered + other) / total,
    }


@contextmanager
def timed(owner: Any, name: str) -> Iterator[list[float]]:
    """Collect the seconds of every call of a method for a while."""
    method: Callable[..., Any] = getattr(owner, name)
    seconds: list[float] = []

    def wrapper(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(owner, name, wrapper)
    try:
        yield seconds
    finally:
        setattr(owner, name, method)
