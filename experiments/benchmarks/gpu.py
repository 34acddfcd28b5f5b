"""Training on a GPU: `impl=cupy` and PyTorch in eager mode, on the same GPU, in turns.

Ours is the program's own training: shuffling, gathering on the host, a mini-batch moved to the GPU
each step, the loss read back. It is timed with its own operations, with the stride groups and with
those of im2col. PyTorch has all images on the GPU from the start, reads no loss back, and lets
cuDNN search for its fastest kernels; it is timed with channels first and last, with products in
float32 and in TF32, which rounds factors to 10 bits. A turn ends when the GPU has done all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.jobs import IMAGE_SHAPE, LAYOUTS, NETS, POOL, Job, layers_of
from experiments.benchmarks.machine import describe, has_torch
from experiments.benchmarks.processes import in_turns, spread
from experiments.benchmarks.speed import timing

if TYPE_CHECKING:
    import torch

SUMMARY = "training on a GPU, ours and PyTorch's"
NEEDS = ("cupy",)
SHOWN = ("net", "batch", "by", "microseconds_per_sample", "low", "high")
MEASURED = ("original_cnn", "lenet5", "deep", "flat", "resnet")
BATCHES = (128, 512)
OPERATIONS = ("cupy", "sg", "im2col")  # whose operations run there
TURN = 0.15  # seconds of one contender's turn

Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=(*NETS, "resnet"), default=MEASURED)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")


def measure(asked: argparse.Namespace) -> Iterator[Row]:
    """Time all contenders of each net and batch size in turns, in this process."""
    from cnnexp.engine.gpu import CUPY

    if asked.quick:
        asked.nets, asked.batches, asked.rounds = ["flat"], [128], 1
    machine = describe() | {f"gpu_{k}": v for k, v in CUPY.device.describe().items()}  # type: ignore[union-attr]
    for net in asked.nets:
        for batch in asked.batches:
            trainers = dict(contenders(net, batch))
            counts = {by: _batches_of_a_turn(train) for by, train in trainers.items()}
            timers = {by: _timer(train, counts[by], batch) for by, train in trainers.items()}
            for by, times in in_turns(timers, asked.rounds).items():
                row = {"net": net, "by": by, "batch": batch, "batches_of_a_turn": counts[by]}
                yield row | timing(spread(times)) | {"rounds": len(times)} | machine


def contenders(net: str, batch: int) -> Iterator[tuple[str, Callable[[int], float]]]:
    """Yield names, and functions that train on some batches and return the seconds."""
    for whose in OPERATIONS:
        yield "cupy" if whose == "cupy" else f"cupy, {whose}", _ours(net, batch, whose)
    if has_torch():
        for layout in LAYOUTS:
            for tf32 in (False, True):
                yield f"torch, {layout}{', TF32' * tf32}", _theirs(net, batch, layout, tf32)


def _ours(net: str, batch: int, whose: str) -> Callable[[int], float]:
    from cnnexp.engine import IMPLEMENTATIONS
    from cnnexp.engine.gpu import CUPY
    from experiments.benchmarks.ours import Ours

    impl = replace(CUPY, operations=IMPLEMENTATIONS[whose].operations)
    ours = Ours(Job(net, "cupy", batch), impl=impl)

    def train(batches: int) -> float:
        start = time.perf_counter()
        ours.train(batches)
        CUPY.device.synchronize()  # type: ignore[union-attr]
        return time.perf_counter() - start

    return train


def _theirs(net: str, batch: int, layout: str, tf32: bool) -> Callable[[int], float]:
    import torch

    steps = _steps(net, batch, layout)

    def train(batches: int) -> float:
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        start = time.perf_counter()
        for _ in range(batches):
            next(steps)
        torch.cuda.synchronize()
        return time.perf_counter() - start

    return train


def _steps(net: str, batch: int, layout: str) -> Iterator[torch.Tensor]:
    """Train for ever on images that lie on the GPU, and pause after every batch."""
    import torch

    from experiments.benchmarks import peer
    from experiments.benchmarks.jobs import LEARNING_RATE, MOMENTUM

    module = peer.module_of(layers_of(net), IMAGE_SHAPE)
    module.to("cuda", memory_format=peer.FORMATS[layout])  # type: ignore[call-overload]
    X, Y = (tensor.to("cuda") for tensor in peer.made_tensors(POOL, "float32", layout))
    options = {"momentum": MOMENTUM, "nesterov": True}
    optimizer = peer.optimizer_of(module, LEARNING_RATE, **options)
    loss = torch.nn.CrossEntropyLoss()
    while True:
        for rows in torch.randperm(len(Y), device="cuda").split(batch):
            optimizer.zero_grad(set_to_none=True)
            error = loss(module(X[rows]), Y[rows])
            error.backward()
            optimizer.step()
            yield error


def _batches_of_a_turn(train: Callable[[int], float]) -> int:
    """Return how many batches fill a turn."""
    train(3)
    return max(2, round(TURN / train(4) * 4))


def _timer(train: Callable[[int], float], batches: int, batch: int) -> Callable[[], float]:
    return lambda: train(batches) / (batches * batch) * 1e6
