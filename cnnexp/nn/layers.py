"""The layers that networks are made of.

========== ============================ =====================================================
in YAML    class                        what it does
========== ============================ =====================================================
conv       `Conv2D(filters, …)`         slides `filters` small windows of weights over an image
max_pool   `MaxPool2D(kernel_size, …)`  keeps the largest value under a sliding window
avg_pool   `AvgPool2D(kernel_size, …)`  keeps the mean under a sliding window
flatten    `Flatten()`                  lays rows, columns and channels in one row
dense      `Dense(units, …)`            connects every input with every output
relu …     `ReLU()`, `Sigmoid()`, …     apply a function to every value
softmax    `Softmax()`                  turns scores into probabilities
========== ============================ =====================================================
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Gradients, Window, activations, dense
from cnnexp.engine.window import check_padding
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import INITIALIZERS
from cnnexp.nn.layer import LAYERS, Layer, Shape

ACTIVATIONS = ("relu", "sigmoid", "tanh", "softmax")


def _at_least(name: str, value: int, bound: int) -> None:
    """Raise OptionError if a number is below its bound, or no whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionError(f"{name} must be a whole number. Got {value!r}.")
    if value < bound:
        raise OptionError(f"{name} must be at least {bound}. Got {value}.")


def _check_weights(initializer: str, activation: str | None) -> None:
    """Raise an error if the initializer or the activation is unknown."""
    if initializer not in INITIALIZERS:
        raise OptionError(f"initializer: {INITIALIZERS.complaint(initializer)}")
    if activation is not None and activation not in LAYERS:
        known = ", ".join(ACTIVATIONS)
        raise OptionError(f"activation must be one of {known}. Got '{activation}'.")


def _image(input_shape: Shape) -> tuple[int, int, int]:
    """Return (ih, iw, n_c), or raise ShapeError."""
    if len(input_shape) != 3:
        raise ShapeError(
            f"needs images of (rows, columns, channels). Got samples of shape {input_shape};"
            " it must stand before flatten and dense."
        )
    ih, iw, n_c = input_shape
    return ih, iw, n_c


@LAYERS.register("conv")
@dataclass
class Conv2D(Layer):
    """A convolution: cross-correlation of an image with small filters, plus a bias per filter.

    Parameters
    ----------
    filters : int
        Number of filters `n_f`, and so of output channels.
    kernel_size : int
        Rows and columns of a filter, `f_w`.
    stride : int
        Pixels from one filter position to the next.
    padding : {"valid", "same"} or int
        See `Window.over`.
    activation : str, optional
        Shorthand for a layer of this type after this one.
    initializer : str
        How the weights are drawn, a name from `cnnexp.nn.initializers`.

    Examples
    --------
    >>> Conv2D(32, 3).infer_shape((28, 28, 1))
    (26, 26, 32)
    """

    filters: int
    kernel_size: int
    stride: int = 1
    padding: int | str = "valid"
    activation: str | None = None
    initializer: str = "he_normal"

    def __post_init__(self) -> None:
        _at_least("filters", self.filters, 1)
        _at_least("kernel_size", self.kernel_size, 1)
        _at_least("stride", self.stride, 1)
        check_padding(self.padding)
        _check_weights(self.initializer, self.activation)

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (oh, ow, filters)."""
        return (*self._window(input_shape).out, self.filters)

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Draw ``W`` (f_w, f_w, n_c, n_f) and set ``b`` (n_f,) to zero."""
        super().build(input_shape, generator, dtype)
        self.window = self._window(input_shape)
        f_w, n_c, n_f = self.kernel_size, input_shape[2], self.filters
        draw = INITIALIZERS[self.initializer]
        W = draw((f_w, f_w, n_c, n_f), f_w * f_w * n_c, f_w * f_w * n_f, generator)
        self.params = {"W": W.astype(dtype), "b": np.zeros(n_f, dtype)}

    def _window(self, input_shape: Shape) -> Window:
        ih, iw, _ = _image(input_shape)
        return Window.over((ih, iw), self.kernel_size, self.stride, self.padding)

    @property
    def multiply_adds(self) -> int:
        """``oh · ow · n_f`` outputs of ``f_w · f_w · n_c`` products each."""
        return math.prod(self.output_shape) * self.kernel_size**2 * self.input_shape[2]

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return ``Z`` (n_m, oh, ow, n_f)."""
        W, b = self.params["W"], self.params["b"]
        return context.kernels.conv_forward(A_prev, W, b, self.window, context.scratch)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return ``dA_prev`` and the gradients of ``W`` and ``b``."""
        dA_prev, dW, db = context.kernels.conv_backward(
            dA, self.params["W"], self.window, cache, context.scratch, context.need_dA_prev
        )
        return dA_prev, {"W": dW, "b": db}


@dataclass
class _Pool2D(Layer):
    """What both kinds of pooling share: options, their checks, and the window."""

    kernel_size: int
    stride: int | None = None
    padding: int | str = "valid"

    def __post_init__(self) -> None:
        _at_least("kernel_size", self.kernel_size, 1)
        if self.stride is not None:
            _at_least("stride", self.stride, 1)
        check_padding(self.padding)
        if isinstance(self.padding, int) and self.padding > self.kernel_size // 2:
            raise OptionError(
                f"padding of a pooling layer must be at most half its window,"
                f" {self.kernel_size // 2}. Got {self.padding}."
            )

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (oh, ow, n_c)."""
        return (*self._window(input_shape).out, input_shape[2])

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Place the window; there are no parameters."""
        super().build(input_shape, generator, dtype)
        self.window = self._window(input_shape)

    def _window(self, input_shape: Shape) -> Window:
        ih, iw, _ = _image(input_shape)
        stride = self.kernel_size if self.stride is None else self.stride
        return Window.over((ih, iw), self.kernel_size, stride, self.padding)


@LAYERS.register("max_pool")
@dataclass
class MaxPool2D(_Pool2D):
    """Max pooling: the largest value under each position of a window.

    Parameters
    ----------
    kernel_size : int
        Rows and columns of the window, `f_w`.
    stride : int, optional
        Pixels from one position to the next; `kernel_size` if not given.
    padding : {"valid", "same"} or int
        See `Window.over`; at most half the window. Padding counts as -inf.
    """

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the maxima (n_m, oh, ow, n_c)."""
        return context.kernels.max_pool_forward(A_prev, self.window, context.scratch)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA_prev``: each gradient goes to the first maximum of its window."""
        dA_prev = context.kernels.max_pool_backward(dA, self.window, cache, context.scratch)
        return dA_prev, {}


@LAYERS.register("avg_pool")
@dataclass
class AvgPool2D(_Pool2D):
    """Average pooling: the mean under each position of a window.

    Parameters
    ----------
    kernel_size : int
        Rows and columns of the window, `f_w`.
    stride : int, optional
        Pixels from one position to the next; `kernel_size` if not given.
    padding : {"valid", "same"} or int
        See `Window.over`; at most half the window. Padding counts as zeros.
    """

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the means (n_m, oh, ow, n_c)."""
        return context.kernels.avg_pool_forward(A_prev, self.window, context.scratch)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA_prev``: each gradient is shared evenly by its window."""
        dA_prev = context.kernels.avg_pool_backward(dA, self.window, cache, context.scratch)
        return dA_prev, {}


@LAYERS.register("flatten")
@dataclass
class Flatten(Layer):
    """Lay rows, columns and channels, in this order, in one row.

    Examples
    --------
    >>> Flatten().infer_shape((13, 13, 32))
    (5408,)
    """

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (rows · columns · channels,)."""
        return (math.prod(input_shape),)

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return samples (n_m, features); the features lie outermost if the channels did."""
        samples_inside = A_prev.ndim == 4 and A_prev.strides[0] == A_prev.itemsize
        if samples_inside and A_prev.shape[0] > 1:
            inner = context.scratch.array("A", (*A_prev.shape[1:], A_prev.shape[0]), A_prev.dtype)
            inner[...] = A_prev.transpose(1, 2, 3, 0)
            return inner.reshape(-1, A_prev.shape[0]).T, A_prev
        return A_prev.reshape(len(A_prev), math.prod(A_prev.shape[1:])), A_prev

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA`` in the shape of the images."""
        return dA.reshape(cache.shape), {}


@LAYERS.register("dense")
@dataclass
class Dense(Layer):
    """A dense layer: every output is a weighted sum of all inputs, plus a bias.

    Parameters
    ----------
    units : int, optional
        Number of outputs. The last dense layer of a config may leave it out: it takes the number
        of classes.
    activation : str, optional
        Shorthand for a layer of this type after this one.
    initializer : str
        How the weights are drawn, a name from `cnnexp.nn.initializers`.

    Examples
    --------
    >>> Dense(100).infer_shape((784,))
    (100,)
    """

    deferred = ("W",)

    units: int | None = None
    activation: str | None = None
    initializer: str = "he_normal"

    def __post_init__(self) -> None:
        if self.units is not None:
            _at_least("units", self.units, 1)
        _check_weights(self.initializer, self.activation)

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (units,)."""
        if len(input_shape) != 1:
            raise ShapeError(
                f"needs samples that are one row of numbers. Got shape {input_shape}:"
                " put a flatten layer before it."
            )
        if self.units is None:
            raise OptionError("units is missing: only the last dense layer may leave it out.")
        return (self.units,)

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Draw ``W`` (n_in, units) and set ``b`` (units,) to zero."""
        super().build(input_shape, generator, dtype)
        n_in, (n_out,) = input_shape[0], self.output_shape
        W = INITIALIZERS[self.initializer]((n_in, n_out), n_in, n_out, generator)
        self.params = {"W": W.astype(dtype), "b": np.zeros(n_out, dtype)}

    @property
    def multiply_adds(self) -> int:
        """One product per weight."""
        return self.input_shape[0] * self.output_shape[0]

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return ``Z = A_prev @ W + b``, (n_m, units)."""
        Z = dense.forward(A_prev, self.params["W"], self.params["b"], context)
        return Z, A_prev

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return ``dA_prev = dZ @ W.T``, ``dW = A_prev.T @ dZ`` and ``db``."""
        return dense.backward(dA, cache, self.params["W"], context)


@LAYERS.register("relu")
@dataclass
class ReLU(Layer):
    """Rectified linear unit: ``max(Z, 0)``; its derivative at 0 is 0."""

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the values that are above zero, and zero elsewhere."""
        A = activations.relu(A_prev, out=context.scratch.like("A", A_prev))
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA`` where the result was above zero."""
        dZ = context.scratch.like("dZ", cache)
        return activations.relu_backward(dA, cache, out=dZ), {}


@LAYERS.register("sigmoid")
@dataclass
class Sigmoid(Layer):
    """Logistic function: ``1 / (1 + exp(-Z))``."""

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return values between 0 and 1."""
        A = activations.sigmoid(A_prev)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA · A · (1 - A)``."""
        return activations.sigmoid_backward(dA, cache), {}


@LAYERS.register("tanh")
@dataclass
class Tanh(Layer):
    """Hyperbolic tangent."""

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return values between -1 and 1."""
        A = activations.tanh(A_prev)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA · (1 - A²)``."""
        return activations.tanh_backward(dA, cache), {}


@LAYERS.register("softmax")
@dataclass
class Softmax(Layer):
    """Probabilities over the last axis. As the last layer it is joined with the loss."""

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return probabilities that add up to one."""
        A = activations.softmax(A_prev)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``A · (dA - Σ A·dA)``."""
        return activations.softmax_backward(dA, cache), {}
