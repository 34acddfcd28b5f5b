"""Batch normalisation in two passes over memory, with ReLU and max-pooling in the second.

The formulas are those of `cnnexp.engine.batch_norm`; the kernels are in `batch_norm_kernels.py`. An
activation that is ``max(Z, floor)`` is part of the pass, and so is the max-pooling behind it, where
windows have no padding: the normalised feature map is then never stored. With any other activation
the layers are computed as `fast` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.batch_norm import running_statistics, statistics, update_statistics
from cnnexp.engine.compiled import batch_norm_kernels
from cnnexp.engine.compiled.direct import MOST_PIXELS, floor_of
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import batch_first, batch_last
from cnnexp.engine.operations import Cache, Fusion, Gradients, Operation, Params, Reduction
from cnnexp.engine.window import Window


class Line(NamedTuple):
    """What is computed for every channel: ``factor · (X - mean) + level``, floor and pooling."""

    mean: Array
    factor: Array
    level: Array
    floor: float | None
    pool: Window | None


class Kept(NamedTuple):
    """The cache: the input, what was computed from it, and the result.

    `distance` and `winner` are of the pixels that won, where there is pooling.
    """

    X: Array
    line: Line
    A: Array
    distance: Array
    winner: Array
    offset: Array
    spread: Array
    values: float  # of a channel in the mini-batch


def kernels_for(pooled: bool) -> list[Kernel]:
    """Return the kernels that compute it."""
    found = batch_norm_kernels
    if pooled:
        forward, backward = found.normalise_and_pool, found.gradient_of_pool
    else:
        forward, backward = found.normalise, found.gradient
    return [found.channel_sums, forward, found.gradient_sums, backward]


def forward(
    A_prev: Array,
    params: Params,
    layer: Any,
    context: Context,
    floor: float | None = None,
    pool: Window | None = None,
) -> tuple[Array, Kept]:
    """Return scaled and shifted values, by the running statistics."""
    X = plain(batch_last(A_prev))
    mean, spread = running_statistics(layer, context)
    line = Line(mean, params["scale"] / spread, params["shift"], floor, pool)
    return _apply(X, line, np.zeros_like(mean), spread, 0, context)


def backward(
    dA: Array, params: Params, layer: Any, kept: Kept, context: Context
) -> tuple[Array, Gradients]:
    """Return the gradients; the running statistics are constants."""
    dA = plain(batch_last(dA))
    sums = _gradient_sums(dA, kept)
    none = np.zeros_like(sums[0])
    return _finish(dA, kept, none, none, context), {"scale": sums[1], "shift": sums[0]}


def train_forward(
    A_prev: Array,
    params: Params,
    layer: Any,
    context: Context,
    floor: float | None = None,
    pool: Window | None = None,
) -> Reduction:
    """Yield the sums of every channel, and normalise with those of the mini-batch."""
    X = plain(batch_last(A_prev))
    m, squares = np.empty(len(X), X.dtype), np.empty(len(X), X.dtype)
    batch_norm_kernels.channel_sums(X.reshape(len(X), -1), m, squares)
    count, wide = X.size // len(X), m.astype(np.float64)
    total = yield np.stack([np.full_like(wide, count), count * wide, squares + count * wide**2])
    mean, variance = statistics(total)
    update_statistics(layer, context, mean, variance, total[0])
    spread, offset = np.sqrt(variance + layer.epsilon), m - mean
    factor = params["scale"] / spread
    line = Line(m, factor, params["shift"] + factor * offset, floor, pool)
    return _apply(X, line, offset, spread, total[0, 0], context)


def train_backward(
    dA: Array, params: Params, layer: Any, kept: Kept, context: Context
) -> Reduction:
    """Yield the sums of the gradients, and subtract the gradients through mean and variance."""
    dA = plain(batch_last(dA))
    sums = _gradient_sums(dA, kept)
    total = yield sums
    factor = params["scale"] / kept.spread
    slope = -factor * total[1] / (kept.values * kept.spread)
    constant = slope * kept.offset - factor * total[0] / kept.values
    dA_prev = _finish(dA, kept, slope, constant, context)
    return dA_prev, {"scale": sums[1], "shift": sums[0]}


def _apply(
    X: Array, line: Line, offset: Array, spread: Array, values: float, context: Context
) -> tuple[Array, Kept]:
    """Return the result and a cache."""
    kind, pool = X.dtype.type, line.pool
    least = kind(-np.inf if line.floor is None else line.floor)
    numbers = (line.mean.astype(kind), line.factor.astype(kind), line.level.astype(kind), least)
    line = Line(*numbers[:3], line.floor, pool)
    A = context.array("A", X.shape if pool is None else (len(X), *pool.out, X.shape[-1]), kind)
    if pool is None:
        batch_norm_kernels.normalise(_rows(X), *numbers, _rows(A))
        return batch_first(A), Kept(X, line, A, X, A, offset, spread, values)
    keep = context.keep_cache
    shape = A.shape if keep else (1, 1, 1, 1)
    distance, winner = context.array("far", shape, kind), context.array("won", shape, np.uint8)
    batch_norm_kernels.normalise_and_pool(
        X, *numbers, A, distance, winner, int(keep), *pool.kernel, *pool.stride
    )
    return batch_first(A), Kept(X, line, A, distance, winner, offset, spread, values)


def _gradient_sums(dA: Array, kept: Kept) -> Array:
    """Return the gradients of shift and scale (2, n_c), as sums over this micro-batch."""
    X, line = (kept.X if kept.line.pool is None else kept.distance), kept.line
    mean = line.mean if line.pool is None else np.zeros_like(line.mean)
    found = np.empty((2, len(X)), X.dtype)
    numbers = int(line.floor is not None), mean, line.factor, line.level
    batch_norm_kernels.gradient_sums(_rows(dA), _rows(X), *numbers, found)
    sums = found.astype(np.float64)
    sums[1] = (sums[1] + kept.offset * sums[0]) / kept.spread
    return sums


def _finish(dA: Array, kept: Kept, slope: Array, constant: Array, context: Context) -> Array:
    """Return ``dA_prev = factor · d + slope · (X - mean) + constant``."""
    X, line, kind = kept.X, kept.line, kept.X.dtype
    dX, relu = context.array("dX", X.shape, kind), int(line.floor is not None)
    mean, factor, level, *_ = line
    numbers = slope.astype(kind), constant.astype(kind)
    if line.pool is None:
        run, of_input = batch_norm_kernels.gradient, (_rows(X), relu, mean, factor, level)
        run(_rows(dA), *of_input, *numbers, _rows(dX))
    else:
        sizes = *line.pool.kernel, *line.pool.stride
        batch_norm_kernels.gradient_of_pool(
            dA, kept.A, relu, kept.winner, X, mean, factor, *numbers, dX, *sizes
        )
    return batch_first(dX)


def _rows(X: Array) -> Array:
    """Return channels as rows."""
    return X.reshape(len(X), -1)


class BatchNormPass(Fusion):
    """Batch normalisation and an activation ``max(Z, floor)``, and max-pooling without padding.

    Parameters
    ----------
    pattern : str
        The operations of the layers; max-pooling may be left out.
    """

    name = "batch_norm in one pass"

    def __init__(self, *pattern: str) -> None:
        self.pattern = pattern

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether the activation is a floor, and pooling has no padding nor a large window."""
        pools = [layer.geometry for layer in layers[2:]]
        fits = all(
            not pool.has_padding and pool.dilation == (1, 1) and pool.size <= MOST_PIXELS
            for pool in pools
        )
        return fits and floor_of(layers[1].geometry) is not None

    def kernels(self, layers: Sequence[Any]) -> list[Kernel]:
        """Return the kernels that it needs for some layers."""
        return kernels_for(len(layers) > 2)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result by the running statistics."""
        norm = layers[0]
        return forward(A_prev, norm.params, norm.geometry, context, *_behind(layers))

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients; the running statistics are constants."""
        return backward(dA, layers[0].params, layers[0].geometry, cache, context)

    def train_forward(self, layers: Sequence[Any], A_prev: Array, context: Context) -> Reduction:
        """Return the result by the statistics of the mini-batch."""
        norm = layers[0]
        run = train_forward(A_prev, norm.params, norm.geometry, context, *_behind(layers))
        return (yield from run)

    def train_backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> Reduction:
        """Return the gradients, those through mean and variance included."""
        return (yield from train_backward(dA, layers[0].params, layers[0].geometry, cache, context))


def _behind(layers: Sequence[Any]) -> tuple[float | None, Window | None]:
    """Return the floor, and the pooling if there is one."""
    return floor_of(layers[1].geometry), layers[2].geometry if len(layers) > 2 else None


BATCH_NORM = Operation(forward, backward)
BATCH_NORM_TRAINING = Operation(train_forward, train_backward)
