"""The automatic size of a micro-batch.

A micro-batch should be so large that its work outweighs the fixed cost of a call to NumPy, a few
microseconds each, and so small that the largest result of its layers stays near the processor. The
size depends on the network and on the cache, never on the number of workers.
"""

from __future__ import annotations

import math

from cnnexp.nn.plan import Plan

FEWEST, USUAL, MOST = 16, 64, 128  # samples of a micro-batch; powers of two
ENOUGH_WORK = 8_000_000  # multiply-adds of a micro-batch


def automatic_micro_batch(plan: Plan, itemsize: int) -> int:
    """Return the samples of a micro-batch in training.

    Parameters
    ----------
    plan : Plan
        The compiled network. Its implementation says how large results may get.
    itemsize : int
        Bytes of a number.
    """
    steps = [step for step in plan.all_steps if not step.branches]
    work = sum(layer.multiply_adds for step in steps for layer in step.layers)
    results = [math.prod(step.layers[-1].output_shape) for step in steps]
    largest = max(results, default=0) * itemsize
    samples = USUAL
    while samples < MOST and samples * work < ENOUGH_WORK:
        samples *= 2
    most_bytes = plan.implementation.caches * plan.limits.cache
    while samples > FEWEST and samples * largest > most_bytes:
        samples //= 2
    return samples
