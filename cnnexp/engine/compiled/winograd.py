"""Winograd's convolution with compiled transforms, and what follows it in the same pass.

The method is that of `fast` (`cnnexp.engine.fast.winograd` explains it): tiles of 6x6 pixels, 36
products, 4x4 outputs. There each transform is several passes of NumPy; here it is one kernel
(`winograd_kernels.py`), and bias, floor and max-pooling are done while a tile's outputs are in the
first-level cache. The products stay with BLAS. The larger transform of a block of tiles fills the
second-level cache, which was quicker than blocks up to eight times as large.

Overflow is kept from happening: the transforms add up to some 10,000 times the largest product, so
where the largest numbers would allow it, all of it is computed from numbers divided by `SCALE`, a
power of two, which changes no digit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnnexp.engine.compiled import direct, winograd_kernels
from cnnexp.engine.compiled.kernel import Kernel, plain
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.convolution import tiled_input
from cnnexp.engine.fast.winograd import SCALE, Block, Tiling
from cnnexp.engine.layout import batch_first, batch_last
from cnnexp.engine.operations import Gradients, Params
from cnnexp.engine.window import Window

# A direct convolution with at most so many weights, of as many samples as a vector has, is quicker
# in inference. In training it is not: its gradients cost more than its result.
FEW_WEIGHTS, VECTOR = 9 * 16 * 16, 16
GROWTH = 10.0**2 * 19.0**2  # by which both transforms may enlarge a product


class Kept(NamedTuple):
    """The cache: transformed filters and images, the result, which output of a window won."""

    U: Array
    V: list[Array]
    tiling: Tiling
    X_shape: tuple[int, ...]
    scaled: bool
    A: Array
    winner: Array


def suits(W: Array, channels: int, conv: Window) -> bool:
    """Say whether filters are 3x3, and channels so many that fewer multiplications are quicker."""
    return winograd.suits(W, channels, conv) and bool(W.shape[2] == channels)


def kernels_for(W: Array) -> list[Kernel]:
    """Return the kernels that compute a convolution with these filters."""
    found = winograd_kernels
    few = direct.inference_kernels(W) if W.size <= FEW_WEIGHTS else []
    return [
        *few,
        found.largest,
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
) -> tuple[Array, Kept | direct.Kept]:
    """Return the result of convolution, floor and max-pooling, (n_f, rows, columns, n_m)."""
    few = params["W"].size <= FEW_WEIGHTS and len(A_prev) >= VECTOR
    if few and not context.keep_cache:
        return direct.forward(A_prev, params, conv, pool, floor, context)
    W, b = params["W"], plain(params["b"])
    X = plain(batch_last(A_prev))
    kind, tiling = X.dtype.type, Tiling.over(conv.out)
    (n_c, n_f), n_m, p = W.shape[2:], X.shape[3], pool.rows.width if pool else 1
    U = winograd.transform_filters(W, context)
    scaled = _may_overflow(largest(X), largest(U), n_c)
    A = context.array("A", (n_f, *(pool or conv).out, n_m), X.dtype)
    keep = p > 1 and context.keep_cache
    winner = context.array("winner", A.shape if keep else (1, 1, 1, 1), np.uint8)
    fill = (b == 0).astype(np.uint8)
    filled = _filled(A_prev, conv, context) if fill.any() else np.zeros((1, 1, 1), np.uint8)
    factor, least = kind(1 / SCALE if scaled else 1), kind(-np.inf if floor is None else floor)
    kept = Kept(U, [], tiling, X.shape, scaled, A, winner)
    for block in _blocks(tiling, n_c, n_f, X, context):
        at, tiles = _corners(block), block.shape[0] * block.shape[1] * n_m
        name = f"V{block.number}" if context.keep_cache else "V"
        V = context.array(name, (36, n_c, tiles), X.dtype)
        winograd_kernels.transform_images(X, V, factor, *_outside(conv), *at)
        M = np.matmul(U, V, out=context.array("M", (36, n_f, tiles), X.dtype))
        winograd_kernels.transform_outputs(
            M, b, least, 1 / factor, filled, fill, A, winner, int(keep), p, *at
        )
        kept.V.append(V)
    return A, kept


def backward(
    dA: Array,
    conv: Window,
    pool: Window | None,
    floor: float | None,
    kept: Kept,
    context: Context,
) -> tuple[Array | None, Gradients]:
    """Return ``dA_prev``, ``dW`` and ``db`` for `dA` (n_f, rows, columns, n_m)."""
    dA, U, A, need = plain(dA), kept.U, kept.A, context.need_dA_prev
    kind, (n_f, n_c), n_m = A.dtype.type, U.shape[1:], A.shape[3]
    p, relu = pool.rows.width if pool else 1, int(floor is not None)
    scaled = _may_overflow(largest(dA), largest(U), n_f)
    factor = kind(1 / SCALE if scaled else 1)
    dU, db = context.zeros("dU", U.shape, U.dtype), np.zeros(n_f, U.dtype)
    dX = context.array("dX", kept.X_shape, A.dtype) if need else A
    blocks = list(_blocks(kept.tiling, n_c, n_f, A, context))
    for block, V in zip(blocks, kept.V, strict=True):
        at, tiles = _corners(block), block.shape[0] * block.shape[1] * n_m
        dM = context.array("M", (36, n_f, tiles), A.dtype)
        winograd_kernels.transform_outputs_back(dA, A, relu, kept.winner, factor, dM, db, p, *at)
        dU += np.matmul(dM, V.transpose(0, 2, 1))
        if need:
            dV = context.array("dV", V.shape, A.dtype)
            np.matmul(U.transpose(0, 2, 1), dM, out=dV)
            winograd_kernels.transform_images_back(dV, dX, 1 / factor, *_outside(conv), *at)
    dU *= kind((SCALE if scaled else 1) * (SCALE if kept.scaled else 1))
    by_pixel = dU.reshape(6, 6, n_f, n_c)
    dW = winograd.both_axes(winograd.matrices(A.dtype).filter.T, by_pixel, "dW", context)
    return batch_first(dX) if need else None, {"W": dW.transpose(0, 1, 3, 2), "b": db}


def largest(A: Array) -> float:
    """Return the largest absolute value, or NaN if there is one."""
    found = np.zeros(winograd_kernels.AT_ONCE, A.dtype)
    winograd_kernels.largest(A.reshape(-1), found)
    return float(found.max())


def _may_overflow(one: float, other: float, terms: int) -> bool:
    """Say whether sums of products of such numbers could be too large for float32."""
    return not one * other * terms * GROWTH < float(np.finfo(np.float32).max)


def _blocks(tiling: Tiling, n_c: int, n_f: int, like: Array, context: Context) -> list[Block]:
    """Return blocks of tiles whose larger transform fills the second-level cache."""
    bytes_per_tile = 36 * max(n_c, n_f) * like.shape[3] * like.itemsize
    return list(tiling.blocks(context.limits.cache // bytes_per_tile))


def _corners(block: Block) -> tuple[int, int, int, int]:
    """Return the first row of a block and the one behind it, and its columns."""
    return block.rows.start, block.rows.stop, block.cols.start, block.cols.stop


def _outside(conv: Window) -> tuple[int, int]:
    """Return how many rows and columns lie outside the image where tiles begin."""
    return conv.rows.before, conv.cols.before


def _filled(A_prev: Array, conv: Window, context: Context) -> Array:
    """Say of each output (rows, columns, n_m) whether it sees anything but zeros."""
    tiling = Tiling.over(conv.out)
    by_tile = winograd.filled_patches(tiled_input(A_prev, conv, context), tiling)
    pixels = by_tile.transpose(2, 0, 3, 1, 4)
    return pixels.reshape(4 * tiling.rows, 4 * tiling.cols, -1).view(np.uint8)
