"""Batch normalisation.

In training every channel gets mean 0 and variance 1 over the whole mini-batch. Each micro-batch
gives its count, sum and sum of squares, and takes those of all of them::

    partial = (n, n·m, q + n·m²)      m: mean, q: sum of squared distances, of this micro-batch
    total   = yield partial             summed over the micro-batches, in float64
    mean    = total[1] / total[0]       variance = total[2] / total[0] - mean²

    forward    x = (A_prev - mean) / √(variance + ε)         A = scale·x + shift
    backward   dA_prev = scale / √(…) · (dA - mean(dA) - x · mean(dA·x))

The backward pass needs the means of ``dA`` and ``dA·x`` over the mini-batch, and yields their sums
in the same way. In inference the running statistics are used instead: a scale and a shift.

Every formula takes several passes over long arrays with one row per channel. They are computed for
blocks of rows that stay in the processor's cache from the first pass to the last.

References
----------
S. Ioffe and C. Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167
T. Chan, G. Golub, R. LeVeque, Algorithms for computing the sample variance, 1983
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import batch_first, batch_last
from cnnexp.engine.operations import Cache, Gradients, Operation, Params, Reduction

ARRAYS = 3  # arrays of the size of a block of rows that must fit the cache together


def forward(A_prev: Array, params: Params, layer: Any, context: Context) -> tuple[Array, Cache]:
    """Return scaled and shifted values, by the running statistics."""
    mean, spread = running_statistics(layer, context)
    factor, X = params["scale"] / spread, batch_last(A_prev)
    A = context.array("A", X.shape, X.dtype)
    _scale_and_shift(X, factor, params["shift"] - mean * factor, A, context)
    return batch_first(A), A_prev


def backward(
    dA: Array, params: Params, layer: Any, A_prev: Array, context: Context
) -> tuple[Array | None, Gradients]:
    """Return the gradients; the running statistics are constants."""
    mean, spread = running_statistics(layer, context)
    axes = tuple(range(dA.ndim - 1))
    x = (A_prev - mean) / spread
    grads: Gradients = {"scale": (dA * x).sum(axis=axes), "shift": dA.sum(axis=axes)}
    return dA * (params["scale"] / spread), grads


def train_forward(
    A_prev: Array, params: Params, layer: Any, context: Context, function: Any = None
) -> Reduction:
    """Yield the sums of every channel, and normalise with those of the mini-batch.

    If a pointwise function is given, it is applied while the values are in the cache.
    """
    X = batch_last(A_prev)
    x = context.array("x", X.shape, X.dtype)  # the distances from the mean of this micro-batch
    m, squares = (context.xp.empty(len(X), X.dtype) for _ in range(2))
    for rows in _blocks(X, context):
        values, distance = _rows(X[rows]), _rows(x[rows])
        m[rows] = sums(values, context.xp) / X.dtype.type(values.shape[1])
        np.subtract(values, m[rows, None], out=distance)
        squares[rows] = dots(distance, distance)
    count = X.size // len(X)
    wide = m.astype(np.float64)
    total = yield np.stack([np.full_like(wide, count), count * wide, squares + count * wide**2])
    mean, variance = statistics(total)
    update_statistics(layer, context, mean, variance, total[0])
    spread = np.sqrt(variance + layer.epsilon)
    factor, offset = params["scale"] / spread, m - mean
    A = context.array("A", X.shape, X.dtype)
    _scale_and_shift(x, factor, params["shift"] + factor * offset, A, context, function)
    return batch_first(A), (x, offset, spread, total[0, 0], A)


def train_backward(
    dA: Array, params: Params, layer: Any, cache: Cache, context: Context, function: Any = None
) -> Reduction:
    """Yield the sums of the gradients, and subtract the gradients through mean and variance.

    The function's gradient is computed twice, which takes less time than to store it.
    """
    x, offset, spread, count, A = cache
    dX, kind = batch_last(dA), x.dtype

    def gradient(rows: slice) -> Array:
        if function is None:
            return _rows(dX[rows])
        out: Array = context.array("gradient", x[rows].shape, kind)
        function.gradient(dX[rows], A[rows], out=out)
        return _rows(out)

    partial = context.xp.empty((2, len(x)))
    for rows in _blocks(x, context):
        d_rows = gradient(rows)
        partial[0, rows] = sums(d_rows, context.xp)
        partial[1, rows] = dots(d_rows, _rows(x[rows]))
    partial[1] = (partial[1] + offset * partial[0]) / spread
    total = yield partial
    # dA_prev = factor · dA + slope · x + level, in the memory of x
    factor = params["scale"] / spread
    slope = -factor * total[1] / (count * spread)
    level = slope * offset - factor * total[0] / count
    for rows in _blocks(x, context):
        here = _rows(x[rows])
        here *= slope[rows, None].astype(kind)
        here += level[rows, None].astype(kind)
        scaled = context.array("scaled", here.shape, kind)
        here += np.multiply(gradient(rows), factor[rows, None].astype(kind), out=scaled)
    return batch_first(x), {"scale": partial[1], "shift": partial[0]}


def statistics(total: Array) -> tuple[Array, Array]:
    """Return mean and variance of every channel from count, sum and sum of squares (3, n_c)."""
    mean = total[1] / total[0]
    return mean, np.maximum(total[2] / total[0] - mean**2, 0)


def update_statistics(
    layer: Any, context: Context, mean: Array, variance: Array, count: Array
) -> None:
    """Write the running statistics after this mini-batch; their variance is the unbiased one."""
    unbiased = variance * count / np.maximum(count - 1, 1)
    for name, value in (("mean", mean), ("variance", unbiased)):
        before = context.state[name].astype(np.float64)
        context.state_updates[name] = before + layer.momentum * (value - before)


def running_statistics(layer: Any, context: Context) -> tuple[Array, Array]:
    """Return mean and standard deviation of every channel, as inference uses them."""
    mean, variance = context.state["mean"], context.state["variance"]
    return mean, np.sqrt(variance + variance.dtype.type(layer.epsilon))


def _scale_and_shift(
    X: Array, factor: Array, shift: Array, out: Array, context: Context, function: Any = None
) -> None:
    """Write ``factor · X + shift``, with one factor and shift per channel, or a function of it."""
    kind = out.dtype
    for rows in _blocks(X, context):
        A = _rows(out[rows])
        np.multiply(_rows(X[rows]), factor[rows, None].astype(kind), out=A)
        A += shift[rows, None].astype(kind)
        if function is not None:
            function.apply(out[rows], out=out[rows])


def _blocks(X: Array, context: Context) -> Iterator[slice]:
    """Yield slices of channels whose values stay in the cache over several passes."""
    row = max(X.nbytes // len(X), 1)
    size = max(context.limits.cache // (ARRAYS * row), 1)
    for start in range(0, len(X), size):
        yield slice(start, start + size)


def _rows(X: Array) -> Array:
    """Return channels as rows (channels, positions · samples); a view if memory order allows it."""
    return X.reshape(len(X), -1)


def sums(values: Array, xp: Any = np) -> Array:
    """Return the sum of every row, a product with ones."""
    total: Array = values @ xp.ones(values.shape[1], values.dtype)
    return total


def dots(a: Array, b: Array) -> Array:
    """Return the sum of products of every row."""
    if not isinstance(a, np.ndarray):  # few long rows: a GPU adds better than it multiplies
        total: Array = (a * b).sum(axis=1)
        return total
    products: Array = np.matmul(a[:, None, :], b[:, :, None])
    return products[:, 0, 0]


BATCH_NORM = Operation(forward, backward)
BATCH_NORM_TRAINING = Operation(train_forward, train_backward)
