"""Convolution, activation and max-pooling as one wider convolution.

The receptive field of the outputs in one pooling window is one patch of the image, of
``(p - 1) · s + f`` pixels along an axis. So the filters are laid into such a patch, once for each
pixel of the pooling window, and one product gives all the candidates of all windows::

    f = 2, p = 2            pixel 0    pixel 1    pixel 2    pixel 3
    filter  A B             A B .      . A B      . . .      . . .
            C D             C D .      . C D      A B .      . A B
                            . . .      . . .      C D .      . C D
    one matrix (p_h · p_w · n_f, patch)  @  one matrix (patch, windows)

The zeros are multiplied too, so there is (patch / filter) times the arithmetic. In return the
matrix of columns is smaller, since neighbouring windows overlap less, and the matrices are less
thin. That is faster if filters are wide compared with the pooling window, as in LeNet-5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine.context import Array
from cnnexp.engine.fast.columns import Columns
from cnnexp.engine.fast.pooled_conv import ConvPointwiseMaxPool, PooledConv
from cnnexp.engine.products import outer, product
from cnnexp.engine.window import Window

MOST_EXTRA = 2.0  # times the arithmetic of the convolution alone


class MergedConv(PooledConv):
    """One product for all pixels of the pooling windows, with the filters laid into patches."""

    def prepare(self, X: Array) -> None:
        """Lay out the filters, and make the one product."""
        n_c, n_f = self.W.shape[2:]
        self.patch = patch(self.conv, self.pool)
        laid = np.zeros((self.pool.size, n_f, *self.patch, n_c), self.W.dtype)
        for k, rows, cols in self._positions():
            laid[k, :, rows, cols] = self.W.transpose(3, 0, 1, 2)
        self.filters = laid.reshape(self.pool.size * n_f, -1)
        self.patches = Columns(self.patch, self.step, self.pool.out)
        self.cols = self.patches.matrix(X, 1, self.context)
        shape = (self.pool.size, n_f, self.cols.shape[1])
        self.Z = self.context.array("Z", shape, self.W.dtype)
        product(self.filters, self.cols, self._flat(), self.context.limits)

    def candidate(self, k: int) -> Array:
        """Return what the one product gave for this pixel."""
        Z: Array = self.Z[k]
        return Z

    def backward(self, gradients: Iterator[tuple[int, Array]]) -> tuple[Array, Array | None]:
        """Return the gradients by two products: one for the filters, one for the images."""
        for _ in gradients:  # each is written into its rows of the one matrix
            pass
        context, limits = self.context, self.context.limits
        dW = self._sum_over_positions(outer(self.cols, self._flat(), limits).T)
        if not context.need_dA_prev:
            return dW, None
        d_cols = context.array("d_cols", self.cols.shape, dW.dtype)
        product(self.filters.T, self._flat(), d_cols, limits)
        return dW, self.patches.add(d_cols, self.X_shape, context)

    def _sum_over_positions(self, d_filters: Array) -> Array:
        """Return ``dW`` from the gradients of the laid filters."""
        n_c, n_f = self.W.shape[2:]
        laid = d_filters.reshape(-1, n_f, *self.patch, n_c)
        dW = np.zeros_like(self.W)
        for k, rows, cols in self._positions():
            dW += laid[k, :, rows, cols].transpose(1, 2, 3, 0)
        return dW

    def _positions(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield (k, rows, columns): where the filter lies in the patch for each pixel."""
        (f_h, f_w), (s_h, s_w) = self.conv.kernel, self.conv.stride
        for k, (a, b) in enumerate(np.ndindex(self.pool.kernel)):
            yield k, slice(a * s_h, a * s_h + f_h), slice(b * s_w, b * s_w + f_w)

    def _flat(self) -> Array:
        """Return candidates as one matrix (p_h · p_w · n_f, long)."""
        return self.Z.reshape(len(self.filters), -1)


class MergedConvPointwiseMaxPool(ConvPointwiseMaxPool):
    """conv + activation + max_pool as one convolution, where the filters are wide."""

    name = "merged filters"
    method: ClassVar[type[PooledConv]] = MergedConv

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether multiplying the zeros costs less than is gained."""
        return super().applies(layers) and merging_pays(layers[0].geometry, layers[2].geometry)


def merging_pays(conv: Window, pool: Window) -> bool:
    """Say whether multiplying the zeros costs less than is gained."""
    rows, cols = patch(conv, pool)
    return rows * cols / conv.size <= MOST_EXTRA


def patch(conv: Window, pool: Window) -> tuple[int, int]:
    """Return rows and columns of the patch that one pooling window depends on."""
    (p_h, p_w), (s_h, s_w), (f_h, f_w) = pool.kernel, conv.stride, conv.kernel
    return (p_h - 1) * s_h + f_h, (p_w - 1) * s_w + f_w
