"""Whether both sides compute the same: gradients and two training steps, ours against PyTorch's.

Both begin with the same weights and see the same batch. Compared are the loss, every gradient, and
every parameter after two steps with Nesterov's momentum. The difference of an array is the largest
one of its numbers, as a part of the largest number.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.benchmarks.jobs import IMPLS, LAYOUTS, NETS, Job, installed, made_samples
from experiments.benchmarks.machine import describe
from experiments.benchmarks.processes import Worker

SUMMARY = "gradients and steps, ours against PyTorch's"
NEEDS = ("torch",)
SHOWN = ("net", "by", "dtype", "samples", "gradient_difference", "step_difference")
# The products of float32 are summed in other orders, and Winograd's method rounds more than others.
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
# After a step a value may lie on the other side of a ReLU's kink, and one gradient passes or not.
KINK = 10.0
SAMPLES, FEW = 48, 2  # FEW for the four loops
STEPS = 2

Figures = dict[str, float]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS)
    parser.add_argument("--impls", nargs="+", choices=IMPLS, default=installed())


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Compare every implementation on every net."""
    with Worker() as worker:
        machine = worker.call(describe)
        for net in asked.nets:
            for by in asked.impls:
                if by == "naive" and asked.quick:
                    continue
                for dtype in TOLERANCE:
                    yield compared(worker, net, by, dtype) | machine


def compared(worker: Worker, net: str, by: str, dtype: str) -> dict[str, Any]:
    """Return a row for one net; differences beyond rounding end the program."""
    samples = FEW if by == "naive" else SAMPLES
    job = Job(net, by, batch=samples, threads=2, dtype=dtype, pool=samples)
    figures = worker.call(differences, job)
    expect_rounding(job, figures)
    return {"net": net, "by": by, "dtype": dtype, "samples": samples} | figures


def expect_rounding(job: Job, figures: Figures) -> None:
    """End the program if the two sides differ by more than rounding."""
    allowed = TOLERANCE[job.dtype]
    worst = max(
        value / (KINK if name == "step_difference" and job.dtype == "float32" else 1)
        for name, value in figures.items()
    )
    if not worst <= allowed:
        raise SystemExit(
            f"{job.net} under {job.by} in {job.dtype} does not compute what PyTorch computes:"
            f" they differ by {worst:.2g}, allowed is {allowed:g}. Nothing is timed."
        )


def differences(job: Job, layout: str = LAYOUTS[0]) -> Figures:
    """Compute both sides in this process and return by how much they differ."""
    from dataclasses import replace

    import torch

    from experiments.benchmarks.ours import Ours
    from experiments.benchmarks.peer import Peer

    # all pixels are lit: where neighbours tie, a gradient may go to either of them
    samples = made_samples(job.pool, job.dtype, lit=1.0)
    mine = Ours(job, dataset=_dataset(job))
    peer = Peer(replace(job, by=layout), samples)
    peer.load(mine.network.weights())
    sums, gradient = mine.network.gradients(samples.X, samples.Y)
    loss = mine.network.means(sums)["loss"]
    found = named(mine, gradient)
    wanted_loss = peer.gradients(peer.X, peer.Y).item()
    gradients = largest_difference(found, peer.arrays(gradients=True))
    mine.train(STEPS)
    for _ in range(STEPS):
        list(peer.epoch(torch.arange(len(samples.Y))))
    return {
        "loss_difference": abs(loss - wanted_loss) / wanted_loss,
        "gradient_difference": gradients,
        "step_difference": largest_difference(mine.network.weights(), peer.arrays()),
    }


def _dataset(job: Job) -> Any:
    from experiments.benchmarks.jobs import made_dataset

    return made_dataset(job.pool, job.dtype, lit=1.0)


def named(mine: Any, vector: np.ndarray) -> dict[str, np.ndarray]:
    """Return a gradient, one vector, as arrays by name."""
    network = mine.network
    parameters = network.parameters.copy()
    network.parameters[...] = vector
    arrays: dict[str, np.ndarray] = network.weights()
    network.parameters[...] = parameters
    return arrays


def largest_difference(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> float:
    """Return the largest difference of any array, as a part of its largest number.

    An array that is nearly zero is measured by the others: the bias before a batch normalisation
    has no gradient but rounding.
    """
    assert found.keys() >= wanted.keys(), (list(found), list(wanted))  # and running statistics
    sizes = {name: float(np.abs(array).max()) for name, array in wanted.items()}
    least = 1e-3 * max(sizes.values())
    return max(
        float(np.abs(found[name] - wanted[name]).max() / max(size, least))
        for name, size in sizes.items()
    )
