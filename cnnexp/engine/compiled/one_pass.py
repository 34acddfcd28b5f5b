"""Convolution, activation and max-pooling as one step, by one of three methods.

The methods are files with the same functions: `direct` for few weights, `winograd` for 3x3 filters
of many channels, `packed` for all others. An activation that is ``max(Z, floor)``, such as ReLU, is
part of their kernels; any other is applied to the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnnexp.engine.compiled import direct, packed, winograd
from cnnexp.engine.compiled.direct import MOST_PIXELS, floor_of
from cnnexp.engine.compiled.kernel import Kernel
from cnnexp.engine.context import Array, Context
from cnnexp.engine.fast.pooled_conv import ConvPointwiseMaxPool
from cnnexp.engine.fast.winograd_pool import WinogradPointwiseMaxPool
from cnnexp.engine.layout import batch_first, batch_last
from cnnexp.engine.operations import Cache, Fusion, Gradients
from cnnexp.engine.window import Window


class OnePass(Fusion):
    """Convolution and activation, and max-pooling where its windows do not overlap.

    Parameters
    ----------
    pattern : str
        The operations of the layers; max-pooling may be left out.
    """

    method: Any  # a file

    def __init__(self, *pattern: str) -> None:
        self.pattern = pattern

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether the method suits, and the activation can be applied to the result."""
        conv, activation, *pool = layers
        fits = self.method.suits(conv.params["W"], conv.input_shape[2], conv.geometry)
        if not fits or not activation.geometry.from_output:
            return False
        return not pool or self.pools(layers)

    def pools(self, layers: Sequence[Any]) -> bool:
        """Say whether each output is computed once, and pooling may come before the activation.

        A winner is noted in a byte, so larger windows are pooled by themselves.
        """
        return layers[2].geometry.size <= MOST_PIXELS and ConvPointwiseMaxPool().applies(layers)

    def kernels(self, layers: Sequence[Any]) -> list[Kernel]:
        """Return the kernels that it needs for some layers."""
        found: list[Kernel] = self.method.kernels_for(layers[0].params["W"])
        return found

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result of the last layer."""
        conv, activation, pool = _parts(layers)
        floor = floor_of(activation)
        A, kept = self.method.forward(A_prev, layers[0].params, conv, pool, floor, context)
        if floor is None:
            activation.apply(A, out=A)
        return batch_first(A), kept

    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return the gradients, through activation and pooling first."""
        conv, activation, pool = _parts(layers)
        floor, dZ = floor_of(activation), batch_last(dA)
        if floor is None:
            dZ = context.like("dZ of activation", cache.A)
            activation.gradient(batch_last(dA), cache.A, out=dZ)
        found: tuple[Array | None, Gradients]
        found = self.method.backward(dZ, conv, pool, floor, cache, context)
        return found


class Direct(OnePass):
    """Where filters have few weights."""

    name = "one pass"
    method = direct


class DirectMean(Direct):
    """The same with average-pooling, behind an activation that is part of the kernel."""

    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether the kernel has the activation too: means of its results are taken."""
        return floor_of(layers[1].geometry) is not None and super().applies(layers)

    def kernels(self, layers: Sequence[Any]) -> list[Kernel]:
        """Return the kernels that it needs for some layers."""
        return direct.kernels_for(layers[0].params["W"], mean=True)

    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the means."""
        conv, activation, pool = _parts(layers)
        floor, params = floor_of(activation), layers[0].params
        A, kept = direct.forward(A_prev, params, conv, pool, floor, context, mean=True)
        return batch_first(A), kept


class Packed(OnePass):
    """For any filters that take all channels."""

    name = "packed, one pass"
    method = packed


class Winograd(OnePass):
    """For 3x3 filters of many channels, and pooling windows of 2x2 or 4x4."""

    name = "Winograd, one pass"
    method = winograd

    def pools(self, layers: Sequence[Any]) -> bool:
        """Say whether pooling windows tile a tile of outputs."""
        return WinogradPointwiseMaxPool().applies(layers)


def _parts(layers: Sequence[Any]) -> tuple[Window, Any, Window | None]:
    """Return the windows and the activation of some layers."""
    conv, activation, *pool = (layer.geometry for layer in layers)
    return conv, activation, pool[0] if pool else None
