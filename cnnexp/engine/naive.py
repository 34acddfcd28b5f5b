"""The definition as four loops: slow, and the reference for all other implementations.

For every sample, row, column and filter the pixels under the window are multiplied with the
filter's weights, and the products are summed::

    for i in samples:
        for h in rows:
            for w in columns:
                for f in filters:
                    Z[i, h, w, f] = sum(patch * W[..., f]) + b[f]

The backward pass runs through the same four loops and adds each gradient to the pixels and weights
that the output came from. Every other implementation is tested against this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.operations import (
    IMPLEMENTATIONS,
    Cache,
    Gradients,
    Implementation,
    Operation,
    Params,
    Reduction,
)
from cnnexp.engine.shared import NUMPY
from cnnexp.engine.window import Window


def conv_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Visit every sample, row, column and filter."""
    W, b = params["W"], params["b"]
    padded = _pad(A_prev, window, 0.0)
    filters = list(_filters(padded, W))
    Z = np.empty((len(A_prev), *window.out, len(b)), A_prev.dtype)
    for i, h, w in np.ndindex(Z.shape[:3]):
        patch = padded[i, window.rows.at(h), window.cols.at(w)]
        for f, channels in filters:
            Z[i, h, w, f] = np.add.reduce(patch[..., channels] * W[..., f], axis=None) + b[f]
    return Z, padded


def conv_backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Visit every sample, row, column and filter, and add to what each value came from."""
    W, padded = params["W"], cache
    dA_padded = np.zeros_like(padded)
    dW, db = np.zeros_like(W), np.zeros_like(params["b"])
    filters = list(_filters(padded, W))
    for i, h, w in np.ndindex(dZ.shape[:3]):
        here = (i, window.rows.at(h), window.cols.at(w))
        patch, dA_patch = padded[here], dA_padded[here]
        for f, channels in filters:
            dz = dZ[i, h, w, f]
            dA_patch[..., channels] += W[..., f] * dz
            dW[..., f] += patch[..., channels] * dz
            db[f] += dz
    dA_prev = _unpad(dA_padded, window) if context.need_dA_prev else None
    return dA_prev, {"W": dW, "b": db}


def _filters(padded: Array, W: Array) -> Iterator[tuple[int, slice]]:
    """Yield every filter, and the channels of its group."""
    n_c, n_f = W.shape[2:]
    groups = padded.shape[3] // n_c
    for f in range(n_f):
        first = f * groups // n_f * n_c
        yield f, slice(first, first + n_c)


def max_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take the largest value of every patch."""
    padded = _pad(A_prev, window, -np.inf)
    A = np.empty((len(A_prev), *window.out, A_prev.shape[3]), A_prev.dtype)
    for i, h, w, c in np.ndindex(A.shape):
        A[i, h, w, c] = padded[i, window.rows.at(h), window.cols.at(w), c].max()
    return A, padded


def max_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Send every gradient to the first maximum of its patch."""
    padded = cache
    dA_padded = np.zeros_like(padded)
    for i, h, w, c in np.ndindex(dA.shape):
        here = (i, window.rows.at(h), window.cols.at(w), c)
        first = np.unravel_index(padded[here].argmax(), window.kernel)
        dA_padded[here][first] += dA[i, h, w, c]
    return _unpad(dA_padded, window), {}


def avg_pool_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Take the mean of every patch."""
    padded = _pad(A_prev, window, 0.0)
    A = np.empty((len(A_prev), *window.out, A_prev.shape[3]), A_prev.dtype)
    for i, h, w, c in np.ndindex(A.shape):
        A[i, h, w, c] = padded[i, window.rows.at(h), window.cols.at(w), c].mean()
    return A, padded.shape


def avg_pool_backward(
    dA: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Share every gradient evenly among its patch."""
    dA_padded = np.zeros(cache, dA.dtype)
    for i, h, w, c in np.ndindex(dA.shape):
        here = (i, window.rows.at(h), window.cols.at(w), c)
        dA_padded[here] += dA[i, h, w, c] / window.size
    return _unpad(dA_padded, window), {}


def batch_norm_forward(A_prev: Array, params: Params, layer: Any, context: Context) -> Reduction:
    """Count, sum and sum of squares of every channel; then normalise channel by channel."""
    A, X = np.empty_like(A_prev, order="C"), np.empty_like(A_prev, order="C")
    channels = range(A_prev.shape[-1])
    partial = np.empty((3, len(channels)))
    for c in channels:
        values = A_prev[..., c].astype(np.float64)
        partial[:, c] = values.size, values.sum(), (values**2).sum()
    total = yield partial
    spread = np.empty(len(channels))
    state = {name: array.copy() for name, array in context.state.items()}
    for c in channels:
        count, mean = total[0, c], total[1, c] / total[0, c]
        variance = total[2, c] / count - mean**2
        spread[c] = np.sqrt(variance + layer.epsilon)
        X[..., c] = (A_prev[..., c] - mean) / spread[c]
        A[..., c] = X[..., c] * params["scale"][c] + params["shift"][c]
        unbiased = variance * count / max(count - 1, 1)
        for name, value in (("mean", mean), ("variance", unbiased)):
            state[name][c] += layer.momentum * (value - state[name][c])
    context.state_updates.update(state)
    return A, (X, spread, total[0, 0])


def batch_norm_backward(
    dA: Array, params: Params, layer: Any, cache: Cache, context: Context
) -> Reduction:
    """Sum the gradients of every channel, then subtract the gradients through mean and variance."""
    X, spread, count = cache
    channels = range(dA.shape[-1])
    partial = np.empty((2, len(channels)))
    for c in channels:
        partial[:, c] = dA[..., c].sum(), (dA[..., c] * X[..., c]).sum()
    total = yield partial
    dA_prev = np.empty_like(X)
    for c in channels:
        shared = (total[0, c] + X[..., c] * total[1, c]) / count
        dA_prev[..., c] = params["scale"][c] / spread[c] * (dA[..., c] - shared)
    return dA_prev, {"scale": partial[1], "shift": partial[0]}


def _pad(A: Array, window: Window, value: float) -> Array:
    """Return a copy of the images with their padding."""
    rows, cols = window.rows, window.cols
    padded = np.full((A.shape[0], rows.padded, cols.padded, A.shape[3]), value, A.dtype)
    padded[:, rows.inside, cols.inside, :] = A
    return padded


def _unpad(padded: Array, window: Window) -> Array:
    """Return the images without their padding."""
    return padded[:, window.rows.inside, window.cols.inside, :]


NAIVE = Implementation(
    "naive",
    {
        "conv": Operation(conv_forward, conv_backward),
        "max_pool": Operation(max_pool_forward, max_pool_backward),
        "avg_pool": Operation(avg_pool_forward, avg_pool_backward),
        "batch_norm_training": Operation(batch_norm_forward, batch_norm_backward),
    },
    about="Convolution and pooling by four Python loops.",
    base=NUMPY,
    releases_gil=False,
)
IMPLEMENTATIONS.register("naive")(NAIVE)
