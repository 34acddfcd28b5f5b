"""Forward and backward passes through a list of layers.

A *step* is what a pass executes: one layer, or several layers that an implementation computes
together. A batch is cut into pieces of `sub_batch` samples, and a piece runs forward, through the
loss and backward before the next one begins, so that what it touches stays in the cache of the
processor. A layer that couples samples cuts the pass: everything before it is computed for all
pieces first, and it sees the whole batch::

    pieces   1  ──conv──relu──┐            ┌──dense──loss
             2  ──conv──relu──┼─batchnorm──┼──dense──loss      and all the way back
             3  ──conv──relu──┘            └──dense──loss
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnexp.engine import Array, Kernels, Scratch
from cnnexp.nn.layer import Context, Layer
from cnnexp.nn.losses import Loss, softmax_cross_entropy
from cnnexp.nn.workers import Workers, not_finite_is_no_news, pieces


class Step:
    """One layer, computed by itself.

    A step that joins several layers has its own forward and backward; at most one of its layers,
    `trained`, may have parameters.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.couples_samples = any(layer.couples_samples for layer in layers)
        self.trained = next((layer for layer in layers if layer.params), None)

    def forward(self, A: Array, context: Context) -> tuple[Array, Any]:
        """Return the result and a cache."""
        return self.layers[0].forward(A, context)

    def backward(
        self, cache: Any, dA: Array, context: Context
    ) -> tuple[Array | None, dict[str, Array]]:
        """Return the gradient for the input, and those of the parameters."""
        return self.layers[0].backward(cache, dA, context)


@dataclass
class Segment:
    """Neighbouring steps that run on pieces, or one step that needs the whole batch."""

    start: int
    stop: int
    whole: bool


def segments_of(steps: Sequence[Step]) -> list[Segment]:
    """Cut a list of steps at those that couple samples."""
    found: list[Segment] = []
    for k, step in enumerate(steps):
        if step.couples_samples or not found or found[-1].whole:
            found.append(Segment(k, k + 1, step.couples_samples))
        else:
            found[-1].stop = k + 1
    return found


class ParameterVector:
    """All parameters of some layers as one vector; the layers keep views into it.

    One vector makes an optimizer's step, a sum over pieces, or a check for infinity a single
    operation, however many layers there are.
    """

    def __init__(self, layers: Sequence[Layer], dtype: Any) -> None:
        self.places: dict[int, dict[str, tuple[slice, tuple[int, ...]]]] = {}
        start = 0
        for layer in layers:
            places = self.places[id(layer)] = {}
            for key, array in layer.params.items():
                places[key] = (slice(start, start + array.size), array.shape)
                start += array.size
        self.values = np.empty(start, dtype)
        for layer in layers:
            views = self.views(layer, self.values)
            for key, view in views.items():
                view[...] = layer.params[key]
            layer.params = views

    def views(self, layer: Layer, vector: Array) -> dict[str, Array]:
        """Return the parts of a vector that belong to the parameters of a layer."""
        return {
            key: vector[at].reshape(shape) for key, (at, shape) in self.places[id(layer)].items()
        }


class Engine:
    """Runs passes: it has the steps, the threads, and the memory they use.

    Parameters
    ----------
    steps : sequence of Step
        All steps but a final softmax, which is part of the loss.
    vector : ParameterVector
        The parameters of their layers.
    kernels : Kernels
        The implementation.
    workers : Workers
        The threads.
    """

    def __init__(
        self, steps: Sequence[Step], vector: ParameterVector, kernels: Kernels, workers: Workers
    ) -> None:
        self.steps = list(steps)
        self.vector = vector
        self.kernels = kernels
        self.workers = workers
        self.segments = segments_of(steps)
        trained = [k for k, step in enumerate(steps) if step.trained]
        self.first_trained = trained[0] if trained else len(self.steps)
        self._scratch: dict[int, list[Scratch]] = {}
        self._gradients: list[Array] = []

    def outputs(self, X: Array, sub_batch: int | None) -> Array:
        """Return the scores for samples `X`; nothing is kept for a backward pass."""
        whole = any(segment.whole for segment in self.segments)
        slices = pieces(len(X), None if whole else sub_batch)

        def run(worker: int, at: slice) -> Array:
            memory = self._memory(worker)
            A, _ = self._forward(X[at], 0, len(self.steps), memory, training=False)
            return A.copy()

        return np.concatenate(self.workers.map(run, slices))

    def context(self) -> Context:
        """Return a context with fresh memory, for a layer outside the steps."""
        return Context(self.kernels, training=False)

    def gradients(self, X: Array, labels: Array, sub_batch: int | None) -> tuple[Loss, Array]:
        """Return the loss, and the gradient of its mean over the batch as one vector.

        The vector is reused by the next call.
        """
        slices = pieces(len(X), sub_batch)
        if len(self.segments) == 1 and not self.segments[0].whole:
            loss = self._each_piece(X, labels, slices)
        else:
            loss = self._each_segment(X, labels, slices)
        total = self._gradients[0]
        for part in self._gradients[1 : len(slices)]:
            total += part
        return loss, total

    def _each_piece(self, X: Array, labels: Array, slices: list[slice]) -> Loss:
        """Run every piece all the way forward and back."""
        self._make_gradients(len(slices))

        def run(worker: int, k: int) -> Loss:
            memory, at = self._memory(worker), slices[k]
            A, caches = self._forward(X[at], 0, len(self.steps), memory, training=True)
            loss, dA = softmax_cross_entropy(A, labels[at], len(X))
            self._backward(caches, dA, 0, memory, self._gradients[k])
            return loss

        return functools.reduce(operator.add, self.workers.map(run, range(len(slices))))

    def _each_segment(self, X: Array, labels: Array, slices: list[slice]) -> Loss:
        """Run segment after segment; each keeps what all its pieces need to go back."""
        self._make_gradients(len(slices))
        kept, A = [], X
        for segment in self.segments:
            cuts = [slice(0, len(X))] if segment.whole else slices
            A, caches = self._segment_forward(segment, A, cuts)
            kept.append((segment, cuts, caches))
        with not_finite_is_no_news():
            loss, dA = softmax_cross_entropy(A, labels, len(X))
        for segment, cuts, caches in reversed(kept):
            if segment.stop <= self.first_trained:
                break
            dA = self._segment_backward(segment, caches, dA, cuts)
        return loss

    def _segment_forward(
        self, segment: Segment, A: Array, cuts: list[slice]
    ) -> tuple[Array, list[list[Any]]]:
        """Run one segment forward on all pieces, and keep the caches of all of them."""

        def run(worker: int, at: slice) -> tuple[Array, list[Any]]:
            memory = [Scratch(reuse=False)] * len(self.steps)
            return self._forward(A[at], segment.start, segment.stop, memory, training=True)

        results = self.workers.map(run, cuts)
        return np.concatenate([result for result, _ in results]), [caches for _, caches in results]

    def _segment_backward(
        self, segment: Segment, caches: list[list[Any]], dA: Array, cuts: list[slice]
    ) -> Array:
        """Run one segment backward on all pieces; in the first one there is no ``dA_prev``."""

        def run(worker: int, k: int) -> Array | None:
            memory = [Scratch(reuse=False)] * len(self.steps)
            return self._backward(caches[k], dA[cuts[k]], segment.start, memory, self._gradients[k])

        parts = [part for part in self.workers.map(run, range(len(cuts))) if part is not None]
        return np.concatenate(parts) if parts else dA

    def _forward(
        self, A: Array, start: int, stop: int, memory: list[Scratch], training: bool
    ) -> tuple[Array, list[Any]]:
        """Run some steps forward and return the result and their caches."""
        caches = []
        for k in range(start, stop):
            context = Context(self.kernels, memory[k], training)
            A, cache = self.steps[k].forward(A, context)
            caches.append(cache if training else None)
        return A, caches

    def _backward(
        self, caches: list[Any], dA: Array, start: int, memory: list[Scratch], gradient: Array
    ) -> Array | None:
        """Run some steps backward, write the gradients of parameters, and return ``dA_prev``."""
        dA_prev: Any = dA
        for k in reversed(range(max(start, self.first_trained), start + len(caches))):
            step = self.steps[k]
            into = self.vector.views(step.trained, gradient) if step.trained else {}
            context = Context(self.kernels, memory[k], True, k > self.first_trained, into)
            dA_prev, grads = step.backward(caches[k - start], dA_prev, context)
            for key, view in into.items():
                if grads[key] is not view:
                    view[...] = grads[key]
        result: Array | None = dA_prev
        return result

    def _memory(self, worker: int) -> list[Scratch]:
        """Return the scratch of every step for one worker."""
        if worker not in self._scratch:
            self._scratch[worker] = [Scratch() for _ in self.steps]
        return self._scratch[worker]

    def _make_gradients(self, count: int) -> None:
        """Have a vector of zeros, or of earlier gradients, for each piece."""
        while len(self._gradients) < count:
            self._gradients.append(np.zeros_like(self.vector.values))
