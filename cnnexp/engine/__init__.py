"""Arithmetic: windows, convolution and pooling under several implementations."""

from cnnexp.engine import compiled, fast, gpu, im2col, naive, stride_groups
from cnnexp.engine.context import Array, Context, host_copy, to_host
from cnnexp.engine.device import Device
from cnnexp.engine.machine import Limits
from cnnexp.engine.operations import (
    AUTO,
    IMPLEMENTATIONS,
    Fusion,
    Gradients,
    Implementation,
    Operation,
    Reduction,
    auto_means,
    automatic,
    meaning_of_auto,
)
from cnnexp.engine.shared import row_maxima
from cnnexp.engine.window import Window

__all__ = [
    "AUTO",
    "IMPLEMENTATIONS",
    "Array",
    "Context",
    "Device",
    "Fusion",
    "Gradients",
    "Implementation",
    "Limits",
    "Operation",
    "Reduction",
    "Window",
    "auto_means",
    "automatic",
    "compiled",
    "fast",
    "gpu",
    "host_copy",
    "im2col",
    "meaning_of_auto",
    "naive",
    "row_maxima",
    "stride_groups",
    "to_host",
]
