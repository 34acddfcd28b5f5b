"""Kernels of the direct convolution: sums, bias, floor and maximum in one pass.

With few input channels a filter has few weights. They stay in the processor's registers, and one
loop over positions and samples computes a sum and compares it with the maximum so far, so that the
output of the convolution is never written. Arrays are batch-last: `q` counts windows of the pooling
and samples together, ``q = (row · columns + column) · n_m + sample``, one long run for each filter.

The windows of a block of such positions are copied side by side into `cols`, one row for each
weight, as wide as a constant: then all rows lie at constant distances, which the compiler needs to
know to compute several positions with one instruction::

    image (n_c, h, w, n_m)            cols (taps, run)         one filter
    . . . . . . .    pixel k of all      x x x x x x x x x     w0 ─┐
    . a b . . . .    pooling windows     x x x x x x x x x     w1  ├─ sum + b ── greater? ── best
    . c d . . . .    in the block        x x x x x x x x x     w2  │                 └────── k
    . . . . . . .                        x x x x x x x x x     w3 ─┘

The pixels of a pooling window are taken in order, k = 0, 1, …; a value wins if it is strictly
greater than the maximum so far, or NaN, and the number of the winner is kept in a byte. The
backward pass takes the same blocks, and gives each gradient to the pixel that won. Without pooling
there is one pixel, and nobody to win against.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# What reads as slow Python here runs as machine code: a loop costs nothing, and a call to NumPy
# would be one more pass over memory.

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine.compiled.kernel import helper, kernel, kernels

TAPS = (4, 9, 16, 25, 32)  # weights of a filter for which there are kernels; others are filled up


def run_of(taps: int) -> int:
    """Return the positions of a block: as many as fit the first-level cache with all their rows."""
    return min(1024, 6144 // taps // 16 * 16) + 16


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


@kernels("in4 in2 in1 number out2 bytes2" + 12 * " int")
def direct_forward(taps: int) -> Any:
    """Return the forward function for filters of at most so many weights, zeros behind them.

    It takes images ``X`` (n_c, h, w, n_m) with their padding, filters ``W`` (n_f, taps), biases,
    and the smallest result (0 for ReLU, else -inf), and writes the maxima ``A`` and the numbers of
    the winners (n_f, oh · ow · n_m). Then follow: whether winners are kept; the columns of the
    result; kernel, stride and dilation of the convolution; window and stride of the pooling.
    """
    run = run_of(taps)

    def direct_forward(
        X, W, b, floor, A, winner, keep, ow, f_h, f_w, s_h, s_w, d_h, d_w, p_h, p_w, q_h, q_w
    ):
        n_f, places = A.shape
        window = (ow, f_h, f_w, s_h, s_w, d_h, d_w, p_w, q_h, q_w)
        cols = np.zeros(taps * run, X.dtype)
        for start in range(0, places, run):
            stop = min(start + run, places)
            size = stop - start
            for k in range(p_h * p_w):
                copy_windows(X, cols, run, k, start, stop, *window)
                for f in range(n_f):
                    w, bias, best = W[f], b[f], A[f, start:stop]
                    if k == 0:
                        for i in range(size):
                            z = bias
                            for t in range(taps):
                                z += w[t] * cols[t * run + i]
                            best[i] = z
                    elif keep:
                        won, here = winner[f, start:stop], np.uint8(k)
                        for i in range(size):
                            z = bias
                            for t in range(taps):
                                z += w[t] * cols[t * run + i]
                            greater = (z > best[i]) | (z != z)
                            before = won[i] if k > 1 else np.uint8(0)
                            best[i] = z if greater else best[i]
                            won[i] = here if greater else before
                    else:
                        for i in range(size):
                            z = bias
                            for t in range(taps):
                                z += w[t] * cols[t * run + i]
                            best[i] = z if (z > best[i]) | (z != z) else best[i]
            for f in range(n_f):
                best = A[f, start:stop]
                for i in range(size):
                    best[i] = floor if best[i] < floor else best[i]

    return direct_forward


@kernel("in2 in2 int bytes2 in4 in2 out2 out1 out4" + 12 * " int", sums=True)
def direct_backward(
    dA,
    A,
    relu,
    winner,
    X,
    W,
    dW,
    db,
    dX,
    need,
    ow,
    f_h,
    f_w,
    s_h,
    s_w,
    d_h,
    d_w,
    p_h,
    p_w,
    q_h,
    q_w,
):
    """Add the gradients of filters and biases to `dW` and `db`, and those of images to `dX`.

    `dA` are the gradients of the result `A`; with `relu` only results above 0 let them pass. Then
    follow winners, images and filters (n_f, taps) of the forward pass, where the gradients go, and
    whether those of images are needed. The other numbers are those of the forward pass.
    """
    n_f, places = A.shape
    window = (ow, f_h, f_w, s_h, s_w, d_h, d_w, p_w, q_h, q_w)
    taps = W.shape[1]
    run = min(1024, 6144 // taps // 16 * 16) + 16
    cols, d_cols = np.empty(taps * run, X.dtype), np.empty(taps * run, X.dtype)
    dZ = np.empty((n_f, run), X.dtype)
    won_only = np.empty(run, X.dtype)
    zero = X.dtype.type(0)
    for start in range(0, places, run):
        stop = min(start + run, places)
        size = stop - start
        for f in range(n_f):
            given, result, d = dA[f, start:stop], A[f, start:stop], dZ[f]
            total = zero
            for i in range(size):
                value = given[i]
                value = value if (result[i] > 0) | (relu == 0) else zero
                d[i] = value
                total += value
            db[f] += total
        for k in range(p_h * p_w):
            copy_windows(X, cols, run, k, start, stop, *window)
            if need:
                for i in range(len(d_cols)):
                    d_cols[i] = 0
            for f in range(n_f):
                d = dZ[f]
                if p_h * p_w > 1:
                    won, here = winner[f, start:stop], np.uint8(k)
                    for i in range(size):
                        value = d[i]
                        won_only[i] = value if won[i] == here else zero
                    d = won_only
                add_products(d, cols, run, size, dW[f])
                if need:
                    for t in range(taps):
                        w, part = W[f, t], d_cols[t * run : t * run + size]
                        for i in range(size):
                            part[i] += w * d[i]
            if need:
                add_windows(dX, d_cols, run, k, start, stop, *window)


@helper
def add_products(d, cols, run, size, dW):
    """Add the products of `d` with each row of `cols` to `dW`, four rows in one pass over `d`."""
    zero = d.dtype.type(0)
    whole = len(dW) // 4 * 4
    for t in range(0, whole, 4):
        s0, s1, s2, s3 = zero, zero, zero, zero
        one, two = cols[t * run : t * run + size], cols[(t + 1) * run : (t + 1) * run + size]
        three = cols[(t + 2) * run : (t + 2) * run + size]
        four = cols[(t + 3) * run : (t + 3) * run + size]
        for i in range(size):
            s0 += d[i] * one[i]
            s1 += d[i] * two[i]
            s2 += d[i] * three[i]
            s3 += d[i] * four[i]
        dW[t] += s0
        dW[t + 1] += s1
        dW[t + 2] += s2
        dW[t + 3] += s3
    for t in range(whole, len(dW)):
        row = cols[t * run : t * run + size]
        total = zero
        for i in range(size):
            total += d[i] * row[i]
        dW[t] += total
