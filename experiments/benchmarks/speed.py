"""Training and inference: ours against PyTorch in eager mode, and one implementation with another.

All contenders of a row are timed in turns, ours and PyTorch's in separate processes, and the median
counts. Training is the program's own: shuffling, gathering, gradients, momentum. Inference predicts
10,000 images, so many a call. PyTorch is the strict peer of ``peer.py``, with channels first and
channels last; `ratio` is our time over that of the faster. The four loops are timed on a few
samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks import agreement
from experiments.benchmarks.jobs import (
    IMPLS,
    LAYOUTS,
    MNIST,
    NETS,
    NORMALISED,
    Job,
    installed,
    layers_of,
)
from experiments.benchmarks.machine import describe, has_torch
from experiments.benchmarks.processes import (
    CORETYPE,
    Environment,
    Worker,
    as_columns,
    forget,
    in_turns,
    infer,
    spread,
    train,
)

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "training and inference against PyTorch, and one implementation with another"
NEEDS = ()
SHOWN = (
    "pass",
    "net",
    "batch",
    "threads",
    "blas_architecture",
    "by",
    "microseconds_per_sample",
    "seconds_per_epoch",
    "ratio",
)
MEASURED = (*NETS, *NORMALISED)
BATCHES, THREADS = (32, 128, 512), (1, 2)
MAIN_BATCH = 128  # all implementations are timed with it, and other settings of OpenBLAS
ALWAYS = ("fast", "compiled")  # timed with the other batch sizes too
MANY = 10_000  # images of an inference
ROUNDS_OF_MANY = 3
TURN = 0.1  # seconds of one contender's turn
OTHER_CORETYPE = "Haswell"  # without AVX-512

Row = dict[str, Any]
Timer = Callable[[], float]  # microseconds per sample


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=MEASURED, default=MEASURED)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--threads", nargs="+", type=int, default=THREADS)
    parser.add_argument("--impls", nargs="+", choices=IMPLS, default=installed())
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")
    parser.add_argument("--one-setting", action="store_true", help="OpenBLAS as it is set now")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time everything that was asked for."""
    if asked.quick:
        asked.nets, asked.batches, asked.threads = ["flat"], [128], [1]
        asked.impls, asked.rounds, asked.one_setting = ["fast", "sg"], 1, True
    for environment in settings(asked.one_setting):
        batches = asked.batches if environment is None else [MAIN_BATCH]
        for net in asked.nets:
            for threads in asked.threads:
                yield from measure_net(asked, net, threads, environment, batches)


def settings(only_one: bool) -> list[Environment | None]:
    """Return OpenBLAS's setting as it is, and the other one if it computes differently."""
    import os

    if only_one:
        return [None]
    other: Environment = {CORETYPE: None if os.environ.get(CORETYPE) else OTHER_CORETYPE}
    with Worker() as here, Worker(other) as there:
        same = here.call(_architecture) == there.call(_architecture)
    return [None] if same else [None, other]


def _architecture() -> Any:
    return describe()["blas_architecture"]


def measure_net(
    asked: argparse.Namespace,
    net: str,
    threads: int,
    environment: Environment | None,
    batches: Sequence[int],
) -> Iterator[Row]:
    """Time one net with one number of threads, in two fresh processes."""
    with_peer = has_torch() and not asked.no_peer
    with Worker(environment) as ours, Worker(environment) as theirs:
        machine = ours.call(describe)
        if with_peer and environment is None:
            check(theirs, net, threads)
        for batch in batches:
            impls = _impls(asked, batch if environment is None else 0)
            jobs = [Job(net, by, batch, threads) for by in impls]
            peers = [Job(net, by, batch, threads) for by in LAYOUTS] if with_peer else []
            workers = dict.fromkeys(jobs, ours) | dict.fromkeys(peers, theirs)
            for row in measure_jobs(workers, asked.rounds):
                yield row | machine
            ours.call(forget)
            theirs.call(forget)
        if environment is None and "naive" in asked.impls and threads == 1:
            yield from (row | machine for row in measure_naive(ours, net))


def _impls(asked: argparse.Namespace, batch: int) -> list[str]:
    """Return the implementations that are timed with a batch size, the quickest first.

    The loops are timed in another way.
    """
    return [
        by
        for by in reversed(IMPLS)
        if by in asked.impls and by != "naive" and (batch == MAIN_BATCH or by in ALWAYS)
    ]


def check(worker: Worker, net: str, threads: int) -> None:
    """Never time wrong code.

    With batch normalisation few samples leave little of float32's digits, so float64 is compared.
    The masks of a dropout are drawn at random by each side: there is nothing to compare.
    """
    if any(layer["type"] == "dropout" for layer in layers_of(net)):
        return
    dtype = "float64" if net in NORMALISED else "float32"
    job = Job(net, batch=agreement.SAMPLES, threads=threads, dtype=dtype, pool=agreement.SAMPLES)
    for layout in LAYOUTS:
        agreement.expect_rounding(job, worker.call(agreement.differences, job, layout))


def measure_jobs(workers: dict[Job, Worker], rounds: int) -> Iterator[Row]:
    """Time training, then inference, of jobs that differ in who computes them."""
    jobs = list(workers)
    count = _batches_of_a_turn(workers[jobs[0]], jobs[0])
    timers = {job.by: _training(workers[job], job, count) for job in jobs}
    yield from _rows(jobs, "training", in_turns(timers, rounds), count * jobs[0].batch)
    samples = _samples_of_a_turn(workers[jobs[0]], jobs[0])
    yield from measure_inference(workers, jobs, samples, jobs[0].batch, rounds)
    if jobs[0].batch == MAIN_BATCH:
        quickest = (*ALWAYS, *LAYOUTS)
        jobs = [job for job in jobs if job.by in quickest]
        yield from measure_inference(workers, jobs, MANY, MANY, min(rounds, ROUNDS_OF_MANY))


def measure_inference(
    workers: dict[Job, Worker], jobs: Sequence[Job], samples: int, at_once: int, rounds: int
) -> Iterator[Row]:
    """Time inference on some samples, so many a call."""
    calls = _calls_of_a_turn(workers[jobs[0]], jobs[0], samples, at_once)
    timers = {job.by: _inference(workers[job], job, samples, at_once, calls) for job in jobs}
    asked = [replace(job, batch=at_once) for job in jobs]
    yield from _rows(asked, "inference", in_turns(timers, rounds), samples)


def _training(worker: Worker, job: Job, count: int) -> Timer:
    return lambda: worker.call(train, job, count) / (count * job.batch) * 1e6


def _inference(worker: Worker, job: Job, samples: int, at_once: int, calls: int) -> Timer:
    def timer() -> float:
        seconds = sum(worker.call(infer, job, samples, at_once) for _ in range(calls))
        return seconds / (calls * samples) * 1e6

    return timer


def _batches_of_a_turn(worker: Worker, job: Job) -> int:
    """Return how many batches fill a turn."""
    worker.call(train, job, 2)
    return max(2, min(round(2 * TURN / worker.call(train, job, 2)), 2_000))


def _samples_of_a_turn(worker: Worker, job: Job) -> int:
    """Return how many samples fill a turn: whole calls, 10,000 at most."""
    seconds = min(worker.call(infer, job, job.batch, job.batch) for _ in range(3))
    return job.batch * max(2, min(round(TURN / seconds), MANY // job.batch))


def _calls_of_a_turn(worker: Worker, job: Job, samples: int, at_once: int) -> int:
    """Return how often these samples are predicted in a turn: 10,000 of a small net take little."""
    seconds = min(worker.call(infer, job, samples, at_once) for _ in range(2))
    return max(1, round(TURN / seconds))


def _rows(
    jobs: Sequence[Job], which: str, figures: dict[str, list[float]], samples: int
) -> Iterator[Row]:
    """Return a row a contender, with its time over that of the faster peer."""
    peers = {by: spread(times)["median"] for by, times in figures.items() if by in LAYOUTS}
    best = min(peers, key=lambda by: peers[by]) if peers else None
    for job in jobs:
        row = {"pass": which, **as_columns(job), **timing(spread(figures[job.by]))}
        if best is not None:
            pairs = zip(figures[job.by], figures[best], strict=True)
            quartiles = spread([a / b for a, b in pairs])
            row["ratio"] = quartiles["median"]  # of the same quotients as the quartiles
            row |= {f"ratio_{key}": quartiles[key] for key in ("low", "high")}
        if "compiled" in figures and "fast" in figures:
            pairs = zip(figures[job.by], figures["fast"], strict=True)
            row["over_fast"] = spread([a / b for a, b in pairs])["median"]
        row |= {"best_peer": best, "rounds": len(figures[job.by]), "samples": samples}
        yield row | {"extrapolated": False}


def timing(microseconds: dict[str, float]) -> Row:
    """Return the columns of a time."""
    return {
        "microseconds_per_sample": microseconds["median"],
        "low": microseconds["low"],
        "high": microseconds["high"],
        "seconds_per_epoch": microseconds["median"] * MNIST / 1e6,
    }


def measure_naive(worker: Worker, net: str, samples: int = 2) -> Iterator[Row]:
    """Time the four loops on a few samples: an epoch would take hours."""
    job = Job(net, "naive", batch=samples, pool=samples)
    functions = {
        "training": partial(worker.call, train, job, 1),
        "inference": partial(worker.call, infer, job, samples, samples),
    }
    for which, timer in functions.items():
        figures = [timer() / samples * 1e6 for _ in range(3)]
        row = {"pass": which, **as_columns(replace(job, batch=MAIN_BATCH))}
        row |= timing(spread(figures)) | {"rounds": len(figures), "samples": samples}
        yield row | {"extrapolated": True}
    worker.call(forget)


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw the ratios, if there are any."""
    from experiments.benchmarks.pictures import draw_speed

    if "ratio" in frame:
        draw_speed(frame, path)
