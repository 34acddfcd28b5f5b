"""Winograd's convolution F(4x4, 3x3): a quarter of the multiplications.

The image is cut into tiles of 6x6 pixels that overlap by two, and each gives 4x4 outputs. In a
transformed space, where a tile and a filter have 36 values each, the convolution of a tile is a
product value by value; summed over the channels, that is 36 independent matrix products. The
definition takes 144 · n_c multiplications for 4x4 outputs, this method 36 · n_c and transforms::

    image   --tiles-->  d  (6x6)  --Bᵀ d B-->  V (36) --.
                                                         U·V  --Aᵀ M A-->  4x4 outputs
    filter (3x3)  -----------------G g Gᵀ--->  U (36) --'

The transforms are products too, of a 6x6 or 4x6 matrix with all tiles at once, one axis after the
other. The backward pass runs in reverse with the transposed matrices.

Its sums are other sums than the definition's. In float32 the error is ten to thirty times that of
the plain product (``docs/fast.md`` measures one).

One error would not be small: a patch of zeros gives exactly the bias by definition, and here the
bias plus 1e-8. With a bias of 0, as at the first step, a ReLU would let the gradient of half of
these outputs pass, and a max-pool would take any of them. So for filters with a bias of 0 such
outputs are found from the image, and set to 0 (`filled_patches`).

Nor would overflow be: the transforms add up to some 10,000 times the largest product, so in float32
inputs around 1e37 gave nan where the definition has finite sums. The processor notes an overflow by
itself, and NumPy looks at its flags after every operation. A block that overflowed is computed
again from inputs divided by `SCALE`, a power of two, so that no digit changes.

References
----------
A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015,
https://arxiv.org/abs/1509.09308
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cnnexp.engine.context import Array, Context
from cnnexp.engine.operations import Params
from cnnexp.engine.products import product
from cnnexp.engine.window import Window

TILE, STEP = 6, 4  # pixels of a tile, and from one tile to the next: its outputs
LEAST_CHANNELS = 8  # of the input and of the output: below that the transforms cost more
SCALE = 2.0**16  # above (10 · 19)², by which the transforms may enlarge the sum of a patch

B_T = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
A_T = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


class Matrices(NamedTuple):
    """The transforms of one axis."""

    image: Array  # Bᵀ, (6, 6)
    filter: Array  # G, (6, 3)
    output: Array  # Aᵀ, (4, 6)


@functools.cache
def matrices(dtype: npt.DTypeLike) -> Matrices:
    """Return the transforms in a type."""
    return Matrices(*(np.array(rows, dtype) for rows in (B_T, G, A_T)))


def both_axes(m: Array, values: Array, name: str, context: Context) -> Array:
    """Return ``m v mᵀ`` for every k x k block of values (k, k, …), as (r, r, …) under `name`.

    One axis after the other: for both at once, ``kron(m, m)``, it is three times the arithmetic.
    """
    r, k = m.shape
    rest = values.shape[2:]
    rows = context.array("one axis", (r, k, math.prod(rest)), values.dtype)
    product(m, values.reshape(k, -1), rows.reshape(r, -1), context.limits)
    both = context.array(name, (r, r, *rest), values.dtype)
    np.matmul(m, rows, out=both.reshape(r, r, -1))
    return both


class Block(NamedTuple):
    """Some neighbouring tiles."""

    number: int
    rows: slice
    cols: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


class Tiling(NamedTuple):
    """Tiles over the rows and columns of the outputs; the last ones may reach beyond."""

    rows: int
    cols: int

    @classmethod
    def over(cls, out: tuple[int, int]) -> Tiling:
        """Return the tiles that cover (oh, ow) outputs."""
        return cls(-(-out[0] // STEP), -(-out[1] // STEP))

    @property
    def image(self) -> tuple[int, int]:
        """Pixels of the image that the tiles cover."""
        return self.rows * STEP + 2, self.cols * STEP + 2

    def blocks(self, fitting: int) -> Iterator[Block]:
        """Yield blocks of at most `fitting` tiles: some rows of tiles, or a part of one row."""
        fitting = max(fitting, 1)
        cols = min(fitting, self.cols)
        cols = -(-self.cols // -(-self.cols // cols))  # parts of one size
        rows = min(max(fitting // self.cols, 1), self.rows)
        corners = itertools.product(range(0, self.rows, rows), range(0, self.cols, cols))
        for number, (row, col) in enumerate(corners):
            down, right = min(row + rows, self.rows), min(col + cols, self.cols)
            yield Block(number, slice(row, down), slice(col, right))


def suits(W: Array, channels: int, window: Window) -> bool:
    """Say whether the method can compute a convolution, and has enough channels to be faster."""
    n_c, n_f = W.shape[2:]
    plain = window.kernel == (3, 3) and window.stride == window.dilation == (1, 1)
    return plain and n_c == channels and min(n_c, n_f) >= LEAST_CHANNELS


def transform_filters(W: Array, context: Context) -> Array:
    """Return ``U`` (36, n_f, n_c) of filters (3, 3, n_c, n_f)."""
    U = both_axes(matrices(W.dtype).filter, W, "U", context)
    return np.ascontiguousarray(U.reshape(36, *W.shape[2:]).transpose(0, 2, 1))


def tiles_of(X: Array, tiling: Tiling) -> Array:
    """Return a view (6, 6, n_c, rows, columns, n_m) of the tiles of images."""
    to_c, to_h, to_w, to_i = X.strides
    return as_strided(
        X,
        (TILE, TILE, X.shape[0], *tiling, X.shape[3]),
        (to_h, to_w, to_c, STEP * to_h, STEP * to_w, to_i),
    )


class Convolution:
    """The convolution of one batch of images, block of tiles by block.

    A block is as many tiles as fit the cache: they are gathered, transformed, multiplied and
    transformed back before the next block begins.

    Parameters
    ----------
    X : array (n_c, h, w, n_m)
        Images as large as the tiles reach; backward, the gradients of the images.
    params : mapping of str to array
        The filters ``W`` (3, 3, n_c, n_f), and their biases ``b``, which the caller adds.
    window : Window
        The window of the filters.
    context : Context
        Memory, in which the transformed images are kept, and how large a block may be.

    Attributes
    ----------
    blocks : list of Block
        The blocks of this batch; on the backward pass they come in reverse order.
    """

    def __init__(self, X: Array, params: Params, window: Window, context: Context) -> None:
        W, b = params["W"], params["b"]
        self.X, self.tiling, self.context = X, Tiling.over(window.out), context
        self.tiles = tiles_of(X, self.tiling)
        self.n_c, self.n_f = W.shape[2:]
        self.matrices = matrices(W.dtype)
        self.U = transform_filters(W, context)
        self.V: list[Array] = []
        self._scaled: set[int] = set()  # blocks whose V was computed from inputs over SCALE
        self._dU: Array | None = None
        bytes_per_tile = 36 * max(self.n_c, self.n_f) * X.shape[3] * X.itemsize
        self.blocks = list(self.tiling.blocks(context.limits.cache // bytes_per_tile))
        self._unbiased = np.flatnonzero(b == 0)
        self._filled = filled_patches(X, self.tiling) if len(self._unbiased) else None

    def forward(self, block: Block) -> Array:
        """Return the outputs of a block, (16, n_f, tiles · n_m)."""
        try:
            with _raising():
                V, Y = self._outputs(block)
        except FloatingPointError:
            self._scaled.add(block.number)
            V, Y = self._outputs(block)
            Y *= self.X.dtype.type(SCALE)
        self.V.append(V)
        if self._filled is not None:
            filled = self._filled[:, :, block.rows, block.cols].reshape(16, 1, -1)
            every = len(self._unbiased) == self.n_f
            Y[:, slice(None) if every else self._unbiased] *= filled
        return Y

    def _outputs(self, block: Block) -> tuple[Array, Array]:
        """Return the transformed images of a block, and its outputs; both over SCALE if scaled."""
        view = self.tiles[:, :, :, block.rows, block.cols]
        d = self.context.array("tiles", view.shape, self.X.dtype)
        np.copyto(d, view)
        if block.number in self._scaled:
            d /= self.X.dtype.type(SCALE)
        V = both_axes(self.matrices.image, d, f"V{block.number}", self.context)
        V = V.reshape(36, self.n_c, -1)
        M = self.context.array("M", (36, self.n_f, V.shape[2]), self.X.dtype)
        np.matmul(self.U, V, out=M)
        Y = both_axes(self.matrices.output, M.reshape(6, 6, self.n_f, -1), "Y", self.context)
        return V, Y.reshape(16, self.n_f, -1)

    def outputs_like(self, block: Block) -> Array:
        """Return memory for the gradients of the outputs of a block."""
        tiles = self.V[block.number].shape[2]
        return self.context.array("Y", (16, self.n_f, tiles), self.X.dtype)

    def images_gradient(self) -> Array:
        """Return memory for the gradients of the images; what no tile owns is zero."""
        rows, cols = self.tiling.rows * STEP, self.tiling.cols * STEP
        dX = self.context.array(
            "dX", (self.n_c, rows + STEP, cols + STEP, self.X.shape[3]), self.X.dtype
        )
        dX[:, rows:] = 0
        dX[:, :, cols:] = 0
        return dX

    def backward(self, block: Block, dY: Array, dX: Array | None) -> None:
        """Add the gradients of one block to those of the filters and of the images.

        Parameters
        ----------
        block : Block
            The tiles; blocks must be given from the last to the first.
        dY : array (16, n_f, tiles · n_m)
            The gradients of their outputs; zero for those beyond the image.
        dX : array like `X`, optional
            From `images_gradient`, where the gradients of the images are wanted.
        """
        try:
            with _raising():
                dU, d_tiles = self._gradients(block, dY, dX is not None)
        except FloatingPointError:
            scale = dY.dtype.type(SCALE)
            dU, d_tiles = self._gradients(block, dY / scale, dX is not None)
            dU *= scale
            d_tiles *= scale
        if block.number in self._scaled:
            dU *= dY.dtype.type(SCALE)
        self._dU = dU if self._dU is None else np.add(self._dU, dU, out=self._dU)
        if dX is not None:
            _lay_tiles(dX, d_tiles.reshape(TILE, TILE, self.n_c, *block.shape, -1), block)

    def _gradients(self, block: Block, dY: Array, of_images: bool) -> tuple[Array, Array]:
        """Return the gradients of the transformed filters, and of the tiles if wanted."""
        V = self.V[block.number]
        dY = dY.reshape(4, 4, self.n_f, -1)
        dM = both_axes(self.matrices.output.T, dY, "M", self.context)
        dM = dM.reshape(36, self.n_f, -1)
        dU = np.matmul(dM, V.transpose(0, 2, 1))  # (36, n_f, n_c)
        if not of_images:
            return dU, np.empty(0, dY.dtype)
        dV = self.context.array("dV", V.shape, dY.dtype)
        np.matmul(self.U.transpose(0, 2, 1), dM, out=dV)
        by_pixel = dV.reshape(TILE, TILE, self.n_c, -1)
        return dU, both_axes(self.matrices.image.T, by_pixel, "tiles", self.context)

    def filter_gradient(self) -> Array:
        """Return ``dW`` (3, 3, n_c, n_f), after all blocks went back."""
        assert self._dU is not None
        by_pixel = self._dU.reshape(TILE, TILE, self.n_f, self.n_c)
        dW = both_axes(self.matrices.filter.T, by_pixel, "dW", self.context)
        return dW.transpose(0, 1, 3, 2)


def _raising() -> np.errstate:
    """Make an overflow an exception in this thread: inf, or nan where two of them meet."""
    return np.errstate(over="raise", invalid="raise")


def filled_patches(X: Array, tiling: Tiling) -> Array:
    """Say which outputs (4, 4, rows, columns, n_m) see anything but zeros.

    Parameters
    ----------
    X : array (n_c, h, w, n_m)
        Images as large as the tiles reach.
    tiling : Tiling
        Their tiles.
    """
    pixels = (X.max(axis=0) != 0) | (X.min(axis=0) != 0)  # several times as fast as X.any(axis=0)
    rows, cols = tiling.rows * STEP, tiling.cols * STEP
    filled = np.zeros((rows, cols, X.shape[3]), np.bool_)
    for row, col in np.ndindex(3, 3):
        filled |= pixels[row : row + rows, col : col + cols]
    by_tile = filled.reshape(tiling.rows, STEP, tiling.cols, STEP, -1)
    return by_tile.transpose(1, 3, 0, 2, 4)


def _lay_tiles(dX: Array, d_tiles: Array, block: Block) -> None:
    """Write the gradients of tiles into images, from the last block of tiles to the first.

    Pixels 0 … 3 of a tile on both axes are its own, and are overwritten; pixels 4 and 5 belong to
    the next tiles, to the right, below and diagonally, and are added to what those have written.
    """
    by_tile = d_tiles.transpose(2, 3, 0, 4, 1, 5)  # (n_c, rows, 6, columns, 6, n_m)
    own, shared = slice(0, STEP), slice(STEP, TILE)
    _squares(dX, block, 0, 0)[...] = by_tile[:, :, own, :, own]
    for down, right, rows, cols in (
        (0, 1, own, shared),
        (1, 0, shared, own),
        (1, 1, shared, shared),
    ):
        squares = _squares(dX, block, down, right)[:, :, : rows.stop - rows.start]
        squares = squares[:, :, :, :, : cols.stop - cols.start]
        squares += by_tile[:, :, rows, :, cols]


def _squares(dX: Array, block: Block, down: int, right: int) -> Array:
    """Return a view (n_c, rows, 4, columns, 4, n_m) of the squares that tiles own.

    They are those of a block, or of the block as many tiles further down and to the right.
    """
    rows, cols = block.shape
    top, left = (block.rows.start + down) * STEP, (block.cols.start + right) * STEP
    part = dX[:, top : top + rows * STEP, left : left + cols * STEP]
    return part.reshape(dX.shape[0], rows, STEP, cols, STEP, dX.shape[3])
