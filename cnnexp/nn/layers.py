"""The layers that networks are made of.

========== ============================ =====================================================
in YAML    class                        what it does
========== ============================ =====================================================
max_pool   `MaxPool2D(kernel_size, …)`  keeps the largest value under a sliding window
avg_pool   `AvgPool2D(kernel_size, …)`  keeps the mean under a sliding window
flatten    `Flatten()`                  turns rows, columns and channels into one row of features
dense      `Dense(units, …)`            connects every input with every output
dropout    `Dropout(rate)`              sets values to zero at random, in training; there is also
                                        `SpatialDropout(rate)`, which drops whole channels
========== ============================ =====================================================

Convolutions are in `convolutions`, activations in `activations`, normalisation in `normalization`,
blocks in `blocks`, layers that only move values in `shapes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Window
from cnnexp.engine.window import Padding, Pair, check_padding, pair
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.initializers import initializer
from cnnexp.nn.layer import LAYERS, Layer, Shape
from cnnexp.nn.options import at_least, check_number, check_weights, image_shape

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


@dataclass
class _Pool2D(Layer):
    """What both kinds of pooling share: options, their checks, and the window."""

    kernel_size: Pair
    stride: Pair | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        widths = pair("kernel_size", self.kernel_size)
        if self.stride is not None:
            pair("stride", self.stride)
        for (before, after), width in zip(check_padding(self.padding), widths, strict=True):
            if max(before, after) > width // 2:
                raise OptionError(
                    f"padding of a pooling layer must be at most half its window,"
                    f" {width // 2}. Got {max(before, after)}."
                )

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (oh, ow, n_c)."""
        return (*self._window(input_shape).out, input_shape[2])

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Place the window; there are no parameters."""
        super().build(input_shape, generator, dtype)
        self.geometry = self._window(input_shape)

    def _window(self, input_shape: Shape) -> Window:
        ih, iw, _ = image_shape(input_shape)
        stride = self.kernel_size if self.stride is None else self.stride
        return Window.over((ih, iw), self.kernel_size, stride, self.padding)


@LAYERS.register("max_pool")
@dataclass
class MaxPool2D(_Pool2D):
    """Max pooling: the largest value under each position of a window.

    Parameters
    ----------
    kernel_size : int or pair of int
        Rows and columns of the window.
    stride : int or pair of int, optional
        Pixels from one position to the next; `kernel_size` if not given.
    padding : {"valid", "same"}, int, pair of int, or pair of pairs
        See `Window.over`; at most half the window. Padding counts as -inf.

    References
    ----------
    M. Riesenhuber and T. Poggio, Hierarchical Models of Object Recognition in Cortex, 1999
    """

    operation: ClassVar[str] = "max_pool"


@LAYERS.register("avg_pool")
@dataclass
class AvgPool2D(_Pool2D):
    """Average pooling: the mean under each position of a window.

    Parameters
    ----------
    kernel_size : int or pair of int
        Rows and columns of the window.
    stride : int or pair of int, optional
        Pixels from one position to the next; `kernel_size` if not given.
    padding : {"valid", "same"}, int, pair of int, or pair of pairs
        See `Window.over`; at most half the window. Padding counts as zeros.

    References
    ----------
    Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, section II.B
    """

    operation: ClassVar[str] = "avg_pool"


@LAYERS.register("flatten")
@dataclass
class Flatten(Layer):
    """Turn rows, columns and channels, in this order, into one row of features.

    Examples
    --------
    >>> Flatten().infer_shape((13, 13, 32))
    (5408,)
    """

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return (rows · columns · channels,)."""
        return (math.prod(input_shape),)

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return samples (n_m, features); they stay batch-last in memory if they were."""
        n_m = len(A_prev)
        if A_prev.ndim == 4 and n_m > 1 and A_prev.strides[0] == A_prev.itemsize:
            inner = A_prev.transpose(1, 2, 3, 0)
            if not inner.flags.c_contiguous:
                inner = context.array("A", inner.shape, A_prev.dtype)
                inner[...] = A_prev.transpose(1, 2, 3, 0)
            return inner.reshape(-1, n_m).T, A_prev.shape
        return A_prev.reshape(n_m, math.prod(A_prev.shape[1:])), A_prev.shape

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA`` in the shape of the images."""
        return dA.reshape(cache), {}


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
        Adds an activation layer after this one: ``activation: relu`` equals a ``relu`` layer next;
        null: none.
    initializer : str or float
        How the weights are drawn, a name from `cnnexp.nn.initializers`, or a number for all.

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, Learning Representations by Back-Propagating Errors, 1986

    Examples
    --------
    >>> Dense(100).infer_shape((784,))
    (100,)
    """

    operation: ClassVar[str] = "dense"
    outer: ClassVar[tuple[str, ...]] = ("W",)

    units: int | None = None
    activation: str | None = None
    initializer: str | float = "he_normal"

    def __post_init__(self) -> None:
        if self.units is not None:
            at_least("units", self.units, 1)
        check_weights(self.initializer, self.activation)

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
        W = initializer(self.initializer)((n_in, n_out), n_in, n_out, generator)
        self.params = {"W": W.astype(dtype), "b": np.zeros(n_out, dtype)}

    @property
    def reach(self) -> None:
        """Every output looks at every input."""

    @property
    def multiply_adds(self) -> int:
        """One product per weight."""
        return self.input_shape[0] * self.output_shape[0]


@LAYERS.register("dropout")
@dataclass
class Dropout(Layer):
    """Set values to zero at random in training, and scale the others up to keep the mean.

    Which values depends on the seed, the layer's path, the step and the sample's position in the
    mini-batch alone. In inference it does nothing.

    Parameters
    ----------
    rate : float
        The fraction of values that are set to zero, to within 1/65536.

    References
    ----------
    N. Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014,
    https://jmlr.org/papers/v15/srivastava14a.html
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        check_number("rate", self.rate, least=0, below=1)

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return the values that are kept, divided by the fraction that is kept."""
        kept = round((1 - self.rate) * 65536)
        if not context.training or kept == 65536:
            return A_prev, None
        shape = self._mask_shape(A_prev.shape)
        n_m, size = len(A_prev), math.prod(shape[1:])
        draws = -(-size // 4)  # a draw of 64 bits serves four values
        words = context.random(draws).bit_generator.random_raw(n_m * draws)
        bits = words.view(np.uint16).reshape(n_m, 4 * draws)[:, :size].reshape(shape)
        # A device gets the mask when it is complete.
        whole = context.xp is np and shape == A_prev.shape
        mask = context.like("mask", A_prev) if whole else np.empty(shape, A_prev.dtype)
        np.less(bits, max(kept, 1), out=mask, casting="unsafe")
        mask *= A_prev.dtype.type(65536 / max(kept, 1))
        mask = context.xp.asarray(mask)
        return np.multiply(A_prev, mask, out=context.like("A", A_prev)), mask

    def _mask_shape(self, shape: Shape) -> Shape:
        """Return the shape of what is drawn, given that of the samples."""
        return shape

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the gradients of the values that were kept."""
        return (dA if cache is None else dA * cache), {}


@LAYERS.register("spatial_dropout")
@dataclass
class SpatialDropout(Dropout):
    """Dropout of whole channels: neighbouring pixels of a feature map are too similar to drop one.

    Parameters
    ----------
    rate : float
        The fraction of channels that are set to zero, to within 1/65536.

    References
    ----------
    J. Tompson et al., Efficient Object Localization Using Convolutional Networks, 2014,
    https://arxiv.org/abs/1411.4280
    """

    def _mask_shape(self, shape: Shape) -> Shape:
        """Return a number for each channel of each sample."""
        return (shape[0], *(1 for _ in shape[1:-1]), shape[-1])
