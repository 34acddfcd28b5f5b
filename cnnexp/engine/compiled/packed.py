"""Convolution by products of blocks that fit the cache, for filters of many weights.

`fast` copies all windows of a micro-batch into one matrix, which is as many times larger than the
image as a filter has pixels, and is written to memory and read from there three times. Here a block
of windows is packed at a time, multiplied while it is in the second-level cache, and packed again
on the backward pass, which is quicker than to read it from memory (`packed_kernels.py`).

With max-pooling the pixels of a pooling window are taken one after another, and only their maximum
is kept: each of them is a product with a stride group.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.compiled import packed_kernels
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import padded_batch_last, unpadded
from cnnexp.engine.operations import Gradients, Params
from cnnexp.engine.window import Window


class Kept(NamedTuple):
    """The cache: images with padding, filters, the result, and which pixel of a window won."""

    X: Array
    W: Array
    A: Array
    winner: Array


def suits(W: Array, channels: int, conv: Window) -> bool:
    """Say whether filters take all channels."""
    return bool(W.shape[2] == channels)


def kernels_for(W: Array) -> list[Kernel]:
    """Return the kernels that compute a convolution with these filters."""
    found = packed_kernels
    return [found.pack, found.take, found.give, found.unpack]


def forward(
    A_prev: Array,
    params: Params,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    context: Context,
) -> tuple[Array, Kept]:
    """Return the result of convolution, floor and max-pooling, (n_f, rows, columns, n_m)."""
    W, b = params["W"], plain(params["b"])
    X = plain(padded_batch_last(A_prev, conv, 0.0, context))
    filters = W.reshape(-1, b.size)
    A = context.array("A", (b.size, *(pool or conv).out, X.shape[3]), X.dtype)
    flat = A.reshape(b.size, -1)
    pixels = pool.size if pool else 1
    keep = pixels > 1 and context.keep_cache
    winner = context.array("winner", flat.shape if keep else (1, 1), np.uint8)
    least = X.dtype.type(-np.inf if floor is None else floor)
    numbers = numbers_of(conv, pool)
    for start, stop in _blocks(flat, len(filters), context):
        cols = context.array("cols", (len(filters), stop - start), X.dtype)
        Z = context.array("Z", (b.size, stop - start), X.dtype)
        for k in range(pixels):
            packed_kernels.pack(X, cols, k, start, stop, *numbers)
            np.matmul(filters.T, cols, out=Z)
            last = int(k == pixels - 1)
            packed_kernels.take(Z, b, least, flat, winner, int(keep), k, last, start)
    return A, Kept(X, filters, A, winner)


def backward(
    dA: Array,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    kept: Kept,
    context: Context,
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db`` for `dA` (n_f, rows, columns, n_m)."""
    X, filters, A, winner = kept
    taps, n_f = filters.shape
    dA, A = plain(dA).reshape(n_f, -1), A.reshape(n_f, -1)
    dW, db = np.zeros_like(filters), np.zeros(n_f, A.dtype)
    need, relu = context.need_dA_prev, int(floor is not None)
    dX = context.zeros("dX", X.shape, X.dtype) if need else X
    numbers, pixels = numbers_of(conv, pool), pool.size if pool else 1
    for start, stop in _blocks(A, taps, context):
        cols = context.array("cols", (taps, stop - start), X.dtype)
        dZ = context.array("dZ", (n_f, stop - start), X.dtype)
        for k in range(pixels):
            packed_kernels.give(dA, A, relu, winner, dZ, db, k, int(pixels > 1), start)
            packed_kernels.pack(X, cols, k, start, stop, *numbers)
            dW += np.matmul(cols, dZ.T)
            if need:
                np.matmul(filters, dZ, out=cols)
                packed_kernels.unpack(dX, cols, k, start, stop, *numbers)
    grads: Gradients = {"W": dW.reshape(*conv.kernel, len(X), n_f), "b": db}
    return unpadded(dX, conv) if need else None, grads


def _blocks(A: Array, taps: int, context: Context) -> list[tuple[int, int]]:
    """Cut the positions of a result (n_f, places) so that columns fill half of the cache."""
    most = max(context.limits.cache // (2 * taps * A.itemsize), 1)
    count = -(-A.shape[1] // most)
    size = -(-A.shape[1] // count)
    starts: Any = range(0, A.shape[1], size)
    return [(start, min(start + size, A.shape[1])) for start in starts]


def numbers_of(conv: Window, pool: Window | None) -> tuple[int, ...]:
    """Return what kernels are told of the windows, after other numbers.

    That is the columns of the result, kernel, stride and dilation of the convolution, and window
    and stride of the pooling.
    """
    pooling = (1, 1, 1, 1) if pool is None else (*pool.kernel, *pool.stride)
    return ((pool or conv).out[1], *conv.kernel, *conv.stride, *conv.dilation, *pooling)
