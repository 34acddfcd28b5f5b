"""Kernels around the products of a packed convolution: what moves numbers, in one pass each.

The windows of a block of positions are copied into a matrix that stays in the second-level cache,
and BLAS multiplies it there. What follows is done while the product is in the cache too: bias,
floor, and the maximum over the pixels of a pooling window::

    image ── pack ──> cols (taps, block) ── product ──> Z (n_f, block) ── take ──> A, winner
    image <── unpack ── d_cols  <── product ── dZ (n_f, block) <── give ── dA, A, winner

Positions of pooling windows and samples are counted together: position ``(row · columns + column) ·
n_m + sample``. The pixels `k` of all pooling windows are taken one after another.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from cnnexp.engine.compiled.kernel import helper, kernel


def through_windows(take):
    """Return a function that calls `take(pixels, part of a row)` for all pixels of some windows.

    The windows are those of pixel `k` of the pooling windows at the positions start … stop; their
    rows lie `run` apart in `cols`.
    """

    @helper
    def through_windows(
        X, cols, run, k, start, stop, ow, f_h, f_w, s_h, s_w, d_h, d_w, p_w, q_h, q_w
    ):
        n_m = X.shape[3]
        q = start
        while q < stop:
            place = q // n_m
            first = q - place * n_m
            length = min(n_m - first, stop - q)
            y = (place // ow * q_h + k // p_w) * s_h
            x = (place % ow * q_w + k % p_w) * s_w
            row = q - start
            for u in range(f_h):
                for v in range(f_w):
                    for c in range(len(X)):
                        pixels = X[c, y + u * d_h, x + v * d_w, first : first + length]
                        take(pixels, cols[row : row + length])
                        row += run
            q += length

    return through_windows


@helper
def copy(pixels, part):
    """Copy pixels into a row."""
    for i in range(len(part)):
        part[i] = pixels[i]


@helper
def add(pixels, part):
    """Add a row to pixels."""
    for i in range(len(part)):
        pixels[i] += part[i]


copy_windows, add_windows = through_windows(copy), through_windows(add)


@kernel("in4 out2" + 14 * " int")
def pack(X, cols, k, start, stop, ow, f_h, f_w, s_h, s_w, d_h, d_w, p_h, p_w, q_h, q_w):
    """Copy the windows of pixel `k` at the positions start … stop into the rows of `cols`."""
    window = (ow, f_h, f_w, s_h, s_w, d_h, d_w, p_w, q_h, q_w)
    copy_windows(X, cols.reshape(-1), cols.shape[1], k, start, stop, *window)


@kernel("out4 in2" + 14 * " int")
def unpack(X, cols, k, start, stop, ow, f_h, f_w, s_h, s_w, d_h, d_w, p_h, p_w, q_h, q_w):
    """Add the rows of `cols` to the pixels that `pack` copies there."""
    window = (ow, f_h, f_w, s_h, s_w, d_h, d_w, p_w, q_h, q_w)
    add_windows(X, cols.reshape(-1), cols.shape[1], k, start, stop, *window)


@kernel("in2 in1 number out2 bytes2 int int int int")
def take(Z, b, floor, A, winner, keep, k, last, start):
    """Take candidate `k` into the maxima `A` from a position on; the last one is also floored.

    Z (n_f, block) are sums without their bias. With `keep` the number of the winner is noted.
    """
    n_f, size = Z.shape
    for f in range(n_f):
        value, bias, best = Z[f], b[f], A[f, start : start + size]
        if k == 0:
            for i in range(size):
                best[i] = value[i] + bias
        elif keep:
            won, here = winner[f, start : start + size], np.uint8(k)
            for i in range(size):
                z = value[i] + bias
                greater = (z > best[i]) | (z != z)
                before = won[i] if k > 1 else np.uint8(0)
                best[i] = z if greater else best[i]
                won[i] = here if greater else before
        else:
            for i in range(size):
                z = value[i] + bias
                best[i] = z if (z > best[i]) | (z != z) else best[i]
        if last:
            for i in range(size):
                best[i] = floor if best[i] < floor else best[i]


@kernel("in2 in2 int bytes2 out2 out1 int int int", sums=True)
def give(dA, A, relu, winner, dZ, db, k, pooled, start):
    """Write the gradients that pixel `k` won, from a position on, and add up those of the biases.

    With `relu` only results above 0 let gradients pass.
    """
    n_f, size = dZ.shape
    zero = dZ.dtype.type(0)
    for f in range(n_f):
        given, result, d = dA[f, start : start + size], A[f, start : start + size], dZ[f]
        total = zero
        for i in range(size):
            value = given[i] if (result[i] > 0) | (relu == 0) else zero
            d[i] = value
            total += value
        if k == 0:
            db[f] += total
        if pooled:
            won, here = winner[f, start : start + size], np.uint8(k)
            for i in range(size):
                d[i] = d[i] if won[i] == here else zero
