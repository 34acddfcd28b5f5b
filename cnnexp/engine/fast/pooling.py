"""Pooling by itself: the pixels of the window, one after the other, for all windows together.

A window has ``f_h · f_w`` pixels, and each, taken over all windows, is a slice of the image with
steps of the stride. So pooling is that many operations on long arrays: a running maximum
(`running_max.py`) or a sum.
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast.columns import Columns
from cnnexp.engine.fast.running_max import RunningMax
from cnnexp.engine.layout import batch_first, batch_last, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Gradients, Operation, Params
from cnnexp.engine.window import Window


def max_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return the maxima (n_m, oh, ow, n_c), and where each pixel was greater than those before."""
    X = padded_batch_last(A_prev, window, -np.inf, context)
    view = Columns.of(window).view(X, context.xp)
    A = context.array("A", view.shape[2:], X.dtype)
    running = RunningMax(A, window.size, context)
    for k, pixel in enumerate(np.ndindex(window.kernel)):
        running.take(k, view[pixel])
    return batch_first(A), (running.greater, X.shape)


def max_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array, Gradients]:
    """Return ``dA_prev``: each gradient goes to the pixel that won."""
    greater, X_shape = cache
    dA_in = batch_last(dA)
    parts = context.array("parts", greater.shape, dA.dtype)
    for k, won in RunningMax.winners(greater, context):
        np.multiply(dA_in, won, out=parts[k])
    return unpadded(Columns.of(window).add(parts, X_shape, context), window), {}


def avg_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return the means (n_m, oh, ow, n_c)."""
    X = padded_batch_last(A_prev, window, 0.0, context)
    view = Columns.of(window).view(X, context.xp)
    A = context.array("A", view.shape[2:], X.dtype)
    np.sum(view, axis=(0, 1), out=A)
    A *= X.dtype.type(1 / window.size)
    return batch_first(A), X.shape


def avg_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array, Gradients]:
    """Return ``dA_prev``: each gradient is shared evenly."""
    share = batch_last(dA) * dA.dtype.type(1 / window.size)
    shares = np.broadcast_to(share, (*window.kernel, *share.shape))
    return unpadded(Columns.of(window).add(shares, cache, context), window), {}


MAX_POOL = Operation(max_forward, max_backward)
AVG_POOL = Operation(avg_forward, avg_backward)
