"""Pooling by itself: the pixels of the window, one after the other, for all windows together.

A window has ``f_h · f_w`` pixels, and each, taken over all windows, is a slice of the image with
steps of the stride. So pooling is that many operations on long arrays: a running maximum
(`running_max.py`) or a sum.
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.context import Context
from cnnexp.engine.fast.columns import add_windows, images_like, windows
from cnnexp.engine.fast.running_max import RunningMax, winners
from cnnexp.engine.layout import batch_first, batch_last, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Gradients, Operation, Params
from cnnexp.engine.scratch import Array
from cnnexp.engine.window import Window


def max_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return the maxima (n_m, oh, ow, n_c), and where each pixel was greater than those before."""
    scratch = context.scratch
    X = padded_batch_last(A_prev, window, -np.inf, scratch)
    view = windows(X, window.kernel, window.stride, window.out)
    A = scratch.array("A", view.shape[2:], X.dtype)
    running = RunningMax(A, window.size, scratch, "greater", context.keep_cache)
    for k, pixel in enumerate(np.ndindex(window.kernel)):
        running.take(k, view[pixel])
    return batch_first(A), (running.greater, X.shape)


def max_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array, Gradients]:
    """Return ``dA_prev``: each gradient goes to the pixel that won."""
    scratch, (greater, X_shape) = context.scratch, cache
    dA_in = batch_last(dA)
    parts = scratch.array("parts", greater.shape, dA.dtype)
    for k, won in winners(greater, scratch):
        np.multiply(dA_in, won, out=parts[k])
    shape = images_like(X_shape, window.kernel, window.stride, window.out)
    dX = scratch.zeros("dX", shape, dA.dtype)
    add_windows(dX, parts.reshape(*window.kernel, *greater.shape[1:]), window.stride)
    return unpadded(dX, window), {}


def avg_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return the means (n_m, oh, ow, n_c)."""
    X = padded_batch_last(A_prev, window, 0.0, context.scratch)
    view = windows(X, window.kernel, window.stride, window.out)
    A = context.scratch.array("A", view.shape[2:], X.dtype)
    np.add.reduce(view, axis=(0, 1), out=A)
    A *= X.dtype.type(1 / window.size)
    return batch_first(A), X.shape


def avg_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array, Gradients]:
    """Return ``dA_prev``: each gradient is shared evenly."""
    share = batch_last(dA) * dA.dtype.type(1 / window.size)
    shape = images_like(cache, window.kernel, window.stride, window.out)
    dX = context.scratch.zeros("dX", shape, dA.dtype)
    add_windows(dX, np.broadcast_to(share, (*window.kernel, *share.shape)), window.stride)
    return unpadded(dX, window), {}


MAX_POOL = Operation(max_forward, max_backward)
AVG_POOL = Operation(avg_forward, avg_backward)
