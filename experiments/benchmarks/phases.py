"""Where the time of ``impl=compiled`` goes: each kernel, matrix products, and all the rest.

One worker trains on batches of 128 images and predicts as many; every call of a kernel and of
NumPy's `matmul` is timed. Times are those of the processor (`thread_time`), so other work on the
machine changes them less than a clock on the wall. `products` are the floor: what would remain if
everything else took no time. The rest is NumPy's other calls, copies, and Python. A pass is
measured several times, and the quickest counts.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments.benchmarks.jobs import NETS, NORMALISED, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.ours import Ours
from experiments.benchmarks.processes import Worker

SUMMARY = "where the time of impl=compiled goes: kernels, products, the rest"
NEEDS = ("numba",)
SHOWN = ("pass", "net", "part", "microseconds_per_sample", "share")
BATCHES = 8  # of a pass that is timed
Function = Callable[..., Any]
Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=(*NETS, *NORMALISED), default=NETS)
    parser.add_argument("--rounds", type=int, default=5)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time the parts of training and of inference, each net in a process of its own."""
    if asked.quick:
        asked.nets, asked.rounds = ["flat"], 1
    for net in asked.nets:
        with Worker() as worker:
            machine = worker.call(describe)
            for which in ("training", "inference"):
                found = worker.call(parts_of, Job(net, "compiled"), which, asked.rounds)
                for part, microseconds in found.items():
                    row = {"pass": which, "net": net, "part": part}
                    row |= {"microseconds_per_sample": microseconds}
                    yield row | {"share": microseconds / found["all"]} | machine


def parts_of(job: Job, which: str, rounds: int) -> dict[str, float]:
    """Return microseconds per sample of each part of the quickest of some rounds."""
    from cnnexp.engine.compiled.kernel import Kernel

    ours, spent = Ours(job), defaultdict[str, int](int)
    samples = BATCHES * job.batch

    def run() -> None:
        if which == "training":
            ours.train(BATCHES)
        else:
            ours.infer(samples, job.batch)

    run()
    real = Kernel.__call__, np.matmul
    changed: Any = Kernel  # mypy knows that methods are not for changing
    changed.__call__ = _timed(real[0], lambda kernel, *_: kernel.name, spent)
    np.matmul = _timed(real[1], lambda *_: "products", spent)
    try:
        return min((_round(run, spent, samples) for _ in range(rounds)), key=lambda f: f["all"])
    finally:
        changed.__call__, np.matmul = real


def _round(run: Function, spent: dict[str, int], samples: int) -> dict[str, float]:
    """Return microseconds per sample of all, of the products, of each kernel, and of the rest."""
    spent.clear()
    start = time.thread_time_ns()
    run()
    whole = time.thread_time_ns() - start
    parts = dict(sorted(spent.items(), key=lambda item: -item[1]))
    parts = {"all": whole, **parts, "rest": whole - sum(parts.values())}
    return {part: taken / samples / 1e3 for part, taken in parts.items()}


def _timed(function: Function, name_of: Function, spent: dict[str, int]) -> Function:
    """Return a function that adds the time of each call to a name's."""

    def call(*arguments: Any, **options: Any) -> Any:
        start = time.thread_time_ns()
        result = function(*arguments, **options)
        spent[name_of(*arguments)] += time.thread_time_ns() - start
        return result

    return call
