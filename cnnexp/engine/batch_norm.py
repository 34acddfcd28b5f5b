"""Batch normalisation, and what all implementations share, as plain array expressions.

In training every channel gets mean 0 and variance 1 over the whole mini-batch. Micro-batches are
computed one after the other, so each gives its count, sum and sum of squares, and takes those of
all of them::

    partial = (n, n·m, q + n·m²)      m: mean, q: sum of squared distances, of this micro-batch
    total   = yield partial             summed over the micro-batches, in float64
    mean    = total[1] / total[0]       variance = total[2] / total[0] - mean²

    forward    x = (A_prev - mean) / √(variance + ε)         A = scale·x + shift
    backward   dA_prev = scale / √(…) · (dA - mean(dA) - x · mean(dA·x))

The backward pass needs the means of ``dA`` and ``dA·x`` over the mini-batch, and yields their sums
in the same way. In inference the running statistics stand in, and it is a scale and a shift.

References
----------
S. Ioffe and C. Szegedy, Batch Normalization, 2015, https://arxiv.org/abs/1502.03167
T. Chan, G. Golub, R. LeVeque, Algorithms for computing the sample variance, 1983
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine.activations import Pointwise
from cnnexp.engine.context import Context
from cnnexp.engine.dense import DENSE
from cnnexp.engine.operations import (
    Cache,
    Gradients,
    Implementation,
    Operation,
    Params,
    Reduction,
)
from cnnexp.engine.scratch import Array


def forward(A_prev: Array, params: Params, layer: Any, context: Context) -> tuple[Array, Cache]:
    """Return scaled and shifted values, by the running statistics."""
    mean, variance = context.state["mean"], context.state["variance"]
    spread = np.sqrt(variance + variance.dtype.type(layer.epsilon))
    factor = params["scale"] / spread
    A = A_prev * factor
    A += params["shift"] - mean * factor
    return A, (A_prev, mean, spread)


def backward(
    dA: Array, params: Params, layer: Any, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return the gradients; the running statistics are constants."""
    A_prev, mean, spread = cache
    axes = tuple(range(dA.ndim - 1))
    x = (A_prev - mean) / spread
    grads: Gradients = {"scale": (dA * x).sum(axis=axes), "shift": dA.sum(axis=axes)}
    return dA * (params["scale"] / spread), grads


def train_forward(A_prev: Array, params: Params, layer: Any, context: Context) -> Reduction:
    """Yield the sums of every channel, and normalise with those of the mini-batch."""
    axes = tuple(range(A_prev.ndim - 1))
    total = yield partial_sums(A_prev.mean(axis=axes), A_prev, axes)
    mean, spread = statistics(total, layer, context)
    kind = A_prev.dtype
    x = A_prev - mean.astype(kind)
    x *= (1 / spread).astype(kind)
    A = x * params["scale"]
    A += params["shift"]
    return A, (x, spread, total[0, 0])


def train_backward(
    dA: Array, params: Params, layer: Any, cache: Cache, context: Context
) -> Reduction:
    """Yield the sums of the gradients, and take the share of mean and variance off each."""
    x, spread, count = cache
    axes, kind = tuple(range(dA.ndim - 1)), dA.dtype
    partial = np.stack([dA.sum(axis=axes), (dA * x).sum(axis=axes)]).astype(np.float64)
    total = yield partial
    dA_prev = x * (-total[1] / count).astype(kind)
    dA_prev += dA
    dA_prev -= (total[0] / count).astype(kind)
    dA_prev *= (params["scale"] / spread).astype(kind)
    return dA_prev, {"scale": partial[1], "shift": partial[0]}


def partial_sums(m: Array, A: Array, axes: tuple[int, ...]) -> Array:
    """Return count, sum and sum of squares (3, n_c), given the means of this micro-batch."""
    distance = A - m
    squares = np.multiply(distance, distance, out=distance).sum(axis=axes)
    return pack(A.size // len(m), m, squares)


def pack(count: int, m: Array, squares: Array) -> Array:
    """Return count, sum and sum of squares (3, n_c), given mean and squared distances."""
    wide = m.astype(np.float64)
    return np.stack([np.full_like(wide, count), count * wide, squares + count * wide**2])


def statistics(total: Array, layer: Any, context: Context) -> tuple[Array, Array]:
    """Return mean and spread of every channel, and leave the running statistics."""
    count = total[0]
    mean = total[1] / count
    variance = np.maximum(total[2] / count - mean**2, 0)
    unbiased = variance * count / np.maximum(count - 1, 1)
    for name, value in (("mean", mean), ("variance", unbiased)):
        before = context.state[name].astype(np.float64)
        context.state_updates[name] = before + layer.momentum * (value - before)
    return mean, np.sqrt(variance + layer.epsilon)


def pointwise_forward(
    A_prev: Array, params: Params, function: Pointwise, context: Context
) -> tuple[Array, Cache]:
    """Return the function of every value."""
    A = context.scratch.like("A", A_prev)
    function.apply(A_prev, A)
    return A, A if function.from_output else A_prev


def pointwise_backward(
    dA: Array, params: Params, function: Pointwise, cache: Cache, context: Context
) -> tuple[Array, Gradients]:
    """Return the gradient of every value."""
    dZ = context.scratch.like("dZ", cache)
    function.gradient(dA, cache, dZ)
    return dZ, {}


NUMPY = Implementation(
    "numpy",
    {
        "dense": DENSE,
        "pointwise": Operation(pointwise_forward, pointwise_backward),
        "batch_norm": Operation(forward, backward),
        "batch_norm_training": Operation(train_forward, train_backward),
    },
    about="Array expressions that all implementations share.",
)
