"""How many samples a piece of a batch has, and how many threads share them, when nobody says.

A piece should be so large that its work outweighs the fixed cost of a call to NumPy, a few
microseconds each, and so small that the largest result of its layers stays near the processor. The
number depends on the network and the size of the cache, never on the threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnexp.engine import Kernels
from cnnexp.engine.machine import cache_bytes
from cnnexp.nn.steps import Step
from cnnexp.nn.workers import available_cores

FEWEST, USUAL, MOST = 16, 64, 128  # samples of a piece; powers of two
ENOUGH_WORK = 8_000_000  # multiply-adds of a piece


def automatic_micro_batch(kernels: Kernels, steps: Sequence[Step], itemsize: int) -> int:
    """Return the samples of a piece in training.

    Parameters
    ----------
    kernels : Kernels
        The implementation, which says how large results may get.
    steps : sequence of Step
        What is computed, built.
    itemsize : int
        Bytes of a number.
    """
    work = sum(layer.multiply_adds for step in steps for layer in step.layers)
    results = [math.prod(step.layers[-1].output_shape) for step in steps]
    largest = max(results, default=0) * itemsize
    samples = USUAL
    while samples < MOST and samples * work < ENOUGH_WORK:
        samples *= 2
    while samples > FEWEST and samples * largest > kernels.caches * cache_bytes():
        samples //= 2
    return samples


def automatic_inference_micro_batch(kernels: Kernels, steps: Sequence[Step], itemsize: int) -> int:
    """Return the samples of a piece without a backward pass: nothing is kept, so twice as many."""
    return 2 * automatic_micro_batch(kernels, steps, itemsize)


def automatic_threads(kernels: Kernels) -> int:
    """Return one thread for an implementation that runs in Python loops, else all cores."""
    return available_cores() if kernels.threads_pay else 1
