"""Layers that move values, or take one of each channel, and have no parameters.

================ =========================== ====================================================
in YAML          class                       what it does
================ =========================== ====================================================
pad              `Pad2D(padding)`            adds a margin to images
crop             `Crop2D(margin)`            cuts a margin off images
reshape          `Reshape(shape)`            gives samples another shape
upsample         `UpSample2D(factor)`        repeats every pixel
global_avg_pool  `GlobalAvgPool2D()`         takes the mean of each channel
global_max_pool  `GlobalMaxPool2D()`         takes the largest value of each channel
================ =========================== ====================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexp.engine import Array, Context
from cnnexp.engine.window import Padding, Pads, Pair, check_padding, pair
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.layer import LAYERS, Layer, Reach, Shape
from cnnexp.nn.options import image_shape

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


def _margins(name: str, margin: Padding) -> Pads:
    """Return a margin as pixels at both ends of rows and columns."""
    try:
        if not isinstance(margin, str):
            return check_padding(margin)
    except OptionError:
        pass  # it would offer 'valid' and 'same', which are for windows
    raise OptionError(
        f"{name} must be a number of at least 0, a pair [rows, columns] or [[above, below],"
        f" [left, right]]. Got {margin!r}."
    )


def _inside(shape: Sequence[int], pads: Pads) -> tuple[slice, ...]:
    """Return where images lie within their margins; `shape` is that with margins."""
    (top, bottom), (left, right) = pads
    return slice(None), slice(top, shape[1] - bottom), slice(left, shape[2] - right)


@LAYERS.register("pad")
@dataclass
class Pad2D(Layer):
    """Add a margin to images.

    Parameters
    ----------
    padding : int, pair of int, or pair of pairs
        Pixels at every side; above and below, left and right; or each of the four.
    value : float
        The value of the margin's pixels.

    Examples
    --------
    >>> Pad2D([[1, 2], [0, 0]]).infer_shape((28, 28, 3))
    (31, 28, 3)
    """

    padding: Padding
    value: float = 0.0

    def __post_init__(self) -> None:
        self.margins()
        if not math.isfinite(self.value):
            raise OptionError(f"value must be finite. Got {self.value}.")

    def margins(self) -> Pads:
        """Return the pixels at both ends of rows and columns."""
        return _margins("padding", self.padding)

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (rows, columns, channels) with the margin."""
        ih, iw, n_c = image_shape(input_shape)
        rows, cols = self.margins()
        return ih + sum(rows), iw + sum(cols), n_c

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return images within their margins."""
        pads = self.margins()
        A = np.pad(A_prev, ((0, 0), *pads, (0, 0)), constant_values=self.value)
        return A, pads

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the gradient without that of the margin."""
        return dA[_inside(dA.shape, cache)], {}


@LAYERS.register("crop")
@dataclass
class Crop2D(Layer):
    """Cut a margin off images.

    Parameters
    ----------
    margin : int, pair of int, or pair of pairs
        Pixels at every side; above and below, left and right; or each of the four.

    Examples
    --------
    >>> Crop2D(2).infer_shape((28, 28, 3))
    (24, 24, 3)
    """

    margin: Padding

    def __post_init__(self) -> None:
        self.margins()

    def margins(self) -> Pads:
        """Return the pixels at both ends of rows and columns."""
        return _margins("margin", self.margin)

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (rows, columns, channels) without the margin."""
        ih, iw, n_c = image_shape(input_shape)
        rows, cols = self.margins()
        if sum(rows) >= ih or sum(cols) >= iw:
            raise ShapeError(f"a margin of {self.margin} leaves nothing of {ih}x{iw} pixels")
        return ih - sum(rows), iw - sum(cols), n_c

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the images without their margins."""
        pads = self.margins()
        return A_prev[_inside(A_prev.shape, pads)], pads

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the gradient with zeros for the margin."""
        return np.pad(dA, ((0, 0), *cache, (0, 0))), {}


@LAYERS.register("reshape")
@dataclass
class Reshape(Layer):
    """Give samples another shape, read in the order rows, columns, channels.

    Parameters
    ----------
    shape : list of int
        Of one sample; one entry may be -1 and follows from the others.

    Examples
    --------
    >>> Reshape([7, 7, -1]).infer_shape((784,))
    (7, 7, 16)
    """

    shape: Sequence[int]

    def __post_init__(self) -> None:
        sizes = self.shape if isinstance(self.shape, Sequence) else ()
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in sizes)
        if not sizes or not whole or any(n < 1 and n != -1 for n in sizes):
            raise OptionError(f"shape must be a list of sizes, such as [7, 7, 16]. Got {sizes}.")
        if list(sizes).count(-1) > 1:
            raise OptionError(f"shape may have one -1. Got {list(sizes)}.")

    @property
    def reach(self) -> None:
        """Pixels of the result are of anywhere."""

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return the shape, with -1 filled in."""
        size, known = math.prod(input_shape), math.prod(n for n in self.shape if n != -1)
        shape = tuple(size // known if n == -1 else n for n in self.shape)
        if math.prod(shape) != size:
            raise ShapeError(
                f"shape {list(self.shape)} does not hold the {size} numbers of a sample"
            )
        return shape

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return samples of the other shape."""
        return A_prev.reshape(len(A_prev), *self.infer_shape(A_prev.shape[1:])), A_prev.shape

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the gradient in the shape of the input."""
        return dA.reshape(cache), {}


@LAYERS.register("upsample")
@dataclass
class UpSample2D(Layer):
    """Repeat every pixel, so that images grow by a factor (the nearest neighbour).

    Parameters
    ----------
    factor : int or pair of int
        How often rows and columns are repeated.

    References
    ----------
    A. Odena, V. Dumoulin, C. Olah, Deconvolution and Checkerboard Artifacts, 2016,
    https://distill.pub/2016/deconv-checkerboard (why one upsamples and then convolves)

    Examples
    --------
    >>> UpSample2D(2).infer_shape((7, 7, 16))
    (14, 14, 16)
    """

    factor: Pair = 2

    def __post_init__(self) -> None:
        pair("factor", self.factor)

    @property
    def reach(self) -> Reach:
        """Every pixel is a copy of one pixel."""
        tall, wide = pair("factor", self.factor)
        return Reach((1, 1), (1 / tall, 1 / wide))

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (rows, columns, channels) of the larger image."""
        ih, iw, n_c = image_shape(input_shape)
        tall, wide = pair("factor", self.factor)
        return ih * tall, iw * wide, n_c

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the larger images."""
        tall, wide = pair("factor", self.factor)
        return A_prev.repeat(tall, axis=1).repeat(wide, axis=2), None

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the sum over the copies of each pixel."""
        tall, wide = pair("factor", self.factor)
        n_m, oh, ow, n_c = dA.shape
        copies = dA.reshape(n_m, oh // tall, tall, ow // wide, wide, n_c)
        return copies.sum(axis=(2, 4)), {}


class _GlobalPool2D(Layer):
    """What both kinds share: one number for each channel."""

    @property
    def reach(self) -> None:
        """Every number looks at the whole image."""

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (channels,)."""
        return (image_shape(input_shape)[2],)


@LAYERS.register("global_avg_pool")
@dataclass
class GlobalAvgPool2D(_GlobalPool2D):
    """The mean of each channel over all pixels.

    References
    ----------
    M. Lin, Q. Chen, S. Yan, Network In Network, 2013, https://arxiv.org/abs/1312.4400

    Examples
    --------
    >>> GlobalAvgPool2D().infer_shape((7, 7, 64))
    (64,)
    """

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the means (n_m, n_c)."""
        return A_prev.mean(axis=(1, 2)), A_prev.shape

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Share each gradient evenly."""
        share = dA / dA.dtype.type(cache[1] * cache[2])
        return np.broadcast_to(share[:, None, None, :], cache), {}


@LAYERS.register("global_max_pool")
@dataclass
class GlobalMaxPool2D(_GlobalPool2D):
    """The largest value of each channel; of equal ones the first, row by row, gets the gradient.

    References
    ----------
    M. Oquab et al., Is Object Localization for Free?, 2015
    """

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the maxima (n_m, n_c), and keep where they were."""
        flat = A_prev.reshape(len(A_prev), -1, A_prev.shape[3])
        first = flat.argmax(axis=1)[:, None, :]
        return np.take_along_axis(flat, first, axis=1)[:, 0], (first, A_prev.shape)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Give each gradient to the pixel that was the maximum."""
        first, shape = cache
        flat = context.xp.zeros((shape[0], shape[1] * shape[2], shape[3]), dA.dtype)
        np.put_along_axis(flat, first, dA[:, None, :], axis=1)
        return flat.reshape(shape), {}
