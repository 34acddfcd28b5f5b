"""A dense layer with the activation that follows it, in place.

The layer's result is small and still in the cache of the processor when the bias is added and the
activation is applied; the array is written once and read once less::

    Z = A_prev @ W;   Z += b;   Z = f(Z)          all in the same memory
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from cnnexp.engine import dense
from cnnexp.engine.context import Context
from cnnexp.engine.operations import Cache, Fusion, Gradients
from cnnexp.engine.scratch import Array


class DensePointwise(Fusion):
    """A dense layer and an activation whose gradient can be computed from its result."""

    name = "activation in place"
    pattern: ClassVar[tuple[str, ...]] = ("dense", "pointwise")

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether the activation may overwrite its input."""
        return bool(layers[1].geometry.from_output)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the activation of ``Z``."""
        Z, _ = dense.forward(A_prev, layers[0].params, None, context)
        layers[1].geometry.apply(Z, out=Z)
        return Z, (A_prev, Z)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients, through the activation first."""
        A_prev, A = cache
        dZ = context.scratch.like("dZ", A)
        layers[1].geometry.gradient(dA, A, out=dZ)
        return dense.backward(dZ, layers[0].params, None, A_prev, context)
