"""Batch normalisation as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.errors import OptionError
from cnnexp.nn.layer import LAYERS, Layer, Shape


@LAYERS.register("batch_norm")
@dataclass
class BatchNorm(Layer):
    """Give every channel mean 0 and variance 1 over the mini-batch, then a scale and a shift.

    In training the statistics are those of the whole mini-batch, however it is cut; running means
    of them are kept for inference. After a dense layer every feature is a channel.

    Parameters
    ----------
    momentum : float
        How much of the running statistics a step replaces.
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
    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({"scale": "scale", "shift": "bias"})

    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 < self.momentum <= 1:
            raise OptionError(f"momentum must be above 0 and at most 1. Got {self.momentum}.")
        if not self.epsilon > 0:
            raise OptionError(f"epsilon must be above 0. Got {self.epsilon}.")

    def build(
        self, input_shape: Shape, generator: np.random.Generator, dtype: npt.DTypeLike
    ) -> None:
        """Begin with scale 1 and shift 0, and with running statistics of mean 0 and variance 1."""
        super().build(input_shape, generator, dtype)
        n_c = input_shape[-1]
        self.geometry = self
        self.partial_size = 3 * n_c
        self.params = {"scale": np.ones(n_c, dtype), "shift": np.zeros(n_c, dtype)}
        self.state = {"mean": np.zeros(n_c, dtype), "variance": np.ones(n_c, dtype)}
