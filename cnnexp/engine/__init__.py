"""Arithmetic: windows, convolution and pooling under several implementations."""

from cnnexp.engine import fast, im2col, naive, stride_groups
from cnnexp.engine.context import Array, Context
from cnnexp.engine.machine import Limits
from cnnexp.engine.operations import (
    IMPLEMENTATIONS,
    Fusion,
    Gradients,
    Implementation,
    Operation,
    Reduction,
)
from cnnexp.engine.window import Window

__all__ = [
    "IMPLEMENTATIONS",
    "Array",
    "Context",
    "Fusion",
    "Gradients",
    "Implementation",
    "Limits",
    "Operation",
    "Reduction",
    "Window",
    "fast",
    "im2col",
    "naive",
    "stride_groups",
]
