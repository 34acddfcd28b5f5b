"""Runs mini-batches: splits them into micro-batches, and sums their losses and gradients.

All memory that several workers read and write is allocated here, by the executor, which knows
whether processes must share it. Only this file and the executors deal with workers.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, host_copy, to_host
from cnnexp.nn.executor import Executor
from cnnexp.nn.losses import Loss, Metric
from cnnexp.nn.parameters import Parameters
from cnnexp.nn.plan import Partials, Plan, finish
from cnnexp.nn.processes import WorkerLost

SHARE = 1024  # rows of a deferred gradient that a worker computes at a time


@dataclass(frozen=True)
class Batch:
    """Samples and their targets, checked; or some of them, in an order.

    Attributes
    ----------
    X : array (n, …), or rows that are computed when they are used
        Samples in the network's dtype.
    targets : array (n, …)
        Class indices, or real values, as the loss takes them.
    rows : integer array (n_m,), optional
        Indices of the samples of the mini-batch; all, if not given. They are gathered on use.
    """

    X: Array
    targets: Array
    rows: Array | None = None

    @property
    def size(self) -> int:
        """Number of samples in the mini-batch."""
        return len(self.targets) if self.rows is None else len(self.rows)

    def at(self, rows: Array) -> Batch:
        """Return a mini-batch of some of the samples.

        Raises
        ------
        IndexError
            If an index is out of range; they are counted from 0.
        """
        if len(rows) and not 0 <= np.min(rows) <= np.max(rows) < len(self.targets):
            raise IndexError(f"rows must lie in 0 … {len(self.targets) - 1}.")
        return Batch(self.X, self.targets, rows)

    def part(self, at: slice, memory: Context) -> tuple[Array, Array]:
        """Return the samples and targets of a micro-batch."""
        if self.rows is None:
            return self.X[at], self.targets[at]
        rows = self.rows[at]
        X = memory.array("samples", (len(rows), *self.X.shape[1:]), self.X.dtype)
        return take_rows(self.X, rows, X), self.targets[rows]

    def gather(self, X: Array, targets: Array) -> None:
        """Copy all samples and targets of the mini-batch."""
        if self.rows is None:
            X[...], targets[...] = self.X, self.targets
        else:
            take_rows(self.X, self.rows, X)
            np.take(self.targets, self.rows, axis=0, out=targets, mode="clip")


def take_rows(X: Any, rows: Array, out: Array) -> Array:
    """Copy some samples into `out`, and return it.

    Samples that are no array, but look like one, compute their rows: they have a shape, a type, a
    length, slices, and a method ``take_rows(rows, out)``.
    """
    if isinstance(X, np.ndarray):
        return np.take(X, rows, axis=0, out=out, mode="clip")
    computed: Array = X.take_rows(rows, out)
    return computed


class Task(NamedTuple):
    """A loss, and the metrics that are computed beside it."""

    loss: Loss
    metrics: Sequence[Metric]


class GradientBuffer(NamedTuple):
    """Gradients and state of one micro-batch, as vectors and by step."""

    gradient: Array
    grads: list[dict[str, Array]]
    state: Array
    states: list[dict[str, Array]]


class Runner:
    """Runs mini-batches of one network.

    Parameters
    ----------
    plan : Plan
        The steps of the network.
    parameters : Parameters
        Its parameters and state.
    task : Task
        The loss and the metrics.
    executor : Executor
        Runs the micro-batches.
    """

    def __init__(self, plan: Plan, parameters: Parameters, task: Task, executor: Executor) -> None:
        self.plan, self.parameters, self.task, self.executor = plan, parameters, task, executor
        self.xp = plan.implementation.xp
        # by worker or micro-batch, and plan
        self._contexts: dict[tuple[int, Plan], list[Context]] = {}
        self._passing: dict[int, tuple[Partials, int]] = {}
        self._header = executor.allocate((3,), np.int64)  # samples, step, samples of a micro-batch
        self._capacity = (0, 0)
        self._buffers = [self._buffer(parameters.values.size)]
        self._shares = _shares(plan, parameters)

    def gradients(self, batch: Batch, micro_batch: int | None, step: int) -> tuple[Array, Array]:
        """Return sums of loss, metrics and samples, and the gradient of the mean loss.

        The next call overwrites both. The state of layers is in `new_state`.
        """
        slices = micro_batches(batch.size, micro_batch)
        self._begin(batch, len(slices), micro_batch or batch.size, step)
        try:
            self._run(len(slices))
        except WorkerLost:
            self._run(len(slices))
        finally:
            self._passing.clear()
        first, *others = self._buffers[: len(slices)]
        for buffer in others:
            first.gradient[: buffer.gradient.size] += buffer.gradient
        return self._rows[: len(slices)].sum(axis=0), first.gradient

    def new_state(self) -> Array:
        """Return the state after the mini-batch that ran last, as one vector."""
        merged = np.empty_like(self.parameters.state)
        buffers = self._buffers[: len(micro_batches(int(self._header[0]), int(self._header[2])))]
        for k, step in enumerate(self.plan.all_steps):
            for layer in step.layers:
                if layer.state:
                    views = self.parameters.state_views((layer,), merged)
                    for name, value in layer.merge_state([s.states[k] for s in buffers]).items():
                        views[name][...] = value
        return merged

    def outputs(
        self,
        X: Array,
        micro_batch: int | None,
        prepare: Callable[[Array, int], Array] | None = None,
        complete: Callable[[Array], Array] | None = None,
    ) -> Array:
        """Return the outputs of the last step for samples `X`; nothing is kept.

        Parameters
        ----------
        X : array (n, …)
        micro_batch : int, optional
            Samples of a micro-batch; all, if not given.
        prepare : callable, optional
            Called with the samples of a micro-batch and the number of the first, by the worker
            that needs what it returns next.
        complete : callable, optional
            What is applied to the outputs of a micro-batch.
        """
        slices = micro_batches(len(X), micro_batch)
        found: list[Any] = [None] * len(slices)

        def job(worker: int, k: int) -> None:
            contexts = self._contexts_of(worker, training=False)
            part = X[slices[k]]
            A = self.xp.asarray(prepare(part, slices[k].start) if prepare else part)
            Z = host_copy(finish(self.plan.inference.forward(A, contexts))[0])
            found[k] = complete(Z) if complete else Z

        self.executor.map(job, len(slices))
        return np.concatenate(found)

    def advance(self, worker: int, k: int) -> None:
        """Run micro-batch `k` to its end, or until it waits for a sum over all micro-batches."""
        passing, stops = self._passing.pop(k, (None, 0))
        total = None
        if passing is None:
            passing = self._pass(worker, k)
        else:
            shape, count = self._shapes[k], len(self._slices())
            partials = self._partials[(stops - 1) % 2, :count, : self._waiting[k]]
            total = partials.sum(axis=0).reshape(shape)
        self._waiting[k] = 0
        try:
            partial = passing.send(total)  # type: ignore[arg-type]
        except StopIteration:
            return
        self._partials[stops % 2, k, : partial.size] = partial.reshape(-1)
        self._waiting[k] = partial.size
        self._shapes[k] = partial.shape
        self._passing[k] = passing, stops + 1

    def multiply(self, worker: int, k: int) -> None:
        """Compute some rows of a deferred gradient, ``dW = A.T @ dZ``."""
        at, name, rows = self._shares[k]
        size = int(self._header[0])
        A, dZ = (factor[:, :size] for factor in self._factors[at, name])
        profile = self.plan.profile
        start = profile.now() if profile else 0.0
        np.matmul(A[rows], dZ.T, out=self._buffers[0].grads[at][name][rows])
        if profile:
            profile.backward_done(self.plan.all_steps[at], start)

    def _run(self, count: int) -> None:
        """Run all micro-batches to their end, and compute the deferred gradients."""
        self._passing.clear()
        self._waiting[:count] = 0
        while True:
            self.executor.map(self.advance, count)
            if not self._waiting[:count].any():
                break
        if count > 1 and self._shares:
            self.executor.map(self.multiply, len(self._shares))

    def _pass(self, worker: int, k: int) -> Partials:
        """Run one micro-batch forward, through the loss and backward."""
        size, step, _ = self._header.tolist()
        slices = self._slices()
        at, buffer = slices[k], self._buffers[k]
        # Between two parts of a pass its caches must stay: each micro-batch has its own memory.
        contexts = self._contexts_of(k if self.plan.cross_sample else worker, training=True)
        for context, grads in zip(contexts, buffer.grads, strict=True):
            context.grads, context.step, context.first = grads, step, at.start
        if len(slices) > 1:
            for index, _ in self._factors:
                contexts[index].deferred_outer = functools.partial(
                    Runner._keep, weakref.proxy(self), index, at
                )
        X, targets = self._batch.part(at, contexts[0] if self.xp is np else Context())
        A, caches = yield from self.plan.forward(self.xp.asarray(X), contexts)
        dA = self._loss(k, to_host(A), targets, size)
        yield from self.plan.backward(caches, self.xp.asarray(dA), contexts)
        _keep_state(contexts, buffer)

    def _loss(self, k: int, A: Array, targets: Array, size: int) -> Array:
        """Record the loss and the metrics of a micro-batch, and return the loss's gradient."""
        profile = self.plan.profile
        start = profile.now() if profile else 0.0
        total, cache = self.task.loss.forward(A, targets)
        metrics = (metric(A, targets) for metric in self.task.metrics)
        self._rows[k] = (total, *metrics, len(A))
        dA = self.task.loss.backward(cache, 1 / size)
        if profile:
            profile.loss_done(start, len(A))
        return dA

    def _keep(self, index: int, at: slice, name: str, A: Array, dZ: Array) -> None:
        """Keep the factors of a gradient that is multiplied once per mini-batch."""
        for whole, part in zip(self._factors[index, name], (A, dZ), strict=True):
            whole[:, at] = part.T

    def _begin(self, batch: Batch, count: int, micro_batch: int, step: int) -> None:
        """Prepare a mini-batch: its header, and shared copies of samples and parameters."""
        if batch.size > self._capacity[0] or count > self._capacity[1] or self._unlike(batch):
            self._reserve(batch, count)
        self._header[:] = batch.size, step, micro_batch
        self._batch = batch
        if self.executor.shared and count > 1:  # a single micro-batch stays in this process
            batch.gather(self._X[: batch.size], self._targets[: batch.size])
            self._batch = Batch(self._X, self._targets)
            self._values[...], self._state[...] = self.parameters.values, self.parameters.state
            self.executor.ready((self.advance, self.multiply), count, self._in_worker)

    def _unlike(self, batch: Batch) -> bool:
        """Say whether shared memory is for other targets: indices, or rows that are mixed."""
        if not self.executor.shared:
            return False
        targets, place = batch.targets, self._targets
        return targets.dtype != place.dtype or targets.shape[1:] != place.shape[1:]

    def _reserve(self, batch: Batch, count: int) -> None:
        """Allocate memory for mini-batches of this size."""
        self.executor.forget()
        samples = max(batch.size, self._capacity[0])
        count = max(count, self._capacity[1])
        self._capacity = samples, count
        allocate, values = self.executor.allocate, self.parameters.values
        while len(self._buffers) < count:
            self._buffers.append(self._buffer(self.parameters.direct))
        self._rows = allocate((count, len(self.task.metrics) + 2), np.float64)
        self._partials = self._numbers((2, count, self.plan.partial_size), np.float64)
        self._waiting = allocate((count,), np.int64)
        self._shapes: list[tuple[int, ...]] = [()] * count
        self._factors = {
            (at, name): tuple(
                self._numbers((n, samples), values.dtype)
                for n in self.plan.all_steps[at].layer.params[name].shape
            )
            for at, name in dict.fromkeys(share[:2] for share in self._shares)
        }
        if self.executor.shared:
            self._X = allocate((samples, *batch.X.shape[1:]), batch.X.dtype)
            self._targets = allocate((samples, *batch.targets.shape[1:]), batch.targets.dtype)
            self._values = allocate(values.shape, values.dtype)
            self._state = allocate(self.parameters.state.shape, values.dtype)

    def _in_worker(self) -> None:
        """In a worker process: use the shared parameters, and separate contexts."""
        self._contexts.clear()
        self._passing.clear()
        self.parameters.bind(self._values, self._state)

    def _slices(self) -> tuple[slice, ...]:
        size, _, micro_batch = self._header.tolist()
        return micro_batches(size, micro_batch)

    def _numbers(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return memory for what passes compute: shared among workers, or that of a device."""
        if self.xp is np:
            return self.executor.allocate(shape, dtype)
        return self.xp.zeros(shape, dtype)  # type: ignore[no-any-return]

    def _buffer(self, size: int) -> GradientBuffer:
        """Return memory for gradients and state of one micro-batch."""
        parameters = self.parameters
        gradient = self._numbers((size,), parameters.values.dtype)
        state = self._numbers(parameters.state.shape, parameters.values.dtype)
        return GradientBuffer(
            gradient,
            [parameters.views(step.layers, gradient) for step in self.plan.all_steps],
            state,
            [parameters.state_views(step.layers, state) for step in self.plan.all_steps],
        )

    def _contexts_of(self, key: int, training: bool) -> list[Context]:
        """Return the contexts of a worker, or of a micro-batch, set to a new pass."""
        plan = self.plan if training else self.plan.inference
        if (key, plan) not in self._contexts:
            self._contexts[key, plan] = plan.contexts()
        for context in self._contexts[key, plan]:
            context.training = context.keep_cache = training
            context.state_updates, context.deferred_outer = {}, None
        return self._contexts[key, plan]


def _shares(plan: Plan, parameters: Parameters) -> list[tuple[int, str, slice]]:
    """Return the deferred gradients, cut by rows: index of the step, parameter, rows."""
    found = []
    for step in plan.all_steps:
        for name, array in step.layer.params.items():
            if parameters.location(step.layer, name) in parameters.deferred:
                found += [(step.index, name, rows) for rows in micro_batches(len(array), SHARE)]
    return found


def _keep_state(contexts: Sequence[Context], buffer: GradientBuffer) -> None:
    """Copy the state after a micro-batch, unchanged entries included."""
    for context, views in zip(contexts, buffer.states, strict=True):
        for name, view in views.items():
            view[...] = context.state_updates.get(name, context.state[name])


@functools.lru_cache(16)  # each mini-batch asks several times
def micro_batches(samples: int, size: int | None) -> tuple[slice, ...]:
    """Cut a number of samples into slices of `size`; the last may be shorter.

    A single sample that is left over joins the slice before it: the layout in memory of arrays of
    one sample is ambiguous.

    Examples
    --------
    >>> micro_batches(7, 3)
    (slice(0, 3, None), slice(3, 7, None))
    >>> micro_batches(5, None)
    (slice(0, 5, None),)
    """
    size = max(samples, 1) if size is None else size
    starts = list(range(0, max(samples, 1), size))
    if size > 1 and len(starts) > 1 and samples - starts[-1] == 1:
        starts.pop()
    stops = [*starts[1:], samples]
    return tuple(slice(start, stop) for start, stop in zip(starts, stops, strict=True))
