"""A network compiled for one implementation: a tree of steps, and what they need to know.

A step is one layer, several layers that the implementation computes as one, or a container whose
branches are lists of steps. A plan is made once, when a network is built; passes run through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from cnnexp.engine import Context, Fusion, Implementation, Limits, Operation
from cnnexp.nn.layer import Container, Layer


@dataclass(eq=False)
class Step:
    """What a pass executes at a time.

    Attributes
    ----------
    layers : tuple of Layer
        The layers it stands for.
    fusion : Fusion or None
        What computes several layers together.
    operation, training_operation : Operation or None
        What computes its layer; the second one in training, if that differs.
    origin : str
        The implementation that its operation is taken from; empty where the layer has its own.
    branches : list of list of Step
        The steps inside a container.
    index : int
        Its place among all steps of the plan.
    need_dA_prev : bool
        Whether anything before it has parameters.
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

    def __post_init__(self) -> None:
        self.layer = self.layers[0]
        self.cross_sample = any(layer.cross_sample for layer in self.layers)
        inside: Iterator[Step] = (step for branch in self.branches for step in branch)
        self.trains: bool = any(layer.params for layer in self.layers) or any(
            s.trains for s in inside
        )
        runs: Any = self.layer
        if self.fusion is not None:
            runs = _Bound(self.fusion, self.layers)
        self.forward: Callable[..., Any] = runs.forward
        self.backward: Callable[..., Any] = runs.backward
        self.train_forward: Callable[..., Any] = runs.train_forward
        self.train_backward: Callable[..., Any] = runs.train_backward

    @property
    def name(self) -> str:
        """The path of its layer, or those of all of them."""
        first, *others = self.layers
        return "+".join([first.path, *(layer.name for layer in others)])


class _Bound:
    """A fusion with its layers, called as a layer is."""

    def __init__(self, fusion: Fusion, layers: tuple[Layer, ...]) -> None:
        self.forward = partial(fusion.forward, layers)
        self.backward = partial(fusion.backward, layers)
        self.train_forward = partial(fusion.train_forward, layers)
        self.train_backward = partial(fusion.train_backward, layers)


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
        Sizes that choose between ways to compute the same.
    input_gradient : bool
        Whether a backward pass must return the gradient for the input.
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
        self.steps = self._steps(layers)
        self.all_steps = list(_walk(self.steps))
        for index, step in enumerate(self.all_steps):
            step.index = index
        _mark(self.steps, input_gradient)
        self.cross_sample = any(step.cross_sample for step in self.all_steps)
        sizes = [layer.partial_size for step in self.all_steps for layer in step.layers]
        self.partial_size = max(sizes, default=0)

    def contexts(self, reuse: bool = True) -> list[Context]:
        """Return a context with memory of its own for every step."""
        return [
            Context(
                operation=step.operation,
                training_operation=step.training_operation,
                reuse=reuse,
                need_dA_prev=step.need_dA_prev,
                limits=self.limits,
                seed=(self.seed, RANDOM, *step.layer.path.encode()),
            )
            for step in self.all_steps
        ]

    def taken(self) -> dict[str, list[str]]:
        """Return the operations that are taken from other implementations, by these."""
        found: dict[str, list[str]] = {}
        for step in self.all_steps:
            if step.origin not in ("", self.implementation.name):
                names = found.setdefault(step.origin, [])
                if step.layer.operation not in names:
                    names.append(step.layer.operation)
        return found

    def _steps(self, layers: Sequence[Layer]) -> list[Step]:
        """Return the steps for some layers: at each place the first fusion that applies."""
        steps: list[Step] = []
        start = 0
        while start < len(layers):
            step = self._step_at(layers[start:])
            steps.append(step)
            start += len(step.layers)
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
            operations = tuple(member.operation for member in group)
            if operations == fusion.pattern and fusion.applies(group):
                return replace(step, layers=group, fusion=fusion)
        return step


RANDOM = 2  # the purpose of a draw, part of its seed


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
