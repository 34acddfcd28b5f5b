"""Normalisation: of every channel over the mini-batch, or of every sample by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context
from cnnexp.errors import ShapeError
from cnnexp.nn.layer import LAYERS, Layer, Shape
from cnnexp.nn.options import at_least, check_number

if TYPE_CHECKING:
    from cnnexp.engine import Gradients


class _Norm(Layer):
    """What all normalisations share: a scale and a shift for each channel, and epsilon."""

    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({"scale": "scale", "shift": "bias"})

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("epsilon", self.epsilon, above=0)

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Begin with scale 1 and shift 0."""
        super().build(input_shape, generator, dtype)
        n_c = input_shape[-1]
        self.params = {"scale": np.ones(n_c, dtype), "shift": np.zeros(n_c, dtype)}


@LAYERS.register("batch_norm")
@dataclass
class BatchNorm(_Norm):
    """Give every channel mean 0 and variance 1 over the mini-batch, then a scale and a shift.

    In training the statistics are those of the whole mini-batch, however it is cut; running means
    of them are kept for inference. After a dense layer every feature is a channel.

    Parameters
    ----------
    momentum : float
        Fraction of the running statistics that a step replaces.
    epsilon : float
        Added to the variance.

    References
    ----------
    S. Ioffe and C. Szegedy, Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift, 2015, https://arxiv.org/abs/1502.03167
    """

    operation: ClassVar[str] = "batch_norm"
    training_operation: ClassVar[str] = "batch_norm_training"
    cross_sample: ClassVar[bool] = True

    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        check_number("momentum", self.momentum, above=0, most=1)
        super().__post_init__()

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Begin with scale 1 and shift 0, and with running statistics of mean 0 and variance 1."""
        super().build(input_shape, generator, dtype)
        n_c = input_shape[-1]
        self.geometry = self
        self.partial_size = 3 * n_c
        self.state = {"mean": np.zeros(n_c, dtype), "variance": np.ones(n_c, dtype)}


class _SampleNorm(_Norm):
    """What layer and group normalisation share: mean 0 and variance 1 over parts of a sample.

    A sample is seen as (positions, groups, channels of a group).
    """

    axes: ClassVar[tuple[int, ...]]

    groups: int = 1

    def forward(self, A_prev: Array, context: Context) -> tuple[Array, Any]:
        """Return normalised values, times the scale, plus the shift."""
        parts = A_prev.reshape(len(A_prev), -1, self.groups, A_prev.shape[-1] // self.groups)
        x = parts - parts.mean(axis=self.axes, keepdims=True)
        variance = np.square(x).mean(axis=self.axes, keepdims=True)
        spread = np.sqrt(variance + A_prev.dtype.type(self.epsilon))
        x /= spread
        A = x.reshape(A_prev.shape) * self.params["scale"]
        A += self.params["shift"]
        return A, (x, spread)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array, Gradients]:
        """Return the gradients; mean and variance take their share."""
        x, spread = cache
        over = tuple(range(dA.ndim - 1))
        grads: Gradients = {
            "scale": (dA * x.reshape(dA.shape)).sum(axis=over),
            "shift": dA.sum(axis=over),
        }
        dx = (dA * self.params["scale"]).reshape(x.shape)
        share = (dx * x).mean(axis=self.axes, keepdims=True)
        dx -= dx.mean(axis=self.axes, keepdims=True) + x * share
        dx /= spread
        return dx.reshape(dA.shape), grads


@LAYERS.register("layer_norm")
@dataclass
class LayerNorm(_SampleNorm):
    """Give the features of every sample, or the channels of every pixel, mean 0 and variance 1.

    Training and inference are the same, and samples do not depend on each other.

    Parameters
    ----------
    epsilon : float
        Added to the variance.

    References
    ----------
    J. Ba, J. Kiros, G. Hinton, Layer Normalization, 2016, https://arxiv.org/abs/1607.06450
    """

    axes: ClassVar[tuple[int, ...]] = (3,)

    epsilon: float = 1e-5


@LAYERS.register("group_norm")
@dataclass
class GroupNorm(_SampleNorm):
    """Give groups of channels of every sample mean 0 and variance 1 over all its pixels.

    One group is the whole sample; as many groups as channels are instance normalisation.

    Parameters
    ----------
    groups : int
        Number of groups into which the channels are divided.
    epsilon : float
        Added to the variance.

    References
    ----------
    Y. Wu and K. He, Group Normalization, 2018, https://arxiv.org/abs/1803.08494
    """

    axes: ClassVar[tuple[int, ...]] = (1, 3)

    groups: int = 1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        at_least("groups", self.groups, 1)
        super().__post_init__()

    @property
    def reach(self) -> None:
        """Mean and variance are over the whole image."""

    def infer_shape(self, input_shape: Shape) -> Shape:
        """Return the shape; the groups must divide the channels."""
        if input_shape[-1] % self.groups:
            raise ShapeError(
                f"groups must divide the {input_shape[-1]} channels. Got {self.groups} groups."
            )
        return input_shape
