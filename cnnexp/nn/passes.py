"""Forward and backward passes through a list of layers.

A batch is cut into pieces of `micro_batch` samples, and a piece runs forward, through the loss and
backward before the next one begins, so that what it touches stays in the cache of the processor. A
layer that couples samples cuts the pass: everything before it is computed for all pieces first, and
it sees the whole batch::

    pieces   1  ──conv──relu──┐            ┌──dense──loss
             2  ──conv──relu──┼─batchnorm──┼──dense──loss      and all the way back
             3  ──conv──relu──┘            └──dense──loss

Numbers that overflow give no warnings here: whoever trains looks at the loss.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnexp.engine import Array, Context, Factors, Kernels, Scratch
from cnnexp.nn.batch import Batch
from cnnexp.nn.losses import Loss, softmax_cross_entropy
from cnnexp.nn.outer_products import OuterProducts
from cnnexp.nn.parameters import GradientSlot, ParameterVector
from cnnexp.nn.profile import Profile
from cnnexp.nn.shared_batch import Helpers
from cnnexp.nn.steps import Step
from cnnexp.nn.team import tell_after_fork
from cnnexp.nn.workers import Workers, not_finite_is_no_news, pieces


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


class Memory:
    """What one worker keeps from pass to pass: the context of every step, and its scratch."""

    def __init__(
        self, kernels: Kernels, first_trained: int, steps: int, reuse: bool = True
    ) -> None:
        self.samples = Scratch(reuse)
        self.contexts = [
            Context(kernels, Scratch(reuse), need_dA_prev=k > first_trained) for k in range(steps)
        ]


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
        self.steps: Sequence[Step] = list(steps)
        self.vector = vector
        self.kernels = kernels
        self.workers = workers
        self.segments = segments_of(steps)
        self.in_one_go = len(self.segments) == 1 and not self.segments[0].whole
        trained = [k for k, step in enumerate(steps) if step.trained]
        self.first_trained = trained[0] if trained else len(self.steps)
        self._memories: dict[int, Memory] = {}
        layers = [step.trained for step in steps]
        self._total = GradientSlot(vector, layers, vector.values.size)
        self._parts: list[GradientSlot] = []
        self._helpers = Helpers(self, workers.threads)
        self._lock = threading.Lock()  # two callers at a time would use the same memory
        tell_after_fork(self)
        self.outer = OuterProducts()
        self._loss: Callable[[Array, Array, int], tuple[Loss, Array]] = softmax_cross_entropy

    def watch(self) -> Profile:
        """Measure every step from now on; what is watched takes the place of what was not."""
        profile = Profile(self.steps, self.first_trained)
        self.steps, self.outer, self._loss = profile.steps, profile.outer, profile.loss
        self._helpers.do_without()  # they would keep their figures to themselves
        return profile

    def outputs(self, X: Array, micro_batch: int | None) -> Array:
        """Return the scores for samples `X`; nothing is kept for a backward pass."""
        whole = any(segment.whole for segment in self.segments)

        def run(worker: int, at: slice) -> Array:
            A, _ = self._forward(X[at], 0, len(self.steps), self._memory(worker), False)
            return A.copy()

        slices = pieces(len(X), None if whole else micro_batch)
        with self._lock:
            return np.concatenate(self.workers.map(run, slices))

    def after_fork(self) -> None:
        """In a process that the user's program forked: train a network of one's own, alone."""
        self._lock = threading.Lock()
        self.vector.make_private()
        layers = [step.trained for step in self.steps]
        self._total = GradientSlot(self.vector, layers, self.vector.values.size)
        self._parts = []
        self._helpers.leave()
        self.workers.leave()

    def context(self) -> Context:
        """Return a context with fresh memory, for a layer outside the steps."""
        return Context(self.kernels, training=False)

    def gradients(self, batch: Batch, micro_batch: int | None) -> tuple[Loss, Array]:
        """Return the loss, and the gradient of its mean over the batch as one vector.

        The vector is reused by the next call.
        """
        run = self._each_piece if self.in_one_go else self._each_segment
        with self._lock:
            return run(batch, micro_batch), self.total

    @property
    def total(self) -> Array:
        """The gradient of a batch, once all of it is there."""
        return self._total.vector

    def run_piece(self, worker: int, k: int, batch: Batch, slices: Sequence[slice]) -> Loss:
        """Run piece k of a batch all the way forward and back, and return its loss."""
        memory = self._memory(worker)
        slot = self._slots(len(slices), self.vector.direct)[k]
        X, labels = batch.piece(slices[k], memory.samples)
        A, caches = self._forward(X, 0, len(self.steps), memory, True)
        loss, dA = self._loss(A, labels, batch.size)
        self._backward(caches, dA, 0, memory, slot, slices[k] if len(slices) > 1 else None)
        return loss

    def free_all_but_first(self) -> None:
        """Let go of the memory of all workers but the first."""
        self._memories = {0: self._memory(0)}

    def _each_piece(self, batch: Batch, micro_batch: int | None) -> Loss:
        """Run every piece, with helpers or on threads, and add up what they give."""
        slices = pieces(batch.size, micro_batch)
        losses = self._helpers.losses(batch, micro_batch) if len(slices) > 1 else None
        if losses is None:
            losses = self._with_threads(batch, slices)
            self._helpers.note(batch.size, micro_batch)
        first, *others = self._slots(len(slices), self.vector.direct)
        for slot in others:
            first.vector[: slot.vector.size] += slot.vector
        return functools.reduce(operator.add, losses)

    def _with_threads(self, batch: Batch, slices: list[slice]) -> list[Loss]:
        """Run every piece on threads, and multiply what was deferred."""
        self._slots(len(slices), self.vector.direct)  # made here, as threads do not wait there
        self.outer.begin(batch.size)

        def run(worker: int, k: int) -> Loss:
            return self.run_piece(worker, k, batch, slices)

        losses = self.workers.map(run, range(len(slices)))
        if len(slices) > 1:
            self.outer.multiply(self.vector, self.total, self.workers)
        return losses

    def _each_segment(self, batch: Batch, micro_batch: int | None) -> Loss:
        """Run segment after segment; each keeps what all its pieces need to go back."""
        slices = pieces(batch.size, micro_batch)
        slots = self._slots(len(slices), self.vector.values.size)
        everything = slice(0, batch.size)
        A, labels = batch.piece(everything, Scratch(reuse=False))
        kept = []
        for segment in self.segments:
            cuts = [everything] if segment.whole else slices
            A, caches = self._segment_forward(segment, A, cuts)
            kept.append((segment, cuts, caches))
        with not_finite_is_no_news():
            loss, dA = self._loss(A, labels, batch.size)
        for segment, cuts, caches in reversed(kept):
            if segment.stop <= self.first_trained:
                break
            dA = self._segment_backward(segment, caches, dA, cuts, slots)
        for slot in slots[1:]:
            slots[0].vector += slot.vector
        return loss

    def _segment_forward(
        self, segment: Segment, A: Array, cuts: list[slice]
    ) -> tuple[Array, list[list[Any]]]:
        """Run one segment forward on all pieces, and keep the caches of all of them."""

        def run(worker: int, at: slice) -> tuple[Array, list[Any]]:
            return self._forward(A[at], segment.start, segment.stop, self._fresh(), True)

        results = self.workers.map(run, cuts)
        return np.concatenate([result for result, _ in results]), [caches for _, caches in results]

    def _segment_backward(
        self,
        segment: Segment,
        caches: list[list[Any]],
        dA: Array,
        cuts: list[slice],
        slots: list[GradientSlot],
    ) -> Array:
        """Run one segment backward on all pieces; in the first one there is no ``dA_prev``."""

        def run(worker: int, k: int) -> Array | None:
            return self._backward(caches[k], dA[cuts[k]], segment.start, self._fresh(), slots[k])

        parts = [part for part in self.workers.map(run, range(len(cuts))) if part is not None]
        return np.concatenate(parts) if parts else dA

    def _forward(
        self, A: Array, start: int, stop: int, memory: Memory, training: bool
    ) -> tuple[Array, list[Any]]:
        """Run some steps forward and return the result and their caches."""
        caches = []
        for k in range(start, stop):
            context = memory.contexts[k]
            context.training = training
            A, cache = self.steps[k].forward(A, context)
            caches.append(cache if training else None)
        return A, caches

    def _backward(
        self,
        caches: list[Any],
        dA: Array,
        start: int,
        memory: Memory,
        slot: GradientSlot,
        defer_at: slice | None = None,
    ) -> Array | None:
        """Run some steps backward, write the gradients of parameters, and return ``dA_prev``.

        With `defer_at`, the place of this piece in the batch, products over the samples are left
        for later.
        """
        dA_prev: Any = dA
        for k in reversed(range(max(start, self.first_trained), start + len(caches))):
            step, context = self.steps[k], memory.contexts[k]
            into = context.grads = slot.views[k]
            context.defer = defer_at is not None and bool(step.deferred)
            dA_prev, grads = step.backward(caches[k - start], dA_prev, context)
            for key, grad in grads.items():
                if isinstance(grad, Factors):
                    assert step.trained is not None and defer_at is not None
                    self.outer.keep(step.trained, key, grad, defer_at)
                elif grad is not into[key]:
                    into[key][...] = grad
        result: Array | None = dA_prev
        return result

    def _slots(self, count: int, size: int) -> list[GradientSlot]:
        """Return a place for the gradients of each piece; that of the first is the total.

        Later pieces have no place for gradients that are deferred; what no piece writes stays zero.
        """
        while len(self._parts) < count - 1:
            layers = [step.trained for step in self.steps]
            self._parts.append(GradientSlot(self.vector, layers, size))
        return [self._total, *self._parts[: count - 1]]

    def _memory(self, worker: int) -> Memory:
        """Return what a worker keeps."""
        if worker not in self._memories:
            self._memories[worker] = Memory(self.kernels, self.first_trained, len(self.steps))
        return self._memories[worker]

    def _fresh(self) -> Memory:
        """Return memory that is used once."""
        return Memory(self.kernels, self.first_trained, len(self.steps), reuse=False)
