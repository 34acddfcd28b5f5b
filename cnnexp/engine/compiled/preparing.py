"""Compiling what a network needs, before its first pass."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy.typing as npt

from cnnexp.engine.compiled import (
    batch_norm,
    batch_norm_kernels,
    convolution,
    dense,
    dense_kernels,
    direct,
    direct_kernels,
    packed_kernels,
    update_kernels,
    winograd_kernels,
)
from cnnexp.engine.compiled.kernel import Kernel

_logger = logging.getLogger("cnnexp.compiling")  # the command line shows what it says


def every_kernel() -> list[Kernel]:
    """Return all kernels that there are."""
    files = [direct_kernels, winograd_kernels, packed_kernels, dense_kernels]
    files += [batch_norm_kernels, update_kernels]
    rest = (k for file in files for k in vars(file).values() if isinstance(k, Kernel))
    return list(dict.fromkeys([*direct.every_kernel(), *rest]))


def kernels_of(steps: Iterable[Any]) -> list[Kernel]:
    """Return the kernels that steps of a plan need, each once."""
    found: dict[Kernel, None] = {}
    for step in steps:
        of_fusion = getattr(step.fusion, "kernels", None)
        if of_fusion:
            found |= dict.fromkeys(of_fusion(step.layers))
        for layer in step.layers:
            if layer.operation == "conv":
                channels = layer.input_shape[2]
                of_layer = convolution.kernels_for(layer.params["W"], channels, layer.geometry)
                found |= dict.fromkeys(of_layer)
            elif layer.operation == "dense":
                found |= dict.fromkeys(dense.kernels_for(layer.params["W"]))
            elif layer.operation == "batch_norm" and not step.fusion:
                found |= dict.fromkeys(batch_norm.kernels_for(False))
    return list(found)


def prepare(steps: Iterable[Any], dtype: npt.DTypeLike) -> int:
    """Load or compile the kernels that steps of a plan need; return how many were compiled."""
    return make_ready(kernels_of(steps), dtype)


def make_ready(kernels: Sequence[Kernel], dtype: npt.DTypeLike) -> int:
    """Load kernels for a type of numbers, and compile those that are in no file; count these."""
    absent = [kernel for kernel in kernels if not kernel.is_kept(dtype)]
    for done, kernel in enumerate(absent):
        _logger.info("%d of %d kernels compiled for this processor", done, len(absent))
        kernel.make_ready(dtype)
    if absent:
        _logger.info("%d of %d kernels compiled for this processor", len(absent), len(absent))
    for kernel in kernels:
        kernel.make_ready(dtype)
    return len(absent)


def ready(kernel: Kernel, dtype: npt.DTypeLike) -> Kernel:
    """Return a kernel, loaded or compiled for a type of numbers."""
    make_ready([kernel], dtype)
    return kernel


def import_all() -> None:
    """Import what Numba imports when it is first used, which takes half a second."""
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
