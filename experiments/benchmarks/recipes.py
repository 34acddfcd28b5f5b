"""An epoch of the networks that learn MNIST best, beside PyTorch: those of two studies.

The networks, batches of 128 and two threads are those of ``mnist_best`` and ``mnist_minute``, with
images that are not augmented. Peers and turns are those of ``peers.py``; a turn is a few batches,
and scaled to an epoch of 60,000 images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from experiments.benchmarks import peers

SUMMARY = "training the networks of mnist_best and mnist_minute, by all peers"
NEEDS = peers.NEEDS
SHOWN = ("net", "by", "seconds_per_epoch", "ratio")
NETS = ("vgg_bn", "lenet5_bn")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time both networks on two threads."""
    asked.nets, asked.threads = NETS, (2,)
    yield from peers.measure(asked)
