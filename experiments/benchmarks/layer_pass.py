"""One layer's pass by the four loops and by stride groups, and the Python iterations of both.

Timed are the layers of the original network on images of MNIST's shape, forward and backward, with
the gradient for the image. It is done as in training: BLAS has one thread, a batch is cut into
micro-batches, and the gradient that comes back has the order in memory of the layer's own output.
Iterations are counted, not worked out: how often that line ran that ran most often in the file of
the implementation, loop heads aside.
"""

from __future__ import annotations

import argparse
import collections
import linecache
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnexp.engine import IMPLEMENTATIONS, Context, Window
from cnnexp.nn.blas import one_blas_thread
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker, in_turns, spread

SUMMARY = "a pass of a layer by naive and by sg, and their Python iterations"
NEEDS = ()
SHOWN = (
    "layer",
    "image",
    "samples",
    "kernel",
    "stride",
    "by",
    "iterations",
    "microseconds_per_sample",
    "naive_over_sg",
)
# (layer, image, channels, kernel, stride, filters): the original's two, and others to count
ORIGINAL = (("conv", 28, 1, 2, 1, 32), ("max_pool", 27, 32, 3, 3, 0))
COUNTED = (
    ("conv", 8, 1, 2, 1, 4),
    ("conv", 16, 1, 2, 1, 4),
    ("conv", 16, 3, 2, 1, 8),
    ("conv", 16, 3, 3, 1, 8),
    ("conv", 16, 3, 3, 2, 8),
    ("conv", 16, 3, 3, 3, 8),
    ("conv", 16, 3, 5, 1, 8),
    ("max_pool", 16, 3, 2, 2, 0),
    ("max_pool", 16, 3, 3, 2, 0),
)
BATCH = 128
MICRO_BATCH = 32  # samples of a pass by sg, as "auto" has it for the original network
PASSES = 10  # of a batch in one turn: one alone would be over before the cache is warm

Geometry = tuple[str, int, int, int, int, int]
Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time the layers of the original network, then count for other geometries."""
    rounds = 1 if asked.quick else asked.rounds
    with Worker() as worker:
        machine = worker.call(describe)
        for geometry in ORIGINAL:
            yield from (row | machine for row in timed(worker, geometry, rounds))
        for geometry in COUNTED:
            for samples in (1, 2):
                for by in ("naive", "sg"):
                    iterations = worker.call(counted, by, geometry, samples)
                    row = describe_geometry(geometry, by, samples)
                    yield row | {"iterations": iterations} | machine


def timed(worker: Worker, geometry: Geometry, rounds: int) -> Iterator[Row]:
    """Time both in turns: the loops on one sample, stride groups on a batch."""
    many = PASSES * BATCH
    timers = {
        "naive": lambda: worker.call(pass_seconds, "naive", geometry, 1, 1) * 1e6,
        "sg": lambda: worker.call(pass_seconds, "sg", geometry, many, MICRO_BATCH) / many * 1e6,
    }
    turns = in_turns(timers, rounds)
    times = {by: spread(figures) for by, figures in turns.items()}
    ratio = spread([a / b for a, b in zip(turns["naive"], turns["sg"], strict=True)])["median"]
    for by, samples in (("naive", 1), ("sg", BATCH)):
        row = describe_geometry(geometry, by, samples)
        row["iterations"] = worker.call(counted, by, geometry, 1)
        row["microseconds_per_sample"] = times[by]["median"]
        yield row | {"low": times[by]["low"], "high": times[by]["high"], "naive_over_sg": ratio}


def describe_geometry(geometry: Geometry, by: str, samples: int) -> Row:
    """Return a geometry as columns."""
    names = ("layer", "image", "channels", "kernel", "stride", "filters")
    return dict(zip(names, geometry, strict=True)) | {"by": by, "samples": samples}


def pass_seconds(by: str, geometry: Geometry, samples: int, micro_batch: int) -> float:
    """Run one layer forward and backward on some samples, and return the seconds."""
    run = layer_of(by, geometry, micro_batch)
    with one_blas_thread():
        start = time.perf_counter()
        for _ in range(samples // micro_batch):
            run()
        return time.perf_counter() - start


def counted(by: str, geometry: Geometry, samples: int) -> int:
    """Return the Python iterations of a pass: how often the most frequent line ran."""
    run = layer_of(by, geometry, samples)
    lines: collections.Counter[tuple[str, int]] = collections.Counter()
    own = sys.modules[IMPLEMENTATIONS[by].find("conv")[0].forward.__module__].__file__

    def trace(frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != own:
            return None
        if event == "line":
            lines[frame.f_code.co_name, frame.f_lineno] += 1
        return trace

    before = sys.gettrace()  # such as that of coverage.py or a debugger
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return max(
        count
        for (_, number), count in lines.items()
        if not linecache.getline(str(own), number).lstrip().startswith("for ")
    )


_layers: dict[Any, Any] = {}  # of this process: memory is reused, as in training


def layer_of(by: str, geometry: Geometry, samples: int) -> Any:
    """Return a function that runs a layer forward and backward."""
    key = (by, geometry, samples)
    if key not in _layers:
        _layers[key] = _made_layer(by, geometry, samples)
        if by != "naive":
            _layers[key]()
    return _layers[key]


def _made_layer(by: str, geometry: Geometry, samples: int) -> Any:
    kind, image, n_c, f_w, s, n_f = geometry
    operation, _ = IMPLEMENTATIONS[by].find(kind)
    generator = np.random.default_rng(0)
    window = Window.over((image, image), f_w, s, "valid")
    A_prev = generator.random((samples, image, image, n_c), np.float32)
    W, b = generator.random((f_w, f_w, n_c, n_f or 1), np.float32), np.zeros(n_f or 1, np.float32)

    params, context = {"W": W, "b": b}, Context(reuse=True)
    A, _ = operation.forward(A_prev, params, window, context)
    dA = np.empty_like(A)  # in the same order in memory
    dA[...] = generator.random(A.shape, np.float32)

    def run() -> None:
        _, cache = operation.forward(A_prev, params, window, context)
        operation.backward(dA, params, window, cache, context)

    return run
