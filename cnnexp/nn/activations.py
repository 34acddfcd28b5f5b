"""Activations: functions of every value, and the softmax.

Each function has a gradient in terms of its result ``A`` where that is possible, so that nothing
else has to be kept::

    ReLU         A = max(Z, 0)                dZ = dA · [A > 0]         (the derivative at 0 is 0)
    leaky ReLU   A = max(Z, 0) + s·min(Z, 0)  dZ = dA · (1 if A > 0 else s)
    sigmoid      A = 1 / (1 + exp -Z)         dZ = dA · A · (1 - A)
    tanh         A = tanh Z                   dZ = dA · (1 - A²)
    softmax      A = exp Z / Σ exp Z          dZ = A · (dA - Σ A·dA)    (sums over the classes)
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context
from cnnexp.errors import OptionError
from cnnexp.nn.layer import LAYERS, Layer, Shape

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


@dataclass
class Pointwise(Layer, ABC):
    """Base of all layers that apply one function to every value.

    A subclass has `apply` and `gradient`. Its properties say how an implementation may compute it
    together with the layer before it.

    Attributes
    ----------
    monotonic : bool
        Whether it never decreases: then it may be applied after a max-pool instead of before it.
    from_output : bool
        Whether its gradient can be computed from its result; else it takes the input.
    """

    operation: ClassVar[str] = "pointwise"
    is_activation: ClassVar[bool] = True
    monotonic: ClassVar[bool] = False
    from_output: ClassVar[bool] = False

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Fix the shape; the operation needs the function, which is the layer itself."""
        super().build(input_shape, generator, dtype)
        self.geometry = self

    @abstractmethod
    def apply(self, Z: Array, out: Array) -> None:
        """Write the function of `Z` into `out`, which may be `Z` itself if `from_output`."""

    @abstractmethod
    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Write the gradient for the input into `out`, which may be `dA`.

        `kept` is the function's result if `from_output`, else its input.
        """


@LAYERS.register("relu")
@dataclass
class ReLU(Pointwise):
    """Rectified linear unit: ``max(Z, 0)``; its derivative at 0 is 0.

    Examples
    --------
    >>> A = np.array([-1.0, 0.0, 2.0])
    >>> ReLU().apply(A, out=A)
    >>> A
    array([0., 0., 2.])
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    def apply(self, Z: Array, out: Array) -> None:
        """Keep what is above zero.

        NumPy takes the maximum of two arrays several times as fast as that of an array and a
        number.
        """
        np.maximum(Z, _zeros(Z.shape[1:], Z.dtype), out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Keep the gradients of what was above zero."""
        np.multiply(dA, kept > 0, out=out)


@functools.lru_cache(maxsize=64)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros, which nobody writes to."""
    return np.zeros(shape, dtype)


@LAYERS.register("leaky_relu")
@dataclass
class LeakyReLU(Pointwise):
    """ReLU that lets a part of negative values through.

    Parameters
    ----------
    slope : float
        The factor of negative values, above 0 and at most 1.

    References
    ----------
    A. Maas, A. Hannun, A. Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models,
    2013, https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    slope: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.slope <= 1:
            raise OptionError(f"slope must be above 0 and at most 1. Got {self.slope}.")

    def apply(self, Z: Array, out: Array) -> None:
        """Return the larger of two lines, as the slope lies between 0 and 1."""
        np.maximum(Z, Z * Z.dtype.type(self.slope), out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Multiply the gradients of what was not above zero with the slope."""
        kind = dA.dtype.type
        factor = (kept > 0) * kind(1 - self.slope)
        factor += kind(self.slope)
        np.multiply(dA, factor, out=out)


@LAYERS.register("sigmoid")
@dataclass
class Sigmoid(Pointwise):
    """Logistic function, ``1 / (1 + exp(-Z))``, without overflow for large negative `Z`.

    Examples
    --------
    >>> A = np.array([-1000.0, 0.0, 1000.0])
    >>> Sigmoid().apply(A, out=A)
    >>> A
    array([0. , 0.5, 1. ])
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    def apply(self, Z: Array, out: Array) -> None:
        """Return ``1 / (1 + exp(-Z))``."""
        half = Z.dtype.type(0.5)
        np.tanh(half * Z, out=out)
        out *= half
        out += half

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · A · (1 - A)``."""
        np.multiply(dA, kept * (1 - kept), out=out)


@LAYERS.register("tanh")
@dataclass
class Tanh(Pointwise):
    """Hyperbolic tangent."""

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    def apply(self, Z: Array, out: Array) -> None:
        """Return ``tanh Z``."""
        np.tanh(Z, out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · (1 - A²)``."""
        np.multiply(dA, 1 - kept * kept, out=out)


@LAYERS.register("softmax")
@dataclass
class Softmax(Layer):
    """Probabilities over the last axis. As the last layer it is joined with the loss.

    Examples
    --------
    >>> A, _ = Softmax().forward(np.array([[1000.0, 1000.0]]), Context())
    >>> A
    array([[0.5, 0.5]])
    """

    is_activation: ClassVar[bool] = True

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return probabilities that add up to one; shifted by the maximum none overflows."""
        A: Array = np.exp(A_prev - A_prev.max(axis=-1, keepdims=True))
        A /= A.sum(axis=-1, keepdims=True)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``A · (dA - Σ A·dA)``."""
        A = cache
        return A * (dA - (A * dA).sum(axis=-1, keepdims=True)), {}
