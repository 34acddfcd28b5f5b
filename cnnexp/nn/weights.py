"""Weights as a plain dictionary of names and arrays.

Names are ``<layer>.<parameter>``, for example ``conv1.W``; shapes are canonical whatever the
implementation, so weights saved under one implementation load under every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import ShapeError
from cnnexp.nn.layer import Layer


def collect(layers: Sequence[Layer]) -> dict[str, Array]:
    """Return copies of all parameters by name."""
    return {
        f"{layer.name}.{key}": array.copy()
        for layer in layers
        for key, array in layer.params.items()
    }


def assign(layers: Sequence[Layer], weights: Mapping[str, Array]) -> None:
    """Copy weights into the parameters of layers.

    Raises
    ------
    ShapeError
        If names or shapes differ; every difference is listed and nothing is changed.
    """
    own = {f"{layer.name}.{key}": array for layer in layers for key, array in layer.params.items()}
    faults = [f"{name}: the network has it, the weights do not" for name in own.keys() - weights]
    faults += [
        f"{name}: the weights have it, the network does not" for name in weights.keys() - own
    ]
    faults += [
        f"{name}: the network needs shape {own[name].shape},"
        f" the weights have {np.shape(weights[name])}"
        for name in own.keys() & weights
        if own[name].shape != np.shape(weights[name])
    ]
    if faults:
        listed = "\n".join(f"  {fault}" for fault in sorted(faults))
        raise ShapeError(f"the weights do not fit this network:\n{listed}")
    for name, array in own.items():
        array[...] = weights[name]
