"""What the engine wants to know of the machine."""

from __future__ import annotations

import functools
import os

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
