"""Dense layers: thin products by a kernel of our own, all others by BLAS.

See `dense_kernels.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine import shared
from cnnexp.engine.compiled import dense_kernels
from cnnexp.engine.compiled.kernel import Kernel
from cnnexp.engine.compiled.registers import lanes
from cnnexp.engine.context import Array, Context
from cnnexp.engine.operations import Cache, Gradients, Operation, Params

LEAST = 1024  # features of a layer; with fewer of them BLAS is as quick


def kernels_for(W: Array) -> list[Kernel]:
    """Return the kernels of a dense layer."""
    return [dense_kernels.product] if len(W) >= LEAST else []


def forward(A_prev: Array, params: Params, geometry: Any, context: Context) -> tuple[Array, Cache]:
    """Return ``Z = A_prev @ W + b`` (n_m, n_out) for samples (n_m, n_in), which are the cache."""
    W, features = params["W"], A_prev.T
    if len(W) < LEAST or not thin(W.T, features):
        return shared.dense_forward(A_prev, params, geometry, context)
    Z = context.array("Z", (W.shape[1], len(A_prev)), W.dtype)
    multiply(W.T, features, Z, params["b"])
    return Z.T, A_prev


def backward(
    dZ: Array, params: Params, geometry: Any, A_prev: Array, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev = dZ @ W.T``, and ``dW = A_prev.T @ dZ`` and ``db``."""
    W, gradients = params["W"], dZ.T
    if len(W) < LEAST or not thin(W, gradients):
        return shared.dense_backward(dZ, params, geometry, A_prev, context)
    grads: Gradients = {"W": _of_weights(A_prev, dZ, context), "b": dZ.sum(axis=0)}
    if not context.need_dA_prev:
        return None, grads
    dA_prev = context.array("dA", (len(W), len(dZ)), W.dtype)
    multiply(W, gradients, dA_prev)
    return dA_prev.T, grads


def _of_weights(A_prev: Array, dZ: Array, context: Context) -> Array | None:
    """Return ``A_prev.T @ dZ``, or None if it is computed later."""
    if context.deferred_outer is not None:
        return context.outer("W", A_prev, dZ)
    rows = context.array("rows of dZ", dZ.shape, dZ.dtype)
    rows[...] = dZ
    if not thin(A_prev.T, rows):
        return context.outer("W", A_prev, dZ)
    out = context.grads.get("W")
    dW = np.empty((A_prev.shape[1], dZ.shape[1]), dZ.dtype) if out is None else out
    multiply(A_prev.T, rows, dW)
    return dW


def thin(W: Array, X: Array) -> bool:
    """Say whether the kernel suits ``W @ X``: contiguous factors, and no tile with empty rows."""
    samples, n = lanes(X.itemsize), X.shape[1]
    whole = n % samples == 0 or (n > samples and len(X) <= dense_kernels.BLOCK)
    plain = X.flags.carray and (W.flags.carray or W.T.flags.carray)
    return bool(len(W) >= dense_kernels.ROWS and whole and plain)


def multiply(W: Array, X: Array, out: Array, bias: Array | None = None) -> None:
    """Write ``W @ X``, plus a bias for each row, for factors that are `thin`."""
    (m, k), rows = W.shape, W.flags.carray
    run, steps = (W if rows else W.T).reshape(-1), (k, 1) if rows else (1, m)
    dense_kernels.product(X, out, run, *steps, np.zeros(m, W.dtype) if bias is None else bias)


DENSE = Operation(forward, backward)
