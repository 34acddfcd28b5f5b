"""Kernels of Winograd's convolution: each transform in one pass over memory.

In NumPy a transform is a copy of all tiles, and a product for each axis: three passes. Here one
tile of a channel is taken at a time, for `LANES` samples together. Its 36 rows of samples lie in a
buffer that stays in the first-level cache, are transformed along one axis and then along the other,
and only the result is written::

    image ── 36 rows ──>  work │ first half ── one axis ──> second half │ ── 36 rows ──> V
                               │ first half <── other axis ─┘           │

Value (a, b) of a tile lies at ``(6 a + b) · LANES`` in either half, so all distances are constants,
and the compiler sees by itself that no value that is read was just written. Forward the results are
compared with each other, floored and written while they are in the buffer, and the convolution's
output is never stored. Tiles come row by row, as the columns of V and M do.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from cnnexp.engine.compiled.kernel import helper, kernel

LANES = 64  # samples at a time
AT_ONCE = 512  # numbers that are compared with as many others
HALF = 36 * LANES
ROW = 6 * LANES


def image_axis(step, source, target):
    """Return a function that multiplies six rows of samples, `step` apart, with Bᵀ.

    They begin `source` behind a place in the buffer, and the result `target` behind it.
    """

    @helper
    def image_axis(work, at, size):
        two, four, five = work.dtype.type(2), work.dtype.type(4), work.dtype.type(5)
        rows = work[at:]
        for i in range(size):
            d0 = rows[source + i]
            d1 = rows[source + step + i]
            d2 = rows[source + 2 * step + i]
            d3 = rows[source + 3 * step + i]
            d4 = rows[source + 4 * step + i]
            d5 = rows[source + 5 * step + i]
            rows[target + i] = four * d0 - five * d2 + d4
            rows[target + step + i] = d3 + d4 - four * (d1 + d2)
            rows[target + 2 * step + i] = d4 - d3 + four * (d1 - d2)
            rows[target + 3 * step + i] = d4 - d2 + two * (d3 - d1)
            rows[target + 4 * step + i] = d4 - d2 + two * (d1 - d3)
            rows[target + 5 * step + i] = four * d1 - five * d3 + d5

    return image_axis


def image_axis_back(step, source, target):
    """Return a function that multiplies six rows of samples with B."""

    @helper
    def image_axis_back(work, at, size):
        two, four, five = work.dtype.type(2), work.dtype.type(4), work.dtype.type(5)
        rows = work[at:]
        for i in range(size):
            v0 = rows[source + i]
            v1 = rows[source + step + i]
            v2 = rows[source + 2 * step + i]
            v3 = rows[source + 3 * step + i]
            v4 = rows[source + 4 * step + i]
            v5 = rows[source + 5 * step + i]
            rows[target + i] = four * v0
            rows[target + step + i] = four * (v2 - v1 + v5) + two * (v4 - v3)
            rows[target + 2 * step + i] = -five * v0 - four * (v1 + v2) - v3 - v4
            rows[target + 3 * step + i] = v1 - v2 + two * (v3 - v4) - five * v5
            rows[target + 4 * step + i] = v0 + v1 + v2 + v3 + v4
            rows[target + 5 * step + i] = v5

    return image_axis_back


def output_axis(step, source, target):
    """Return a function that multiplies six rows of samples with Aᵀ, which gives four."""

    @helper
    def output_axis(work, at, size):
        two, four, eight = work.dtype.type(2), work.dtype.type(4), work.dtype.type(8)
        rows = work[at:]
        for i in range(size):
            m0 = rows[source + i]
            m1 = rows[source + step + i]
            m2 = rows[source + 2 * step + i]
            m3 = rows[source + 3 * step + i]
            m4 = rows[source + 4 * step + i]
            m5 = rows[source + 5 * step + i]
            rows[target + i] = m0 + (m1 + m2) + (m3 + m4)
            rows[target + step + i] = (m1 - m2) + two * (m3 - m4)
            rows[target + 2 * step + i] = (m1 + m2) + four * (m3 + m4)
            rows[target + 3 * step + i] = (m1 - m2) + eight * (m3 - m4) + m5

    return output_axis


def output_axis_back(step, source, target):
    """Return a function that multiplies four rows of samples with A, which gives six."""

    @helper
    def output_axis_back(work, at, size):
        two, four, eight = work.dtype.type(2), work.dtype.type(4), work.dtype.type(8)
        rows = work[at:]
        for i in range(size):
            y0 = rows[source + i]
            y1 = rows[source + step + i]
            y2 = rows[source + 2 * step + i]
            y3 = rows[source + 3 * step + i]
            rows[target + i] = y0
            rows[target + step + i] = (y0 + y2) + (y1 + y3)
            rows[target + 2 * step + i] = (y0 + y2) - (y1 + y3)
            rows[target + 3 * step + i] = (y0 + four * y2) + (two * y1 + eight * y3)
            rows[target + 4 * step + i] = (y0 + four * y2) - (two * y1 + eight * y3)
            rows[target + 5 * step + i] = y3

    return output_axis_back


@kernel("in1 out1")
def largest(values, found):
    """Write the largest absolute values: `found[i]` of every number that lies as far in its piece.

    A piece is as long as `found`, which begins with zeros. NaN is larger than all other numbers.
    """
    lanes = len(found)
    for at in range(0, len(values), lanes):
        piece = values[at : at + lanes]
        for i in range(len(piece)):
            value = abs(piece[i])
            found[i] = value if (value > found[i]) | (value != value) else found[i]


DOWN, ALONG = (ROW, 0, HALF), (LANES, HALF, 0)  # into the second half, and back into the first
image_down, image_along = image_axis(*DOWN), image_axis(*ALONG)
image_down_back, image_along_back = image_axis_back(*DOWN), image_axis_back(*ALONG)
output_down, output_along = output_axis(*DOWN), output_axis(*ALONG)
output_down_back, output_along_back = output_axis_back(*DOWN), output_axis_back(*ALONG)


@kernel("in4 out3 number int int int int int int")
def transform_images(X, V, scale, above, before, top, bottom, left, right):
    """Write ``V = Bᵀ d B`` (36, n_c, tiles · n_m) of some rows and columns of tiles.

    Tiles begin `above` rows and `before` columns outside the image, where pixels are 0.
    """
    n_c, h, w, n_m = X.shape
    work = np.empty(2 * HALF, X.dtype)
    zero = X.dtype.type(0)
    for c in range(n_c):
        q = 0
        for row in range(top, bottom):
            for col in range(left, right):
                for first in range(0, n_m, LANES):
                    size = min(LANES, n_m - first)
                    for k in range(36):
                        y, x = 4 * row + k // 6 - above, 4 * col + k % 6 - before
                        into = work[k * LANES : k * LANES + size]
                        if 0 <= y < h and 0 <= x < w:
                            pixel = X[c, y, x, first : first + size]
                            for i in range(size):
                                into[i] = scale * pixel[i]
                        else:
                            for i in range(size):
                                into[i] = zero
                    for b in range(6):
                        image_down(work, b * LANES, size)
                    for a in range(6):
                        image_along(work, a * ROW, size)
                    for k in range(36):
                        value = work[k * LANES : k * LANES + size]
                        out = V[k, c, q : q + size]
                        for i in range(size):
                            out[i] = value[i]
                    q += size


@helper
def take_rows(work, given, channel, q, size):
    """Copy the 36 rows of a tile, from place `q` on, into the buffer."""
    for k in range(36):
        value = given[k, channel, q : q + size]
        into = work[k * LANES : k * LANES + size]
        for i in range(size):
            into[i] = value[i]


@helper
def clear(value, seen, size):
    """Write 0 where nothing is seen."""
    zero = value.dtype.type(0)
    for i in range(size):
        value[i] = value[i] if seen[i] else zero


@helper
def take(best, value, k, size):
    """Take candidate `k` if it is the first, else what is larger in it than the best so far."""
    if k == 0:
        for i in range(size):
            best[i] = value[i]
    else:
        for i in range(size):
            greater = (value[i] > best[i]) | (value[i] != value[i])
            best[i] = value[i] if greater else best[i]


@helper
def take_larger(best, won, value, k, size):
    """Take what is larger in candidate `k` than the best so far, and note its number."""
    here = np.uint8(k)
    for i in range(size):
        greater = (value[i] > best[i]) | (value[i] != value[i])
        before = won[i] if k > 1 else np.uint8(0)
        best[i] = value[i] if greater else best[i]
        won[i] = here if greater else before


@kernel("in3 in1 number number bytes3 bytes1 out4 bytes4 int int int int int int")
def transform_outputs(
    M, bias, floor, scale, filled, fill, A, winner, keep, p, top, bottom, left, right
):
    """Write the maxima of ``Aᵀ M A + b`` over windows of p x p outputs, and the numbers of winners.

    M (36, n_f, tiles · n_m) is of the tiles in some rows and columns of tiles. Filters marked in
    `fill` have no bias, and their outputs are 0 where `filled` (rows, columns, n_m) is.
    """
    n_f, rows, cols, n_m = A.shape
    side = 4 // p
    work = np.empty(2 * HALF, A.dtype)
    for f in range(n_f):
        q = 0
        for row in range(top, bottom):
            for col in range(left, right):
                for first in range(0, n_m, LANES):
                    size = min(LANES, n_m - first)
                    take_rows(work, M, f, q, size)
                    q += size
                    for b in range(6):
                        output_down(work, b * LANES, size)
                    for a in range(4):
                        output_along(work, a * ROW, size)
                    for y in range(min(4, rows * p - 4 * row)):
                        for x in range(min(4, cols * p - 4 * col)):
                            at = y * ROW + x * LANES
                            value = work[at : at + size]
                            for i in range(size):
                                value[i] = value[i] * scale + bias[f]
                            if fill[f]:
                                seen = filled[4 * row + y, 4 * col + x, first : first + size]
                                clear(value, seen, size)
                            k = y % p * p + x % p
                            y_p, x_p = row * side + y // p, col * side + x // p
                            best = A[f, y_p, x_p, first : first + size]
                            if k > 0 and keep:
                                won = winner[f, y_p, x_p, first : first + size]
                                take_larger(best, won, value, k, size)
                            else:
                                take(best, value, k, size)
                            if k == p * p - 1:
                                for i in range(size):
                                    best[i] = floor if best[i] < floor else best[i]


@kernel("in4 in4 int bytes4 number out3 out1 int int int int int", sums=True)
def transform_outputs_back(dA, A, relu, winner, scale, dM, db, p, top, bottom, left, right):
    """Write ``dM = A dY Aᵀ`` for the gradients of the maxima, and add these to `db`.

    With `relu` only results above 0 let gradients pass.
    """
    n_f, rows, cols, n_m = A.shape
    side = 4 // p
    work = np.empty(2 * HALF, A.dtype)
    zero = A.dtype.type(0)
    for f in range(n_f):
        q = 0
        for row in range(top, bottom):
            for col in range(left, right):
                for first in range(0, n_m, LANES):
                    size = min(LANES, n_m - first)
                    for y in range(4):
                        for x in range(4):
                            at = y * ROW + x * LANES
                            value = work[at : at + size]
                            wy, wx = row * side + y // p, col * side + x // p
                            if wy >= rows or wx >= cols:
                                for i in range(size):
                                    value[i] = zero
                                continue
                            given = dA[f, wy, wx, first : first + size]
                            result = A[f, wy, wx, first : first + size]
                            total = zero
                            for i in range(size):
                                d = given[i]
                                d = d if (result[i] > 0) | (relu == 0) else zero
                                value[i] = d * scale
                                total += d
                            if p > 1:
                                won = winner[f, wy, wx, first : first + size]
                                here = np.uint8(y % p * p + x % p)
                                for i in range(size):
                                    value[i] = value[i] if won[i] == here else zero
                            if y % p + x % p == 0:
                                db[f] += total
                    for b in range(4):
                        output_down_back(work, b * LANES, size)
                    for a in range(6):
                        output_along_back(work, a * ROW, size)
                    for k in range(36):
                        value = work[k * LANES : k * LANES + size]
                        out = dM[k, f, q : q + size]
                        for i in range(size):
                            out[i] = value[i]
                    q += size


@kernel("in3 out4 number int int int int int int")
def transform_images_back(dV, dX, scale, above, before, top, bottom, left, right):
    """Write ``B dV Bᵀ``, the gradients of tiles, or add them where earlier tiles wrote."""
    n_c, h, w, n_m = dX.shape
    work = np.empty(2 * HALF, dX.dtype)
    for c in range(n_c):
        q = 0
        for row in range(top, bottom):
            for col in range(left, right):
                for first in range(0, n_m, LANES):
                    size = min(LANES, n_m - first)
                    take_rows(work, dV, c, q, size)
                    q += size
                    for b in range(6):
                        image_down_back(work, b * LANES, size)
                    for a in range(6):
                        image_along_back(work, a * ROW, size)
                    for k in range(36):
                        a, b = k // 6, k % 6
                        y, x = 4 * row + a - above, 4 * col + b - before
                        if not (0 <= y < h and 0 <= x < w):
                            continue
                        value = work[k * LANES : k * LANES + size]
                        pixel = dX[c, y, x, first : first + size]
                        if (a < 2 and row > 0) or (b < 2 and col > 0):
                            for i in range(size):
                                pixel[i] += scale * value[i]
                        else:
                            for i in range(size):
                                pixel[i] = scale * value[i]
