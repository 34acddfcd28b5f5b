"""The automatic size of a micro-batch.

A micro-batch should be so large that its work outweighs the fixed cost of a call to NumPy, a few
microseconds each, and so small that the largest result of its layers stays near the processor. The
size depends on the network, the mini-batch and the cache, never on the number of workers.

A device has thousands of workers of its own: there a micro-batch is a whole mini-batch, unless its
feature maps would take gigabytes.
"""

from __future__ import annotations

import math

from cnnexp.nn.memory import step_memory
from cnnexp.nn.parameters import Parameters
from cnnexp.nn.plan import Plan

FEWEST, USUAL, MOST = 16, 64, 128  # samples of a micro-batch; powers of two
ENOUGH_WORK = 8_000_000  # multiply-adds of a micro-batch
MUCH_WORK = 4 * ENOUGH_WORK  # of half a micro-batch, so that to cut it costs little
MOST_ON_DEVICE = 4096
DEVICE_BYTES = 2 << 30  # of all that a micro-batch needs on a device


def automatic_micro_batch(plan: Plan, parameters: Parameters, batch_size: int | None = None) -> int:
    """Return the samples of a micro-batch in training.

    Parameters
    ----------
    plan : Plan
        The compiled network. Its implementation says how large results may get.
    parameters : Parameters
        Its parameters, in the type of its numbers.
    batch_size : int, optional
        Samples of a mini-batch. One that is a single micro-batch has one worker at work: it is cut
        in two where half of it is much work.
    """
    if plan.implementation.device is not None:
        return _on_device(plan, parameters)
    itemsize = parameters.values.itemsize
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
    half = -(-(batch_size or 0) // 2)
    alone = 2 < 2 * half <= samples and plan.implementation.releases_gil
    return half if alone and half * work >= MUCH_WORK else samples


def in_inference(samples: int) -> int:
    """Return the samples of a micro-batch in inference, given those in training.

    Nothing is kept there, so twice as many are as near. Where even the most are little work, the
    fixed cost of calls counts, and it is four times as many.
    """
    return (4 if samples == MOST else 2) * samples


def _on_device(plan: Plan, parameters: Parameters) -> int:
    """Return as many samples as have room, a power of two."""
    found = step_memory(plan, parameters, 1)
    each, samples = found.results + found.columns, MOST_ON_DEVICE
    while samples > FEWEST and samples * each > DEVICE_BYTES:
        samples //= 2
    return samples
