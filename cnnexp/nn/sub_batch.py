"""How many samples a piece of a batch has, and how many threads share them, when nobody says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnexp.engine import Kernels
from cnnexp.engine.machine import cache_bytes
from cnnexp.nn.layer import Layer
from cnnexp.nn.workers import available_cores


def automatic_sub_batch(layers: Sequence[Layer], kernels: Kernels, dtype: np.dtype) -> int:
    """Return the samples of a piece: as many as keep the largest layer's result in the cache.

    A power of two between 16 and 256.
    """
    largest = max(math.prod(layer.output_shape) for layer in layers) * dtype.itemsize
    fitting = max(2 * cache_bytes() // largest, 1)
    return int(np.clip(1 << (fitting.bit_length() - 1), 16, 256))


def automatic_threads(kernels: Kernels) -> int:
    """Return one thread for an implementation that runs in Python loops, else all cores."""
    return available_cores() if kernels.threads_pay else 1
