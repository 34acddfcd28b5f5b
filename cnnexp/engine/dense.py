"""A dense layer: ``Z = A_prev @ W + b``.

Samples that lie batch-last in memory stay so: then the transposed product is computed, which is
the same numbers, and what follows finds them in the order that suits it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine.context import Context
from cnnexp.engine.operations import Gradients, Operation, Params
from cnnexp.engine.scratch import Array


def forward(A_prev: Array, params: Params, geometry: Any, context: Context) -> tuple[Array, Array]:
    """Return ``Z`` (n_m, n_out) for samples (n_m, n_in), which are the cache."""
    W = params["W"]
    Z = _like(A_prev, W.shape[1], "Z", context)
    np.matmul(W.T, A_prev.T, out=Z.T) if _batch_last(A_prev) else np.matmul(A_prev, W, out=Z)
    Z += params["b"]
    return Z, A_prev


def backward(
    dZ: Array, params: Params, geometry: Any, A_prev: Array, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev = dZ @ W.T``, and ``dW = A_prev.T @ dZ`` and ``db``."""
    W = params["W"]
    gradients: Gradients = {"W": context.outer("W", A_prev, dZ), "b": dZ.sum(axis=0)}
    if not context.need_dA_prev:
        return None, gradients
    dA_prev = _like(A_prev, W.shape[0], "dA", context)
    np.matmul(W, dZ.T, out=dA_prev.T) if _batch_last(A_prev) else np.matmul(dZ, W.T, out=dA_prev)
    return dA_prev, gradients


def _like(A: Array, n: int, name: str, context: Context) -> Array:
    """Return memory for (n_m, n) numbers, batch-last if `A` is."""
    if _batch_last(A):
        return context.scratch.array(name, (n, len(A)), A.dtype).T
    return context.scratch.array(name, (len(A), n), A.dtype)


def _batch_last(A: Array) -> bool:
    """Say whether the samples of a matrix (n_m, n_in) are its inner axis in memory."""
    return A.shape[0] > 1 and A.strides[0] == A.itemsize


DENSE = Operation(forward, backward)
