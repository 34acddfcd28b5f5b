"""Layers, losses and networks."""

from cnnexp.nn import (
    activations,
    blocks,
    class_losses,
    convolutions,
    layers,
    normalization,
    shapes,
    value_losses,
)

__all__ = [  # all that enter layers or losses into the tables, which are whole with any of them
    "activations",
    "blocks",
    "class_losses",
    "convolutions",
    "layers",
    "normalization",
    "shapes",
    "value_losses",
]
