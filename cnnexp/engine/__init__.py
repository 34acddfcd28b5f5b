"""Arithmetic: windows, convolution and pooling under several implementations."""

from cnnexp.engine import compiled, fast, im2col, naive, stride_groups
from cnnexp.engine.context import Array, Context
from cnnexp.engine.machine import Limits
from cnnexp.engine.operations import (
    AUTO,
    IMPLEMENTATIONS,
    Fusion,
    Gradients,
    Implementation,
    Operation,
    Reduction,
    automatic,
)
from cnnexp.engine.window import Window

__all__ = [
    "AUTO",
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
    "automatic",
    "compiled",
    "fast",
    "im2col",
    "naive",
    "stride_groups",
]
