"""Winograd's convolution, an activation and max-pooling as one step.

The transform gives the 16 outputs of a tile pixel by pixel, each for all tiles together, which is
the order that the running maximum needs. A pooling window of 2x2 or 4x4 lies within a tile, so the
output of the convolution is never arranged in image order::

    one tile's outputs     pooled 2x2: four windows, four candidates each
    0  1 | 2  3            candidates (0, 2, 8, 10), then (1, 3, 9, 11), then (4, 6, 12, 14), …
    4  5 | 6  7            each number is one long array over filters, tiles and samples
    -----+-----
    8  9 | 10 11
    12 13| 14 15
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast import winograd
from cnnexp.engine.fast.convolution import tiled_input
from cnnexp.engine.fast.pooled_conv import ConvPointwiseMaxPool
from cnnexp.engine.fast.running_max import RunningMax
from cnnexp.engine.layout import batch_first, batch_last, unpadded
from cnnexp.engine.operations import Cache, Gradients


class WinogradPointwiseMaxPool(ConvPointwiseMaxPool):
    """conv + activation + max_pool, where Winograd's method is faster and pooling is 2x2 or 4x4."""

    name: ClassVar[str] = "Winograd"

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether pooling windows tile a tile of 4x4 outputs."""
        conv, _, pool = layers
        fits = pool.geometry.kernel in ((2, 2), (4, 4))
        fits = fits and pool.geometry.stride == pool.geometry.kernel
        return (
            fits
            and super().applies(layers)
            and winograd.suits(conv.params["W"], conv.input_shape[2], conv.geometry)
        )

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the pooled activations."""
        conv, activation, pool = (layer.geometry for layer in layers)
        b, p = layers[0].params["b"], pool.rows.width
        X = tiled_input(A_prev, conv, context)
        work = winograd.Convolution(X, layers[0].params, conv, context)
        whole = context.array("A", _by_tile(len(b), work.tiling, p, X.shape[3]), X.dtype)
        greater = []
        for block in work.blocks:
            Y = _candidates(work.forward(block), p)
            best = context.array("best", (4 // p, 4 // p, *Y.shape[4:]), X.dtype)
            name = f"greater{block.number}"
            running = RunningMax(best, p * p, context, name)
            for k in range(p * p):
                running.take(k, Y[:, k // p, :, k % p])
            greater.append(running.greater)
            best += b[:, None]
            activation.apply(best, out=best)
            by_tile = best.reshape(*best.shape[:3], *block.shape, -1)
            whole[:, block.rows, :, block.cols] = by_tile.transpose(2, 3, 0, 4, 1, 5)
        A = _joined(whole)[:, : pool.out[0], : pool.out[1]]
        return batch_first(A), (work, greater, A)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Give each gradient to the output that was the maximum, and run the tiles backward."""
        work, greater, A = cache
        p, n_m = layers[2].geometry.rows.width, dA.shape[0]
        dZ = context.array("dZ", A.shape, A.dtype)
        layers[1].geometry.gradient(batch_last(dA), A, out=dZ)
        whole = context.array("dA by tile", _by_tile(work.n_f, work.tiling, p, n_m), dA.dtype)
        _fill(_joined(whole), dZ)
        dX = work.images_gradient() if context.need_dA_prev else None
        for block in reversed(work.blocks):
            ordered = whole[:, block.rows, :, block.cols].transpose(2, 4, 0, 1, 3, 5)
            d_best = context.array("best", ordered.shape, dA.dtype)
            d_best[...] = ordered
            d_best = d_best.reshape(greater[block.number].shape[1:])
            dY = work.outputs_like(block)
            for k, won in RunningMax.winners(greater[block.number], context):
                np.multiply(d_best, won, out=_candidates(dY, p)[:, k // p, :, k % p])
            work.backward(block, dY, dX)
        dA_prev = None if dX is None else unpadded(dX, layers[0].geometry)
        return dA_prev, {"W": work.filter_gradient(), "b": dZ.sum(axis=(1, 2, 3))}


def _candidates(Y: Array, p: int) -> Array:
    """Return outputs (16, n_f, tiles) by window and pixel: (4/p, p, 4/p, p, n_f, tiles)."""
    return Y.reshape(4 // p, p, 4 // p, p, *Y.shape[1:])


def _by_tile(n_f: int, tiling: winograd.Tiling, p: int, n_m: int) -> tuple[int, ...]:
    """Return (n_f, tile rows, windows in a tile, tile columns, windows in a tile, n_m)."""
    return n_f, tiling.rows, 4 // p, tiling.cols, 4 // p, n_m


def _joined(whole: Array) -> Array:
    """Return a view (n_f, rows, columns, n_m) of windows that are ordered by tiles."""
    n_f, rows, inner_rows, cols, inner_cols, n_m = whole.shape
    return whole.reshape(n_f, rows * inner_rows, cols * inner_cols, n_m)


def _fill(joined: Array, dA_in: Array) -> None:
    """Copy gradients into the windows of all tiles; those beyond the outputs get zero."""
    if joined.shape != dA_in.shape:
        joined.fill(0)
    joined[:, : dA_in.shape[1], : dA_in.shape[2]] = dA_in
