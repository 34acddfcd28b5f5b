"""How initial weights are drawn.

Every initializer takes a shape, the number of inputs that one output adds up (`fan_in`), the
number of outputs that one input reaches (`fan_out`) and a random generator, and returns float64.
Biases start at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from cnnexp.engine import Array
from cnnexp.registry import Registry

# A string, for NumPy loads its random numbers when they are first named, and that takes a while.
Initializer: TypeAlias = "Callable[[tuple[int, ...], int, int, np.random.Generator], Array]"

INITIALIZERS: Registry[Initializer] = Registry("initializer")


@INITIALIZERS.register("he_normal")
def he_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Normal with variance 2 / fan_in: keeps the size of signals through ReLU layers.

    References
    ----------
    He et al., Delving Deep into Rectifiers, 2015, https://arxiv.org/abs/1502.01852
    """
    return generator.normal(0.0, np.sqrt(2.0 / fan_in), shape)


@INITIALIZERS.register("glorot_uniform")
def glorot_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Uniform with variance 2 / (fan_in + fan_out): a balance of forward and backward signals.

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, https://proceedings.mlr.press/v9/glorot10a.html
    """
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return generator.uniform(-limit, limit, shape)


@INITIALIZERS.register("small_normal")
def small_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Normal with standard deviation 0.01, whatever the shape: for comparison."""
    return generator.normal(0.0, 0.01, shape)


@INITIALIZERS.register("zeros")
def zeros(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """All zeros, to see that a network with equal weights cannot learn different features."""
    return np.zeros(shape)
