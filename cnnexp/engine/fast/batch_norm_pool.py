"""Convolution, batch normalisation, activation and max-pooling as one step.

Batch normalisation is a linear function for each channel, ``scale · x + shift``. If the scale is
positive it never decreases, so it can be applied after pooling, as the activation is in
`pooled_conv`. If it is negative, filter and scale both change their sign, which changes no result::

    conv ── linear ── relu ── max      =      conv ── max ── linear ── relu

So the full output of the convolution is only summed. On the backward pass the maxima carry the
gradient of the pooling, and mean and variance add a linear function of every output:
``dZ = won · dA + slope · Z + level``.

A scale of exactly 0 makes all candidates equal; the largest counts as the maximum then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.batch_norm import dots, running_statistics, statistics, sums, update_statistics
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.convolution import flat_gradient
from cnnexp.engine.fast.merged import MergedConv, merging_pays
from cnnexp.engine.fast.pooled_conv import PooledConv
from cnnexp.engine.fast.running_max import RunningMax
from cnnexp.engine.layout import batch_first, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Fusion, Gradients, Reduction


class _Pooled(NamedTuple):
    """The cache for `train_backward`: the convolution, its maxima, and the statistics."""

    work: PooledConv
    greater: Any
    best: Array  # maxima (n_f, oh · ow · n_m), in distances from the running mean
    A: Array
    mean: Array
    spread: Array
    count: Any


class ConvBatchNormPointwiseMaxPool(Fusion):
    """Where pooling windows cover every output once, and the activation is monotonic."""

    name = "batch_norm after pooling"
    pattern = ("conv", "batch_norm", "pointwise", "max_pool")

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether pooling may come first, and Winograd's method would not be faster."""
        conv, _, activation, pool = (layer.geometry for layer in layers)
        plain = conv.dilation == (1, 1) and layers[0].groups == 1
        covers = pool.kernel == pool.stride and not pool.has_padding
        covers = covers and pool.out[0] * pool.kernel[0] == conv.out[0]
        covers = covers and pool.out[1] * pool.kernel[1] == conv.out[1]
        monotonic = activation.monotonic and activation.from_output
        other = winograd.suits(layers[0].params["W"], layers[0].input_shape[2], conv)
        return bool(plain and covers and monotonic and not other)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result by the running statistics."""
        work, greater, best = self._maxima(layers, A_prev, context)
        _, spread = running_statistics(layers[1].geometry, context)
        mean = np.zeros_like(spread)
        A, flat = self._finish(layers, work, best, mean, spread, context)
        return A, _Pooled(work, greater, best, flat, mean, spread, 0)

    def backward(
        self, layers: Sequence[Any], cache: _Pooled, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients; the running statistics are constants."""
        dZ, partial = self._sums(layers, cache, dA, context)
        return self._finish_backward(layers, cache, dZ, partial, None, context)

    def train_forward(self, layers: Sequence[Any], A_prev: Array, context: Context) -> Reduction:
        """Return the result by the statistics of the mini-batch."""
        work, greater, best = self._maxima(layers, A_prev, context)
        partial = np.zeros((3, len(best)))
        partial[0] = work.Z.size // len(best)
        for Z in work.Z:
            partial[1:] += sums(Z), dots(Z, Z)
        total = yield partial
        mean, variance = statistics(total)
        sign, before = _sign(layers), context.state["mean"].astype(np.float64)
        update_statistics(layers[1].geometry, context, before + sign * mean, variance, total[0])
        spread = np.sqrt(variance + layers[1].geometry.epsilon)
        A, flat = self._finish(layers, work, best, mean, spread, context)
        return A, _Pooled(work, greater, best, flat, mean, spread, total[0])

    def train_backward(
        self, layers: Sequence[Any], cache: _Pooled, dA: Array, context: Context
    ) -> Reduction:
        """Return the gradients, those through mean and variance included."""
        dZ, partial = self._sums(layers, cache, dA, context)
        total = yield partial
        factor = _sign(layers) * layers[1].params["scale"] / cache.spread
        slope = -factor * total[1] / (cache.count * cache.spread)
        level = -factor * total[0] / cache.count - slope * cache.mean
        line = _column(slope, dZ), _column(level, dZ)
        return self._finish_backward(layers, cache, dZ, partial, line, context)

    def _sums(
        self, layers: Sequence[Any], cache: _Pooled, dA: Array, context: Context
    ) -> tuple[Array, Array]:
        """Return the gradients of the normalised maxima, and sums of them and of dZ·x."""
        dZ = context.like("dZ", cache.A)
        layers[2].geometry.gradient(flat_gradient(dA), cache.A, out=dZ)
        total = sums(dZ).astype(np.float64)
        return dZ, np.stack([total, (dots(dZ, cache.best) - cache.mean * total) / cache.spread])

    def _finish_backward(
        self,
        layers: Sequence[Any],
        cache: _Pooled,
        dZ: Array,
        partial: Array,
        line: tuple[Array, Array] | None,
        context: Context,
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients of the convolution, given those of the normalised maxima."""
        sign, work = _sign(layers), cache.work
        dZ *= _column(sign * layers[1].params["scale"] / cache.spread, dZ)
        dW, dX = work.backward(work.spread(dZ, cache.greater, line))
        dW *= sign.astype(dW.dtype)
        # In training a constant changes no distance to the mean: the bias has no gradient.
        db = np.zeros(len(sign)) if line else sign * sums(dZ)
        grads: Gradients = {"W": dW, "b": db, "scale": sign * partial[1], "shift": partial[0]}
        return None if dX is None else unpadded(dX, work.conv), grads

    def _maxima(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[PooledConv, Array | None, Array]:
        """Return the convolution, the bytes of the running maximum, and the maxima.

        Outputs are kept as distances from the running mean: squares of them lose no digits.
        """
        conv, pool = layers[0].geometry, layers[3].geometry
        method = MergedConv if merging_pays(conv, pool) else PooledConv
        X = padded_batch_last(A_prev, conv, 0.0, context)
        W, sign = layers[0].params["W"], _sign(layers)
        keep = context.keep_cache
        work = method(X, W * sign.astype(W.dtype), conv, pool, context, keep=keep)
        best = context.array("best", work.Z.shape[1:], X.dtype)
        running = RunningMax(best, pool.size, context)
        shift = _column(sign * (layers[0].params["b"] - context.state["mean"]), best)
        for k in range(pool.size):
            Z = work.candidate(k)
            Z += shift
            running.take(k, Z)
        return work, running.greater, best

    def _finish(
        self,
        layers: Sequence[Any],
        work: PooledConv,
        best: Array,
        mean: Array,
        spread: Array,
        context: Context,
    ) -> tuple[Array, Array]:
        """Normalise the maxima and apply the activation; return images, and the same as rows."""
        params = layers[1].params
        factor = _sign(layers) * params["scale"] / spread
        A = context.like("A", best)
        np.multiply(best, _column(factor, A), out=A)
        A += _column(params["shift"] - factor * mean, A)
        layers[2].geometry.apply(A, out=A)
        return batch_first(A.reshape(len(A), *work.pool.out, -1)), A


def _sign(layers: Sequence[Any]) -> Array:
    """Return -1 for every filter whose scale is negative, and 1 for all others."""
    return np.where(layers[1].params["scale"] < 0, -1.0, 1.0)


def _column(numbers: Array, like: Array) -> Array:
    """Return a number for every row."""
    return numbers.astype(like.dtype)[:, None]
