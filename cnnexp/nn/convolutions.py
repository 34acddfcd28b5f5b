"""Convolutions: of all channels, of each channel by itself, of single pixels, and transposed.

================= ======================================== =========================================
in YAML           class                                    what it does
================= ======================================== =========================================
conv              `Conv2D(filters, kernel_size)`           filters over windows of all channels
depthwise_conv    `DepthwiseConv2D(kernel_size)`           filters over windows of one channel each
pointwise_conv    `PointwiseConv2D(filters)`               filters over single pixels
transposed_conv   `TransposedConv2D(filters, kernel_size)` each pixel adds a filter to an image
================= ======================================== =========================================

All of them are the engine's ``conv``, so every implementation computes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Window
from cnnexp.engine.window import Padding, Pads, Pair, check_padding, pair
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import initializer
from cnnexp.nn.layer import LAYERS, Layer, Reach, Shape
from cnnexp.nn.options import at_least, check_weights, image_shape

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


class _Conv2D(Layer):
    """What all convolutions share: they differ in their options."""

    operation: ClassVar[str] = "conv"

    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = "valid"
    dilation: Pair = 1
    activation: str | None = None
    initializer: str | float = "he_normal"

    def __post_init__(self) -> None:
        for name in ("kernel_size", "stride", "dilation"):
            pair(name, getattr(self, name))
        check_padding(self.padding)
        check_weights(self.initializer, self.activation)

    def _counts(self, n_c: int) -> tuple[int, int]:
        """Return the number of filters and of groups for images of `n_c` channels."""
        raise NotImplementedError

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (oh, ow, n_f)."""
        n_f, _ = self._counts(image_shape(input_shape)[2])
        return (*self._window(input_shape).out, n_f)

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Draw ``W`` (f_h, f_w, n_c / groups, n_f) and set ``b`` (n_f,) to zero."""
        super().build(input_shape, generator, dtype)
        self.geometry = window = self._window(input_shape)
        n_f, self.groups = self._counts(input_shape[2])
        shape = (*window.kernel, input_shape[2] // self.groups)
        draw = initializer(self.initializer)
        fan_out = window.size * n_f // self.groups
        W = draw((*shape, n_f), math.prod(shape), fan_out, generator)
        self.params = {"W": W.astype(dtype), "b": np.zeros(n_f, dtype)}

    def _window(self, input_shape: Shape) -> Window:
        image = image_shape(input_shape)[:2]
        return Window.over(image, self.kernel_size, self.stride, self.padding, self.dilation)

    @property
    def multiply_adds(self) -> int:
        """``oh · ow · n_f`` outputs of ``f_h · f_w · n_c / groups`` products each."""
        return math.prod(self.output_shape) * math.prod(self.params["W"].shape[:3])


@LAYERS.register("conv")
@dataclass
class Conv2D(_Conv2D):
    """A convolution: cross-correlation of an image with small filters, plus a bias per filter.

    Parameters
    ----------
    filters : int
        Number of filters `n_f`, and so of output channels.
    kernel_size : int or pair of int
        Rows `f_h` and columns `f_w` of a filter.
    stride : int or pair of int
        Pixels from one filter position to the next, along rows and columns.
    padding : {"valid", "same"}, int, pair of int, or pair of pairs
        Pixels of zeros around the image: none, as many as keep its size (with a stride of 1), or
        a given number; see `Window.over`.
    dilation : int or pair of int
        Pixels from one weight of a filter to the next.
    groups : int
        Number of groups into which the channels are divided; each filter sees one of them. As many
        groups as channels make a depthwise convolution.
    activation : str, optional
        Adds an activation layer after this one: ``activation: relu`` equals a ``relu`` layer next;
        null: none.
    initializer : str or float
        How the weights are drawn, a name from `cnnexp.nn.initializers`, or a number for all.

    References
    ----------
    Y. LeCun et al., Backpropagation Applied to Handwritten Zip Code Recognition, 1989

    Examples
    --------
    >>> Conv2D(32, 3).infer_shape((28, 28, 1))
    (26, 26, 32)
    >>> Conv2D(8, (3, 5), stride=(2, 1), padding=((1, 2), (0, 0))).infer_shape((28, 28, 4))
    (15, 24, 8)
    """

    filters: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = "valid"
    activation: str | None = None
    initializer: str | float = "he_normal"
    dilation: Pair = 1
    groups: int = 1

    def __post_init__(self) -> None:
        at_least("filters", self.filters, 1)
        at_least("groups", self.groups, 1)
        super().__post_init__()
        if self.filters % self.groups:
            raise OptionError(
                f"filters must be a multiple of groups. Got {self.filters} filters and"
                f" {self.groups} groups."
            )

    def _counts(self, n_c: int) -> tuple[int, int]:
        if n_c % self.groups:
            raise ShapeError(f"groups must divide the {n_c} channels. Got {self.groups} groups.")
        return self.filters, self.groups


@LAYERS.register("depthwise_conv")
@dataclass
class DepthwiseConv2D(_Conv2D):
    """A convolution of each channel by itself.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, activation, initializer
        See `Conv2D`.
    multiplier : int
        Filters, and so output channels, of each channel.

    References
    ----------
    F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, 2016,
    https://arxiv.org/abs/1610.02357

    Examples
    --------
    >>> DepthwiseConv2D(3, padding="same").infer_shape((28, 28, 16))
    (28, 28, 16)
    """

    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = "valid"
    activation: str | None = None
    initializer: str | float = "he_normal"
    dilation: Pair = 1
    multiplier: int = 1

    def __post_init__(self) -> None:
        at_least("multiplier", self.multiplier, 1)
        super().__post_init__()

    def _counts(self, n_c: int) -> tuple[int, int]:
        return n_c * self.multiplier, n_c


@LAYERS.register("pointwise_conv")
@dataclass
class PointwiseConv2D(_Conv2D):
    """A convolution of single pixels: it mixes channels.

    Parameters
    ----------
    filters, stride, activation, initializer
        See `Conv2D`.

    References
    ----------
    M. Lin, Q. Chen, S. Yan, Network In Network, 2013, https://arxiv.org/abs/1312.4400

    Examples
    --------
    >>> PointwiseConv2D(8).infer_shape((28, 28, 16))
    (28, 28, 8)
    """

    kernel_size: ClassVar[Pair] = 1  # type: ignore[misc]

    filters: int
    stride: Pair = 1
    activation: str | None = None
    initializer: str | float = "he_normal"

    def __post_init__(self) -> None:
        at_least("filters", self.filters, 1)
        super().__post_init__()

    def _counts(self, n_c: int) -> tuple[int, int]:
        return self.filters, 1


@LAYERS.register("transposed_conv")
@dataclass
class TransposedConv2D(_Conv2D):
    """The transpose of a convolution: every pixel adds a filter, times its value, to the result.

    It is computed as a convolution of the image with zeros between its pixels, so every
    implementation has it; with a stride of 2 three in four multiplications are by zero.

    Parameters
    ----------
    filters, kernel_size, activation, initializer
        See `Conv2D`.
    stride : int or pair of int
        Pixels of the result from one pixel of the image to the next.
    padding : {"valid", "same"}, int, pair of int, or pair of pairs
        Pixels that are cut off the result. ``"same"``: as many as leave ``i · stride``.

    References
    ----------
    V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, 2016,
    https://arxiv.org/abs/1603.07285

    Examples
    --------
    >>> TransposedConv2D(8, 3, stride=2, padding="same").infer_shape((7, 7, 16))
    (14, 14, 8)
    """

    filters: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Padding = "valid"
    activation: str | None = None
    initializer: str | float = "he_normal"

    def __post_init__(self) -> None:
        at_least("filters", self.filters, 1)
        super().__post_init__()
        for (before, after), f in zip(
            check_padding(self.padding), pair("kernel_size", self.kernel_size), strict=True
        ):
            if max(before, after) >= f:
                raise OptionError(
                    f"padding of a transposed convolution must be below its kernel, {f}."
                    f" Got {max(before, after)}."
                )

    def _counts(self, n_c: int) -> tuple[int, int]:
        return self.filters, 1

    @property
    def reach(self) -> Reach:
        """Every pixel of the result gets a filter's part from each pixel that is near enough."""
        (f_h, f_w), (s_h, s_w) = pair("kernel_size", self.kernel_size), pair("stride", self.stride)
        return Reach((-(-f_h // s_h), -(-f_w // s_w)), (1 / s_h, 1 / s_w))

    @property
    def multiply_adds(self) -> int:
        """``ih · iw`` pixels of ``f_h · f_w · n_c · n_f`` products each."""
        return math.prod(self.input_shape[:2]) * self.params["W"].size

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return ``Z`` (n_m, oh, ow, n_f)."""
        s_h, s_w = pair("stride", self.stride)
        n_m, ih, iw, n_c = A_prev.shape
        spread = context.zeros("spread", (n_c, *self._between((ih, iw)), n_m), A_prev.dtype)
        images = spread.swapaxes(0, -1)
        images[:, ::s_h, ::s_w] = A_prev
        params = {"W": self.params["W"][::-1, ::-1], "b": self.params["b"]}
        result: tuple[Array, Any] = context.operation.forward(
            images, params, self.geometry, context
        )
        return result

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradients; those of the zeros between pixels are left out."""
        s_h, s_w = pair("stride", self.stride)
        params = {"W": self.params["W"][::-1, ::-1], "b": self.params["b"]}
        dX, grads = context.operation.backward(dA, params, self.geometry, cache, context)
        grads["W"] = grads["W"][::-1, ::-1]
        return None if dX is None else dX[:, ::s_h, ::s_w], grads

    def _window(self, input_shape: Shape) -> Window:
        """Return the window over the image with zeros between its pixels."""
        image = image_shape(input_shape)[:2]
        f_h, f_w = pair("kernel_size", self.kernel_size)
        (top, bottom), (left, right) = self.cut()
        pads = ((f_h - 1 - top, f_h - 1 - bottom), (f_w - 1 - left, f_w - 1 - right))
        return Window.over(self._between(image), (f_h, f_w), 1, pads)

    def _between(self, image: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of an image with zeros between its pixels."""
        s_h, s_w = pair("stride", self.stride)
        rows, cols = (image[0] - 1) * s_h + 1, (image[1] - 1) * s_w + 1
        more_rows, more_cols = self.surplus()
        return rows + more_rows, cols + more_cols

    def surplus(self) -> tuple[int, int]:
        """Return rows and columns at the end of the result that no pixel reaches."""
        (f_h, f_w), (s_h, s_w) = pair("kernel_size", self.kernel_size), pair("stride", self.stride)
        return (max(s_h - f_h, 0), max(s_w - f_w, 0)) if self.padding == "same" else (0, 0)

    def cut(self) -> Pads:
        """Return the pixels that are cut off the result at each end."""
        if self.padding != "same":
            return check_padding(self.padding)
        kernel, stride = pair("kernel_size", self.kernel_size), pair("stride", self.stride)
        extra = [max(f - s, 0) for f, s in zip(kernel, stride, strict=True)]
        rows, cols = ((total // 2, total - total // 2) for total in extra)
        return rows, cols
