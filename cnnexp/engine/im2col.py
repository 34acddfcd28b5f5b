"""The textbook way: every window becomes a row of a matrix, and a layer is one product.

The windows of all positions are copied side by side, pixels repeated as often as windows overlap,
and the convolution is one product of that matrix with the filters::

    image (n_m, ih, iw, n_c)  --windows-->  rows (n_m · oh · ow, f_w · f_w · n_c)
                                            rows @ W (f_w · f_w · n_c, n_f)  =  Z

It is short, and the product is as fast as BLAS can be. The price is memory, ``f_w²`` times the
image for stride 1, and copying in short runs: samples lie outermost, a run is one row of a window.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnnexp.engine.kernels import KERNELS, Cache, Kernels
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


@KERNELS.register("im2col")
class Im2Col(Kernels):
    """Convolution and pooling on the matrix of all windows."""

    name = "im2col"

    def conv_forward(
        self, A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Return ``rows @ W + b``."""
        padded = _pad(A_prev, window, 0.0)
        view = _windows(padded, window)  # (n_m, oh, ow, f_w, f_w, n_c)
        rows = view.reshape(-1, W.size // W.shape[3])
        Z = rows @ W.reshape(-1, W.shape[3])
        Z += b
        return Z.reshape(*view.shape[:3], W.shape[3]), (rows, padded.shape)

    def conv_backward(
        self,
        dZ: Array,
        W: Array,
        window: Window,
        cache: Cache,
        scratch: Scratch,
        need_dA_prev: bool = True,
    ) -> tuple[Array | None, Array, Array]:
        """Return ``dZ @ W.T`` added back to the windows, and ``rows.T @ dZ``."""
        rows, padded_shape = cache
        dZ_rows = dZ.reshape(-1, dZ.shape[3])
        dW, db = rows.T @ dZ_rows, dZ_rows.sum(axis=0)
        if not need_dA_prev:
            return None, dW.reshape(W.shape), db
        d_rows = dZ_rows @ W.reshape(-1, W.shape[3]).T
        d_windows = d_rows.reshape(*dZ.shape[:3], *W.shape[:3])
        return _add_windows(d_windows, padded_shape, window), dW.reshape(W.shape), db

    def max_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take the largest of each row of pixels."""
        padded = _pad(A_prev, window, -np.inf)
        pixels = _pixels(padded, window)  # (n_m, oh, ow, n_c, f_w · f_w)
        first = pixels.argmax(axis=4)[..., None]
        return np.take_along_axis(pixels, first, axis=4)[..., 0], (first, padded.shape)

    def max_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Put each gradient where the first maximum was."""
        first, padded_shape = cache
        f_w = window.width
        d_pixels = np.zeros((*dA.shape, f_w * f_w), dA.dtype)
        np.put_along_axis(d_pixels, first, dA[..., None], axis=4)
        d_windows = d_pixels.reshape(*dA.shape, f_w, f_w).transpose(0, 1, 2, 4, 5, 3)
        return _add_windows(d_windows, padded_shape, window)

    def avg_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take the mean of each row of pixels."""
        padded = _pad(A_prev, window, 0.0)
        return _pixels(padded, window).mean(axis=4), padded.shape

    def avg_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Give every pixel of a window the same share."""
        f_w = window.width
        share = dA / dA.dtype.type(f_w * f_w)
        shape = (*dA.shape[:3], f_w, f_w, dA.shape[3])
        d_windows = np.broadcast_to(share[:, :, :, None, None, :], shape)
        return _add_windows(d_windows, cache, window)


def _pad(A: Array, window: Window, value: float) -> Array:
    """Return the images with their padding."""
    rows, cols = window.rows, window.cols
    pads = ((0, 0), (rows.before, rows.after), (cols.before, cols.after), (0, 0))
    return np.pad(A, pads, constant_values=value) if window.padded else A


def _windows(padded: Array, window: Window) -> Array:
    """Return a view (n_m, oh, ow, f_w, f_w, n_c) of all windows."""
    f_w, s = window.width, window.stride
    view = sliding_window_view(padded, (f_w, f_w), axis=(1, 2))
    return view[:, ::s, ::s].transpose(0, 1, 2, 4, 5, 3)


def _pixels(padded: Array, window: Window) -> Array:
    """Return the pixels of all windows, (n_m, oh, ow, n_c, f_w · f_w)."""
    view = _windows(padded, window).transpose(0, 1, 2, 5, 3, 4)
    return view.reshape(*view.shape[:4], -1)


def _add_windows(d_windows: Array, padded_shape: tuple[int, ...], window: Window) -> Array:
    """Add gradients (n_m, oh, ow, f_w, f_w, n_c) of windows to the images they were cut from."""
    dA = np.zeros(padded_shape, d_windows.dtype)
    _, oh, ow, f_w, _, _ = d_windows.shape
    s = window.stride
    for row in range(f_w):
        for col in range(f_w):
            rows, cols = slice(row, row + s * oh, s), slice(col, col + s * ow, s)
            dA[:, rows, cols] += d_windows[:, :, :, row, col]
    return dA[:, window.rows.inside, window.cols.inside]
