"""Transforms: the links of an optimizer's chain, as in optax.

An optimizer turns a gradient into an update by a few small transforms, one after the other::

    gradient ──clip──decay──momentum──> update          parameters -= learning_rate · update

A transform's settings are fixed; its state is arrays that the trainer keeps, saves and restores.
It is applied to one part of the vector at a time, so that the part stays in the processor's cache
through all transforms; what needs the whole gradient is computed before, in `begin`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
State = dict[str, Array]


class Transform(ABC):
    """Base of all transforms. The dataclass fields of a subclass are its settings."""

    def initial_state(self, values: Array) -> State:
        """Return the state before the first step: vectors like `values`, or single numbers."""
        return {}

    def begin(self, gradient: Array, state: State) -> float:
        """Return a factor for the gradient, given all of it; called once per step."""
        return 1.0

    @abstractmethod
    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the update of a part of the vector; `update` and `state` change in place.

        Parameters
        ----------
        update : array
            The result of the transform before; the gradient for the first one.
        values : array
            The parameters, which are left alone.
        state : dict of str to array
            The part of the state that belongs to these parameters.
        decays : bool
            Whether these parameters decay; biases and scales may be excluded.
        """


@dataclass(frozen=True)
class ClipValue(Transform):
    """Keep every number of the gradient between ``-limit`` and ``limit``."""

    limit: float

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Clip in place."""
        limit = update.dtype.type(self.limit)
        return np.clip(update, -limit, limit, out=update)


@dataclass(frozen=True)
class ClipNorm(Transform):
    """Scale the gradient down where its Euclidean norm, over all parameters, is above a limit.

    References
    ----------
    R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks,
    2013, https://proceedings.mlr.press/v28/pascanu13.html
    """

    limit: float

    def begin(self, gradient: Array, state: State) -> float:
        """Return the factor, which has the small addend of PyTorch's own."""
        norm = float(np.sqrt(np.dot(gradient, gradient)))
        return min(self.limit / (norm + 1e-6), 1.0)

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the update as it is: the factor has been applied to the gradient."""
        return update


@dataclass(frozen=True)
class WeightDecay(Transform):
    """Add ``rate · weight``: before momentum that is L2 regularisation, after it decoupled decay.

    References
    ----------
    I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2019,
    https://arxiv.org/abs/1711.05101
    """

    rate: float

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Add the decay."""
        if decays:
            update += update.dtype.type(self.rate) * values
        return update


@dataclass(frozen=True)
class Momentum(Transform):
    """``v ← momentum · v + g``, and ``v`` is the update; with Nesterov ``g + momentum · v``.

    References
    ----------
    I. Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
    https://proceedings.mlr.press/v28/sutskever13.html
    """

    momentum: float
    nesterov: bool

    def initial_state(self, values: Array) -> State:
        """Return a velocity of zero."""
        return {"velocity": np.zeros_like(values)}

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the velocity, or a look ahead along it."""
        velocity, momentum = state["velocity"], update.dtype.type(self.momentum)
        velocity *= momentum
        velocity += update
        if not self.nesterov:
            update[...] = velocity
            return update
        update += momentum * velocity
        return update


@dataclass(frozen=True)
class AdamMoments(Transform):
    """The mean of gradients over the root of the mean of their squares, both running.

    References
    ----------
    D. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, 2015,
    https://arxiv.org/abs/1412.6980
    """

    beta1: float
    beta2: float
    epsilon: float

    def initial_state(self, values: Array) -> State:
        """Return means of zero, and a count of no steps."""
        return {
            "mean": np.zeros_like(values),
            "mean_square": np.zeros_like(values),
            "steps": np.zeros((), np.int64),
        }

    def begin(self, gradient: Array, state: State) -> float:
        """Count the steps."""
        state["steps"] += 1
        return 1.0

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the quotient, with both means corrected for their start at zero."""
        kind, steps = update.dtype.type, int(state["steps"])
        mean, mean_square = state["mean"], state["mean_square"]
        mean *= kind(self.beta1)
        mean += kind(1 - self.beta1) * update
        update *= update
        update *= kind(1 - self.beta2)
        mean_square *= kind(self.beta2)
        mean_square += update
        root = np.sqrt(mean_square, out=update)
        root /= kind(np.sqrt(1 - self.beta2**steps))
        root += kind(self.epsilon)
        np.divide(mean, root, out=update)
        update *= kind(1 / (1 - self.beta1**steps))
        return update


@dataclass(frozen=True)
class L1(Transform):
    """Add ``rate · sign(weight)``: it drives small weights to zero.

    References
    ----------
    R. Tibshirani, Regression Shrinkage and Selection via the Lasso, 1996
    """

    rate: float

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Add the slope of the sum of distances from zero."""
        if decays:
            update += update.dtype.type(self.rate) * np.sign(values)
        return update


@dataclass(frozen=True)
class SquaredSum(Transform):
    """The gradient over the root of the sum of all its squares so far (Adagrad)."""

    epsilon: float

    def initial_state(self, values: Array) -> State:
        """Return a sum of zero."""
        return {"sum_square": np.zeros_like(values)}

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the quotient."""
        total = state["sum_square"]
        total += update * update
        update /= np.sqrt(total) + update.dtype.type(self.epsilon)
        return update


@dataclass(frozen=True)
class SquaredMean(Transform):
    """The gradient over the root of the running mean of its squares (RMSprop)."""

    decay: float
    epsilon: float

    def initial_state(self, values: Array) -> State:
        """Return a mean of zero."""
        return {"mean_square": np.zeros_like(values)}

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the quotient."""
        kind, mean_square = update.dtype.type, state["mean_square"]
        mean_square *= kind(self.decay)
        mean_square += kind(1 - self.decay) * (update * update)
        update /= np.sqrt(mean_square) + kind(self.epsilon)
        return update


@dataclass(frozen=True)
class NesterovMoments(Transform):
    """Adam's moments with a look ahead along the mean (NAdam)."""

    beta1: float
    beta2: float
    epsilon: float
    momentum_decay: float

    def initial_state(self, values: Array) -> State:
        """Return means of zero, no steps, and an empty product of momenta."""
        return {
            "mean": np.zeros_like(values),
            "mean_square": np.zeros_like(values),
            "steps": np.zeros((), np.int64),
            "momenta": np.ones((), np.float64),
        }

    def begin(self, gradient: Array, state: State) -> float:
        """Count the steps, and multiply up the momenta."""
        state["steps"] += 1
        state["momenta"] *= self._momentum(int(state["steps"]))
        return 1.0

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the corrected gradient and mean over the corrected root."""
        kind, steps, momenta = update.dtype.type, int(state["steps"]), float(state["momenta"])
        mean, mean_square = state["mean"], state["mean_square"]
        mean *= kind(self.beta1)
        mean += kind(1 - self.beta1) * update
        mean_square *= kind(self.beta2)
        mean_square += kind(1 - self.beta2) * (update * update)
        now, following = self._momentum(steps), self._momentum(steps + 1)
        update *= kind((1 - now) / (1 - momenta))
        update += kind(following / (1 - momenta * following)) * mean
        update /= np.sqrt(mean_square / kind(1 - self.beta2**steps)) + kind(self.epsilon)
        return update

    def _momentum(self, step: int) -> float:
        """Return the momentum of a step, which grows to `beta1`."""
        return self.beta1 * (1 - 0.5 * float(0.96 ** (step * self.momentum_decay)))


@dataclass(frozen=True)
class SignOfMean(Transform):
    """The sign of a running mean of gradients (Lion)."""

    beta1: float
    beta2: float

    def initial_state(self, values: Array) -> State:
        """Return a mean of zero."""
        return {"mean": np.zeros_like(values)}

    def apply(self, update: Array, values: Array, state: State, decays: bool) -> Array:
        """Return the sign of the mean with this gradient, and keep another mean."""
        kind, mean = update.dtype.type, state["mean"]
        gradient = update.copy()
        update *= kind(1 - self.beta1)
        update += kind(self.beta1) * mean
        np.sign(update, out=update)
        mean *= kind(self.beta2)
        mean += kind(1 - self.beta2) * gradient
        return update
