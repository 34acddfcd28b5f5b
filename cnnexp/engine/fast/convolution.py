"""A convolution by itself, and with the activation that follows it.

In batch-last layout a convolution is one product of the filters with the columns of the image
(`columns.py`), or Winograd's method (`winograd.py`) where that has fewer multiplications to do.
Bias and activation are applied in place to the result while it is still in the cache of the
processor. Groups of channels are a stack of such products.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.columns import Columns
from cnnexp.engine.layout import batch_first, batch_last, padded_batch_last, unpadded
from cnnexp.engine.operations import Cache, Gradients, Operation, Params
from cnnexp.engine.products import outer, product
from cnnexp.engine.window import Window


def forward(A_prev: Array, params: Params, window: Window, context: Context) -> tuple[Array, Cache]:
    """Return ``Z`` (n_m, oh, ow, n_f) and a cache."""
    if winograd.suits(params["W"], A_prev.shape[3], window):
        return _winograd_forward(A_prev, params, window, context)
    return columns_forward(A_prev, params, window, context)


def columns_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return ``Z`` (n_m, oh, ow, n_f) and a cache, by one product."""
    W, b = params["W"], params["b"]
    X = padded_batch_last(A_prev, window, 0.0, context)
    groups = len(X) // W.shape[2]
    cols = Columns.of(window).matrix(X, groups, context)
    Z = context.array("Z", (b.size, cols.shape[-1]), X.dtype)
    filters = _filters(W, groups)
    product(filters.swapaxes(-1, -2), cols, _like(Z, filters), context.limits)
    Z += b[:, None]
    return batch_first(Z.reshape(b.size, *window.out, X.shape[3])), (cols, X.shape)


def backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db``."""
    if isinstance(cache, winograd.Convolution):
        return _winograd_backward(dZ, window, cache, context)
    return columns_backward(dZ, params, window, cache, context)


def columns_backward(
    dZ: Array, params: Params, window: Window, cache: Cache, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db``: two products, and the columns added to the image."""
    W = params["W"]
    cols, X_shape = cache
    groups = X_shape[0] // W.shape[2]
    filters, flat = _filters(W, groups), flat_gradient(dZ, context.xp)
    dZ_parts = _like(flat, filters)
    dW = outer(cols, dZ_parts, context.limits)
    if groups > 1:
        dW = dW.transpose(1, 0, 2)
    grads: Gradients = {"W": dW.reshape(W.shape), "b": flat.sum(axis=1)}
    if not context.need_dA_prev:
        return None, grads
    d_cols = context.array("d_cols", cols.shape, dZ.dtype)
    product(filters, dZ_parts, d_cols, context.limits)
    dX = Columns.of(window).add(d_cols, X_shape, context, groups)
    return unpadded(dX, window), grads


def _filters(W: Array, groups: int) -> Array:
    """Return the filters as columns (K, n_f), or those of each group (groups, K, n_f / groups)."""
    flat = W.reshape(-1, W.shape[3])
    if groups == 1:
        return flat
    return flat.reshape(len(flat), groups, -1).transpose(1, 0, 2)


def _like(Z: Array, filters: Array) -> Array:
    """Return (n_f, long) by group of channels, where the filters are."""
    return Z if filters.ndim == 2 else Z.reshape(len(filters), -1, Z.shape[1])


def tiled_input(A_prev: Array, window: Window, context: Context) -> Array:
    """Return images (n_c, h, w, n_m) as large as the tiles reach; a view where possible."""
    extent = winograd.Tiling.over(window.out).image
    return padded_batch_last(A_prev, window, 0.0, context, extent)


def _winograd_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Cache]:
    """Return ``Z`` and a cache, by tiles."""
    b = params["b"]
    X = tiled_input(A_prev, window, context)
    work = winograd.Convolution(X, params, window, context)
    tiling = work.tiling
    shape = (b.size, tiling.rows, 4, tiling.cols, 4, X.shape[3])
    whole = context.array("whole", shape, X.dtype)
    bias = b[:, None, None, None, None, None]
    for block in work.blocks:
        Y = work.forward(block).reshape(4, 4, b.size, *block.shape, X.shape[3])
        np.add(Y.transpose(2, 3, 0, 4, 1, 5), bias, out=whole[:, block.rows, :, block.cols])
    Z = whole.reshape(b.size, 4 * tiling.rows, 4 * tiling.cols, X.shape[3])
    return batch_first(Z[:, : window.rows.out, : window.cols.out]), work


def _winograd_backward(
    dZ: Array, window: Window, work: winograd.Convolution, context: Context
) -> tuple[Array | None, Gradients]:
    """Return the gradients, by tiles."""
    dZ_in, tiling = batch_last(dZ), work.tiling
    n_f, n_m = dZ_in.shape[0], dZ_in.shape[3]
    shape = (n_f, 4 * tiling.rows, 4 * tiling.cols, n_m)
    whole = context.array("whole gradient", shape, dZ.dtype)
    if whole.shape[1:3] != window.out:
        whole.fill(0)
    whole[:, : window.rows.out, : window.cols.out] = dZ_in
    by_tile = whole.reshape(n_f, tiling.rows, 4, tiling.cols, 4, n_m)
    dX = work.images_gradient() if context.need_dA_prev else None
    for block in reversed(work.blocks):
        dY = work.outputs_like(block)
        ordered = by_tile[:, block.rows, :, block.cols].transpose(2, 4, 0, 1, 3, 5)
        dY.reshape(ordered.shape)[...] = ordered
        work.backward(block, dY, dX)
    dA_prev = None if dX is None else unpadded(dX, window)
    return dA_prev, {"W": work.filter_gradient(), "b": dZ_in.sum(axis=(1, 2, 3))}


def flat_gradient(dA: Array, xp: Any = np) -> Array:
    """Return gradients (n_m, oh, ow, n_f) as a matrix (n_f, oh · ow · n_m)."""
    inner = batch_last(dA)
    return xp.ascontiguousarray(inner).reshape(inner.shape[0], -1)  # type: ignore[no-any-return]


CONV = Operation(forward, backward)
BY_COLUMNS = Operation(columns_forward, columns_backward)  # never by tiles
