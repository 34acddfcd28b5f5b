"""`impl=compiled` beside `fast` and PyTorch: training and inference, batches of 128.

The rows are those of ``speed``, timed in the same way, all in turns; `over_fast` is the time over
that of `fast`, the median of the quotients of turns side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from experiments.benchmarks import speed
from experiments.benchmarks.jobs import NETS, NORMALISED

SUMMARY = "impl=compiled beside fast and PyTorch"
NEEDS = ("numba",)
SHOWN = ("pass", "net", "batch", "threads", "by", "microseconds_per_sample", "ratio", "over_fast")
MEASURED = ("original_cnn", "lenet5", "deep", "flat", *NORMALISED)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nets", nargs="+", choices=(*NETS, *NORMALISED), default=MEASURED)
    parser.add_argument("--threads", nargs="+", type=int, default=speed.THREADS)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--no-peer", action="store_true", help="leave PyTorch out")


def measure(asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time both implementations, and PyTorch if it is there."""
    if asked.quick:
        asked.nets, asked.threads, asked.rounds = ["flat"], [1], 1
    asked.impls = ["compiled", "fast"]
    for net in asked.nets:
        for threads in asked.threads:
            yield from speed.measure_net(asked, net, threads, None, [speed.MAIN_BATCH])
