"""Convolution, ReLU and max-pooling as one wider convolution.

The p x p outputs that one pooling window looks at depend on one patch of the image, of
``(p - 1) · s + f_w`` pixels a side. So the filters are laid into such a patch at each of the p²
places, and one product gives all the candidates of all windows::

    f_w = 2, p = 2              place 0    place 1    place 2    place 3
    filter  A B                 A B .      . A B      . . .      . . .
            C D                 C D .      . C D      A B .      . A B
                                . . .      . . .      C D .      . C D
    one matrix (p² · n_f, patch)  @  one matrix (patch, windows)

The zeros are multiplied too, which costs ``(patch / f_w)²`` times the arithmetic; for it the
columns are fewer, since neighbouring windows share less, and the matrices have better shapes. That
pays where filters are wide against the pooling, as in LeNet-5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnnexp.engine.fast.columns import add_windows, columns, images_like, windows
from cnnexp.engine.fast.conv_relu_max_pool import Candidates, ConvReLUMaxPool
from cnnexp.engine.products import outer, product
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window

MOST_EXTRA = 2.0  # times the arithmetic of the convolution alone


class Merged(Candidates):
    """One product for all places, with the filters laid into patches."""

    def __init__(self, X: Array, W: Array, conv: Window, pool: Window, scratch: Scratch) -> None:
        super().__init__(X, W, conv, pool, scratch)
        self.width = patch_width(conv, pool)
        n_c, n_f = W.shape[2:]
        laid = np.zeros((pool.width**2, n_f, self.width, self.width, n_c), W.dtype)
        for k, rows, cols in self._places():
            laid[k, :, rows, cols] = W.transpose(3, 0, 1, 2)
        self.filters = laid.reshape(pool.width**2 * n_f, -1)
        self.cols = columns(windows(X, self.width, self.step, pool.out), "cols", scratch)
        self.Z = scratch.array("Z", (pool.width**2, n_f, self.cols.shape[1]), W.dtype)
        product(self.filters, self.cols, out=self._flat(self.Z))

    def candidate(self, k: int) -> Array:
        """Return what the one product gave for this place."""
        Z: Array = self.Z[k]
        return Z

    def begin_back(self, need_dA_prev: bool) -> None:
        """Note whether the images' gradients are wanted."""
        self.need_dA_prev = need_dA_prev

    def gradient_of(self, k: int) -> Array:
        """Return the place of the candidate itself, which is no longer needed."""
        dZ: Array = self.Z[k]
        return dZ

    def go_back(self, k: int) -> None:
        """Wait for all of them."""

    def gradients(self) -> tuple[Array, Array | None]:
        """Two products in all: one for the filters, one for the images."""
        dZ = self._flat(self.Z)
        dW = self._sum_over_places(outer(self.cols, dZ).T)
        if not self.need_dA_prev:
            return dW, None
        d_cols = self.scratch.array("d_cols", self.cols.shape, dZ.dtype)
        product(self.filters.T, dZ, out=d_cols)
        shape = images_like(self.X_shape, self.width, self.step, self.pool.out)
        dX = self.scratch.zeros("dX", shape, dZ.dtype)
        patches = (self.width, self.width, self.X_shape[0], *self.pool.out, self.X_shape[3])
        add_windows(dX, d_cols.reshape(patches), self.step)
        return dW, dX

    def _sum_over_places(self, d_filters: Array) -> Array:
        """Return ``dW`` from the gradients of the laid filters."""
        n_c, n_f = self.W.shape[2:]
        laid = d_filters.reshape(-1, n_f, self.width, self.width, n_c)
        dW = np.zeros_like(self.W)
        for k, rows, cols in self._places():
            dW += laid[k, :, rows, cols].transpose(1, 2, 3, 0)
        return dW

    def _places(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield (k, rows, columns): where the filter lies in the patch for each place."""
        for k in range(self.pool.width**2):
            row, col = (self.conv.stride * step for step in divmod(k, self.pool.width))
            yield k, slice(row, row + self.conv.width), slice(col, col + self.conv.width)

    def _flat(self, Z: Array) -> Array:
        """Return candidates as one matrix (p · p · n_f, long)."""
        return Z.reshape(len(self.filters), -1)


class MergedConvReLUMaxPool(ConvReLUMaxPool):
    """conv + relu + max_pool as one convolution, where the filters are wide."""

    name = "merged filters"
    candidates = Merged

    def applies(self, layers: Sequence[Any]) -> bool:
        """Pooling windows must not overlap, and the zeros must not cost too much."""
        conv, pool = layers[0].geometry, layers[2].geometry
        extra = (patch_width(conv, pool) / conv.width) ** 2
        return super().applies(layers) and bool(extra <= MOST_EXTRA)


def patch_width(conv: Window, pool: Window) -> int:
    """Return the pixels a side of the patch that one pooling window depends on."""
    return (pool.width - 1) * conv.stride + conv.width
