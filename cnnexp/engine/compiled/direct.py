"""Convolution, activation and pooling in one pass over memory, for filters of few weights.

`fast` copies the windows of a convolution into a matrix, multiplies, compares and adds, and each of
these steps writes an array that the next one reads. With few weights in a filter there is little
arithmetic, so that moving numbers is most of the time. Here one kernel does all of it
(`direct_kernels.py`): for some filters and a pooling window it computes the sums, keeps the
greatest, and writes that alone. Windows are not copied; a table says where their pixels are.

An activation that is ``max(Z, floor)``, such as ReLU, is part of the kernel; any other is applied
to the result. A convolution without pooling is one whose pooling windows have one pixel.

Kernels take samples in whole rows of a tile (`tiles.py`); a micro-batch is filled up with zeros.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.compiled import direct_kernels
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.compiled.registers import lanes
from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import batch_last, unpadded
from cnnexp.engine.operations import Gradients, Params
from cnnexp.engine.window import Window

MOST_PIXELS = direct_kernels.NOBODY  # of a pooling window, because the winner is noted in a byte
MOST_TAPS = 512  # weights of a filter: those of a tile fill half of the first-level cache
MOST_TAPS_STRIDED = 64  # the same with a stride
# There are kernels for these numbers of rows whose sums are in registers together:
FILTERS = 4, 6, 8  # filters of a forward pass
TILES = (3, 4), (4, 5)  # filters, and taps, of the gradients of weights
TAPS = 8, 16  # taps of the gradients of images


class Kept(NamedTuple):
    """The cache: images with padding, filters, the result, and which pixel of a window won.

    With average-pooling `winner` has a bit for each pixel whose gradient passes.
    """

    X: Array
    W: Array
    A: Array
    winner: Array
    mean: bool


def suits(W: Array, channels: int, conv: Window) -> bool:
    """Say whether filters are small enough, and take all channels.

    With a stride few windows share a pixel, so the gradients of a filter cost more than a product.
    """
    most = MOST_TAPS if conv.stride == (1, 1) else MOST_TAPS_STRIDED
    return _taps(W) <= most and W.shape[2] == channels


def kernels_for(W: Array, mean: bool = False) -> list[Kernel]:
    """Return the kernels that compute a convolution with these filters."""
    n_f, made = W.shape[3], direct_kernels
    forward = made.direct_mean_forward if mean else made.direct_forward
    found = [forward(_rows(n_f, FILTERS), keep) for keep in (0, 1)]
    return [*found, *_backward_kernels(n_f, _taps(W)), made.to_batch_last]


def inference_kernels(W: Array) -> list[Kernel]:
    """Return those for a result alone, without what a backward pass needs."""
    return [
        direct_kernels.direct_forward(_rows(W.shape[3], FILTERS), 0),
        direct_kernels.to_batch_last,
    ]


def _backward_kernels(n_f: int, taps: int) -> tuple[Kernel, Kernel]:
    """Return the kernels of the gradients of weights, and of images."""
    weights = direct_kernels.direct_weights(_rows(n_f, TILES[0]), _rows(taps, TILES[1]))
    return weights, direct_kernels.direct_image(_rows(taps, TAPS))


def every_kernel() -> list[Kernel]:
    """Return all kernels that there are."""
    made = direct_kernels
    forward = [
        of(filters, keep)
        for of in (made.direct_forward, made.direct_mean_forward)
        for filters in FILTERS
        for keep in (0, 1)
    ]
    weights = [made.direct_weights(*tile) for tile in itertools.product(*TILES)]
    return [*forward, *weights, *map(made.direct_image, TAPS), made.to_batch_last]


def _taps(W: Array) -> int:
    """Return the weights of one filter."""
    return int(np.prod(W.shape[:3]))


def _rows(count: int, sizes: tuple[int, ...]) -> int:
    """Return the size of equal groups of so many, with as little as possible left empty."""
    return min(reversed(sizes), key=lambda size: _up(count, size))


def _up(count: int, size: int) -> int:
    """Return the next multiple of a size."""
    return -(-count // size) * size


def floor_of(function: Any) -> float | None:
    """Return the smallest value of an activation ``max(Z, floor)``; None for any other.

    A class that changes what its base class computes is another activation.
    """
    own: Any = type(function)
    owner = next((cls for cls in own.__mro__ if "floor" in vars(cls)), None)
    found: float | None = owner.floor if owner and own.apply is owner.apply else None
    return found


def forward(
    A_prev: Array,
    params: Params,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    context: Context,
    mean: bool = False,
) -> tuple[Array, Kept]:
    """Return the result of convolution, floor and pooling, (n_f, rows, columns, n_m).

    With `mean` it is average-pooling, and there must be a floor.
    """
    W, b = _by_filter(params["W"]), params["b"]
    X, n_f = _images(A_prev, conv, context), len(W)
    filters, keep = _rows(n_f, FILTERS), int(context.keep_cache)
    whole = _up(n_f, filters)
    weights, biases = _filled(W, whole, W.shape[1]), _filled(b[:, None], whole, 1)
    weights = plain(weights.reshape(-1, filters, W.shape[1]).swapaxes(1, 2))
    A = _result(n_f, (pool or conv).out, X, context)
    pixels = pool.size if pool else 1
    planes = -(-pixels // 8) if mean else 1
    winner = context.array("winner", (planes * A.size if keep else 1,), np.uint8)
    least = X.dtype.type(-np.inf if floor is None else floor)
    to = (*_by_steps(A), winner, n_f, *tables(conv, pool, X.shape), pixels)
    given = (X, weights.reshape(-1), biases.reshape(-1), least)
    if mean:
        direct_kernels.direct_mean_forward(filters, keep)(*given, *to)
    else:
        direct_kernels.direct_forward(filters, keep)(*given, int(floor is not None), *to)
    A = A[..., : len(A_prev)]
    return A, Kept(X, W, A, winner, mean)


def backward(
    dA: Array,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    kept: Kept,
    context: Context,
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db`` for `dA` (n_f, rows, columns, n_m)."""
    X, W, _, winner, mean = kept
    n_f, taps = W.shape
    n_m, pixels = dA.shape[3], pool.size if pool else 1
    given = (*_by_steps(_whole_rows(dA, context)), winner)
    rest = n_f, int(mean)
    share = W.dtype.type(1 / pixels if mean else 1)
    of_weights, of_image = _backward_kernels(n_f, taps)
    filters, rows = of_weights.constants
    dW = np.zeros((_up(n_f, filters) // filters, _up(taps, rows) // rows, filters, rows), W.dtype)
    db = np.zeros(_up(n_f, filters), W.dtype)
    found = tables(conv, pool, X.shape, rows)
    of_weights(*given, X, dW.reshape(-1), db, *rest, *found, pixels)
    dW = dW.swapaxes(1, 2).reshape(len(db), -1)[:n_f, :taps] * share
    dW = dW.reshape(n_f, len(X), *conv.kernel).transpose(2, 3, 1, 0)
    grads: Gradients = {"W": dW, "b": db[:n_f] * share}
    if not context.need_dA_prev:
        return None, grads
    (rows,) = of_image.constants
    weights, dX = _filled(W * share, n_f, _up(taps, rows)), context.zeros("dX", X.shape, X.dtype)
    found = tables(conv, pool, X.shape, rows)
    of_image(*given, weights.reshape(-1), dX, *rest, *found, pixels, taps)
    return unpadded(dX[..., :n_m], conv), grads


@functools.lru_cache(maxsize=256)
def tables(
    conv: Window, pool: Window | None, shape: tuple[int, ...], group: int = 1
) -> tuple[Array, Array]:
    """Return where pooling windows begin in images (n_c, h, w, n_m), and what lies in them.

    That is for each position of the pooling window the place of its first pixel, and for each of
    its pixels and each tap of a filter the distance from there. The last tap is repeated until they
    are whole groups. Taps are in the order (n_c, f_h, f_w): neighbours share most of their pixels.
    """
    n_c, h, w, n_m = shape
    (s_h, s_w), (d_h, d_w), (f_h, f_w) = conv.stride, conv.dilation, conv.kernel
    (p_h, p_w), (q_h, q_w) = (pool.kernel, pool.stride) if pool else ((1, 1), (1, 1))
    oh, ow = (pool or conv).out

    def grid(rows: int, to_row: int, cols: int, to_col: int) -> Array:
        return np.add.outer(np.arange(rows) * to_row * w, np.arange(cols) * to_col)

    places, pixels = grid(oh, q_h * s_h, ow, q_w * s_w), grid(p_h, s_h, p_w, s_w)
    taps = np.add.outer(np.arange(n_c) * h * w, grid(f_h, d_h, f_w, d_w))
    offsets = np.add.outer(pixels.reshape(-1), taps.reshape(-1))
    more = _up(taps.size, group) - taps.size
    offsets = np.pad(offsets, ((0, 0), (0, more)), mode="edge")
    return places.reshape(-1) * n_m, offsets.reshape(-1) * n_m


def _by_filter(W: Array) -> Array:
    """Return filters as rows (n_f, taps), a copy."""
    return W.transpose(3, 2, 0, 1).reshape(W.shape[3], -1)


def _filled(array: Array, rows: int, cols: int) -> Array:
    """Return a matrix with zeros behind its rows and columns; itself if there are enough."""
    if array.shape == (rows, cols):
        return plain(array)
    whole = np.zeros((rows, cols), array.dtype)
    whole[: array.shape[0], : array.shape[1]] = array
    return whole


def _images(A: Array, conv: Window, context: Context) -> Array:
    """Return images (n_c, h, w, n_m) with their padding, contiguous, in whole rows of a tile."""
    n_m, full = len(A), _up(len(A), lanes(A.itemsize))
    shape = A.shape[3], conv.rows.padded, conv.cols.padded, full
    X = batch_last(A)
    if X.shape == shape and X.flags.carray:
        return X
    padded = context.array("padded", shape, A.dtype)
    if X.shape != shape:
        padded.fill(0)
    if A.flags.carray:
        direct_kernels.to_batch_last(A.reshape(n_m, -1), padded.reshape(-1), _places(conv, shape))
    else:
        padded[:, conv.rows.inside, conv.cols.inside, :n_m] = X
    return padded


@functools.lru_cache(maxsize=256)
def _places(conv: Window, shape: tuple[int, ...]) -> Array:
    """Return where each number of an image (ih, iw, n_c) lies in padded ones (n_c, h, w, n_m)."""
    places = np.arange(np.prod(shape[:3])).reshape(shape[:3]) * shape[3]
    inside = places[:, conv.rows.inside, conv.cols.inside]
    return inside.transpose(1, 2, 0).flatten()


def _result(n_f: int, out: tuple[int, int], X: Array, context: Context) -> Array:
    """Return memory for the result (n_f, rows, columns, n_m).

    In front of a flatten layer it has the order of the features in memory.
    """
    if context.flattens:
        return context.array("A", (*out, n_f, X.shape[3]), X.dtype).transpose(2, 0, 1, 3)
    return context.array("A", (n_f, *out, X.shape[3]), X.dtype)


def _by_steps(A: Array) -> tuple[Array, int, int]:
    """Return an array (n_f, rows, columns, n_m) as one run, and its steps by filter and place."""
    n_f, rows, columns, n_m = A.shape
    last = A.transpose(1, 2, 0, 3)
    if last.flags.c_contiguous and A.flags.writeable:
        return last.reshape(-1), n_m, n_f * n_m
    return plain(A).reshape(-1), rows * columns * n_m, n_m


def _whole_rows(dA: Array, context: Context) -> Array:
    """Return gradients (n_f, rows, columns, n_m), in whole rows of a tile."""
    n_m = dA.shape[3]
    full = _up(n_m, lanes(dA.itemsize))
    if n_m == full:
        return dA
    whole = context.zeros("dA", (*dA.shape[:3], full), dA.dtype)
    whole[..., :n_m] = dA
    return whole
