"""A layer with the activation that follows it, in place.

The layer's result is still in the processor's cache when the activation overwrites it, so the array
is written and read once less.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnexp.engine import batch_norm
from cnnexp.engine.context import Array, Context, memory_order
from cnnexp.engine.operations import Cache, Fusion, Gradients, Reduction


class InPlace(Fusion):
    """A layer and an activation whose gradient can be computed from its result.

    Parameters
    ----------
    operation : str
        That of the layer.
    """

    name = "activation in place"

    def __init__(self, operation: str) -> None:
        self.pattern = (operation, "pointwise")

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether the activation may overwrite its input."""
        return bool(layers[1].geometry.from_output)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the activation of the layer's result."""
        Z, cache = layers[0].forward(A_prev, context)
        values = Z.transpose(memory_order(Z))
        layers[1].geometry.apply(values, out=values)
        return Z, (cache, Z)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the layer's gradients, through the activation first."""
        inner, A = cache
        dZ, order = context.like("dZ of activation", A), memory_order(A)
        function = layers[1].geometry
        function.gradient(dA.transpose(order), A.transpose(order), out=dZ.transpose(order))
        found: tuple[Array | None, Gradients] = layers[0].backward(inner, dZ, context)
        return found


class BatchNormInPlace(InPlace):
    """Batch normalisation and an activation, some channels at a time."""

    def __init__(self) -> None:
        super().__init__("batch_norm")

    def train_forward(self, layers: Sequence[Any], A_prev: Array, context: Context) -> Reduction:
        """Return what `forward` does, with the statistics of the mini-batch."""
        norm, function = layers[0], layers[1].geometry
        run = batch_norm.train_forward(A_prev, norm.params, norm.geometry, context, function)
        return (yield from run)

    def train_backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> Reduction:
        """Return what `backward` does after `train_forward`."""
        norm, function = layers[0], layers[1].geometry
        run = batch_norm.train_backward(dA, norm.params, norm.geometry, cache, context, function)
        return (yield from run)
