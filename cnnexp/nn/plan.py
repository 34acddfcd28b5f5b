"""A network compiled for one implementation: a tree of steps, and the passes through it.

A step is one layer, several layers that the implementation computes as one, or a container whose
branches are lists of steps. A plan is made once, when a network is built.

A mini-batch is split into micro-batches, and each runs forward, through the loss and backward
before its worker takes the next, so that what it touches stays in the cache of the processor. Where
a layer needs sums over the whole mini-batch, as batch normalisation does, the pass stops: it yields
its partial sum, and goes on when it is sent the sum over all micro-batches::

    micro-batch 1   ──conv──┐ partial          ┌──relu──loss──┐            ┌──conv
    micro-batch 2   ──conv──┼──────────> sum ──┼──relu──loss──┼──> sum ────┼──conv
    micro-batch 3   ──conv──┘                  └──relu──loss──┘            └──conv

So a pass is a generator. A pass in inference never stops, and `finish` runs it to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine import Array, Context, Fusion, Implementation, Limits, Operation
from cnnexp.engine.folding import FoldedBatchNorm
from cnnexp.nn.layer import Container, Layer

Partials = Generator[Array, Array, Any]
RANDOM = 2  # the purpose of a draw, part of its seed


@dataclass(eq=False)
class Step:
    """A layer, several fused layers, or a container: what a pass executes at a time.

    Attributes
    ----------
    layers : tuple of Layer
        Its layers.
    fusion : Fusion or None
        The fusion that computes several layers together.
    operation, training_operation : Operation or None
        The operation of its layer; the second one is for training, if that differs.
    origin : str
        The implementation that its operation is taken from; empty where the layer has its own.
    branches : list of list of Step
        The steps inside a container.
    index : int
        Its index among all steps of the plan.
    need_dA_prev : bool
        Whether anything before it has parameters.
    flattens : bool
        Whether a flatten layer follows it.
    trains : bool
        Whether it or anything inside it has parameters.
    """

    layers: tuple[Layer, ...]
    fusion: Fusion | None = None
    operation: Operation | None = None
    training_operation: Operation | None = None
    origin: str = ""
    branches: list[list[Step]] = field(default_factory=list)
    index: int = 0
    need_dA_prev: bool = False
    flattens: bool = False

    def __post_init__(self) -> None:
        self.layer = self.layers[0]
        self.cross_sample = any(layer.cross_sample for layer in self.layers)
        inside: Iterator[Step] = (step for branch in self.branches for step in branch)
        self.trains: bool = any(layer.params for layer in self.layers) or any(
            s.trains for s in inside
        )
        self.forward, self.backward = self._bound("forward"), self._bound("backward")
        self.train_forward = self._bound("train_forward")
        self.train_backward = self._bound("train_backward")

    @property
    def name(self) -> str:
        """The path of its layer, or those of all of them."""
        first, *others = self.layers
        return "+".join([first.path, *(layer.name for layer in others)])

    def _bound(self, method: str) -> Callable[..., Any]:
        """Return a method of the layer, or that of the fusion with its layers."""
        if self.fusion is None:
            return getattr(self.layer, method)  # type: ignore[no-any-return]
        return partial(getattr(self.fusion, method), self.layers)


class Plan:
    """The steps of a network.

    Parameters
    ----------
    layers : sequence of Layer
        Built layers, without a final activation that is part of the loss.
    implementation : Implementation
        What computes them.
    fuse : bool
        Whether it may compute several layers as one step.
    seed : int
        Of the random draws of passes.
    limits : Limits, optional
        Sizes of blocks, and thresholds between methods.
    input_gradient : bool
        Whether a backward pass must return the gradient for the input.

    Attributes
    ----------
    profile : Profile or None
        A hook that is called after every step of a pass in training.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        implementation: Implementation,
        fuse: bool = True,
        seed: int = 0,
        limits: Limits | None = None,
        input_gradient: bool = False,
    ) -> None:
        self.implementation, self.fuse, self.seed = implementation, fuse, seed
        self.limits = limits or Limits()
        self.profile: Any = None
        self.layers = layers
        self.steps = self._steps(layers)
        self.all_steps = list(_walk(self.steps))
        for index, step in enumerate(self.all_steps):
            step.index = index
        _mark(self.steps, input_gradient)
        self.cross_sample = any(step.cross_sample for step in self.all_steps)
        sizes = [layer.partial_size for step in self.all_steps for layer in step.layers]
        self.partial_size = max(sizes, default=0)

    @cached_property
    def inference(self) -> Plan:
        """The plan for inference: this one, or another where batch normalisation is folded."""
        known = self.implementation.folds
        if not (self.fuse and known and self.implementation.find("batch_norm")[0] == known):
            return self
        other = FoldingPlan(self.layers, self.implementation, True, self.seed, self.limits)
        changed = any(isinstance(step.fusion, FoldedBatchNorm) for step in other.all_steps)
        return other if changed else self

    def prepare(self, dtype: npt.DTypeLike) -> None:
        """Do what the implementation does before the first pass, such as compiling."""
        steps = [*self.all_steps, *self.inference.all_steps]
        if self.implementation.prepare is not None:
            self.implementation.prepare(steps, dtype)

    def contexts(self, reuse: bool = True) -> list[Context]:
        """Return a context with memory of its own for every step."""
        return [
            Context(
                operation=step.operation,
                training_operation=step.training_operation,
                reuse=reuse,
                need_dA_prev=step.need_dA_prev,
                flattens=step.flattens,
                state={key: v for layer in step.layers for key, v in layer.state.items()},
                limits=self.limits,
                xp=self.implementation.xp,
                seed=(self.seed, RANDOM, *step.layer.path.encode()),
            )
            for step in self.all_steps
        ]

    def forward(
        self, A: Array, contexts: Sequence[Context], steps: Sequence[Step] | None = None
    ) -> Partials:
        """Run forward, and return the result and the caches of all steps.

        Parameters
        ----------
        A : array (n_m, …)
            Samples, or the result of earlier steps.
        contexts : sequence of Context
            One for each step.
        steps : sequence of Step, optional
            Those of a branch; all, if not given.
        """
        caches = []
        for step in self.steps if steps is None else steps:
            context = contexts[step.index]
            profile = self.profile if context.training else None
            start = profile.now() if profile else 0.0
            if step.branches:
                A, cache = yield from self._branches_forward(step, A, contexts)
            elif step.cross_sample and context.training:
                A, cache = yield from step.train_forward(A, context)
            else:
                A, cache = step.forward(A, context)
            if profile:
                profile.forward_done(step, start, len(A), cache)
            caches.append(cache)
        return A, caches

    def backward(
        self,
        caches: Sequence[Any],
        dA: Array,
        contexts: Sequence[Context],
        steps: Sequence[Step] | None = None,
    ) -> Partials:
        """Run backward, write the gradients of parameters, and return ``dA_prev``."""
        dA_prev: Array | None = dA
        run = self.steps if steps is None else steps
        for step, cache in zip(reversed(run), reversed(caches), strict=True):
            context = contexts[step.index]
            if not (step.need_dA_prev or step.trains):
                return None
            profile = self.profile if context.training else None
            start = profile.now() if profile else 0.0
            if step.branches:
                dA_prev, grads = yield from self._branches_backward(step, cache, dA_prev, contexts)
            elif step.cross_sample and context.training:
                dA_prev, grads = yield from step.train_backward(cache, dA_prev, context)
            else:
                dA_prev, grads = step.backward(cache, dA_prev, context)
            for name, gradient in grads.items():
                into = context.grads.get(name)
                if gradient is not None and into is not None and gradient is not into:
                    into[...] = gradient
            if profile:
                profile.backward_done(step, start)
        return dA_prev

    def _branches_forward(self, step: Step, A: Array, contexts: Sequence[Context]) -> Partials:
        """Run every branch of a container on the same input, and join the results."""
        results, caches = [], []
        for branch in step.branches:
            result, inner = yield from self.forward(A, contexts, branch)
            results.append(result)
            caches.append(inner)
        container: Container = step.layer  # type: ignore[assignment]
        A, cache = container.join(results, contexts[step.index])
        return A, (caches, cache)

    def _branches_backward(
        self, step: Step, cache: Any, dA: Any, contexts: Sequence[Context]
    ) -> Partials:
        """Run every branch of a container backward, and sum their gradients for the input."""
        caches, joined = cache
        context = contexts[step.index]
        container: Container = step.layer  # type: ignore[assignment]
        total: Array | None = None
        gradients = container.split(joined, dA, context)
        for branch, inner, dA_branch in zip(step.branches, caches, gradients, strict=True):
            dA_prev = yield from self.backward(inner, dA_branch, contexts, branch)
            if not step.need_dA_prev:
                continue
            out = None if total is None else context.like("dA_prev", dA_prev)
            total = dA_prev if total is None else np.add(total, dA_prev, out=out)
        return total, {}

    def taken(self) -> dict[str, list[str]]:
        """Return the operations that are taken from other implementations, by implementation."""
        found: dict[str, list[str]] = {}
        for step in self.all_steps:
            if step.origin not in ("", self.implementation.name):
                names = found.setdefault(step.origin, [])
                if step.layer.operation not in names:
                    names.append(step.layer.operation)
        return found

    def _steps(self, layers: Sequence[Layer]) -> list[Step]:
        """Return the steps for some layers: at each layer the first fusion that applies."""
        steps: list[Step] = []
        start = 0
        while start < len(layers):
            step = self._step_at(layers[start:])
            steps.append(step)
            start += len(step.layers)
            step.flattens = start < len(layers) and layers[start].type == "flatten"
        return steps

    def _step_at(self, layers: Sequence[Layer]) -> Step:
        """Return the step that begins with the first of some layers."""
        layer = layers[0]
        if isinstance(layer, Container):
            branches = [self._steps(branch) for branch in layer.children().values()]
            return Step((layer,), branches=branches)
        if not layer.operation:
            return Step((layer,))
        operation, origin = self.implementation.find(layer.operation)
        step = Step((layer,), None, operation, origin=origin)
        if layer.training_operation:
            step.training_operation, _ = self.implementation.find(layer.training_operation)
        for fusion in self.implementation.fusions if self.fuse else ():
            group = tuple(layers[: len(fusion.pattern)])
            if _operations(group) == fusion.pattern and fusion.applies(group):
                return replace(step, layers=group, fusion=fusion)
        return step


class FoldingPlan(Plan):
    """A plan where batch normalisation is part of the convolution before it: no training."""

    def _step_at(self, layers: Sequence[Layer]) -> Step:
        """Return the step that begins with the first of some layers, folded where that pays."""
        step = super()._step_at(layers)
        if len(step.layers) > 1 or _operations(layers[:2]) != FoldedBatchNorm.pattern:
            return step
        conv, norm, *behind = layers
        if _operations(behind[:1]) == ("batch_norm",):  # both would have a state of the same name
            return step
        inner = super()._step_at([conv, *behind])
        group = (conv, norm, *inner.layers[1:])
        fusion = FoldedBatchNorm(inner.fusion, self.limits.folding)
        return replace(inner, layers=group, fusion=fusion) if fusion.applies(group) else step


def _operations(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the operations of layers, without those that have a forward pass of their own."""
    return tuple(layer.operation for layer in layers if type(layer).forward is Layer.forward)


def finish(passing: Partials) -> Any:
    """Run a pass that does not stop, and return what it returns."""
    try:
        next(passing)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a pass in inference cannot wait for sums over a mini-batch")


def _walk(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield all steps, a container before what it holds."""
    for step in steps:
        yield step
        for branch in step.branches:
            yield from _walk(branch)


def _mark(steps: Sequence[Step], trained_before: bool) -> bool:
    """Note which steps must return ``dA_prev``; return whether anything up to the end trains."""
    for step in steps:
        step.need_dA_prev = trained_before
        for branch in step.branches:
            _mark(branch, trained_before)
        trained_before = trained_before or step.trains
    return trained_before
