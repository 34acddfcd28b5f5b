"""The stride-group method: as many window positions at once as do not overlap.

The positions of the filter are divided into sets in which no two overlap (`window.py`). Within a
set each pixel is met at most once, so the set is *one slice of the input, reshaped*: no pixel has
to be repeated, and backward the gradients can be added to that slice in place, all at once. Per set
there is one matrix product::

    W  (n_f, f_w·f_w·n_c)   @   cols  (f_w·f_w·n_c, m_h·m_w·n_m)   =   Z of this set

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

from cnnexp.engine.kernels import KERNELS, Cache, Kernels
from cnnexp.engine.layout import (
    blocks,
    padded_innermost,
    samples_innermost,
    samples_outermost,
    unpadded_outermost,
)
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import AxisGroup, Window


@KERNELS.register("sg")
class StrideGroups(Kernels):
    """Convolution and pooling with one matrix product, or one reduction, a stride group."""

    name = "sg"

    def conv_forward(
        self, A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Multiply the filters with one slice of the input per stride group.

        The bias is one more weight of each filter, for a pixel that is always 1.
        """
        padded = padded_innermost(A_prev, window, 0.0, scratch)
        n_c, _, _, n_m = padded.shape
        f_w, n_f = window.width, W.shape[3]
        W_rows = np.vstack((W.reshape(-1, n_f), b)).T  # (n_f, f_w·f_w·n_c + 1)
        Z = scratch.array("Z", (n_f, *window.out, n_m), A_prev.dtype)
        cache = []
        for k, (rows, cols) in enumerate(window.groups()):
            shape = (f_w, f_w, n_c, rows.count, cols.count, n_m)
            count = rows.count * cols.count * n_m
            flat = scratch.array(f"cols{k}", (f_w * f_w * n_c + 1, count), A_prev.dtype)
            under = flat[:-1].reshape(shape)
            under[...] = blocks(padded, rows, cols, f_w).transpose(2, 4, 0, 1, 3, 5)
            flat[-1] = 1
            product = scratch.array("product", (n_f, count), A_prev.dtype)
            np.matmul(W_rows, flat, out=product)
            Z[:, rows.positions, cols.positions] = product.reshape(n_f, *shape[3:])
            cache.append(flat)
        return samples_outermost(Z), (cache, padded.shape)

    def conv_backward(
        self,
        dZ: Array,
        W: Array,
        window: Window,
        cache: Cache,
        scratch: Scratch,
        need_dA_prev: bool = True,
    ) -> tuple[Array | None, Array, Array]:
        """Two products per stride group: one for the weights, one for the slice of the input."""
        cols_by_group, padded_shape = cache
        n_c, _, _, n_m = padded_shape
        f_w, n_f = window.width, W.shape[3]
        W_flat = W.reshape(-1, n_f)  # (f_w·f_w·n_c, n_f)
        dZ_in = samples_innermost(dZ)
        dW_db = np.zeros((len(W_flat) + 1, n_f), W.dtype)
        dA_padded = scratch.zeros("dA", padded_shape, dZ.dtype) if need_dA_prev else None
        for (rows, cols), flat in zip(window.groups(), cols_by_group, strict=True):
            group = dZ_in[:, rows.positions, cols.positions]
            dZ_flat = scratch.array("dZ", (n_f, flat.shape[1]), dZ.dtype)
            dZ_flat.reshape(group.shape)[...] = group
            dW_db += flat @ dZ_flat.T
            if dA_padded is not None:
                d_cols = scratch.array("d_cols", flat[:-1].shape, dZ.dtype)
                np.matmul(W_flat, dZ_flat, out=d_cols)
                d_under = d_cols.reshape(f_w, f_w, n_c, rows.count, cols.count, n_m)
                under = blocks(dA_padded, rows, cols, f_w)
                under += d_under.transpose(2, 3, 0, 4, 1, 5)
        dA_prev = None if dA_padded is None else unpadded_outermost(dA_padded, window)
        return dA_prev, dW_db[:-1].reshape(W.shape), dW_db[-1]

    def max_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take one maximum over the pixels of the window per stride group."""
        padded = padded_innermost(A_prev, window, -np.inf, scratch)
        n_c, _, _, n_m = padded.shape
        A = scratch.array("A", (n_c, *window.out, n_m), A_prev.dtype)
        cache = []
        for k, (rows, cols) in enumerate(window.groups()):
            pixels = _pixels(padded, window, (rows, cols), scratch, f"pixels{k}")
            best = np.max(pixels, axis=0, out=scratch.like(f"best{k}", pixels[0]))
            A[:, rows.positions, cols.positions] = best
            cache.append((pixels, best))
        return samples_outermost(A), (cache, padded.shape)

    def max_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Send each gradient to the first pixel of its window that equals the maximum."""
        pixels_by_group, padded_shape = cache
        dA_in = samples_innermost(dA)
        dA_padded = scratch.zeros("dA", padded_shape, dA.dtype)
        f_w = window.width
        for (rows, cols), (pixels, best) in zip(window.groups(), pixels_by_group, strict=True):
            first = _first_equal(pixels, best, scratch)
            group = dA_in[:, rows.positions, cols.positions]
            grads = np.multiply(first, group, out=scratch.like("grads", pixels))
            under = blocks(dA_padded, rows, cols, f_w)
            under += grads.reshape(f_w, f_w, *group.shape).transpose(2, 3, 0, 4, 1, 5)
        return unpadded_outermost(dA_padded, window)

    def avg_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Take one mean over the pixels of the window per stride group."""
        padded = padded_innermost(A_prev, window, 0.0, scratch)
        n_c, _, _, n_m = padded.shape
        A = scratch.array("A", (n_c, *window.out, n_m), A_prev.dtype)
        for rows, cols in window.groups():
            pixels = _pixels(padded, window, (rows, cols), scratch, "pixels")
            A[:, rows.positions, cols.positions] = pixels.mean(axis=0)
        return samples_outermost(A), padded.shape

    def avg_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Add an even share of each gradient to the slice of each stride group."""
        share = samples_innermost(dA) / dA.dtype.type(window.width**2)
        dA_padded = scratch.zeros("dA", cache, dA.dtype)
        for rows, cols in window.groups():
            group = share[:, rows.positions, cols.positions]  # (n_c, m_h, m_w, n_m)
            under = blocks(dA_padded, rows, cols, window.width)
            under += group[:, :, None, :, None, :]
        return unpadded_outermost(dA_padded, window)


def _first_equal(pixels: Array, best: Array, scratch: Scratch) -> Array:
    """Return where along the first axis of `pixels` the maximum stands for the first time."""
    first = np.equal(pixels, best, out=scratch.array("first", pixels.shape, np.dtype(bool)))
    free = np.logical_not(first[0], out=scratch.array("free", best.shape, np.dtype(bool)))
    for equal in first[1:]:
        equal &= free  # not where an earlier pixel has it
        free ^= equal
    return first


def _pixels(
    padded: Array,
    window: Window,
    group: tuple[AxisGroup, AxisGroup],
    scratch: Scratch,
    name: str,
) -> Array:
    """Return the pixels under the windows of one group, (f_w·f_w, n_c, m_h, m_w, n_m)."""
    rows, cols = group
    view = blocks(padded, rows, cols, window.width).transpose(2, 4, 0, 1, 3, 5)
    pixels = scratch.array(name, view.shape, padded.dtype)
    pixels[...] = view
    return pixels.reshape(-1, *view.shape[2:])
