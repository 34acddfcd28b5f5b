"""A network as the page gets it: its layers as plain values, its weights as one vector."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexp import LOSSES
from cnnexp.errors import OptionError
from cnnexp.report.inside.plates import Array

if TYPE_CHECKING:
    from cnnexp.nn.layer import Layer
    from cnnexp.nn.losses import Loss

_TYPES = """
block residual concat separable_conv
conv depthwise_conv pointwise_conv transposed_conv dense
max_pool avg_pool global_avg_pool global_max_pool
flatten reshape dropout spatial_dropout pad crop upsample
batch_norm layer_norm group_norm
relu leaky_relu sigmoid tanh elu softplus silu gelu hard_swish softmax log_softmax
"""
_LOSSES = """
cross_entropy focal hinge binary_cross_entropy
mean_squared_error mean_absolute_error huber
"""
FORWARDS = frozenset(_TYPES.split())
"""The types of layers that the page can compute; a test compares them with its JavaScript."""
LOSS_FORWARDS = frozenset(_LOSSES.split())
NOT_SHOWN = ("layers", "shortcut", "initializer", "activation")


def check_layers(layers: Sequence[Layer]) -> None:
    """Raise OptionError, with their names, if the page cannot compute some layers."""
    unknown = [layer for layer in every_layer(layers) if not _is_known(layer)]
    if unknown:
        names = ", ".join(f"{layer.path} ({layer.type})" for layer in unknown)
        raise OptionError(
            f"the page runs the network in JavaScript, and has no forward pass for: {names}. It"
            f" knows {', '.join(sorted(FORWARDS))}. `inspect` draws any network."
        )


def _is_known(layer: Layer) -> bool:
    """Say whether a layer is one of cnnexp's own; a user's may have any name."""
    return layer.type in FORWARDS and type(layer).__module__.startswith("cnnexp.nn.")


def every_layer(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield layers and those inside them, a block before what it holds."""
    for layer in layers:
        yield layer
        for branch in layer.children().values():
            yield from every_layer(branch)


def describe_layers(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return layers as plain values; parameters and state as shapes, in the order of `vector`."""
    return [_describe(layer) for layer in layers]


def _describe(layer: Layer) -> dict[str, Any]:
    return {
        "type": layer.type,
        "name": layer.name,
        "path": layer.path,
        "input": list(layer.input_shape),
        "output": list(layer.output_shape),
        "options": _options(layer),
        "window": describe_window(layer.geometry) if hasattr(layer.geometry, "rows") else None,
        "params": {name: list(array.shape) for name, array in layer.params.items()},
        "state": {name: list(array.shape) for name, array in layer.state.items()},
        "branches": [describe_layers(branch) for branch in layer.children().values()],
    }


def _options(layer: Layer) -> dict[str, Any]:
    """Return the options that a forward pass needs."""
    names = [field.name for field in dataclasses.fields(layer)]  # type: ignore[arg-type]
    return {name: plain(getattr(layer, name)) for name in names if name not in NOT_SHOWN}


def plain(value: Any) -> Any:
    """Return an option as JSON has it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def describe_window(window: Any) -> dict[str, dict[str, int]]:
    """Return a window as plain values, an axis each for rows and columns."""
    return {"rows": dataclasses.asdict(window.rows), "cols": dataclasses.asdict(window.cols)}


def describe_loss(loss: Loss) -> dict[str, Any] | None:
    """Return a loss as plain values; None for one that the page cannot compute."""
    name = LOSSES.name_of(type(loss))
    if name not in LOSS_FORWARDS or not type(loss).__module__.startswith("cnnexp.nn."):
        return None
    options = {key: plain(value) for key, value in vars(loss).items()}
    return {"name": name, "fuses": loss.fuses, "options": options}


def paths_of(layers: Sequence[Layer]) -> Iterator[str]:
    """Yield the paths of all arrays, in the order in which the page reads them.

    A layer's parameters come first, then its state, then the layers inside it.
    """
    for layer in every_layer(layers):
        for name in (*layer.params, *layer.state):
            yield f"{layer.path}.{name}"


def vector(layers: Sequence[Layer], weights: Mapping[str, Array]) -> Array:
    """Return all weights as one vector, in the order of `paths_of`."""
    parts = [np.asarray(weights[path]).reshape(-1) for path in paths_of(layers)]
    return np.concatenate(parts) if parts else np.empty(0)


def as_text(values: Array, dtype: str) -> str:
    """Return numbers as base64 of little-endian float32, float16 or bytes."""
    kind = np.dtype(dtype).newbyteorder("<")
    with np.errstate(over="ignore"):  # a weight beyond float16 is shown as infinite
        return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
