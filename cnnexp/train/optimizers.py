"""Optimizers: what is subtracted from the parameters, given their gradient.

All parameters of a network are one vector, so an optimizer is a few operations on vectors. Its
settings are fixed; its state is a dictionary of arrays that the trainer keeps, saves and restores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from cnnexp.errors import OptionError
from cnnexp.registry import Registry

Array = npt.NDArray[Any]
State = dict[str, Array]


class Optimizer(ABC):
    """Base of all optimizers. The dataclass fields of a subclass are its options."""

    default_learning_rate: ClassVar[float]

    def initial_state(self, parameters: Array) -> State:
        """Return the state before the first step."""
        return {}

    def begin_step(self, state: State) -> None:  # noqa: B027 - most have nothing to count
        """Advance what the state counts, once a step, before the updates."""

    @abstractmethod
    def update(
        self, parameters: Array, gradient: Array, state: State, learning_rate: float
    ) -> Array:
        """Return what to subtract from some of the parameters.

        It works number by number: a step is made of several calls for parts of the vectors. The
        gradient may be overwritten, and the state is advanced in place; parameters are left alone.
        """

    def state_of(self, state: State, part: slice) -> State:
        """Return the state of some of the parameters: of vectors the part, of counts the whole."""
        return {key: value[part] if value.ndim else value for key, value in state.items()}


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise OptionError(f"{name} must be at least 0 and below 1. Got {value}.")


def _check_not_negative(name: str, value: float) -> None:
    if not value >= 0:
        raise OptionError(f"{name} must be at least 0. Got {value}.")


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    With gradient ``g`` and learning rate ``a``: ``v ← momentum · v + g``, and ``a · v`` is
    subtracted; with Nesterov's variant ``a · (g + momentum · v)``.

    Parameters
    ----------
    momentum : float
        How much of the last step is kept; 0 for plain gradient descent.
    nesterov : bool
        Whether to look ahead along the momentum; without momentum it changes nothing.
    weight_decay : float
        Adds ``weight_decay · parameter`` to the gradient.

    References
    ----------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
    https://proceedings.mlr.press/v28/sutskever13.html
    """

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    default_learning_rate = 0.1

    def __post_init__(self) -> None:
        _check_fraction("momentum", self.momentum)
        _check_not_negative("weight_decay", self.weight_decay)

    def initial_state(self, parameters: Array) -> State:
        """Return a velocity of zero, if there is momentum."""
        return {"velocity": np.zeros_like(parameters)} if self.momentum else {}

    def update(
        self, parameters: Array, gradient: Array, state: State, learning_rate: float
    ) -> Array:
        """Return the step."""
        if self.weight_decay:
            gradient += gradient.dtype.type(self.weight_decay) * parameters
        rate, momentum = gradient.dtype.type(learning_rate), gradient.dtype.type(self.momentum)
        if not self.momentum:
            gradient *= rate
            return gradient
        velocity = state["velocity"]
        velocity *= momentum
        velocity += gradient
        if not self.nesterov:
            gradient[...] = velocity * rate
            return gradient
        gradient *= rate
        gradient += (rate * momentum) * velocity
        return gradient


@OPTIMIZERS.register("adam")
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    beta1, beta2 : float
        How much of the running mean of gradients, and of their squares, is kept at each step.
    epsilon : float
        Added to the root of the mean square.
    weight_decay : float
        Adds ``weight_decay · parameter`` to the gradient.

    References
    ----------
    D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, 2015,
    https://arxiv.org/abs/1412.6980
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    default_learning_rate = 0.001

    def __post_init__(self) -> None:
        _check_fraction("beta1", self.beta1)
        _check_fraction("beta2", self.beta2)
        if not self.epsilon > 0:
            raise OptionError(f"epsilon must be above 0. Got {self.epsilon}.")
        _check_not_negative("weight_decay", self.weight_decay)

    def initial_state(self, parameters: Array) -> State:
        """Return means of zero, and a count of no steps."""
        return {
            "mean": np.zeros_like(parameters),
            "mean_square": np.zeros_like(parameters),
            "steps": np.zeros((), np.int64),
        }

    def begin_step(self, state: State) -> None:
        """Count the steps."""
        state["steps"] += 1

    def update(
        self, parameters: Array, gradient: Array, state: State, learning_rate: float
    ) -> Array:
        """Return the step, with both means corrected for their start at zero."""
        kind = gradient.dtype.type
        if self.weight_decay:
            gradient += kind(self.weight_decay) * parameters
        steps = int(state["steps"])
        mean, mean_square = state["mean"], state["mean_square"]
        mean *= kind(self.beta1)
        mean += kind(1 - self.beta1) * gradient
        gradient *= gradient
        gradient *= kind(1 - self.beta2)
        mean_square *= kind(self.beta2)
        mean_square += gradient
        root = np.sqrt(mean_square, out=gradient)
        root /= kind(np.sqrt(1 - self.beta2**steps))
        root += kind(self.epsilon)
        step = np.divide(mean, root, out=root)
        step *= kind(learning_rate / (1 - self.beta1**steps))
        return step
