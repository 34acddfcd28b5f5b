"""Optimizers: how a gradient becomes a step.

All parameters of a network are one vector. An optimizer is a chain of transforms
(`transforms`), which work on the vector part by part. Its settings are fixed; its state is a
dictionary of arrays that the trainer keeps, saves and restores.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from cnnexp.errors import ShapeError
from cnnexp.nn.options import check_number
from cnnexp.nn.parameters import Parameter, copies_by_path
from cnnexp.registry import Registry
from cnnexp.train.transforms import (
    L1,
    Array,
    ClipNorm,
    ClipValue,
    State,
    Transform,
    WeightDecay,
)

CHUNK = 1 << 15  # numbers that stay in the cache while all transforms work on them
LARGE_RATE = 1e15  # above it a finite gradient may give a step that is not finite


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of all optimizers. The dataclass fields of a subclass are its options.

    Parameters
    ----------
    weight_decay : float
        Factor of each weight that is added to its gradient (L2 regularization).
    decay_biases : bool
        Whether `weight_decay` and `l1` act on biases, and on the scales of normalisation, too.
    clip_value : float, optional
        Limit of each number of the gradient, which is clipped to [-limit, limit].
    clip_norm : float, optional
        Largest Euclidean norm of the whole gradient; a longer gradient is scaled down.
    l1 : float
        Factor of the sign of each weight, which is added to the gradient; biases are excluded if
        they do not decay.
    max_norm : float, optional
        Largest Euclidean norm of the weights of one filter or unit; longer ones are scaled down
        after the step (N. Srivastava et al., Dropout, 2014, section 5.1).
    """

    weight_decay: float = 0.0
    decay_biases: bool = True
    clip_value: float | None = None
    clip_norm: float | None = None
    l1: float = 0.0
    max_norm: float | None = None

    default_learning_rate: ClassVar[float]
    decoupled: ClassVar[bool] = False
    layerwise: ClassVar[bool] = False  # whether `rescale` looks at the update of each parameter

    def __post_init__(self) -> None:
        for name in ("weight_decay", "l1"):
            check_number(name, getattr(self, name), least=0)
        for name in ("clip_value", "clip_norm", "max_norm"):
            limit = getattr(self, name)
            if limit is not None:
                check_number(name, limit, above=0, below=math.inf)

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
        l1 = (L1(self.l1),) if self.l1 else ()
        if self.decoupled:
            return (*clips, *l1, *self.core(), *decay)
        return (*clips, *l1, *decay, *self.core())

    def rescale(  # noqa: B027 - most have nothing to rescale
        self, update: Array, values: Array, parameters: Sequence[Parameter]
    ) -> None:
        """Change the whole update in place, parameter by parameter, where `layerwise`."""

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
        chunk: int | None = None,
        one_pass: Callable[..., None] | None = None,
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
            Numbers that are worked on at a time; the result does not depend on it. By default so
            many as stay in the processor's cache, and all of them on a device.
        one_pass : callable, optional
            Takes the whole step, if that is sure to be finite (see `cnnexp.train.one_pass`).

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
            if not sure and not np.isfinite(gradient).all():
                return False
            moved = values if sure else values.copy()
            chunk = chunk or (CHUNK if isinstance(values, np.ndarray) else len(values))
            if one_pass is not None and sure:
                chunk = max(len(values), 1)
            for part, decays in self._parts(parameters, len(values), chunk):
                inner = {key: v[part] if v.ndim else v for key, v in state.items()}
                update = gradient[part]
                if one_pass is not None and sure:
                    one_pass(values[part], update, inner, rate, decays)
                    continue
                for transform in self.chain:
                    update = transform.apply(update, values[part], inner, decays)
                if not self.layerwise:
                    update *= rate
                    moved[part] -= update
            if self.layerwise:
                self.rescale(gradient, values, parameters)
                gradient *= rate
                moved -= gradient
            if not sure:
                if not np.isfinite(moved).all():
                    return False
                values[...] = moved
        if self.max_norm is not None:
            limit_norms(values, parameters, self.max_norm)
        return True

    def _parts(
        self, parameters: Sequence[Parameter], size: int, chunk: int
    ) -> Iterator[tuple[slice, bool]]:
        """Yield slices of at most `chunk` numbers, and whether they decay.

        Biases and scales come first in the vector.
        """
        first = 0
        if (self.weight_decay or self.l1) and not self.decay_biases:
            first = next((p.part.start for p in parameters if p.kind == "weight"), size)
        for start, stop, decays in ((0, first, False), (first, size, True)):
            for at in range(start, stop, chunk):
                yield slice(at, min(at + chunk, stop)), decays


def limit_norms(values: Array, parameters: Sequence[Parameter], largest: float) -> None:
    """Scale down, in place, the weights of every filter or unit whose norm is above a limit."""
    for parameter in parameters:
        if parameter.kind == "weight":
            columns = values[parameter.part].reshape(-1, parameter.shape[-1])
            norms = np.sqrt(np.einsum("ij,ij->j", columns, columns))
            columns *= np.minimum(largest / np.maximum(norms, 1e-30), 1).astype(values.dtype)


def state_by_path(state: State, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return an optimizer's state to be saved: each vector as a dictionary of arrays by path.

    The order of parameters in the vectors depends on the machine's cache, and a checkpoint may be
    resumed on another machine.
    """
    return {
        key: copies_by_path(value, parameters) if value.ndim else value.copy()
        for key, value in state.items()
    }


def state_from_paths(
    saved: Mapping[str, Any], parameters: Sequence[Parameter], xp: Any = np
) -> State:
    """Return the state that `state_by_path` was given, in the order of these parameters.

    A vector, as older checkpoints have it, is taken as it is. Vectors are arrays of the module
    `xp`, single numbers always of NumPy.

    Raises
    ------
    ShapeError
        If the state has other parameters, or other sizes of them.
    """
    state: State = {}
    for key, value in saved.items():
        if isinstance(value, Mapping):
            sizes = {path: np.size(array) for path, array in value.items()}
            if sizes != {p.path: p.part.stop - p.part.start for p in parameters}:
                raise ShapeError(f"the optimizer's state '{key}' does not fit this network.")
            value = np.concatenate([value[p.path] for p in parameters])
        state[key] = xp.array(value) if np.ndim(value) else np.array(value)
    return state


OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")
