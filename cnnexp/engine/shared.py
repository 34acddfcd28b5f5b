"""What all implementations share, as plain array expressions: dense layers and activations.

Samples that lie batch-last in memory stay so: a dense layer then computes the transposed product,
which is the same numbers, and what follows finds them in the order that suits it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine.batch_norm import BATCH_NORM, BATCH_NORM_TRAINING
from cnnexp.engine.context import Array, Context, memory_order
from cnnexp.engine.operations import Cache, Gradients, Implementation, Operation, Params

FEW = 64  # columns of a matrix that is turned


def dense_forward(
    A_prev: Array, params: Params, geometry: Any, context: Context
) -> tuple[Array, Array]:
    """Return ``Z = A_prev @ W + b`` (n_m, n_out) for samples (n_m, n_in), which are the cache."""
    W = params["W"]
    Z = _like(A_prev, W.shape[1], "Z", context)
    np.matmul(W.T, A_prev.T, out=Z.T) if _batch_last(A_prev) else np.matmul(A_prev, W, out=Z)
    Z += params["b"]
    return Z, A_prev


def dense_backward(
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
        return context.array(name, (n, len(A)), A.dtype).T
    return context.array(name, (len(A), n), A.dtype)


def _batch_last(A: Array) -> bool:
    """Say whether the samples of a matrix (n_m, n_in) are its inner axis in memory."""
    return A.shape[0] > 1 and A.strides[0] == A.itemsize


def pointwise_forward(
    A_prev: Array, params: Params, function: Any, context: Context
) -> tuple[Array, Cache]:
    """Return the function of every value."""
    A = context.like("A", A_prev)
    order = memory_order(A)
    function.apply(A_prev.transpose(order), A.transpose(order))
    return A, A if function.from_output else A_prev


def pointwise_backward(
    dA: Array, params: Params, function: Any, kept: Array, context: Context
) -> tuple[Array, Gradients]:
    """Return the gradient of every value."""
    dZ = context.like("dZ", kept)
    order = memory_order(kept)
    function.gradient(dA.transpose(order), kept.transpose(order), dZ.transpose(order))
    return dZ, {}


NUMPY = Implementation(
    "numpy",
    {
        "dense": Operation(dense_forward, dense_backward),
        "pointwise": Operation(pointwise_forward, pointwise_backward),
        "batch_norm": BATCH_NORM,
        "batch_norm_training": BATCH_NORM_TRAINING,
    },
    about="Array expressions that all implementations share.",
)


def row_maxima(Z: Array) -> Array:
    """Return the largest number of each row, (…, 1).

    NumPy takes much time for each short row. So a matrix of few columns is turned: then the maximum
    is that of whole columns, number by number.

    Examples
    --------
    >>> import numpy as np
    >>> row_maxima(np.array([[1, 3], [2, 0]])).tolist()
    [[3], [2]]
    """
    if Z.ndim == 2 and Z.shape[1] <= FEW:
        columns = Z.T if Z.T.flags.c_contiguous else Z.T.copy()
        found: Array = columns.max(axis=0)[:, None]
    else:
        found = Z.max(axis=-1, keepdims=True)
    return found
