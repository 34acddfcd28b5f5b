"""Kernels of the direct convolution: sums, bias, activation and pooling in one pass.

Nothing is copied. Arrays are batch-last, so that each weight of a filter meets a run of samples
wherever its window lies, and a row of a tile (`tiles.py`) is sixteen of them. Some filters are
computed together, so that a row that is read serves them all, and their sums stay in registers
until the pooling is done: the output of the convolution is never written::

    image (n_c, h, w, n_m)             sums of pixel k          best so far       result
    . . . . . .   a b                  filter 0  a·w0 + b·w1 …   ── greater? ──>   written once
    . a b . . .   c d  of pixel k      filter 1  a·w0 + b·w1 …       └─ k          with its winner
    . c d . . .        of a pooling
    . . . . . .        window

Where a pooling window begins in the image is in the table `bases`, and how far from there the pixel
of each weight lies, for each pixel of the pooling window, in `offsets` (pixels, taps). So any size
of filters, stride, dilation and pooling window is the same code. Without pooling a window has one
pixel.

With max-pooling a value wins if it is strictly greater than the maximum so far, or NaN; the number
of the winner is kept in a byte, or 255 where the activation lets no gradient pass. With
average-pooling a bit for each pixel says whether it does, eight pixels to a byte.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# What reads as slow Python here runs as machine code.

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from cnnexp.engine.compiled import tiles
from cnnexp.engine.compiled.kernel import helper, kernel, kernels
from cnnexp.engine.compiled.tiles import (
    above,
    add_at,
    add_outer,
    add_products,
    add_sums,
    at_least,
    chosen,
    copy_square,
    greater,
    has_bit,
    is_number,
    noted,
    only,
    plus,
    store,
    times,
    width,
    with_bit,
)

NOBODY = 255  # in the place of a winner: no gradient passes


@kernels("in4 in1 in1 number int out1 int int bytes1 int ints1 ints1 int")
def direct_forward(filters: int, keep: int) -> Any:
    """Return the forward function with max-pooling, for so many filters at a time.

    It takes images ``X`` (n_c, h, w, n_m) with their padding, weights (groups of filters, taps,
    filters), biases, the least result, and whether only results above it let gradients pass. It
    writes the results, whose filters and places lie `to_f` and `to_p` apart, and the winners
    (n_f, places, n_m), if they are kept. Then follow the number of filters, the tables, and the
    pixels of a pooling window.
    """
    spread, full, whole = tiles.spread(filters), tiles.full(filters), tiles.whole(filters)
    sums = sums_of(filters)

    def direct_forward(X, W, b, floor, relu, A, to_f, to_p, winner, n_f, bases, offsets, pixels):
        x, n_m, taps = X.reshape(-1), X.shape[3], len(offsets) // pixels
        size, lowest = len(bases) * n_m, X.dtype.type(-np.inf)
        for place in range(len(bases)):
            for f in range(0, n_f, filters):
                for i in range(0, n_m, width(x)):
                    base, to = bases[place] + i, place * n_m + i
                    bias, best, at = spread(b, f), full(x, lowest), whole(x, 0)
                    for k in range(pixels):
                        z = sums(bias, x, base, offsets, k * taps, taps, W, f * taps)
                        won = greater(z, best)
                        best = chosen(won, z, best)
                        if keep:
                            at = noted(won, k, at)
                    if keep:
                        if relu:
                            at = chosen(above(best, floor), at, whole(x, NOBODY))
                        store(winner, f * size + to, size, n_f - f, at)
                    here = f * to_f + place * to_p + i
                    store(A, here, to_f, n_f - f, at_least(best, floor))

    return direct_forward


@kernels("in4 in1 in1 number out1 int int bytes1 int ints1 ints1 int")
def direct_mean_forward(filters: int, keep: int) -> Any:
    """Return the forward function with average-pooling behind an activation ``max(Z, floor)``.

    The arguments are those of `direct_forward`; there are no winners but bits, in planes of eight
    pixels each (planes, n_f, places, n_m).
    """
    spread, full, whole = tiles.spread(filters), tiles.full(filters), tiles.whole(filters)
    sums = sums_of(filters)

    def direct_mean_forward(X, W, b, floor, A, to_f, to_p, bits, n_f, bases, offsets, pixels):
        x, n_m, taps = X.reshape(-1), X.shape[3], len(offsets) // pixels
        size, share = len(bases) * n_m, X.dtype.type(1 / pixels)
        for place in range(len(bases)):
            for f in range(0, n_f, filters):
                for i in range(0, n_m, width(x)):
                    base, to = bases[place] + i, place * n_m + i
                    bias, total, at = spread(b, f), full(x, X.dtype.type(0)), whole(x, 0)
                    for k in range(pixels):
                        z = sums(bias, x, base, offsets, k * taps, taps, W, f * taps)
                        total = plus(total, at_least(z, floor))
                        if keep:
                            at = with_bit(above(z, floor), k % 8, at)
                            if k % 8 == 7 or k == pixels - 1:
                                plane = k // 8 * n_f + f
                                store(bits, plane * size + to, size, n_f - f, at)
                                at = whole(x, 0)
                    here = f * to_f + place * to_p + i
                    store(A, here, to_f, n_f - f, times(total, share))

    return direct_mean_forward


@kernel("in2 out1 ints1")
def to_batch_last(A, X, places):
    """Copy the features of samples (n_m, features) to places in batch-last images."""
    a, (n_m, features), n = A.reshape(-1), A.shape, width(A)
    for i in range(0, n_m, n):
        if i + n <= n_m and n <= features:
            for e in range(0, features, n):  # a last block that is not whole overlaps
                copy_square(a, i * features, features, min(e, features - n), X, i, places)
        else:
            for e in range(features):
                for j in range(i, min(i + n, n_m)):
                    X[places[e] + j] = A[j, e]


@functools.cache
def sums_of(filters: int) -> Any:
    """Return a function that adds the products of a window with some filters to their biases."""
    load = tiles.load(1)

    @helper
    def sums(z, x, base, offsets, first, taps, W, at):
        for t in range(taps):
            z = add_products(z, load(x, base + offsets[first + t], 0, 1), W, at + t * filters)
        return z

    return sums


@kernels("in1 int int bytes1 in4 out1 out1 int int ints1 ints1 int")
def direct_weights(filters: int, rows: int) -> Any:
    """Return the function that adds up gradients of weights, for a tile of filters by taps.

    It takes gradients ``dA``, whose filters and places lie `to_f` and `to_p` apart, winners or bits
    (n_f, places, n_m), and images, and writes ``dW`` (groups of filters, groups of taps, filters,
    taps of a group) and ``db``. Then follow the number of filters, whether results are means, the
    tables, and the pixels of a pooling window. The offsets are those of whole groups of taps.
    """
    load, load_bytes = tiles.load(filters), tiles.load_bytes(filters)
    gather, full, sums = tiles.gather(rows), tiles.full(filters), tiles.load(filters * rows)
    one = tiles.load(1)

    def direct_weights(dA, to_f, to_p, winner, X, dW, db, n_f, mean, bases, offsets, pixels):
        x, n_m, taps = X.reshape(-1), X.shape[3], len(offsets) // pixels
        n, size, zero = width(x), len(bases) * n_m, X.dtype.type(0)
        totals = np.zeros(len(dW) * n, X.dtype)  # a sum for each sample of a row
        for i in range(0, n_m, n):
            for f in range(0, n_f, filters):
                for t in range(0, taps, rows):
                    to, biases = (f * taps + t * filters) * n, full(x, zero)
                    total = sums(totals, to, n, filters * rows)
                    for place in range(len(bases)):
                        at = f * size + place * n_m + i
                        d = load(dA, f * to_f + place * to_p + i, to_f, n_f - f)
                        won = load_bytes(winner, at, size, n_f - f, x)
                        for k in range(pixels):
                            if mean and k and k % 8 == 0:
                                plane = at + k // 8 * n_f * size
                                won = load_bytes(winner, plane, size, n_f - f, x)
                            part = only(has_bit(won, k % 8) if mean else is_number(won, k), d)
                            row = gather(x, bases[place] + i, offsets, k * taps + t)
                            total = add_outer(total, part, row)
                            if t == 0:
                                biases = plus(biases, part)
                    store(totals, to, n, filters * rows, total)
                    add_sums(db, f, biases)
        for r in range(len(dW)):
            add_sums(dW, r, one(totals, r * n, 0, 1))

    return direct_weights


@kernels("in1 int int bytes1 in1 out4 int int ints1 ints1 int int")
def direct_image(rows: int) -> Any:
    """Return the function that adds gradients of images, some taps at a time.

    It takes gradients and winners or bits as above, weights (n_f, taps), and where the gradients go
    (n_c, h, w, n_m). Then follow the number of filters, whether they are means, the tables, and the
    pixels of a pooling window. Weights and offsets are those of whole groups of taps, and last
    comes how many taps there are.
    """
    load, load_bytes, full = tiles.load(1), tiles.load_bytes(1), tiles.full(rows)

    def direct_image(dA, to_f, to_p, winner, W, dX, n_f, mean, bases, offsets, pixels, real):
        x, n_m, taps = dX.reshape(-1), dX.shape[3], len(offsets) // pixels
        n, size, zero = width(x), len(bases) * n_m, dX.dtype.type(0)
        parts = np.empty(n_f * n, dX.dtype)
        for i in range(0, n_m, n):
            for place in range(len(bases)):
                for k in range(pixels):
                    for f in range(n_f):
                        at = f * size + place * n_m + i
                        plane = at + k // 8 * n_f * size if mean else at
                        won = load_bytes(winner, plane, 0, 1, x)
                        passes = has_bit(won, k % 8) if mean else is_number(won, k)
                        d = load(dA, f * to_f + place * to_p + i, 0, 1)
                        store(parts, f * n, 0, 1, only(passes, d))
                    for t in range(0, taps, rows):
                        z = full(x, zero)
                        for f in range(n_f):
                            z = add_products(z, load(parts, f * n, 0, 1), W, f * taps + t)
                        add_at(x, bases[place] + i, offsets, k * taps + t, real - t, z)

    return direct_image
