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

from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.compiled import direct_kernels
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.layout import padded_batch_last, unpadded
from cnnexp.engine.operations import Gradients, Params
from cnnexp.engine.window import Window

MOST_PIXELS = 256  # of a pooling window, because the winner is noted in a byte


class Kept(NamedTuple):
    """The cache: images with padding, filters, the result, and which pixel of a window won."""

    X: Array
    W: Array
    A: Array
    winner: Array


def suits(W: Array, channels: int, conv: Window) -> bool:
    """Say whether filters are small enough, and take all channels."""
    return _taps(W) <= direct_kernels.TAPS[-1] and W.shape[2] == channels


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
    """Return the result of convolution, floor and max-pooling, (n_f, rows, columns, n_m)."""
    W, b = params["W"], params["b"]
    filters = plain(W.reshape(-1, b.size).T)
    X = plain(padded_batch_last(A_prev, conv, 0.0, context))
    A = context.array("A", (b.size, *(pool or conv).out, X.shape[3]), X.dtype)
    flat = A.reshape(b.size, -1)
    keep = pool is not None and context.keep_cache
    winner = context.array("winner", flat.shape if keep else (1, 1), np.uint8)
    least = X.dtype.type(-np.inf if floor is None else floor)
    taps = _filled(filters.shape[1])
    padded = np.zeros((b.size, taps), W.dtype)
    padded[:, : filters.shape[1]] = filters
    run = direct_kernels.direct_forward(taps)
    run(X, padded, plain(b), least, flat, winner, int(keep), *numbers_of(conv, pool))
    return A, Kept(X, filters, A, winner)


def backward(
    dA: Array,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    kept: Kept,
    context: Context,
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db`` for `dA` (n_f, rows, columns, n_m)."""
    X, W, A, winner = kept
    dW, db = np.zeros_like(W), np.zeros(len(W), W.dtype)
    need, relu = context.need_dA_prev, int(floor is not None)
    dX = context.zeros("dX", X.shape, X.dtype) if need else X
    dA, A = (array.reshape(len(W), -1) for array in (plain(dA), A))
    direct_kernels.direct_backward(
        dA, A, relu, winner, X, W, dW, db, dX, int(need), *numbers_of(conv, pool)
    )
    grads: Gradients = {"W": dW.T.reshape(*conv.kernel, len(X), len(W)), "b": db}
    return unpadded(dX, conv) if need else None, grads


def numbers_of(conv: Window, pool: Window | None) -> tuple[int, ...]:
    """Return what kernels are told of the windows, after other numbers.

    That is the columns of the result, kernel, stride and dilation of the convolution, and window
    and stride of the pooling.
    """
    pooling = (1, 1, 1, 1) if pool is None else (*pool.kernel, *pool.stride)
    return ((pool or conv).out[1], *conv.kernel, *conv.stride, *conv.dilation, *pooling)
