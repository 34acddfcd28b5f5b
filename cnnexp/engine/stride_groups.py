"""The stride-group method: window positions that do not overlap are computed together.

The positions of the filter are divided into sets in which no two overlap (`window.py`). Within a
set each pixel is used at most once, so the set is *one slice of the input, reshaped*: no pixel is
repeated, and on the backward pass the gradients are added to that slice in place, all at once. Per
set there is one matrix product::

    W  (n_f, f_h·f_w·n_c)   @   cols  (f_h·f_w·n_c, m_h·m_w·n_m)   =   Z of this set

A 2x2 filter with stride 1 on 4x4 pixels has four sets; the first holds four positions, the last
one (each letter marks the pixels of one position)::

    A A B B     . A A .     . . . .     . . . .
    A A B B     . A A .     A A B B     . A A .
    C C D D     . B B .     A A B B     . A A .
    C C D D     . B B .     . . . .     . . . .

The number of Python iterations depends on filter width and stride only: one where the stride is at
least the width.

References
----------
David Stein, cnn-numpy, https://www.github.com/neuron-whisperer/cnn-numpy
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import (
    batch_first,
    batch_last,
    blocks,
    blocks_by_channels,
    padded_batch_last,
    unpadded,
)
from cnnexp.engine.operations import (
    IMPLEMENTATIONS,
    Cache,
    Gradients,
    Implementation,
    Operation,
    Params,
)
from cnnexp.engine.products import outer
from cnnexp.engine.shared import NUMPY
from cnnexp.engine.window import AxisGroup, Window


def conv_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Multiply the filters with one slice of the input per stride group.

    The bias is one more weight of each filter, for a pixel that is always 1.
    """
    padded = _padded(A_prev, window, 0.0, context)
    W_rows = _filters(params, len(padded))
    n_m, n_f = padded.shape[3], params["b"].size
    Z = context.array("Z", (n_f, *window.out, n_m), A_prev.dtype)
    cache = []
    for k, group in enumerate(window.groups()):
        rows, cols = group
        count = rows.count * cols.count * n_m
        flat = context.array(f"cols{k}", (len(W_rows), W_rows.shape[2], count), A_prev.dtype)
        view = blocks_by_channels(padded, group, window, len(W_rows))
        flat[:, :-1].reshape(view.shape)[...] = view
        flat[:, -1] = 1
        product = context.array("product", (n_f, count), A_prev.dtype)
        np.matmul(W_rows, flat, out=product.reshape(len(W_rows), -1, count))
        Z[:, rows.positions, cols.positions] = product.reshape(n_f, rows.count, cols.count, n_m)
        cache.append(flat)
    return batch_first(Z), (cache, padded.shape)


def conv_backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Two products per stride group: one for the weights, one for the slice of the input."""
    cols_by_group, padded_shape = cache
    W_rows, dZ_in = _filters(params, padded_shape[0]), batch_last(dZ)
    dW_rows = np.zeros_like(W_rows)
    dA = context.zeros("dA", padded_shape, dZ.dtype) if context.need_dA_prev else None
    for group, flat in zip(window.groups(), cols_by_group, strict=True):
        rows, cols = group
        part = dZ_in[:, rows.positions, cols.positions]
        dZ_flat = context.array("dZ", (len(flat), W_rows.shape[1], flat.shape[2]), dZ.dtype)
        dZ_flat.reshape(part.shape)[...] = part
        dW_rows += outer(dZ_flat, flat, context.limits)
        if dA is None:
            continue
        d_cols = context.array("d_cols", (len(flat), flat.shape[1] - 1, flat.shape[2]), dZ.dtype)
        np.matmul(W_rows[:, :, :-1].transpose(0, 2, 1), dZ_flat, out=d_cols)
        under = blocks_by_channels(dA, group, window, len(flat))
        under += d_cols.reshape(under.shape)
    W = params["W"]
    dW = dW_rows[:, :, :-1].reshape(-1, W[..., 0].size).T.reshape(W.shape)
    dA_prev = None if dA is None else unpadded(dA, window)
    return dA_prev, {"W": dW, "b": dW_rows[:, :, -1].reshape(-1)}


def max_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take one maximum over the pixels of the window per stride group."""
    padded = _padded(A_prev, window, -np.inf, context)
    A = context.array("A", (len(padded), *window.out, padded.shape[3]), A_prev.dtype)
    cache = []
    for k, group in enumerate(window.groups()):
        pixels = _pixels(padded, window, group, context, f"pixels{k}")
        best = np.max(pixels, axis=0, out=context.like(f"best{k}", pixels[0]))
        A[:, group[0].positions, group[1].positions] = best
        cache.append((pixels, best))
    return batch_first(A), (cache, padded.shape)


def max_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Send each gradient to the first pixel of its window that equals the maximum."""
    pixels_by_group, padded_shape = cache
    dA_in = batch_last(dA)
    dA_padded = context.zeros("dA", padded_shape, dA.dtype)
    for group, (pixels, best) in zip(window.groups(), pixels_by_group, strict=True):
        first = _first_equal(pixels, best, context)
        part = dA_in[:, group[0].positions, group[1].positions]
        grads = np.multiply(first, part, out=context.like("grads", pixels))
        under = blocks(dA_padded, group, window)
        under += grads.reshape(*window.kernel, *part.shape).transpose(2, 3, 0, 4, 1, 5)
    return unpadded(dA_padded, window), {}


def avg_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take one mean over the pixels of the window per stride group."""
    padded = _padded(A_prev, window, 0.0, context)
    A = context.array("A", (len(padded), *window.out, padded.shape[3]), A_prev.dtype)
    for group in window.groups():
        pixels = _pixels(padded, window, group, context, "pixels")
        A[:, group[0].positions, group[1].positions] = pixels.mean(axis=0)
    return batch_first(A), padded.shape


def avg_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Add an even share of each gradient to the slice of each stride group."""
    share = batch_last(dA) / dA.dtype.type(window.size)
    dA_padded = context.zeros("dA", cache, dA.dtype)
    for group in window.groups():
        part = share[:, group[0].positions, group[1].positions]  # (n_c, m_h, m_w, n_m)
        under = blocks(dA_padded, group, window)
        under += part[:, :, None, :, None, :]
    return unpadded(dA_padded, window), {}


def _padded(A: Array, window: Window, value: float, context: Context) -> Array:
    """Return images (n_c, h, w, n_m), padded to the end of the last block of any stride group."""
    extent = (window.rows.extent, window.cols.extent)
    return padded_batch_last(A, window, value, context, extent)


def _filters(params: Params, channels: int) -> Array:
    """Return the filters of each group of channels, with their biases: (groups, n_f, K + 1)."""
    W, b = params["W"], params["b"]
    rows = np.vstack((W.reshape(-1, b.size), b)).T
    return rows.reshape(channels // W.shape[2], -1, rows.shape[1])


def _first_equal(pixels: Array, best: Array, context: Context) -> Array:
    """Return a mask of the first pixel along the first axis that equals the maximum."""
    first = np.equal(pixels, best, out=context.array("first", pixels.shape, np.dtype(bool)))
    free = np.logical_not(first[0], out=context.array("free", best.shape, np.dtype(bool)))
    for equal in first[1:]:
        equal &= free  # not where an earlier pixel has it
        free ^= equal
    return first


def _pixels(
    padded: Array,
    window: Window,
    group: tuple[AxisGroup, AxisGroup],
    context: Context,
    name: str,
) -> Array:
    """Return the pixels under the windows of one group, (f_h·f_w, n_c, m_h, m_w, n_m)."""
    view = blocks(padded, group, window).transpose(2, 4, 0, 1, 3, 5)
    pixels = context.array(name, view.shape, padded.dtype)
    pixels[...] = view
    return pixels.reshape(-1, *view.shape[2:])


STRIDE_GROUPS = Implementation(
    "sg",
    {
        "conv": Operation(conv_forward, conv_backward),
        "max_pool": Operation(max_pool_forward, max_pool_backward),
        "avg_pool": Operation(avg_pool_forward, avg_pool_backward),
    },
    about="One matrix product, or one reduction, per stride group.",
    base=NUMPY,
)
IMPLEMENTATIONS.register("sg")(STRIDE_GROUPS)
