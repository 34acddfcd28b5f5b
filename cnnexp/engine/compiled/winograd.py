"""Winograd's convolution with compiled transforms, and what follows it in the same pass.

The method is that of `fast` (`cnnexp.engine.fast.winograd` explains it): tiles of 6x6 pixels, 36
products, 4x4 outputs. There each transform is several passes of NumPy; here it is one kernel
(`winograd_kernels.py`), and bias, floor and max-pooling are done while a tile's outputs are in the
first-level cache. The products stay with BLAS. A block of tiles is twice the second-level
cache, which was the quickest of what was tried between half of it and eight times as much.

Overflow is kept from happening: the transforms add up to some 10,000 times the largest product, so
where the largest numbers would allow it, all of it is computed from numbers divided by `SCALE`, a
power of two, which changes no digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine.compiled import winograd_kernels
from cnnexp.engine.compiled.direct import floor_of
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.convolution import flat_gradient, tiled_input
from cnnexp.engine.fast.winograd import SCALE, Block, Tiling
from cnnexp.engine.fast.winograd_pool import WinogradPointwiseMaxPool
from cnnexp.engine.layout import batch_first, unpadded
from cnnexp.engine.operations import Cache, Fusion, Gradients, Params
from cnnexp.engine.window import Window

GROWTH = 10.0**2 * 19.0**2  # by which both transforms may enlarge a product


class Kept(NamedTuple):
    """The cache: transformed filters and images, the result, which output of a window won."""

    U: Array
    V: list[Array]
    tiling: Tiling
    X_shape: tuple[int, ...]
    pool: int
    scaled: bool
    A: Array
    winner: Array


def kernels() -> list[Kernel]:
    """Return the kernels of this file."""
    found = winograd_kernels
    return [
        found.transform_images,
        found.transform_outputs,
        found.transform_outputs_back,
        found.transform_images_back,
    ]


def forward(
    A_prev: Array,
    params: Params,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    context: Context,
) -> tuple[Array, Kept]:
    """Return the result of convolution, floor and max-pooling, (n_f, rows, columns, n_m)."""
    W, b = params["W"], plain(params["b"])
    X = plain(tiled_input(A_prev, conv, context))
    kind, tiling = X.dtype.type, Tiling.over(conv.out)
    (n_c, n_f), n_m, p = W.shape[2:], X.shape[3], pool.rows.width if pool else 1
    U = winograd.transform_filters(W, context)
    scaled = _may_overflow(largest(X), largest(U), n_c)
    A = context.array("A", (n_f, *(pool or conv).out, n_m), X.dtype)
    keep = p > 1 and context.keep_cache
    winner = context.array("winner", A.shape if keep else (1, 1, 1, 1), np.uint8)
    fill = (b == 0).astype(np.uint8)
    filled = _filled(X, tiling) if fill.any() else np.zeros((1, 1, 1), np.uint8)
    factor, least = kind(1 / SCALE if scaled else 1), kind(-np.inf if floor is None else floor)
    kept = Kept(U, [], tiling, X.shape, p, scaled, A, winner)
    for block in _blocks(tiling, n_c, n_f, X, context):
        at, tiles = _corners(block), block.shape[0] * block.shape[1] * n_m
        name = f"V{block.number}" if context.keep_cache else "V"
        V = context.array(name, (36, n_c, tiles), X.dtype)
        winograd_kernels.transform_images(X, V, factor, *at)
        M = np.matmul(U, V, out=context.array("M", (36, n_f, tiles), X.dtype))
        winograd_kernels.transform_outputs(
            M, b, least, 1 / factor, filled, fill, A, winner, int(keep), p, *at
        )
        kept.V.append(V)
    return A, kept


def backward(
    dA: Array, conv: Window, floor: float | None, kept: Kept, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db`` for `dA` (n_f, rows, columns, n_m)."""
    U, A, need = kept.U, kept.A, context.need_dA_prev
    kind, (n_f, n_c), n_m = A.dtype.type, U.shape[1:], A.shape[3]
    scaled = _may_overflow(largest(dA), largest(U), n_f)
    factor = kind(1 / SCALE if scaled else 1)
    dU, db = context.zeros("dU", U.shape, U.dtype), np.zeros(n_f, U.dtype)
    dX = context.zeros("dX", kept.X_shape, A.dtype) if need else A
    blocks = list(_blocks(kept.tiling, n_c, n_f, A, context))
    for block, V in zip(blocks, kept.V, strict=True):
        at, tiles = _corners(block), block.shape[0] * block.shape[1] * n_m
        dM = context.array("M", (36, n_f, tiles), A.dtype)
        winograd_kernels.transform_outputs_back(
            dA, A, int(floor is not None), kept.winner, factor, dM, db, kept.pool, *at
        )
        dU += np.matmul(dM, V.transpose(0, 2, 1))
        if need:
            dV = context.array("dV", V.shape, A.dtype)
            np.matmul(U.transpose(0, 2, 1), dM, out=dV)
            winograd_kernels.transform_images_back(dV, dX, 1 / factor, *at)
    dU *= kind((SCALE if scaled else 1) * (SCALE if kept.scaled else 1))
    by_pixel = dU.reshape(6, 6, n_f, n_c)
    dW = winograd.both_axes(winograd.matrices(A.dtype).filter.T, by_pixel, "dW", context)
    return unpadded(dX, conv) if need else None, {"W": dW.transpose(0, 1, 3, 2), "b": db}


def conv_forward(
    A_prev: Array, params: Params, window: Window, context: Context
) -> tuple[Array, Kept]:
    """Return ``Z`` (n_m, oh, ow, n_f) and a cache."""
    Z, kept = forward(A_prev, params, window, None, None, context)
    return batch_first(Z), kept


def conv_backward(
    dZ: Array, window: Window, kept: Kept, context: Context
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db``."""
    return backward(_images(dZ), window, None, kept, context)


class Winograd(Fusion):
    """Convolution and activation, and max-pooling of 2x2 or 4x4.

    Parameters
    ----------
    pattern : str
        The operations of the layers; max-pooling may be left out.
    """

    name = "Winograd, one pass"

    def __init__(self, *pattern: str) -> None:
        self.pattern = pattern

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether there are enough channels, and pooling windows tile a tile of outputs."""
        conv, activation, *pool = layers
        if pool:
            return WinogradPointwiseMaxPool().applies(layers)
        suits = winograd.suits(conv.params["W"], conv.input_shape[2], conv.geometry)
        return conv.groups == 1 and suits and bool(activation.geometry.from_output)

    def kernels(self, layers: Sequence[Any]) -> list[Kernel]:
        """Return the kernels that it needs for some layers."""
        return kernels()

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result of the last layer."""
        conv, activation, *pool = (layer.geometry for layer in layers)
        floor = floor_of(activation)
        window = pool[0] if pool else None
        A, kept = forward(A_prev, layers[0].params, conv, window, floor, context)
        if floor is None:
            activation.apply(A, out=A)
        return batch_first(A), kept

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients, through activation and pooling first."""
        conv, activation = layers[0].geometry, layers[1].geometry
        floor, dZ = floor_of(activation), _images(dA)
        if floor is None:
            dZ = context.like("dZ", cache.A)
            activation.gradient(_images(dA), cache.A, out=dZ)
        return backward(dZ, conv, floor, cache, context)


def largest(A: Array) -> float:
    """Return the largest absolute value, or NaN if there is one."""
    return float(max(A.max(), -A.min()))


def _may_overflow(one: float, other: float, terms: int) -> bool:
    """Say whether sums of products of such numbers could be too large for float32."""
    return not one * other * terms * GROWTH < float(np.finfo(np.float32).max)


def _blocks(tiling: Tiling, n_c: int, n_f: int, like: Array, context: Context) -> list[Block]:
    """Return blocks of tiles whose larger transform is twice the second-level cache."""
    bytes_per_tile = 36 * max(n_c, n_f) * like.shape[3] * like.itemsize
    return list(tiling.blocks(2 * context.limits.cache // bytes_per_tile))


def _corners(block: Block) -> tuple[int, int, int, int]:
    """Return the first row of a block and the one behind it, and its columns."""
    return block.rows.start, block.rows.stop, block.cols.start, block.cols.stop


def _filled(X: Array, tiling: Tiling) -> Array:
    """Say of each output (rows, columns, n_m) whether it sees anything but zeros."""
    by_tile = winograd.filled_patches(X, tiling)
    pixels = by_tile.transpose(2, 0, 3, 1, 4)
    return pixels.reshape(4 * tiling.rows, 4 * tiling.cols, -1).view(np.uint8)


def _images(dA: Array) -> Array:
    """Return gradients (n_m, rows, columns, n_f) as (n_f, rows, columns, n_m) in memory."""
    _, rows, cols, n_f = dA.shape
    return plain(flat_gradient(dA)).reshape(n_f, rows, cols, -1)
