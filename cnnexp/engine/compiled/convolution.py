"""A convolution by itself: by one of the three methods, or as `fast` computes it."""

from __future__ import annotations

from typing import Any

from cnnexp.engine.compiled import direct, packed, winograd
from cnnexp.engine.compiled.kernel import Kernel
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import convolution
from cnnexp.engine.layout import batch_first, batch_last
from cnnexp.engine.operations import Cache, Gradients, Operation, Params
from cnnexp.engine.window import Window

METHODS: tuple[Any, ...] = (winograd, direct, packed)  # the first that suits is taken


def method_for(W: Array, channels: int, window: Window) -> Any:
    """Return the method for a convolution; None if there is none, as for groups of channels."""
    return next((method for method in METHODS if method.suits(W, channels, window)), None)


def kernels_for(W: Array, channels: int, window: Window) -> list[Kernel]:
    """Return the kernels that compute it."""
    method = method_for(W, channels, window)
    return method.kernels_for(W) if method else []


def forward(A_prev: Array, params: Params, window: Window, context: Context) -> tuple[Array, Cache]:
    """Return ``Z`` (n_m, oh, ow, n_f) and a cache."""
    method = method_for(params["W"], A_prev.shape[3], window)
    if method is None:
        Z, kept = convolution.forward(A_prev, params, window, context)
        return Z, (None, kept)
    Z, kept = method.forward(A_prev, params, window, None, None, context)
    return batch_first(Z), (method, kept)


def backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db``."""
    method, kept = cache
    if method is None:
        return convolution.backward(dZ, params, window, kept, context)
    found: tuple[Array | None, Gradients]
    found = method.backward(batch_last(dZ), window, None, None, kept, context)
    return found


CONV = Operation(forward, backward)
