"""A dense layer: ``Z = A_prev @ W + b``.

Samples that lie innermost in memory stay there: then the transposed product is computed, which is
the same numbers, and what follows finds them in the order that suits it.
"""

from __future__ import annotations

import numpy as np

from cnnexp.engine.context import Context, Factors
from cnnexp.engine.kernels import Gradients
from cnnexp.engine.scratch import Array


def forward(A_prev: Array, W: Array, b: Array, context: Context) -> Array:
    """Return ``Z`` (n_m, n_out) for samples (n_m, n_in)."""
    scratch = context.scratch
    n_m, n_out = A_prev.shape[0], W.shape[1]
    if _samples_innermost(A_prev):
        Z = scratch.array("Z", (n_out, n_m), A_prev.dtype).T
        np.matmul(W.T, A_prev.T, out=Z.T)
    else:
        Z = scratch.array("Z", (n_m, n_out), A_prev.dtype)
        np.matmul(A_prev, W, out=Z)
    Z += b
    return Z


def backward(
    dZ: Array, A_prev: Array, W: Array, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev = dZ @ W.T``, and ``dW = A_prev.T @ dZ`` and ``db``."""
    gradients: Gradients = {"W": Factors(A_prev, dZ), "b": dZ.sum(axis=0)}
    if not context.defer:
        gradients["W"] = np.matmul(A_prev.T, dZ, out=context.grads.get("W"))
    if not context.need_dA_prev:
        return None, gradients
    scratch = context.scratch
    if _samples_innermost(A_prev):
        dA_prev = scratch.array("dA", A_prev.shape[::-1], dZ.dtype).T
        np.matmul(W, dZ.T, out=dA_prev.T)
    else:
        dA_prev = scratch.array("dA", A_prev.shape, dZ.dtype)
        np.matmul(dZ, W.T, out=dA_prev)
    return dA_prev, gradients


def _samples_innermost(A: Array) -> bool:
    """Say whether the samples of a matrix (n_m, n_in) are its inner axis in memory."""
    return A.shape[0] > 1 and A.strides[0] == A.itemsize
