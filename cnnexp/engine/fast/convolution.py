"""A convolution by itself, and with the ReLU that follows it.

With samples innermost a convolution is one product of the filters with the columns of the image
(`columns.py`), or Winograd's method (`winograd.py`) where that has fewer multiplications to do.
Bias and ReLU are applied in place to the result while it is still in the cache of the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine.context import Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.columns import add_windows, columns, images_like, padded_input, windows
from cnnexp.engine.kernels import Cache, Fusion, Gradients
from cnnexp.engine.layout import (
    padded_innermost,
    samples_innermost,
    samples_outermost,
    unpadded_outermost,
)
from cnnexp.engine.products import outer, product
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


def forward(
    A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
) -> tuple[Array, Cache]:
    """Return ``Z`` (n_f, oh, ow, n_m) and a cache."""
    if winograd.suits(W.shape, window):
        return _winograd_forward(A_prev, W, b, window, scratch)
    X = padded_input(A_prev, window, 0.0, scratch)
    cols = columns(windows(X, window.width, window.stride, window.out), "cols", scratch)
    Z = scratch.array("Z", (W.shape[3], cols.shape[1]), X.dtype)
    product(W.reshape(-1, W.shape[3]).T, cols, out=Z)
    Z += b[:, None]
    return Z.reshape(W.shape[3], *window.out, X.shape[3]), (cols, X.shape)


def backward(
    dZ: Array, W: Array, window: Window, cache: Cache, scratch: Scratch, need_dA_prev: bool
) -> tuple[Array | None, Array, Array]:
    """Return ``dA_prev`` (or None), ``dW`` and ``db``, given dZ (n_f, oh · ow · n_m)."""
    if winograd.suits(W.shape, window):
        return _winograd_backward(dZ, W, window, cache, scratch, need_dA_prev)
    cols, X_shape = cache
    dW = outer(cols, dZ).reshape(W.shape)
    db: Array = dZ.sum(axis=1)
    if not need_dA_prev:
        return None, dW, db
    d_cols = scratch.array("d_cols", cols.shape, dZ.dtype)
    product(W.reshape(-1, W.shape[3]), dZ, out=d_cols)
    f_w, s = window.width, window.stride
    dX = scratch.zeros("dX", images_like(X_shape, f_w, s, window.out), dZ.dtype)
    add_windows(dX, d_cols.reshape(f_w, f_w, X_shape[0], *window.out, X_shape[3]), s)
    return unpadded_outermost(dX, window), dW, db


def tiled_input(A_prev: Array, window: Window, tiling: winograd.Tiling, scratch: Scratch) -> Array:
    """Return images (n_c, h, w, n_m) as large as the tiles reach; a view where possible."""
    return padded_innermost(A_prev, window, 0.0, scratch, tiling.image)


def _winograd_forward(
    A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
) -> tuple[Array, Cache]:
    """Return ``Z`` and a cache, by tiles."""
    tiling = winograd.Tiling.over(window.out)
    X = tiled_input(A_prev, window, tiling, scratch)
    n_f, n_m = W.shape[3], X.shape[3]
    work = winograd.Convolution(X, W, tiling, scratch)
    whole = scratch.array("whole", (n_f, tiling.rows, 4, tiling.cols, 4, n_m), X.dtype)
    bias = b[:, None, None, None, None, None]
    for block in work.blocks():
        Y = work.forward(block).reshape(4, 4, n_f, *block.shape, n_m)
        np.add(Y.transpose(2, 3, 0, 4, 1, 5), bias, out=whole[:, block.rows, :, block.cols])
    Z = whole.reshape(n_f, 4 * tiling.rows, 4 * tiling.cols, n_m)
    return Z[:, : window.rows.out, : window.cols.out], work


def _winograd_backward(
    dZ: Array, W: Array, window: Window, cache: Cache, scratch: Scratch, need_dA_prev: bool
) -> tuple[Array | None, Array, Array]:
    """Return the gradients, by tiles."""
    work, n_f, n_m = cache, W.shape[3], cache.X.shape[3]
    tiling = work.tiling
    whole = scratch.array("whole", (n_f, 4 * tiling.rows, 4 * tiling.cols, n_m), dZ.dtype)
    if whole.shape[1:3] != window.out:
        whole.fill(0)
    whole[:, : window.rows.out, : window.cols.out] = dZ.reshape(n_f, *window.out, n_m)
    by_tile = whole.reshape(n_f, tiling.rows, 4, tiling.cols, 4, n_m)
    dX = work.images_gradient() if need_dA_prev else None
    for block in reversed(work.blocks()):
        dY = work.outputs_like(block)
        ordered = by_tile[:, block.rows, :, block.cols].transpose(2, 4, 0, 1, 3, 5)
        dY.reshape(ordered.shape)[...] = ordered
        work.backward(block, dY, dX)
    dA_prev = None if dX is None else unpadded_outermost(dX, window)
    return dA_prev, work.filter_gradient(), dZ.sum(axis=1)


def cut_off(Z: Array, scratch: Scratch) -> Array:
    """Set negative values to zero in place.

    NumPy takes the maximum of two arrays several times as fast as that of an array and a number.
    """
    zeros = scratch.zeros("zeros", Z.shape[1:], Z.dtype)
    return np.maximum(Z, zeros, out=Z)


def let_through(dA: Array, A: Array, scratch: Scratch) -> Array:
    """Return the gradients of those values that a ReLU let through; its result is `A`."""
    above = np.greater(A, 0, out=scratch.array("above", A.shape, np.bool_))
    return np.multiply(dA, above, out=scratch.array("let through", A.shape, A.dtype))


def flat_gradient(dA: Array) -> Array:
    """Return gradients (n_m, oh, ow, n_f) as a matrix (n_f, oh · ow · n_m)."""
    inner = samples_innermost(dA)
    return np.ascontiguousarray(inner).reshape(inner.shape[0], -1)


class ConvReLU(Fusion):
    """conv + relu: the ReLU works in place on the result of the convolution."""

    name = "ReLU in place"
    pattern = ("conv", "relu")

    def applies(self, layers: Sequence[Any]) -> bool:
        """Always."""
        return True

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return ``max(Z, 0)``."""
        scratch = context.scratch
        conv = layers[0]
        Z, cache = forward(A_prev, conv.params["W"], conv.params["b"], conv.geometry, scratch)
        A = cut_off(Z, scratch)
        return samples_outermost(A), (cache, A)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Let through the gradients where the result is above zero."""
        scratch = context.scratch
        conv, (inner, A) = layers[0], cache
        dZ = let_through(samples_innermost(dA), A, scratch)
        dA_prev, dW, db = backward(
            dZ.reshape(len(dZ), -1),
            conv.params["W"],
            conv.geometry,
            inner,
            scratch,
            context.need_dA_prev,
        )
        return dA_prev, {"W": dW, "b": db}
