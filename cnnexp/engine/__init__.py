"""Arithmetic: windows, convolution and pooling under several implementations, activations."""

from cnnexp.engine import fast, im2col, naive, stride_groups
from cnnexp.engine.context import Context, Factors
from cnnexp.engine.kernels import KERNELS, Gradients, Kernels
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window

__all__ = [
    "KERNELS",
    "Array",
    "Context",
    "Factors",
    "Gradients",
    "Kernels",
    "Scratch",
    "Window",
    "fast",
    "im2col",
    "naive",
    "stride_groups",
]
