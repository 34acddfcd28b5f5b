"""The textbook implementation: every window becomes a row of a matrix, and a layer is one product.

The windows of all positions are copied side by side, pixels repeated as often as windows overlap,
and the convolution is one product of that matrix with the filters::

    image (n_m, ih, iw, n_c)  --windows-->  rows (n_m · oh · ow, f_h · f_w · n_c)
                                            rows @ W (f_h · f_w · n_c, n_f)  =  Z

It is short, and the product is as fast as BLAS can be. The price is memory, ``f_h · f_w`` times the
image for stride 1, and copying in short runs: in batch-first layout a run is one row of a window.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnexp.engine.context import Array, Context
from cnnexp.engine.operations import (
    IMPLEMENTATIONS,
    Cache,
    Gradients,
    Implementation,
    Operation,
    Params,
)
from cnnexp.engine.shared import NUMPY
from cnnexp.engine.window import Window


def conv_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return ``rows @ W + b``; groups of channels have rows and a product each."""
    padded, W = _pad(A_prev, window, 0.0), params["W"]
    rows = _rows(_windows(padded, window), W.shape[2])
    Z = (rows @ _filters(W, len(rows))).transpose(1, 0, 2).reshape(rows.shape[1], -1)
    Z += params["b"]
    return Z.reshape(len(A_prev), *window.out, -1), (rows, padded.shape)


def conv_backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dZ @ W.T`` added back to the windows, and ``rows.T @ dZ``."""
    (rows, padded_shape), W = cache, params["W"]
    dZ_rows = dZ.reshape(rows.shape[1], len(rows), -1).transpose(1, 0, 2)
    dW = (rows.transpose(0, 2, 1) @ dZ_rows).transpose(1, 0, 2).reshape(W.shape)
    grads: Gradients = {"W": dW, "b": dZ.reshape(-1, dZ.shape[3]).sum(axis=0)}
    if not context.need_dA_prev:
        return None, grads
    d_rows = dZ_rows @ _filters(W, len(rows)).transpose(0, 2, 1)
    d_windows = d_rows.reshape(len(rows), *dZ.shape[:3], *W.shape[:3])
    d_windows = np.moveaxis(d_windows, 0, -2).reshape(*dZ.shape[:3], *window.kernel, -1)
    return _add_windows(d_windows, padded_shape, window), grads


def max_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take the largest of each row of pixels."""
    padded = _pad(A_prev, window, -np.inf)
    pixels = _pixels(padded, window)  # (n_m, oh, ow, n_c, f_h · f_w)
    first = pixels.argmax(axis=4)[..., None]
    return np.take_along_axis(pixels, first, axis=4)[..., 0], (first, padded.shape)


def max_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Put each gradient where the first maximum was."""
    first, padded_shape = cache
    d_pixels = context.xp.zeros((*dA.shape, window.size), dA.dtype)
    np.put_along_axis(d_pixels, first, dA[..., None], axis=4)
    d_windows = d_pixels.reshape(*dA.shape, *window.kernel).transpose(0, 1, 2, 4, 5, 3)
    return _add_windows(d_windows, padded_shape, window), {}


def avg_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take the mean of each row of pixels."""
    padded = _pad(A_prev, window, 0.0)
    return _pixels(padded, window).mean(axis=4), padded.shape


def avg_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Give every pixel of a window the same share."""
    share = dA / dA.dtype.type(window.size)
    shape = (*dA.shape[:3], *window.kernel, dA.shape[3])
    d_windows = np.broadcast_to(share[:, :, :, None, None, :], shape)
    return _add_windows(d_windows, cache, window), {}


def _pad(A: Array, window: Window, value: float) -> Array:
    """Return the images with their padding."""
    rows, cols = window.rows, window.cols
    pads = ((0, 0), (rows.before, rows.after), (cols.before, cols.after), (0, 0))
    return np.pad(A, pads, constant_values=value) if window.has_padding else A


def _windows(padded: Array, window: Window) -> Array:
    """Return a view (n_m, oh, ow, f_h, f_w, n_c) of all windows."""
    (s_h, s_w), (d_h, d_w) = window.stride, window.dilation
    reach = (window.rows.reach, window.cols.reach)
    view = sliding_window_view(padded, reach, axis=(1, 2))
    return view[:, ::s_h, ::s_w, :, ::d_h, ::d_w].transpose(0, 1, 2, 4, 5, 3)


def _rows(view: Array, n_c: int) -> Array:
    """Return windows as rows of a matrix for each group of `n_c` channels, (groups, rows, K)."""
    parts = view.reshape(*view.shape[:5], -1, n_c)
    return np.moveaxis(parts, 5, 0).reshape(parts.shape[5], -1, parts[0, 0, 0, :, :, 0].size)


def _filters(W: Array, groups: int) -> Array:
    """Return the filters of each group of channels as columns, (groups, K, n_f / groups)."""
    return W.reshape(-1, groups, W.shape[3] // groups).transpose(1, 0, 2)


def _pixels(padded: Array, window: Window) -> Array:
    """Return the pixels of all windows, (n_m, oh, ow, n_c, f_h · f_w)."""
    view = _windows(padded, window).transpose(0, 1, 2, 5, 3, 4)
    return view.reshape(*view.shape[:4], -1)


def _add_windows(d_windows: Array, padded_shape: tuple[int, ...], window: Window) -> Array:
    """Add gradients (n_m, oh, ow, f_h, f_w, n_c) of windows to the images they were cut from."""
    dA = np.zeros_like(d_windows, order="C", shape=padded_shape)
    (oh, ow), (s_h, s_w), (d_h, d_w) = window.out, window.stride, window.dilation
    for a, b in np.ndindex(window.kernel):
        top, left = a * d_h, b * d_w
        dA[:, top : top + s_h * oh : s_h, left : left + s_w * ow : s_w] += d_windows[:, :, :, a, b]
    return dA[:, window.rows.inside, window.cols.inside]


IM2COL = Implementation(
    "im2col",
    {
        "conv": Operation(conv_forward, conv_backward),
        "max_pool": Operation(max_pool_forward, max_pool_backward),
        "avg_pool": Operation(avg_pool_forward, avg_pool_backward),
    },
    about="Convolution and pooling on the matrix of all windows.",
    base=NUMPY,
)
IMPLEMENTATIONS.register("im2col")(IM2COL)
