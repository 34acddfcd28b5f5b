"""The widest registers of this processor: how many numbers one instruction takes."""

from __future__ import annotations

import functools


@functools.cache
def row_bytes() -> int:
    """Return the bytes of a row: those of a register, 64 with AVX-512 and 32 otherwise."""
    from llvmlite import binding
    from numba import config

    asked = config.CPU_FEATURES  # the user's
    features = binding.get_host_cpu_features().flatten() if asked is None else asked
    return 64 if "+avx512f" in features else 32


def lanes(itemsize: int) -> int:
    """Return the samples of a row for numbers of so many bytes."""
    return row_bytes() // itemsize
