"""The four loops, written as the definition reads: slow, and the measure of what is right.

For every sample, every row, every column and every filter the window is laid on the image, its
pixels are multiplied with the filter's weights, and the products are added up::

    for i in samples:
        for h in rows:
            for w in columns:
                for f in filters:
                    Z[i, h, w, f] = sum(patch * W[..., f]) + b[f]

Backward runs through the same four loops and sends each gradient back along the way by which the
value came. Every other implementation is tested against this one.
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.kernels import KERNELS, Cache, Kernels
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window


@KERNELS.register("naive")
class Naive(Kernels):
    """Convolution and pooling by four Python loops."""

    name = "naive"
    threads_pay = False

    def conv_forward(
        self, A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Visit every sample, row, column and filter."""
        padded = _pad(A_prev, window, 0.0)
        n_m, n_f = A_prev.shape[0], W.shape[3]
        oh, ow = window.out
        f_w, s = window.width, window.stride
        Z = np.empty((n_m, oh, ow, n_f), A_prev.dtype)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    patch = padded[i, h * s : h * s + f_w, w * s : w * s + f_w, :]
                    for f in range(n_f):
                        Z[i, h, w, f] = np.add.reduce(patch * W[..., f], axis=None) + b[f]
        return Z, padded

    def conv_backward(
        self,
        dZ: Array,
        W: Array,
        window: Window,
        cache: Cache,
        scratch: Scratch,
        need_dA_prev: bool = True,
    ) -> tuple[Array | None, Array, Array]:
        """Visit every sample, row, column and filter, the other way round."""
        padded = cache
        n_m, oh, ow, n_f = dZ.shape
        f_w, s = window.width, window.stride
        dA_padded = np.zeros_like(padded)
        dW, db = np.zeros_like(W), np.zeros(n_f, W.dtype)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    here = (i, slice(h * s, h * s + f_w), slice(w * s, w * s + f_w))
                    patch, dA_patch = padded[here], dA_padded[here]
                    for f in range(n_f):
                        dz = dZ[i, h, w, f]
                        dA_patch += W[..., f] * dz
                        dW[..., f] += patch * dz
                        db[f] += dz
        return _unpad(dA_padded, window) if need_dA_prev else None, dW, db

    def max_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take the largest value of every patch."""
        padded = _pad(A_prev, window, -np.inf)
        n_m, n_c = A_prev.shape[0], A_prev.shape[3]
        oh, ow = window.out
        f_w, s = window.width, window.stride
        A = np.empty((n_m, oh, ow, n_c), A_prev.dtype)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    for c in range(n_c):
                        patch = padded[i, h * s : h * s + f_w, w * s : w * s + f_w, c]
                        A[i, h, w, c] = patch.max()
        return A, padded

    def max_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Send every gradient to the first maximum of its patch."""
        padded = cache
        n_m, oh, ow, n_c = dA.shape
        f_w, s = window.width, window.stride
        dA_padded = np.zeros_like(padded)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    for c in range(n_c):
                        patch = padded[i, h * s : h * s + f_w, w * s : w * s + f_w, c]
                        row, col = divmod(int(patch.argmax()), f_w)
                        dA_padded[i, h * s + row, w * s + col, c] += dA[i, h, w, c]
        return _unpad(dA_padded, window)

    def avg_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take the mean of every patch."""
        padded = _pad(A_prev, window, 0.0)
        n_m, n_c = A_prev.shape[0], A_prev.shape[3]
        oh, ow = window.out
        f_w, s = window.width, window.stride
        A = np.empty((n_m, oh, ow, n_c), A_prev.dtype)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    for c in range(n_c):
                        patch = padded[i, h * s : h * s + f_w, w * s : w * s + f_w, c]
                        A[i, h, w, c] = patch.mean()
        return A, padded.shape

    def avg_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Share every gradient evenly among its patch."""
        n_m, oh, ow, n_c = dA.shape
        f_w, s = window.width, window.stride
        dA_padded = np.zeros(cache, dA.dtype)
        for i in range(n_m):
            for h in range(oh):
                for w in range(ow):
                    for c in range(n_c):
                        patch = dA_padded[i, h * s : h * s + f_w, w * s : w * s + f_w, c]
                        patch += dA[i, h, w, c] / f_w**2
        return _unpad(dA_padded, window)


def _pad(A: Array, window: Window, value: float) -> Array:
    """Return a copy of the images with their padding."""
    rows, cols = window.rows, window.cols
    padded = np.full((A.shape[0], rows.padded, cols.padded, A.shape[3]), value, A.dtype)
    padded[:, rows.inside, cols.inside, :] = A
    return padded


def _unpad(padded: Array, window: Window) -> Array:
    """Return the images without their padding."""
    return padded[:, window.rows.inside, window.cols.inside, :]
