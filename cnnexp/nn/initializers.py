"""How initial weights are drawn.

Every initializer takes a shape, the number of inputs that one output adds up (`fan_in`), the
number of outputs that one input reaches (`fan_out`) and a random generator, and returns float64.
Biases start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import ShapeError
from cnnexp.registry import Registry

# A string, for NumPy loads its random numbers when they are first named, and that takes a while.
Initializer: TypeAlias = "Callable[[tuple[int, ...], int, int, np.random.Generator], Array]"

_MOST: ContextVar[int] = ContextVar("most", default=1 << 40)

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


@INITIALIZERS.register("he_uniform")
def he_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Uniform with variance 2 / fan_in; see `he_normal`.

    References
    ----------
    He et al., Delving Deep into Rectifiers, 2015, https://arxiv.org/abs/1502.01852
    """
    return _uniform(2.0 / fan_in, shape, generator)


@INITIALIZERS.register("glorot_normal")
def glorot_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Normal with variance 2 / (fan_in + fan_out); see `glorot_uniform`.

    References
    ----------
    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    2010, https://proceedings.mlr.press/v9/glorot10a.html
    """
    return generator.normal(0.0, np.sqrt(2.0 / (fan_in + fan_out)), shape)


@INITIALIZERS.register("lecun_normal")
def lecun_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Normal with variance 1 / fan_in: keeps the size of signals through linear layers.

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998
    """
    return generator.normal(0.0, np.sqrt(1.0 / fan_in), shape)


@INITIALIZERS.register("lecun_uniform")
def lecun_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Uniform with variance 1 / fan_in; see `lecun_normal`.

    References
    ----------
    Y. LeCun et al., Efficient BackProp, 1998
    """
    return _uniform(1.0 / fan_in, shape, generator)


@INITIALIZERS.register("orthogonal")
def orthogonal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Filters or units at right angles to each other, each of norm 1.

    Where there are more of them than inputs, the inputs' weights are at right angles instead.

    References
    ----------
    A. Saxe, J. McClelland, S. Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning in
    Deep Linear Neural Networks, 2013, https://arxiv.org/abs/1312.6120
    """
    rows, cols = int(np.prod(shape[:-1])), shape[-1]
    normal = generator.normal(size=(max(rows, cols), min(rows, cols)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diagonal(r))  # all rotations are equally likely then
    square: Array = (q if rows >= cols else q.T).reshape(shape)
    return square


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
    return _uniform(2.0 / (fan_in + fan_out), shape, generator)


@INITIALIZERS.register("small_normal")
def small_normal(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Normal with standard deviation 0.01, whatever the shape: for comparison.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural
    Networks, 2012, section 5
    """
    return generator.normal(0.0, 0.01, shape)


@INITIALIZERS.register("original_uniform")
def original_uniform(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """Uniform from 0 to 0.1 for filters, from 0 to 0.0001 for dense layers, as cnn-numpy has it.

    References
    ----------
    D. Stein, cnn-numpy, cnn_numpy_sg.py, https://www.github.com/neuron-whisperer/cnn-numpy
    """
    return generator.uniform(0.0, 0.1 if len(shape) == 4 else 0.0001, shape)


@INITIALIZERS.register("zeros")
def zeros(
    shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
) -> Array:
    """All zeros, to see that a network with equal weights cannot learn different features.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 8.4 (breaking symmetry)
    """
    return np.zeros(shape)


def constant(value: float) -> Initializer:
    """All weights equal to one number.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 8.4 (breaking symmetry)
    """

    def fill(
        shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
    ) -> Array:
        return np.full(shape, value)

    return fill


def initializer(name: str | float) -> Initializer:
    """Return the initializer of a name, or of a number; it refuses more than `at_most` allows."""
    draw = INITIALIZERS[name] if isinstance(name, str) else constant(name)

    def draw_what_is_allowed(
        shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator
    ) -> Array:
        if math.prod(shape) > (most := _MOST.get()):
            raise ShapeError(f"weights of shape {shape}: at most {most:,} numbers are possible")
        return draw(shape, fan_in, fan_out, generator)

    return draw_what_is_allowed


@contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Refuse to draw arrays with more numbers: settings from elsewhere may ask for any size."""
    token = _MOST.set(min(numbers, _MOST.get()))
    try:
        yield
    finally:
        _MOST.reset(token)


def _uniform(variance: float, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw from a uniform distribution around 0."""
    limit = np.sqrt(3.0 * variance)
    return generator.uniform(-limit, limit, shape)
