"""Where the time of training goes, step by step.

A profile is a hook: a pass that has one tells it when a step is done. One that has none never looks
at the clock. Seconds are sums over the threads, so with two of them a layer can take more seconds
than the clock shows. Only passes of training count, an evaluation does not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context, Window
from cnnexp.nn.layer import Layer
from cnnexp.nn.plan import Plan, Step

FORWARD, BACKWARD = "forward", "backward"
# What a cache may name without keeping it; a module may be the method that computed it.
NO_CACHE = (Context, Layer, Window, ModuleType, str, bytes)


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
        Most bytes that one micro-batch kept for the backward pass.
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
    layer : str
        The path of the layer, or the paths of layers that are computed together.
    type : str
        Their types.
    output_shape : str
        The shape of one sample's result.
    parameters : int
        Number of trained values.
    multiply_adds : int
        Multiplications of one sample's forward pass.
    forward_seconds, backward_seconds : float
        Time of the forward pass and of the backward pass, added up over all workers.
    gflops : float or None
        Billions of additions and multiplications per second, forward and backward. The definition
        of the layer is counted, so a method that needs fewer operations gets a higher figure. None
        where there are no multiply-adds.
    cache_bytes : int
        Most bytes that one micro-batch kept for the backward pass.
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
    """Figures of every step of a plan.

    Parameters
    ----------
    plan : Plan
        The steps to watch.
    loss : str
        The name under which the loss, which is one step, is shown.
    """

    def __init__(self, plan: Plan, loss: str) -> None:
        self.loss, self._device = loss, plan.implementation.device
        self.steps = [step for step in plan.all_steps if not step.branches]
        self.names = [step.name for step in self.steps] + [loss]
        self._lock = threading.Lock()
        self._times = {name: Times() for name in self.names}
        self._largest: dict[str, int] = {}

    def now(self) -> float:
        """Return the time, in seconds, when all is done that was asked for before."""
        if self._device is not None:
            self._device.synchronize()
        return time.perf_counter()

    def forward_done(self, step: Step, start: float, samples: int, cache: Any) -> None:
        """Add what a step took, and note how much it keeps."""
        if step.branches:
            return
        self.add(step.name, FORWARD, self.now() - start, samples)
        if samples > self._largest.get(step.name, 0):
            self._largest[step.name] = samples
            own = {id(_owner(a)) for layer in step.layers for a in layer.params.values()}
            self.keep_cache(step.name, cache_bytes(cache, own))

    def backward_done(self, step: Step, start: float) -> None:
        """Add what a step took on the backward pass."""
        if not step.branches:
            self.add(step.name, BACKWARD, self.now() - start)

    def loss_done(self, start: float, samples: int) -> None:
        """Add what the loss and its gradient took."""
        self.add(self.loss, FORWARD, self.now() - start, samples)

    def reset(self) -> None:
        """Begin again from zero; how large caches are does not change."""
        with self._lock:
            self._times = {
                name: Times(cache_bytes=times.cache_bytes) for name, times in self._times.items()
            }

    def add(self, name: str, direction: str, seconds: float, samples: int = 0) -> None:
        """Add what one call took; calls may come from several threads."""
        with self._lock:
            times = self._times[name]
            setattr(times, direction, getattr(times, direction) + seconds)
            times.samples += samples

    def keep_cache(self, name: str, size: int) -> None:
        """Note the bytes of a cache, if they are the most so far."""
        with self._lock:
            times = self._times[name]
            times.cache_bytes = max(times.cache_bytes, size)

    def times(self) -> dict[str, dict[str, Any]]:
        """Return all figures by the name of the step, as plain containers."""
        with self._lock:
            return {name: dict(vars(times)) for name, times in self._times.items()}

    def add_times(self, earlier: Mapping[str, Mapping[str, Any]]) -> None:
        """Add what `times` returned before: a resumed run has taken it already.

        Steps that there are not any more, such as those that another version fused, are left out.
        """
        for name in earlier.keys() & self._times.keys():
            figures = earlier[name]
            for direction in (FORWARD, BACKWARD):
                self.add(name, direction, figures[direction])
            self.add(name, FORWARD, 0.0, figures["samples"])
            self.keep_cache(name, figures["cache_bytes"])

    def rows(self, times: Mapping[str, Times] | None = None) -> list[ProfileRow]:
        """Return a row for each step, and one for the loss; of other figures, if they are given."""
        found = times or {name: Times(**figures) for name, figures in self.times().items()}
        rows = [_row(step, found[step.name]) for step in self.steps]
        loss, shape = found[self.loss], _words(self.steps[-1].layers[-1].output_shape)
        last = (shape, 0, 0, loss.forward, loss.backward, None, 0)
        return [*rows, ProfileRow(self.loss, self.loss, *last)]


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
        if _is_array(found):
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
    while _is_array(array.base):
        array = array.base  # type: ignore[assignment]
    return array


def _is_array(found: Any) -> bool:
    """Say whether something is an array, of NumPy or of a device."""
    return isinstance(found, np.ndarray) or hasattr(found, "__cuda_array_interface__")


def _row(step: Step, times: Times) -> ProfileRow:
    """Return the row of a step."""
    multiply_adds = sum(layer.multiply_adds for layer in step.layers)
    seconds = times.forward + times.backward
    # Products of this size: forward, for dW and for dA_prev.
    products = 1 + step.trains + step.need_dA_prev
    operations = 2.0 * multiply_adds * products * times.samples
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
