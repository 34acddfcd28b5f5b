"""Arithmetic: windows, convolution and pooling under several implementations, activations."""

from cnnexp.engine import naive, stride_groups
from cnnexp.engine.kernels import KERNELS, Kernels
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window

__all__ = ["KERNELS", "Array", "Kernels", "Scratch", "Window", "naive", "stride_groups"]
