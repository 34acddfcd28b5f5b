"""Optimizers: how a gradient becomes a step.

All parameters of a network are one vector. An optimizer is a chain of transforms
(`transforms`), which work on the vector part by part. Its settings are fixed; its state is a
dictionary of arrays that the trainer keeps, saves and restores.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cnnexp.errors import OptionError
from cnnexp.registry import Registry
from cnnexp.train.transforms import (
    AdamMoments,
    Array,
    ClipNorm,
    ClipValue,
    Momentum,
    State,
    Transform,
    WeightDecay,
)

if TYPE_CHECKING:
    from cnnexp.nn.parameters import Parameter

CHUNK = 1 << 15  # numbers that stay in the cache while all transforms work on them
LARGE_RATE = 1e15  # above it a finite gradient may give a step that is not finite


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of all optimizers. The dataclass fields of a subclass are its options.

    Parameters
    ----------
    weight_decay : float
        How much of each weight is taken off.
    decay_biases : bool
        Whether biases, and the scales of normalisation, decay as well.
    clip_value : float, optional
        The largest number of a gradient.
    clip_norm : float, optional
        The largest Euclidean norm of the whole gradient.
    """

    weight_decay: float = 0.0
    decay_biases: bool = True
    clip_value: float | None = None
    clip_norm: float | None = None

    default_learning_rate: ClassVar[float]
    decoupled: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.weight_decay >= 0:
            raise OptionError(f"weight_decay must be at least 0. Got {self.weight_decay}.")
        for name in ("clip_value", "clip_norm"):
            limit = getattr(self, name)
            if limit is not None and not 0 < limit < math.inf:
                raise OptionError(f"{name} must be above 0, and finite. Got {limit}.")

    @abstractmethod
    def core(self) -> tuple[Transform, ...]:
        """Return the transforms that are this optimizer's own."""

    @cached_property
    def chain(self) -> tuple[Transform, ...]:
        """All transforms: clipping, decay, and its own; decoupled decay comes last."""
        clips: list[Transform] = []
        if self.clip_value is not None:
            clips.append(ClipValue(self.clip_value))
        if self.clip_norm is not None:
            clips.append(ClipNorm(self.clip_norm))
        decay = (WeightDecay(self.weight_decay),) if self.weight_decay else ()
        if self.decoupled:
            return (*clips, *self.core(), *decay)
        return (*clips, *decay, *self.core())

    def initial_state(self, parameters: Sequence[Parameter], values: Array) -> State:
        """Return the state before the first step."""
        state: State = {}
        for transform in self.chain:
            state |= transform.initial_state(values)
        return state

    def step(
        self,
        values: Array,
        gradient: Array,
        state: State,
        learning_rate: float,
        parameters: Sequence[Parameter],
        chunk: int = CHUNK,
    ) -> bool:
        """Take one step in place; if it would not be finite, change no parameter.

        Parameters
        ----------
        values, gradient : array (n,)
            The parameters and their gradient, which is overwritten.
        state : dict of str to array
            Advanced in place.
        learning_rate : float
            Factor of the update.
        parameters : sequence of Parameter
            Name, kind and position of each.
        chunk : int
            Numbers that are worked on at a time; the result does not depend on it.

        Returns
        -------
        bool
            Whether the step was taken.
        """
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            factor = math.prod(transform.begin(gradient, state) for transform in self.chain)
            if factor != 1.0:
                gradient *= gradient.dtype.type(factor)
            rate = gradient.dtype.type(learning_rate)
            # A sum of squares that is finite, found in one pass, says that the step will be so.
            sure = math.isfinite(np.dot(gradient, gradient)) and learning_rate < LARGE_RATE
            moved = values if sure else values.copy()
            for part, decays in self._parts(parameters, len(values), chunk):
                inner = {key: v[part] if v.ndim else v for key, v in state.items()}
                update = gradient[part]
                for transform in self.chain:
                    update = transform.apply(update, values[part], inner, decays)
                update *= rate
                moved[part] -= update
            if not sure:
                if not np.isfinite(moved).all():
                    return False
                values[...] = moved
        return True

    def _parts(
        self, parameters: Sequence[Parameter], size: int, chunk: int
    ) -> Iterator[tuple[slice, bool]]:
        """Yield slices of at most `chunk` numbers, and whether they decay.

        Biases and scales come first in the vector.
        """
        first = 0
        if self.weight_decay and not self.decay_biases:
            first = next((p.part.start for p in parameters if p.kind == "weight"), size)
        for start, stop, decays in ((0, first, False), (first, size, True)):
            for at in range(start, stop, chunk):
                yield slice(at, min(at + chunk, stop)), decays


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with Nesterov's momentum unless told otherwise.

    Parameters
    ----------
    momentum : float
        How much of the last step is kept; 0 for plain gradient descent.
    nesterov : bool
        Whether to look ahead along the momentum; without momentum it changes nothing.
    weight_decay, decay_biases, clip_value, clip_norm
        See `Optimizer`; the decay is added to the gradient.
    """

    momentum: float = 0.9
    nesterov: bool = True

    default_learning_rate: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("momentum", self.momentum)

    def core(self) -> tuple[Transform, ...]:
        """Return momentum, if there is any."""
        return (Momentum(self.momentum, self.nesterov),) if self.momentum else ()


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
    weight_decay, decay_biases, clip_value, clip_norm
        See `Optimizer`; the decay is added to the gradient.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    default_learning_rate: ClassVar[float] = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fraction("beta1", self.beta1)
        _check_fraction("beta2", self.beta2)
        if not self.epsilon > 0:
            raise OptionError(f"epsilon must be above 0. Got {self.epsilon}.")

    def core(self) -> tuple[Transform, ...]:
        """Return the quotient of the moments."""
        return (AdamMoments(self.beta1, self.beta2, self.epsilon),)


@OPTIMIZERS.register("adamw")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay: the decay is not scaled by the moments.

    Parameters
    ----------
    beta1, beta2, epsilon
        See `Adam`.
    weight_decay, decay_biases, clip_value, clip_norm
        See `Optimizer`; the decay is added to the update.
    """

    weight_decay: float = 0.01

    decoupled: ClassVar[bool] = True


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise OptionError(f"{name} must be at least 0 and below 1. Got {value}.")
