"""Convolution, activation and max-pooling in one pass over memory, for filters of few weights.

`fast` copies the windows of a convolution into a matrix, multiplies, compares and adds, and each of
these steps writes an array that the next one reads. With few input channels there is little
arithmetic, so that moving numbers is most of the time. Here one kernel does all of it
(`direct_kernels.py`): for each filter and each pooling window it computes the sums, keeps the
greatest, and writes that alone.

An activation that is ``max(Z, floor)``, such as ReLU, is part of the kernel; any other is applied
to the result. A convolution without pooling is one whose pooling windows have one pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.compiled import direct_kernels
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import pooled_conv
from cnnexp.engine.fast.convolution import flat_gradient
from cnnexp.engine.layout import batch_first, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Fusion, Gradients, Params
from cnnexp.engine.window import Window


class Kept(NamedTuple):
    """The cache: images with padding, filters, the result, and which pixel of a window won."""

    X: Array
    W: Array
    A: Array
    winner: Array


def suits(W: Array, channels: int, conv: Window) -> bool:
    """Say whether filters are small enough, and take neighbouring pixels of all channels."""
    return (
        _taps(W) <= direct_kernels.TAPS[-1] and W.shape[2] == channels and conv.dilation == (1, 1)
    )


def kernels_for(W: Array) -> list[Kernel]:
    """Return the kernels that compute a convolution with these filters."""
    return [direct_kernels.direct_forward(_filled(_taps(W))), direct_kernels.direct_backward]


def _taps(W: Array) -> int:
    """Return the weights of one filter."""
    return int(np.prod(W.shape[:3]))


def _filled(taps: int) -> int:
    """Return the weights of the kernel for so many: the next number that there is one for."""
    return next(n for n in direct_kernels.TAPS if n >= taps)


def floor_of(function: Any) -> float | None:
    """Return the smallest value of an activation ``max(Z, floor)``; None for any other.

    A class that changes what its base class computes is another activation.
    """
    own: Any = type(function)
    owner = next((cls for cls in own.__mro__ if "floor" in vars(cls)), None)
    found: float | None = owner.floor if owner and own.apply is owner.apply else None
    return found


def forward(
    A_prev: Array,
    params: Params,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    context: Context,
) -> tuple[Array, Kept]:
    """Return the result of convolution, floor and max-pooling, (n_f, places), and a cache."""
    W, b = params["W"], params["b"]
    filters = plain(W.reshape(-1, b.size).T)
    X = plain(padded_batch_last(A_prev, conv, 0.0, context))
    rows, cols = (pool or conv).out
    A = context.array("A", (b.size, rows * cols * X.shape[3]), X.dtype)
    keep = pool is not None and context.keep_cache
    winner = context.array("winner", A.shape if keep else (1, 1), np.uint8)
    least = X.dtype.type(-np.inf if floor is None else floor)
    taps = _filled(filters.shape[1])
    padded = np.zeros((b.size, taps), W.dtype)
    padded[:, : filters.shape[1]] = filters
    run = direct_kernels.direct_forward(taps)
    run(X, padded, plain(b), least, A, winner, int(keep), cols, *_numbers(conv, pool))
    return A, Kept(X, filters, A, winner)


def backward(
    dA: Array,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    kept: Kept,
    context: Context,
) -> tuple[Array | None, Array, Array]:
    """Return ``dA_prev``, ``dW`` (f_h, f_w, n_c, n_f) and ``db`` for `dA` (n_f, places)."""
    X, W, A, winner = kept
    dW, db = np.zeros_like(W), np.zeros(len(W), W.dtype)
    need = context.need_dA_prev
    dX = context.zeros("dX", X.shape, X.dtype) if need else X
    relu, cols = int(floor is not None), (pool or conv).out[1]
    run = direct_kernels.direct_backward
    run(plain(dA), A, relu, winner, X, W, dW, db, dX, int(need), cols, *_numbers(conv, pool))
    shape = (*conv.kernel, len(X), len(W))
    return unpadded(dX, conv) if need else None, dW.T.reshape(shape), db


def _numbers(conv: Window, pool: Window | None) -> tuple[int, ...]:
    """Return kernel and stride of the convolution, and window and stride of the pooling."""
    pooling = (1, 1, 1, 1) if pool is None else (*pool.kernel, *pool.stride)
    return (*conv.kernel, *conv.stride, *pooling)


class Direct(Fusion):
    """Convolution and activation, and max-pooling where windows are beside each other.

    Parameters
    ----------
    pattern : str
        The operations of the layers; max-pooling may be left out.
    """

    name = "one pass"

    def __init__(self, *pattern: str) -> None:
        self.pattern = pattern

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether filters are small, and the activation can be applied to the result."""
        conv, activation, *pool = layers
        fits = conv.groups == 1 and suits(conv.params["W"], conv.input_shape[2], conv.geometry)
        if pool:
            return fits and pooled_conv.ConvPointwiseMaxPool().applies(layers)
        return fits and bool(activation.geometry.from_output)

    def kernels(self, layers: Sequence[Any]) -> list[Kernel]:
        """Return the kernels that it needs for some layers."""
        return kernels_for(layers[0].params["W"])

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result of the last layer."""
        conv, activation, pool = _parts(layers)
        floor = floor_of(activation)
        A, kept = forward(A_prev, layers[0].params, conv, pool, floor, context)
        if floor is None:
            activation.apply(A, out=A)
        return batch_first(A.reshape(len(A), *(pool or conv).out, -1)), kept

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients, through activation and pooling first."""
        conv, activation, pool = _parts(layers)
        floor, dZ = floor_of(activation), flat_gradient(dA)
        if floor is None:
            dZ = context.like("dZ", cache.A)
            activation.gradient(flat_gradient(dA), cache.A, out=dZ)
        dA_prev, dW, db = backward(dZ, conv, pool, floor, cache, context)
        return dA_prev, {"W": dW, "b": db}


def _parts(layers: Sequence[Any]) -> tuple[Window, Any, Window | None]:
    """Return the windows and the activation of some layers."""
    conv, activation, *pool = (layer.geometry for layer in layers)
    return conv, activation, pool[0] if pool else None
