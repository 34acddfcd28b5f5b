"""Activations as layers: functions of every value, and the softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from cnnexp.engine import Array, Context, Pointwise, activations
from cnnexp.nn.layer import LAYERS, Layer

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


@dataclass
class PointwiseLayer(Layer, Pointwise):
    """Base of all layers that apply one function to every value.

    A subclass has `apply` and `gradient`. An implementation may compute it together with the layer
    before it; `monotonic` and `from_output` say where that is right.
    """

    operation: ClassVar[str] = "pointwise"
    is_activation: ClassVar[bool] = True

    @property
    def geometry(self) -> PointwiseLayer:
        """The function, which is the layer itself."""
        return self


@LAYERS.register("relu")
@dataclass
class ReLU(PointwiseLayer, activations.ReLU):
    """Rectified linear unit: ``max(Z, 0)``; its derivative at 0 is 0."""


@LAYERS.register("leaky_relu")
@dataclass
class LeakyReLU(PointwiseLayer, activations.LeakyReLU):
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


@LAYERS.register("sigmoid")
@dataclass
class Sigmoid(PointwiseLayer, activations.Sigmoid):
    """Logistic function: ``1 / (1 + exp(-Z))``."""


@LAYERS.register("tanh")
@dataclass
class Tanh(PointwiseLayer, activations.Tanh):
    """Hyperbolic tangent."""


@LAYERS.register("softmax")
@dataclass
class Softmax(Layer):
    """Probabilities over the last axis. As the last layer it is joined with the loss."""

    is_activation: ClassVar[bool] = True

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return probabilities that add up to one."""
        A = activations.softmax(A_prev)
        return A, A

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return ``A · (dA - Σ A·dA)``."""
        return activations.softmax_backward(dA, cache), {}
