"""All parameters of a network as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnexp.engine import Array
from cnnexp.engine.machine import cache_bytes
from cnnexp.nn.layer import Layer
from cnnexp.nn.team import shared_array
from cnnexp.nn.workers import pieces

CHUNK = 1 << 15  # numbers that stay in the cache while an optimizer works on them


def chunks(size: int) -> list[slice]:
    """Cut a vector into slices for operations number by number; the result does not depend on it.

    Examples
    --------
    >>> chunks(40_000)
    [slice(0, 32768, None), slice(32768, 40000, None)]
    """
    return pieces(size, CHUNK) if size else []


class ParameterVector:
    """All parameters of some layers as one vector; the layers keep views into it.

    One vector makes an optimizer's step, a sum over pieces, or a check for infinity a single
    operation, however many layers there are. Parameters whose gradients can be deferred stand at
    its end, from `direct` on.
    """

    def __init__(self, layers: Sequence[Layer], dtype: Any) -> None:
        self.places: dict[int, dict[str, tuple[slice, tuple[int, ...]]]] = {}
        self.direct = start = 0
        for deferred in (False, True):
            for layer in layers:
                places = self.places.setdefault(id(layer), {})
                for key, array in layer.params.items():
                    if _is_deferred(layer, key) is deferred:
                        places[key] = (slice(start, start + array.size), array.shape)
                        start += array.size
            self.direct = self.direct if deferred else start
        self._layers = list(layers)
        self._take_over(shared_array((start,), dtype))

    def _take_over(self, values: Array) -> None:
        """Copy all parameters into a vector, and have the layers use it."""
        self.values = values
        for layer in self._layers:
            views = self.views(layer, values)
            for key, view in views.items():
                view[...] = layer.params[key]
            layer.params = {key: views[key] for key in layer.params}

    def make_private(self) -> None:
        """Move into memory that no other process has."""
        self._take_over(np.empty_like(self.values))

    @property
    def has_deferred(self) -> bool:
        """Whether there are parameters whose gradients can be deferred."""
        return self.direct < self.values.size

    def views(self, layer: Layer, vector: Array) -> dict[str, Array]:
        """Return the parts of a vector that belong to the parameters of a layer.

        A vector that ends at `direct` has no parts for deferred gradients.
        """
        return {
            key: vector[at].reshape(shape)
            for key, (at, shape) in self.places[id(layer)].items()
            if at.stop <= vector.size
        }


class GradientSlot:
    """Memory for the gradients of one piece: a vector, and its parts for each step.

    Parameters
    ----------
    parameters : ParameterVector
        What the gradients are for.
    layers : sequence of Layer or None
        The layer with parameters of each step.
    size : int
        All parameters, or those before `ParameterVector.direct`.
    """

    def __init__(
        self, parameters: ParameterVector, layers: Sequence[Layer | None], size: int
    ) -> None:
        self.vector = shared_array((size,), parameters.values.dtype)
        self.views: list[dict[str, Array]] = [
            parameters.views(layer, self.vector) if layer is not None else {} for layer in layers
        ]


def deferred_parameters(layer: Layer) -> tuple[str, ...]:
    """Return the parameters whose gradients are worth deferring.

    They are those whose gradient, written once a piece, would not stay in the cache.
    """
    return tuple(key for key in layer.deferred if layer.params[key].nbytes > cache_bytes())


def _is_deferred(layer: Layer, key: str) -> bool:
    return key in deferred_parameters(layer)
