"""The fast implementation, in NumPy alone.

What makes it fast, in the order of what it brings:

1. Samples innermost in memory: every slice is long runs (`columns.py`).
2. Memory that is allocated once (`cnnexp.engine.scratch`), and pieces of a batch that fit the
   cache.
3. Layers that belong together computed together, with the pooling places as stride groups
   (`conv_relu_max_pool.py`), merged filters (`merged.py`), Winograd's convolution (`winograd.py`,
   `winograd_pool.py`); what is fused is a table, and a network's summary names it.

The first fusion in the table that applies is taken. Without fusions (``fuse: false``) every layer
is computed by itself, with the same methods for convolution and pooling.
"""

from __future__ import annotations

from cnnexp.engine.fast import convolution, pooling
from cnnexp.engine.fast.conv_relu_max_pool import ConvReLUMaxPool
from cnnexp.engine.fast.convolution import ConvReLU
from cnnexp.engine.fast.dense_relu import DenseReLU
from cnnexp.engine.fast.merged import MergedConvReLUMaxPool
from cnnexp.engine.fast.winograd_pool import WinogradReLUMaxPool
from cnnexp.engine.kernels import KERNELS, Cache, Kernels
from cnnexp.engine.layout import samples_outermost
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


@KERNELS.register("fast")
class Fast(Kernels):
    """Samples innermost, one product a convolution, Winograd where it pays, fusions."""

    name = "fast"
    caches = 8
    fusions = (
        WinogradReLUMaxPool,
        MergedConvReLUMaxPool,
        ConvReLUMaxPool,
        ConvReLU,
        DenseReLU,
    )

    def conv_forward(
        self, A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Multiply the filters with the columns of the image, or work by tiles."""
        Z, cache = convolution.forward(A_prev, W, b, window, scratch)
        return samples_outermost(Z), cache

    def conv_backward(
        self,
        dZ: Array,
        W: Array,
        window: Window,
        cache: Cache,
        scratch: Scratch,
        need_dA_prev: bool = True,
    ) -> tuple[Array | None, Array, Array]:
        """Two products, and the columns added back to the image."""
        flat = convolution.flat_gradient(dZ)
        return convolution.backward(flat, W, window, cache, scratch, need_dA_prev)

    def max_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Keep a running maximum over the pixels of the window."""
        return pooling.max_forward(A_prev, window, scratch)

    def max_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Give each gradient to the pixel that won."""
        return pooling.max_backward(dA, window, cache, scratch)

    def avg_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Add up the pixels of the window."""
        return pooling.avg_forward(A_prev, window, scratch)

    def avg_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Add each share to the pixels of its window."""
        return pooling.avg_backward(dA, window, cache, scratch)
