"""What the engine knows of the machine, and the sizes that follow from it."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field

DEFAULT_CACHE = 1 << 20  # bytes, where the machine does not tell


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
    """Sizes that choose between ways to compute the same; tests make them tiny.

    Attributes
    ----------
    cache : int
        Bytes that stay close to the processor: blocks of tiles and of rows are cut to fit.
    product : int
        Multiplications of one product for which BLAS has kernels for small matrices.
    thin : int
        Entries of the short matrix of a product up to which cutting it into blocks pays.
    thin_outer : int
        The same for a sum over the long axis.
    """

    cache: int = field(default_factory=cache_bytes)
    product: int = 1_000_000
    thin: int = 4096
    thin_outer: int = 1600
