"""Activations: functions of every value, and the softmax.

Each function has a gradient in terms of its result ``A`` where that is possible, so that nothing
else has to be kept::

    ReLU         A = max(Z, 0)                dZ = dA · [A > 0]         (the derivative at 0 is 0)
    leaky ReLU   A = max(Z, 0) + s·min(Z, 0)  dZ = dA · (1 if A > 0 else s)
    sigmoid      A = 1 / (1 + exp -Z)         dZ = dA · A · (1 - A)
    tanh         A = tanh Z                   dZ = dA · (1 - A²)
    ELU          A = Z, or α(exp Z - 1)       dZ = dA · (1, or A + α)
    softplus     A = log(1 + exp Z)           dZ = dA · (1 - exp -A)
    softmax      A = exp Z / Σ exp Z          dZ = A · (dA - Σ A·dA)    (sums over the classes)
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, row_maxima
from cnnexp.nn.layer import LAYERS, Layer, Shape
from cnnexp.nn.options import check_number

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
    floor : float or None
        A function ``max(Z, floor)`` names its floor: compiled code may then have it built in.
    """

    operation: ClassVar[str] = "pointwise"
    is_activation: ClassVar[bool] = True
    monotonic: ClassVar[bool] = False
    from_output: ClassVar[bool] = False
    floor: ClassVar[float | None] = None

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

    References
    ----------
    V. Nair and G. Hinton, Rectified Linear Units Improve Restricted Boltzmann Machines, 2010

    Examples
    --------
    >>> A = np.array([-1.0, 0.0, 2.0])
    >>> ReLU().apply(A, out=A)
    >>> A
    array([0., 0., 2.])
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True
    floor: ClassVar[float | None] = 0.0

    def apply(self, Z: Array, out: Array) -> None:
        """Keep what is above zero.

        NumPy takes the maximum of two arrays several times as fast as that of an array and a
        number.
        """
        zeros = _zeros(Z.shape[1:], Z.dtype) if isinstance(Z, np.ndarray) else 0
        np.maximum(Z, zeros, out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Keep the gradients of what was above zero."""
        np.multiply(dA, kept > 0, out=out)


@functools.lru_cache(maxsize=64)
def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros that are shared, and never written to."""
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
        check_number("slope", self.slope, above=0, most=1)

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

    References
    ----------
    D. Rumelhart, G. Hinton, R. Williams, Learning Representations by Back-Propagating Errors, 1986

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
    """Hyperbolic tangent.

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998, section 4.4
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    def apply(self, Z: Array, out: Array) -> None:
        """Return ``tanh Z``."""
        np.tanh(Z, out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · (1 - A²)``."""
        np.multiply(dA, 1 - kept * kept, out=out)


@LAYERS.register("elu")
@dataclass
class ELU(Pointwise):
    """Exponential linear unit: ``Z`` above zero, ``alpha · (exp(Z) - 1)`` elsewhere.

    Parameters
    ----------
    alpha : float
        Minus the limit for large negative values; above 0.

    References
    ----------
    D.-A. Clevert, T. Unterthiner, S. Hochreiter, Fast and Accurate Deep Network Learning by
    Exponential Linear Units (ELUs), 2015, https://arxiv.org/abs/1511.07289
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_number("alpha", self.alpha, above=0)

    def apply(self, Z: Array, out: Array) -> None:
        """Return the line above zero, and the curve below it."""
        curve = np.expm1(np.minimum(Z, 0))
        curve *= Z.dtype.type(self.alpha)
        np.maximum(Z, 0, out=out)
        out += curve

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA`` above zero, ``dA · (A + alpha)`` elsewhere."""
        slope = np.minimum(kept, 0)
        slope += (kept <= 0) * kept.dtype.type(self.alpha) + (kept > 0)
        np.multiply(dA, slope, out=out)


@LAYERS.register("softplus")
@dataclass
class Softplus(Pointwise):
    """A smooth ReLU: ``log(1 + exp(Z))``.

    References
    ----------
    C. Dugas et al., Incorporating Second-Order Functional Knowledge for Better Option Pricing, 2000
    """

    monotonic: ClassVar[bool] = True
    from_output: ClassVar[bool] = True

    def apply(self, Z: Array, out: Array) -> None:
        """Return ``log(1 + exp(Z))``, without overflow."""
        np.logaddexp(Z, Z.dtype.type(0), out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · sigmoid(Z)``, which is ``dA · (1 - exp(-A))``."""
        np.multiply(dA, -np.expm1(-kept), out=out)


@LAYERS.register("silu")
@dataclass
class SiLU(Pointwise):
    """``Z · sigmoid(Z)``, also known as swish.

    References
    ----------
    S. Elfwing, E. Uchibe, K. Doya, Sigmoid-Weighted Linear Units, 2017,
    https://arxiv.org/abs/1702.03118
    """

    def apply(self, Z: Array, out: Array) -> None:
        """Return ``Z · sigmoid(Z)``."""
        np.multiply(Z, _sigmoid(Z), out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · s · (1 + Z · (1 - s))`` with ``s = sigmoid(Z)``."""
        s = _sigmoid(kept)
        np.multiply(dA, s * (1 + kept * (1 - s)), out=out)


@LAYERS.register("gelu")
@dataclass
class GELU(Pointwise):
    """Gaussian error linear unit, in the form with a hyperbolic tangent.

    ``Z · (1 + tanh(√(2/π) · (Z + 0.044715 Z³))) / 2``, which is ``Z · Φ(Z)`` to within 0.0005; Φ is
    the normal distribution function.

    References
    ----------
    D. Hendrycks and K. Gimpel, Gaussian Error Linear Units (GELUs), 2016,
    https://arxiv.org/abs/1606.08415
    """

    def apply(self, Z: Array, out: Array) -> None:
        """Return the formula."""
        np.multiply(Z, self._half(Z), out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA · (h + Z · h')`` with ``h`` the factor of ``Z``."""
        kind = kept.dtype.type
        h = self._half(kept)
        inner = kind(0.7978845608028654) * (1 + kind(3 * 0.044715) * kept * kept)
        np.multiply(dA, h + kept * 2 * h * (1 - h) * inner, out=out)

    def _half(self, Z: Array) -> Array:
        """Return ``(1 + tanh u) / 2``, which is ``sigmoid(2u)``."""
        kind = Z.dtype.type
        u = kind(0.7978845608028654) * (Z + kind(0.044715) * Z * Z * Z)
        return _sigmoid(2 * u)


@LAYERS.register("hard_swish")
@dataclass
class HardSwish(Pointwise):
    """``Z · min(max(Z + 3, 0), 6) / 6``: swish from straight lines.

    References
    ----------
    A. Howard et al., Searching for MobileNetV3, 2019, https://arxiv.org/abs/1905.02244
    """

    def apply(self, Z: Array, out: Array) -> None:
        """Return the formula."""
        factor = np.clip(Z + 3, 0, 6)
        factor /= 6
        np.multiply(Z, factor, out=out)

    def gradient(self, dA: Array, kept: Array, out: Array) -> None:
        """Return ``dA`` times 0, ``(2 Z + 3) / 6`` or 1."""
        slope = (2 * kept + 3) / 6
        slope[kept <= -3] = 0
        slope[kept >= 3] = 1
        np.multiply(dA, slope, out=out)


def _sigmoid(Z: Array) -> Array:
    """Return ``1 / (1 + exp(-Z))``."""
    A = np.empty_like(Z)
    Sigmoid().apply(Z, out=A)
    return A


@LAYERS.register("softmax")
@dataclass
class Softmax(Layer):
    """Probabilities over the last axis. As the last layer it is joined with the loss.

    References
    ----------
    J. Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990

    Examples
    --------
    >>> A, _ = Softmax().forward(np.array([[1000.0, 1000.0]]), Context())
    >>> A
    array([[0.5, 0.5]])
    """

    is_activation: ClassVar[bool] = True

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return probabilities that add up to one; shifted by the maximum none overflows."""
        A: Array = np.exp(A_prev - row_maxima(A_prev))
        A /= A.sum(axis=-1, keepdims=True)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``A · (dA - Σ A·dA)``."""
        A = cache
        return A * (dA - (A * dA).sum(axis=-1, keepdims=True)), {}


@LAYERS.register("log_softmax")
@dataclass
class LogSoftmax(Layer):
    """Logarithms of probabilities over the last axis.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 6.2.2.3
    """

    is_activation: ClassVar[bool] = True

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return ``Z - log Σ exp(Z)``, shifted by the maximum so that nothing overflows."""
        A: Array = A_prev - row_maxima(A_prev)
        A -= np.log(np.exp(A).sum(axis=-1, keepdims=True))
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``dA - softmax(Z) · Σ dA``."""
        return dA - np.exp(cache) * dA.sum(axis=-1, keepdims=True), {}
