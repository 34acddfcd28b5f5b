"""Sizes of micro-batches, measured and automatic: what `impl.tune` buys, and what it costs.

`size` is what was chosen by the measurement, which took `seconds_to_measure`. `over_automatic` is
the time of training with it over that with the automatic size, the median of the quotients of turns
side by side; 1 where both are the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from experiments.benchmarks.jobs import NETS, NORMALISED, Job
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, as_columns, in_turns, spread, train
from experiments.benchmarks.speed import TURN, timing

SUMMARY = "measured and automatic sizes of micro-batches"
NEEDS = ()
SHOWN = ("net", "by", "batch", "threads", "automatic", "size", "seconds_to_measure",
         "over_automatic")  # fmt: skip
MEASURED = ("original_cnn", "lenet5", "deep", "flat")

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=(*NETS, *NORMALISED), default=MEASURED)
    parser.add_argument("--impls", nargs="+", default=["fast", "compiled"])
    parser.add_argument("--batches", nargs="+", type=int, default=[128])
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=15, help="turns of each size")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Choose a size for every net, and train with both in turns."""
    if asked.quick:
        asked.nets, asked.impls, asked.rounds = ["flat"], ["fast"], 1
    for net in asked.nets:
        for impl in asked.impls:
            for batch in asked.batches:
                for threads in asked.threads:
                    with Worker() as worker:
                        machine = worker.call(describe)
                        job = Job(net, impl, batch, threads)
                        yield measure_net(worker, job, asked.rounds) | machine


def measure_net(worker: Worker, job: Job, rounds: int) -> Row:
    """Choose a size for one net, and train with both in one process."""
    automatic, size, seconds = worker.call(choose, job)
    row = as_columns(job) | {"automatic": automatic, "size": size, "seconds_to_measure": seconds}
    jobs = {"automatic": job, "measured": replace(job, micro_batch=size)}
    worker.call(train, job, 2)
    count = max(2, round(TURN / worker.call(train, job, 2) * 2))
    timers = {name: _timer(worker, each, count) for name, each in jobs.items()}
    figures = in_turns(timers, rounds)
    row |= timing(spread(figures["measured"])) | {"rounds": rounds}
    if size == automatic:
        return row | {"over_automatic": 1.0, "over_automatic_low": 1.0, "over_automatic_high": 1.0}
    pairs = zip(figures["measured"], figures["automatic"], strict=True)
    ratios = spread([measured / before for measured, before in pairs])
    return row | {
        "over_automatic": ratios["median"],
        "over_automatic_low": ratios["low"],
        "over_automatic_high": ratios["high"],
    }


def _timer(worker: Worker, job: Job, batches: int) -> Any:
    return lambda: worker.call(train, job, batches) / (batches * job.batch) * 1e6


def choose(job: Job) -> tuple[int, int, float]:
    """Return the automatic size, the one that a measurement chooses, and its seconds."""
    from cnnexp.nn.network import Network
    from cnnexp.nn.tuning import best_size, measured
    from cnnexp.runs.rebuild import build_layers
    from experiments.benchmarks.jobs import layers_of, made_samples

    samples = made_samples(job.batch, job.dtype)
    layers = build_layers({"model": {"layers": layers_of(job.net)}})
    network = Network(layers, impl=job.by, dtype=job.dtype).build(samples.X.shape[1:])
    start = time.perf_counter()
    found = measured(network, samples.X, samples.Y)
    seconds = time.perf_counter() - start
    automatic = int(network.micro_batch)
    return automatic, best_size(found, job.batch, job.threads) if found else automatic, seconds
