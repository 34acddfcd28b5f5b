"""A dense layer with the ReLU that follows it, in place.

The layer's result is small and still in the cache of the processor when the bias is added and the
negative values are cut off; the array is written once and read once less::

    Z = A_prev @ W;   Z += b;   Z = max(Z, 0)          all in the same memory
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine import dense
from cnnexp.engine.context import Context
from cnnexp.engine.kernels import Cache, Fusion, Gradients
from cnnexp.engine.scratch import Array


class DenseReLU(Fusion):
    """dense + relu."""

    name = "ReLU in place"
    pattern = ("dense", "relu")

    def applies(self, layers: Sequence[Any]) -> bool:
        """Always."""
        return True

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return ``max(Z, 0)``."""
        Z, _ = dense.forward(A_prev, layers[0].params, None, context)
        A = np.maximum(Z, Z.dtype.type(0), out=Z)
        return A, (A_prev, A)

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Let through the gradients where the result is above zero."""
        A_prev, A = cache
        dZ = np.multiply(dA, A > 0, out=context.scratch.like("dZ", A))
        return dense.backward(dZ, layers[0].params, None, A_prev, context)
