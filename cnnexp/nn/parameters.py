"""All parameters of a network as one vector, and all state as another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp.engine import Array, host_copy
from cnnexp.errors import ShapeError
from cnnexp.nn.layer import Layer

KINDS = ("bias", "scale", "weight")  # their order in the vector


class Parameter(NamedTuple):
    """A parameter, or an entry of the state, and its slice of the vector.

    Attributes
    ----------
    path : str
        For example ``block1.conv1.W``.
    kind : str
        ``weight``, ``bias`` or ``scale``; ``state`` for what is not trained.
    part : slice
        Its slice of the vector.
    shape : tuple of int
        Its shape.
    """

    path: str
    kind: str
    part: slice
    shape: tuple[int, ...]


class Parameters:
    """The parameters and the state of some layers as vectors; the layers keep views into them.

    With one vector a sum over micro-batches, or a check for infinity, is a single operation. Biases
    and scales come first, then weights, and last, from `direct` on, those whose gradient is
    computed once per mini-batch. So the order depends on the cache: what is saved is saved by path.

    Parameters
    ----------
    layers : sequence of Layer
        Built layers, those inside containers included.
    dtype : dtype
        Of all numbers.
    wide : int
        Bytes above which the gradient of a parameter, a product that the layer takes from
        `Context.outer`, is computed once per mini-batch instead of once per micro-batch.
    xp : module
        Where the vectors live: NumPy, or the module of a device.
    """

    def __init__(self, layers: Sequence[Layer], dtype: Any, wide: int, xp: Any = np) -> None:
        self.xp = xp
        self._layers = [layer for layer in layers if layer.params or layer.state]
        named = [(layer, key) for layer in self._layers for key in layer.params]
        deferred = {
            (id(layer), key)
            for layer, key in named
            if key in layer.outer and layer.params[key].nbytes > wide
        }
        named.sort(key=lambda n: ((id(n[0]), n[1]) in deferred, KINDS.index(_kind(*n))))
        self._locations: dict[tuple[int, str], Parameter] = {}
        self.entries = self._lay(named, "params")
        states = [(layer, key) for layer in self._layers for key in layer.state]
        self.state_entries = self._lay(states, "state")
        self.deferred = [p for p, n in zip(self.entries, named, strict=True) if _in(n, deferred)]
        size = self.entries[-1].part.stop if self.entries else 0
        self.direct = self.deferred[0].part.start if self.deferred else size
        state_size = self.state_entries[-1].part.stop if self.state_entries else 0
        self.bind(xp.empty(size, dtype), xp.empty(state_size, dtype))

    def bind(self, values: Array, state: Array) -> None:
        """Copy everything into other vectors, and let the layers use views into them."""
        for layer in self._layers:
            params, states = self.views((layer,), values), self.state_views((layer,), state)
            for views, arrays in ((params, layer.params), (states, layer.state)):
                for key, view in views.items():
                    view[...] = self.xp.asarray(arrays[key])
            layer.params, layer.state = params, states
        self.values, self.state = values, state

    def views(self, layers: Sequence[Layer], vector: Array) -> dict[str, Array]:
        """Return the parts of a vector that belong to the parameters of some layers, by name.

        A vector that ends at `direct` has no parts for deferred gradients.
        """
        return self._parts([(layer, key) for layer in layers for key in layer.params], vector)

    def state_views(self, layers: Sequence[Layer], vector: Array) -> dict[str, Array]:
        """Return the parts of a vector that belong to the state of some layers, by name."""
        return self._parts([(layer, key) for layer in layers for key in layer.state], vector)

    def location(self, layer: Layer, key: str) -> Parameter:
        """Return the entry of a parameter of a layer."""
        return self._locations[id(layer), key]

    def collect(self) -> dict[str, Array]:
        """Return copies of all parameters and of the state, by path, layer by layer."""
        return {
            f"{layer.path}.{key}": host_copy(array)
            for layer in self._layers
            for key, array in {**layer.params, **layer.state}.items()
        }

    def assign(self, weights: Mapping[str, Array]) -> None:
        """Copy parameters and state from a dictionary as `collect` returns it.

        Raises
        ------
        ShapeError
            If names or shapes differ; every difference is listed and nothing is changed.
        """
        if not isinstance(weights, Mapping):
            raise ShapeError(
                f"weights must be a dictionary of arrays. Got {type(weights).__name__}."
            )
        own = {
            f"{layer.path}.{key}": array
            for layer in self._layers
            for key, array in {**layer.params, **layer.state}.items()
        }
        faults = [
            f"{name}: the network has it, the weights do not" for name in own.keys() - weights
        ]
        faults += [
            f"{name}: the weights have it, the network does not" for name in weights.keys() - own
        ]
        faults += [
            f"{name}: the network needs shape {own[name].shape},"
            f" the weights have {np.shape(weights[name])}"
            for name in own.keys() & weights
            if own[name].shape != np.shape(weights[name])
        ]
        faults += [
            f"{name}: the weights are no numbers"
            for name in own.keys() & weights
            if np.asarray(weights[name]).dtype.kind not in "biuf"
        ]
        if faults:
            listed = "\n".join(f"  {fault}" for fault in sorted(faults))
            raise ShapeError(f"the weights do not fit this network:\n{listed}")
        for name, array in own.items():
            array[...] = self.xp.asarray(weights[name], array.dtype)

    def _lay(self, named: Sequence[tuple[Layer, str]], what: str) -> list[Parameter]:
        """Return an entry for every array of some layers, one after another in a vector."""
        found, start = [], 0
        for layer, key in named:
            array = getattr(layer, what)[key]
            kind = _kind(layer, key) if what == "params" else "state"
            part = slice(start, start + array.size)
            found.append(Parameter(f"{layer.path}.{key}", kind, part, array.shape))
            self._locations[id(layer), key] = found[-1]
            start += array.size
        return found

    def _parts(self, named: Sequence[tuple[Layer, str]], vector: Array) -> dict[str, Array]:
        entries = {key: self._locations[id(layer), key] for layer, key in named}
        return {
            key: vector[entry.part].reshape(entry.shape)
            for key, entry in entries.items()
            if entry.part.stop <= vector.size
        }


def copies_by_path(vector: Array, parameters: Sequence[Parameter]) -> dict[str, Array]:
    """Return copies of the parts of a vector, as NumPy's arrays without their shapes, by path."""
    return {entry.path: host_copy(vector[entry.part]) for entry in parameters}


def _kind(layer: Layer, key: str) -> str:
    return layer.kinds.get(key, "weight")


def _in(named: tuple[Layer, str], deferred: set[tuple[int, str]]) -> bool:
    return (id(named[0]), named[1]) in deferred
