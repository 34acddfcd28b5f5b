"""A convolution by itself: in one pass, by Winograd's method, or as `fast` computes it."""

from __future__ import annotations

from cnnexp.engine.compiled import direct, winograd
from cnnexp.engine.compiled.kernel import Kernel
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import convolution
from cnnexp.engine.fast.convolution import flat_gradient
from cnnexp.engine.fast.winograd import suits
from cnnexp.engine.layout import batch_first
from cnnexp.engine.operations import Cache, Gradients, Operation, Params
from cnnexp.engine.window import Window


def kernels_for(W: Array, channels: int, window: Window) -> list[Kernel]:
    """Return the kernels that compute it."""
    if direct.suits(W, channels, window):
        return direct.kernels_for(W)
    return winograd.kernels() if suits(W, channels, window) else []


def forward(A_prev: Array, params: Params, window: Window, context: Context) -> tuple[Array, Cache]:
    """Return ``Z`` (n_m, oh, ow, n_f) and a cache."""
    W, channels = params["W"], A_prev.shape[3]
    if direct.suits(W, channels, window):
        Z, kept = direct.forward(A_prev, params, window, None, None, context)
        return batch_first(Z.reshape(len(Z), *window.out, -1)), kept
    if suits(W, channels, window):
        return winograd.conv_forward(A_prev, params, window, context)
    return convolution.forward(A_prev, params, window, context)


def backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db``."""
    if isinstance(cache, direct.Kept):
        dA_prev, dW, db = direct.backward(flat_gradient(dZ), window, None, None, cache, context)
        return dA_prev, {"W": dW, "b": db}
    if isinstance(cache, winograd.Kept):
        return winograd.conv_backward(dZ, window, cache, context)
    return convolution.backward(dZ, params, window, cache, context)


CONV = Operation(forward, backward)
