"""How the time of a sample grows with the size of its image, with channels, and with the batch.

A small network (conv 16 3x3, ReLU, max_pool 2, dense 10) takes training steps. One size varies at a
time. The work of a sample is the multiply-adds of its layers, which grow with the pixels and with
the channels, and do not depend on the batch: where the time follows the work, the time per million
multiply-adds is flat.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexp.nn.blas import one_blas_thread
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, in_turns, spread

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = "time per sample against image size, channels and batch"
NEEDS = ()
SHOWN = (
    "varied",
    "value",
    "by",
    "microseconds_per_sample",
    "microseconds_per_million_multiply_adds",
)
SIZES = {
    "image": (28, 56, 84, 112, 168, 224),
    "channels": (1, 2, 4, 8, 16, 32, 64, 128),
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
}
STANDARD = {"image": 28, "channels": 1, "batch": 128}
IMPLS = ("sg", "fast")
FILTERS = 16
TURN = 0.1  # seconds

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Vary one size after another."""
    rounds = 1 if asked.quick else asked.rounds
    with Worker() as worker:
        machine = worker.call(describe)
        for varied, values in SIZES.items():
            for value in values[:1] if asked.quick else values:
                sizes = STANDARD | {varied: value}
                if varied == "image":
                    sizes["batch"] = 32  # 128 pictures of 224 pixels would be much memory
                rows = measure_sizes(worker, sizes, rounds)
                yield from ({"varied": varied, "value": value} | row | machine for row in rows)


def measure_sizes(worker: Worker, sizes: dict[str, int], rounds: int) -> Iterator[Row]:
    """Time both implementations in turns."""
    timers = {by: (lambda by=by: worker.call(step_seconds, by, sizes)) for by in IMPLS}
    work = worker.call(multiply_adds, sizes)
    for by, figures in in_turns(timers, rounds).items():
        found = spread([seconds / sizes["batch"] * 1e6 for seconds in figures])
        yield sizes | {
            "by": by,
            "microseconds_per_sample": found["median"],
            "low": found["low"],
            "high": found["high"],
            "multiply_adds": work,
            "microseconds_per_million_multiply_adds": found["median"] / work * 1e6,
        }
    worker.call(forget)


_networks: dict[str, Any] = {}  # of this process


def _network(by: str, sizes: dict[str, int]) -> Any:
    """Return a network and a batch; made when first asked for."""
    from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax

    if by not in _networks:
        layers = [Conv2D(FILTERS, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10), Softmax()]
        shape = (sizes["image"], sizes["image"], sizes["channels"])
        network = Network(layers, impl=by).build(shape)
        generator = np.random.default_rng(0)
        X = generator.random((sizes["batch"], *shape), np.float32)
        batch = network.batch(X, generator.integers(0, 10, len(X)))
        network.batch_gradients(batch)
        _networks[by] = network, batch
    return _networks[by]


def forget() -> None:
    """Let go of all networks of this process."""
    _networks.clear()


def multiply_adds(sizes: dict[str, int]) -> int:
    """Return the multiply-adds of one sample, forward."""
    network, _ = _network(IMPLS[0], sizes)
    return sum(layer.multiply_adds for layer in network.layers)


def step_seconds(by: str, sizes: dict[str, int]) -> float:
    """Return the seconds of one batch, forward and backward: the mean over a turn."""
    network, batch = _network(by, sizes)
    with one_blas_thread():
        count, start = 0, time.perf_counter()
        while True:
            network.batch_gradients(batch)
            count, seconds = count + 1, time.perf_counter() - start
            if seconds >= TURN:
                return seconds / count


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw the time per work against each size."""
    from experiments.benchmarks.pictures import draw_growth

    draw_growth(frame, path)
