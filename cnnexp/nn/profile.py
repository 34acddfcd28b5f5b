"""Where the time of training goes, step by step.

A network that is watched runs other steps: each hands on what it is given, and looks at the clock
before and after. One that is not watched runs none of this. The numbers come out the same, because
the arithmetic is done by the same code.

Seconds are sums over the threads, so with two of them a layer can take more seconds than the clock
shows. Only passes of training count, an evaluation does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context, Factors, Gradients, Scratch
from cnnexp.engine.window import Window
from cnnexp.nn.layer import Layer
from cnnexp.nn.losses import Loss, softmax_cross_entropy
from cnnexp.nn.outer_products import OuterProducts, Share
from cnnexp.nn.steps import Step

LOSS = "softmax+cross_entropy"
FORWARD, BACKWARD = "forward", "backward"
NO_CACHE = (Layer, Scratch, Window, str, bytes)  # what a cache may name without keeping it


@dataclass
class Times:
    """What was measured of one step.

    Attributes
    ----------
    forward, backward : float
        Seconds, added up over all threads.
    samples : int
        Samples that passed forward.
    cache_bytes : int
        Most bytes that one piece of a batch left for the way back.
    """

    forward: float = 0.0
    backward: float = 0.0
    samples: int = 0
    cache_bytes: int = 0


@dataclass(frozen=True)
class ProfileRow:
    """One step, as a row of ``layers.csv``.

    Attributes
    ----------
    layer, type, output_shape : str
        The names of its layers, their types, and the shape of one sample's result.
    parameters, multiply_adds : int
        Numbers that are learnt; multiplications of one sample's forward pass.
    forward_seconds, backward_seconds : float
        Sums over all threads.
    gflops : float or None
        Billions of operations a second, forward and backward: an addition or a multiplication is
        one. They are counted as the definition of the layer has them; a method that needs fewer
        gets a higher figure. None where there are no multiply-adds.
    cache_bytes : int
        Most bytes that one piece of a batch left for the way back.
    """

    layer: str
    type: str
    output_shape: str
    parameters: int
    multiply_adds: int
    forward_seconds: float
    backward_seconds: float
    gflops: float | None
    cache_bytes: int


class Profile:
    """Figures of every step, and the watched steps that bring them.

    Parameters
    ----------
    steps : sequence of Step
        The steps to watch.
    first_trained : int
        The first one that has parameters; those before it have no way back.
    """

    def __init__(self, steps: Sequence[Step], first_trained: int) -> None:
        self.first_trained = first_trained
        self.names = [step.name for step in steps] + [LOSS]
        self._lock = threading.Lock()
        self._times = {name: Times() for name in self.names}
        self.steps: list[Step] = [WatchedStep(step, self) for step in steps]
        self.outer = WatchedProducts(self)

    def reset(self) -> None:
        """Begin again from zero; how large caches are does not change."""
        with self._lock:
            self._times = {
                name: Times(cache_bytes=times.cache_bytes) for name, times in self._times.items()
            }

    def add(self, name: str, way: str, seconds: float, samples: int = 0) -> None:
        """Add what one call took; calls may come from several threads."""
        with self._lock:
            times = self._times[name]
            setattr(times, way, getattr(times, way) + seconds)
            times.samples += samples

    def keep_cache(self, name: str, size: int) -> None:
        """Note the bytes of a cache, if they are the most so far."""
        with self._lock:
            times = self._times[name]
            times.cache_bytes = max(times.cache_bytes, size)

    def loss(self, Z: Array, labels: Array, batch: int) -> tuple[Loss, Array]:
        """Return the loss and its gradient, which are one step, and note what it took."""
        start = time.perf_counter()
        result = softmax_cross_entropy(Z, labels, batch)
        self.add(LOSS, FORWARD, time.perf_counter() - start, len(Z))
        return result

    def times(self) -> dict[str, dict[str, Any]]:
        """Return all figures by the name of the step, as plain containers."""
        with self._lock:
            return {name: dict(vars(times)) for name, times in self._times.items()}

    def add_times(self, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Add what `times` returned before: a run that goes on has taken it already."""
        for name, figures in earlier.items():
            for way in (FORWARD, BACKWARD):
                self.add(name, way, figures[way])
            self.add(name, FORWARD, 0.0, figures["samples"])
            self.keep_cache(name, figures["cache_bytes"])

    def rows(self, times: Mapping[str, Times] | None = None) -> list[ProfileRow]:
        """Return a row for each step, and one for the loss; of other figures, if they are given."""
        found = times or {name: Times(**figures) for name, figures in self.times().items()}
        rows = [
            _row(step, found[step.name], _passes(k, self.first_trained))
            for k, step in enumerate(self.steps)
        ]
        loss, shape = found[LOSS], _words(self.steps[-1].layers[-1].output_shape)
        rows.append(ProfileRow(LOSS, LOSS, shape, 0, 0, loss.forward, loss.backward, None, 0))
        return rows


class WatchedStep(Step):
    """A step that looks at the clock.

    Parameters
    ----------
    step : Step
        What it stands for, and hands everything to.
    profile : Profile
        Who is told.
    """

    def __init__(self, step: Step, profile: Profile) -> None:
        super().__init__(step.layers)
        self.fusion = step.fusion
        self._step = step
        self._profile = profile
        self._largest = 0
        self._own = {id(_owner(array)) for layer in step.layers for array in layer.params.values()}

    def forward(self, A: Array, context: Context) -> tuple[Array, Any]:
        """Return the result of the step and its cache; what leads nowhere is not counted."""
        if not context.training:
            return self._step.forward(A, context)
        start = time.perf_counter()
        result, cache = self._step.forward(A, context)
        self._profile.add(self.name, FORWARD, time.perf_counter() - start, len(A))
        if len(A) > self._largest:
            self._largest = len(A)
            self._profile.keep_cache(self.name, cache_bytes(cache, self._own))
        return result, cache

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradients of the step."""
        start = time.perf_counter()
        result = self._step.backward(cache, dA, context)
        self._profile.add(self.name, BACKWARD, time.perf_counter() - start)
        return result


class WatchedProducts(OuterProducts):
    """Products once a batch, whose time belongs to the way back of their layers."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile = profile
        self._names = {
            id(step.trained): step.name for step in profile.steps if step.trained is not None
        }

    def keep(self, layer: Layer, key: str, factors: Factors, at: slice) -> None:
        """Copy the factors of a piece."""
        start = time.perf_counter()
        super().keep(layer, key, factors, at)
        self._profile.add(self._names[id(layer)], BACKWARD, time.perf_counter() - start)

    def multiply_share(self, worker: int, share: Share) -> None:
        """Make a part of one product."""
        start = time.perf_counter()
        super().multiply_share(worker, share)
        self._profile.add(self._names[id(share.layer)], BACKWARD, time.perf_counter() - start)


def cache_bytes(cache: Any, parameters: set[int]) -> int:
    """Return the bytes of all arrays that a cache holds, however deep, each memory once.

    Parameters
    ----------
    cache : object
        What a forward pass left.
    parameters : set of int
        The `id` of memory that is not its own.
    """
    sizes: dict[int, int] = {}
    seen: set[int] = set()
    waiting = [cache]
    while waiting:
        found = waiting.pop()
        if isinstance(found, NO_CACHE) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, np.ndarray):
            owner = _owner(found)
            size = min(found.nbytes, owner.nbytes)  # a view may show numbers more than once
            sizes[id(owner)] = max(sizes.get(id(owner), 0), size)
        elif isinstance(found, Mapping):
            waiting += found.values()
        elif isinstance(found, (list, tuple, set)):
            waiting += found
        else:
            waiting += getattr(found, "__dict__", {}).values()
    return sum(size for owner, size in sizes.items() if owner not in parameters)


def _owner(array: Array) -> Array:
    """Return the array that owns the memory of another."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _passes(k: int, first_trained: int) -> int:
    """Return how many products of its size a step makes: forward, ``dW`` and ``dA_prev``."""
    return 3 if k > first_trained else 2 if k == first_trained else 1


def _row(step: Step, times: Times, passes: int) -> ProfileRow:
    """Return the row of a step."""
    multiply_adds = sum(layer.multiply_adds for layer in step.layers)
    seconds = times.forward + times.backward
    operations = 2.0 * multiply_adds * passes * times.samples
    return ProfileRow(
        layer=step.name,
        type="+".join(layer.type for layer in step.layers),
        output_shape=_words(step.layers[-1].output_shape),
        parameters=sum(array.size for layer in step.layers for array in layer.params.values()),
        multiply_adds=multiply_adds,
        forward_seconds=times.forward,
        backward_seconds=times.backward,
        gflops=operations / seconds / 1e9 if operations and seconds else None,
        cache_bytes=times.cache_bytes,
    )


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(str(size) for size in shape)
