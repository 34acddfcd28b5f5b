"""What a pass executes: a step is one layer, or several that are computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnexp.engine import Array, Context, Gradients, Kernels
from cnnexp.engine.kernels import Fusion
from cnnexp.nn.layer import Layer
from cnnexp.nn.parameters import deferred_parameters


class Step:
    """One layer, computed by itself.

    Attributes
    ----------
    layers : tuple of Layer
        The layers it stands for.
    trained : Layer or None
        The one that has parameters.
    deferred : tuple of str
        Parameters whose gradients are multiplied once a batch.
    fusion : Fusion or None
        What computes several layers together.
    """

    fusion: Fusion | None = None

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = tuple(layers)
        self.couples_samples = any(layer.couples_samples for layer in layers)
        self.trained = next((layer for layer in layers if layer.params), None)
        self.deferred = deferred_parameters(self.trained) if self.trained is not None else ()

    @property
    def name(self) -> str:
        """The name of its layer, or of all of them."""
        return "+".join(layer.name for layer in self.layers)

    def forward(self, A: Array, context: Context) -> tuple[Array, Any]:
        """Return the result and a cache."""
        return self.layers[0].forward(A, context)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradient for the input, and those of the parameters."""
        return self.layers[0].backward(cache, dA, context)


class FusedStep(Step):
    """Several layers, computed together by a fusion of the implementation."""

    fusion: Fusion

    def __init__(self, layers: Sequence[Layer], fusion: Fusion) -> None:
        super().__init__(layers)
        self.fusion = fusion

    def forward(self, A: Array, context: Context) -> tuple[Array, Any]:
        """Return the result of the last layer and a cache."""
        return self.fusion.forward(self.layers, A, context)

    def backward(self, cache: Any, dA: Array, context: Context) -> tuple[Array | None, Gradients]:
        """Return the gradient for the first layer's input, and those of the parameters."""
        return self.fusion.backward(self.layers, cache, dA, context)


def plan(layers: Sequence[Layer], kernels: Kernels, fuse: bool) -> list[Step]:
    """Return the steps for some layers: at each place the first fusion that applies, if any."""
    steps: list[Step] = []
    start = 0
    while start < len(layers):
        step = _step_at(layers[start:], kernels, fuse)
        steps.append(step)
        start += len(step.layers)
    return steps


def _step_at(layers: Sequence[Layer], kernels: Kernels, fuse: bool) -> Step:
    """Return the step that begins with the first of some layers."""
    for fusion_class in kernels.fusions if fuse else ():
        group = layers[: len(fusion_class.pattern)]
        if tuple(layer.type for layer in group) != fusion_class.pattern:
            continue
        fusion = fusion_class()
        if fusion.applies(group):
            return FusedStep(group, fusion)
    return Step(layers[:1])
