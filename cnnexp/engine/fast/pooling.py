"""Pooling by itself: the pixels of the window, one after the other, for all windows together.

A window of f x f pixels has f² of them, and each, taken over all windows, is a slice of the image
with steps of the stride. So pooling is f² operations on long arrays: a running maximum
(`maximum.py`) or a sum.
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.fast.columns import add_windows, images_like, padded_input, windows
from cnnexp.engine.fast.maximum import Running, winners
from cnnexp.engine.kernels import Cache
from cnnexp.engine.layout import samples_innermost, samples_outermost, unpadded_outermost
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


def max_forward(A_prev: Array, window: Window, scratch: Scratch) -> tuple[Array, Cache]:
    """Return the maxima (n_m, oh, ow, n_c), and where each pixel was greater than those before."""
    X = padded_input(A_prev, window, -np.inf, scratch)
    view = windows(X, window.width, window.stride, window.out)
    pixels = [view[pixel] for pixel in np.ndindex(view.shape[:2])]
    A = scratch.array("A", view.shape[2:], X.dtype)
    np.copyto(A, pixels[0])
    running = Running(A, len(pixels), scratch, "greater")
    if running.greater is not None:
        running.greater[0] = True
    for k, pixel in enumerate(pixels[1:], 1):
        running.take(k, pixel)
    return samples_outermost(A), (running.greater, X.shape)


def max_backward(dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
    """Return ``dA_prev``: each gradient goes to the pixel that won."""
    greater, X_shape = cache
    f_w, s, dA_in = window.width, window.stride, samples_innermost(dA)
    parts = scratch.array("parts", greater.shape, dA.dtype)
    for k, won in winners(greater, scratch):
        np.multiply(dA_in, won, out=parts[k])
    dX = scratch.zeros("dX", images_like(X_shape, f_w, s, window.out), dA.dtype)
    add_windows(dX, parts.reshape(f_w, f_w, *greater.shape[1:]), s)
    return unpadded_outermost(dX, window)


def avg_forward(A_prev: Array, window: Window, scratch: Scratch) -> tuple[Array, Cache]:
    """Return the means (n_m, oh, ow, n_c)."""
    X = padded_input(A_prev, window, 0.0, scratch)
    view = windows(X, window.width, window.stride, window.out)
    A = scratch.array("A", view.shape[2:], X.dtype)
    np.add.reduce(view, axis=(0, 1), out=A)
    A *= X.dtype.type(1 / window.width**2)
    return samples_outermost(A), X.shape


def avg_backward(dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
    """Return ``dA_prev``: each gradient is shared evenly."""
    f_w, s = window.width, window.stride
    share = samples_innermost(dA) * dA.dtype.type(1 / f_w**2)
    dX = scratch.zeros("dX", images_like(cache, f_w, s, window.out), dA.dtype)
    add_windows(dX, np.broadcast_to(share, (f_w, f_w, *share.shape)), s)
    return unpadded_outermost(dX, window)
