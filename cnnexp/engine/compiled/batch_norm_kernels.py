"""Kernels of batch normalisation, with ReLU and max-pooling in the same pass.

In NumPy each of these formulas is four to seven passes over arrays as large as the feature maps.
Here a forward pass reads them twice (once for the sums, once to normalise) and writes the result,
and a backward pass does the same; distances from the mean are computed again rather than stored::

    X ──sums──> mean, squares         X ── factor·(X - mean) + level ── floor ── greatest ──> A
    d ──sums──> Σ d, Σ d·(X - mean)   d, X ── factor·d + slope·(X - mean) + constant ──> dX

Arrays are batch-last, (n_c, …, n_m), one long row for each channel. A channel is mostly as small as
the second-level cache, where the second pass over it finds it. Sums are added up in pieces of
`PIECE` numbers, and those in float64.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from cnnexp.engine.compiled.kernel import helper, kernel

PIECE = 2048  # numbers that are added up before float64 takes the sum


@helper
def sum_of(values):
    """Return the sum of some numbers."""
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i]
    return total


@helper
def squares_of(values, mean):
    """Return the sum of the squares of distances from a number."""
    total = values.dtype.type(0)
    for i in range(len(values)):
        distance = values[i] - mean
        total += distance * distance
    return total


@helper
def gradients_of(dA, X, relu, mean, factor, level):
    """Return the sums of gradients, and of their products with distances from the mean."""
    zero = dA.dtype.type(0)
    total, product = zero, zero
    for i in range(len(dA)):
        distance = X[i] - mean
        d = dA[i] if (factor * distance + level > 0) | (relu == 0) else zero
        total += d
        product += d * distance
    return total, product


@kernel("in2 out1 out1")
def channel_sums(X, means, squares):
    """Write the mean of every channel, and the sum of squared distances from it."""
    for c in range(len(X)):
        row = X[c]
        total = 0.0
        for at in range(0, len(row), PIECE):
            total += sum_of(row[at : at + PIECE])
        means[c] = total / len(row)
        total = 0.0
        for at in range(0, len(row), PIECE):
            total += squares_of(row[at : at + PIECE], means[c])
        squares[c] = total


@kernel("in2 in1 in1 in1 number out2")
def normalise(X, means, factor, level, floor, A):
    """Write ``factor · (X - mean) + level``, or `floor` where that is larger."""
    for c in range(len(X)):
        row, result, mean, f, offset = X[c], A[c], means[c], factor[c], level[c]
        for i in range(len(row)):
            value = f * (row[i] - mean) + offset
            result[i] = floor if value < floor else value


@kernel("in2 in2 int in1 in1 in1 out2")
def gradient_sums(dA, X, relu, means, factor, level, sums):
    """Write, for every channel, the sums of the gradients and of ``gradient · (X - mean)``.

    With `relu` gradients count where the result, which is computed again, is above 0.
    """
    for c in range(len(X)):
        total, products = 0.0, 0.0
        for at in range(0, X.shape[1], PIECE):
            d, row = dA[c, at : at + PIECE], X[c, at : at + PIECE]
            one, other = gradients_of(d, row, relu, means[c], factor[c], level[c])
            total += one
            products += other
        sums[0, c], sums[1, c] = total, products


@kernel("in2 in2 int in1 in1 in1 in1 in1 out2")
def gradient(dA, X, relu, means, factor, level, slope, constant, dX):
    """Write ``factor · dA + slope · (X - mean) + constant``; with `relu`, dA as in the sums."""
    zero = X.dtype.type(0)
    for c in range(len(X)):
        given, row, out = dA[c], X[c], dX[c]
        mean, f, offset, s, t = means[c], factor[c], level[c], slope[c], constant[c]
        for i in range(len(row)):
            distance = row[i] - mean
            d = given[i] if (f * distance + offset > 0) | (relu == 0) else zero
            out[i] = f * d + (s * distance + t)


@kernel("in4 in1 in1 in1 number out4 out4 bytes4 int int int int int")
def normalise_and_pool(
    X, means, factor, level, floor, A, distance, winner, keep, p_h, p_w, q_h, q_w
):
    """Write the maxima of what `normalise` gives over windows of p_h x p_w pixels, q_h x q_w apart.

    With `keep` the number of the pixel that won, and its distance from the mean, are written too.
    """
    n_c, rows, cols, n_m = A.shape
    spare = np.empty(n_m, X.dtype)
    numbers = np.empty(n_m, np.uint8)
    for c in range(n_c):
        mean, f, offset = means[c], factor[c], level[c]
        for y in range(rows):
            for x in range(cols):
                best = A[c, y, x]
                far, won = (distance[c, y, x], winner[c, y, x]) if keep else (spare, numbers)
                for k in range(p_h * p_w):
                    pixel = X[c, y * q_h + k // p_w, x * q_w + k % p_w]
                    if k == 0:
                        for i in range(n_m):
                            far[i] = pixel[i] - mean
                            best[i] = f * far[i] + offset
                            won[i] = 0
                    else:
                        here = np.uint8(k)
                        for i in range(n_m):
                            d = pixel[i] - mean
                            value = f * d + offset
                            greater = (value > best[i]) | (value != value)
                            best[i] = value if greater else best[i]
                            far[i] = d if greater else far[i]
                            won[i] = here if greater else won[i]
                for i in range(n_m):
                    best[i] = floor if best[i] < floor else best[i]


@kernel("in4 in4 int bytes4 in4 in1 in1 in1 in1 out4 int int int int")
def gradient_of_pool(
    dA, A, relu, winner, X, means, factor, slope, constant, dX, p_h, p_w, q_h, q_w
):
    """Write what `gradient` gives, where the gradients of maxima go to the pixels that won."""
    n_c, rows, cols, n_m = A.shape
    zero = X.dtype.type(0)
    scaled = np.empty(n_m, X.dtype)
    for c in range(n_c):
        mean, f, s, t = means[c], factor[c], slope[c], constant[c]
        image, out = X[c].reshape(-1), dX[c].reshape(-1)
        for i in range(len(image)):
            out[i] = s * (image[i] - mean) + t
        for y in range(rows):
            for x in range(cols):
                given, result, won = dA[c, y, x], A[c, y, x], winner[c, y, x]
                for i in range(n_m):
                    scaled[i] = f * given[i] if (result[i] > 0) | (relu == 0) else zero
                for k in range(p_h * p_w):
                    pixel, here = dX[c, y * q_h + k // p_w, x * q_w + k % p_w], np.uint8(k)
                    for i in range(n_m):
                        pixel[i] += scaled[i] if won[i] == here else zero
