"""The size of the processor's cache, and the block sizes that follow from it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field

DEFAULT_CACHE = 1 << 20  # bytes, where the system does not report it


@functools.cache
def cache_bytes() -> int:
    """Return the size of one core's second-level cache, in bytes."""
    try:
        size = os.sysconf("SC_LEVEL2_CACHE_SIZE")
        if size > 0:
            return size
    except (AttributeError, ValueError, OSError):
        pass
    try:
        with open("/sys/devices/system/cpu/cpu0/cache/index2/size") as file:
            return int(file.read().strip().rstrip("K")) * 1024
    except (OSError, ValueError):
        return DEFAULT_CACHE


@dataclass(frozen=True)
class Limits:
    """Sizes of blocks, and thresholds between methods that give the same result.

    Tests make them tiny, so that small arrays are cut into blocks too.

    Attributes
    ----------
    cache : int
        Bytes of the processor's second-level cache: blocks of tiles and of rows are cut to fit.
    product : int
        Multiplications up to which BLAS uses its kernels for small matrices.
    thin : int
        Entries of the small matrix of a product up to which the other one is cut into blocks.
    thin_outer : int
        The same for products that sum over the long axis (`outer`).
    folding : int
        Samples that must have as many outputs of a convolution as it has weights, so that batch
        normalisation is folded into the weights in inference.
    """

    cache: int = field(default_factory=cache_bytes)
    product: int = 1_000_000
    thin: int = 4096
    thin_outer: int = 1600
    folding: int = 4
