"""Config-driven experiments with convolutional networks in NumPy.

The engine is usable by itself::

    net = Network([Conv2D(32, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10), Softmax()])
    net.train(X, Y, learning_rate=0.1)

and runs are made by ``python -m cnnexp``, or `run` and `sweep`, and read back by `load_run` and
`load_runs`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexp.app.api import run, sweep
    from cnnexp.engine import Context
    from cnnexp.nn.activations import (
        ELU,
        GELU,
        HardSwish,
        LeakyReLU,
        LogSoftmax,
        Pointwise,
        ReLU,
        Sigmoid,
        SiLU,
        Softmax,
        Softplus,
        Tanh,
    )
    from cnnexp.nn.blocks import Block, Concat, Residual, SeparableConv2D
    from cnnexp.nn.class_losses import BinaryCrossEntropy, CrossEntropy, Focal, Hinge
    from cnnexp.nn.convolutions import Conv2D, DepthwiseConv2D, PointwiseConv2D, TransposedConv2D
    from cnnexp.nn.layer import LAYERS, Container, Layer
    from cnnexp.nn.layers import AvgPool2D, Dense, Dropout, Flatten, MaxPool2D, SpatialDropout
    from cnnexp.nn.losses import LOSSES, METRICS, Loss
    from cnnexp.nn.network import Network
    from cnnexp.nn.normalization import BatchNorm, GroupNorm, LayerNorm
    from cnnexp.nn.shapes import (
        Crop2D,
        GlobalAvgPool2D,
        GlobalMaxPool2D,
        Pad2D,
        Reshape,
        UpSample2D,
    )
    from cnnexp.nn.value_losses import Huber, MeanAbsoluteError, MeanSquaredError
    from cnnexp.runs.finding import load_runs
    from cnnexp.runs.reading import Run, load_run

__version__ = "0.1.0"

__all__ = [
    "ELU",
    "GELU",
    "LAYERS",
    "LOSSES",
    "METRICS",
    "AvgPool2D",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Block",
    "Concat",
    "Container",
    "Context",
    "Conv2D",
    "Crop2D",
    "CrossEntropy",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "Focal",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "HardSwish",
    "Hinge",
    "Huber",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LogSoftmax",
    "Loss",
    "MaxPool2D",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Network",
    "Pad2D",
    "Pointwise",
    "PointwiseConv2D",
    "ReLU",
    "Reshape",
    "Residual",
    "Run",
    "SeparableConv2D",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SpatialDropout",
    "Tanh",
    "TransposedConv2D",
    "UpSample2D",
    "__version__",
    "load_run",
    "load_runs",
    "run",
    "sweep",
]

# Where each name is: a module is imported when one of its names is asked for.
_PLACES = {
    "cnnexp.app.api": ("run", "sweep"),
    "cnnexp.engine": ("Context",),
    "cnnexp.nn.activations": (
        "ELU",
        "GELU",
        "HardSwish",
        "LeakyReLU",
        "LogSoftmax",
        "Pointwise",
        "ReLU",
        "SiLU",
        "Sigmoid",
        "Softmax",
        "Softplus",
        "Tanh",
    ),
    "cnnexp.nn.blocks": ("Block", "Concat", "Residual", "SeparableConv2D"),
    "cnnexp.nn.class_losses": ("BinaryCrossEntropy", "CrossEntropy", "Focal", "Hinge"),
    "cnnexp.nn.convolutions": ("Conv2D", "DepthwiseConv2D", "PointwiseConv2D", "TransposedConv2D"),
    "cnnexp.nn.layer": ("Container", "LAYERS", "Layer"),
    "cnnexp.nn.layers": ("AvgPool2D", "Dense", "Dropout", "Flatten", "MaxPool2D", "SpatialDropout"),
    "cnnexp.nn.losses": ("LOSSES", "Loss", "METRICS"),
    "cnnexp.nn.network": ("Network",),
    "cnnexp.nn.normalization": ("BatchNorm", "GroupNorm", "LayerNorm"),
    "cnnexp.nn.shapes": (
        "Crop2D",
        "GlobalAvgPool2D",
        "GlobalMaxPool2D",
        "Pad2D",
        "Reshape",
        "UpSample2D",
    ),
    "cnnexp.nn.value_losses": ("Huber", "MeanAbsoluteError", "MeanSquaredError"),
    "cnnexp.runs.finding": ("load_runs",),
    "cnnexp.runs.reading": ("Run", "load_run"),
}
_ROOMS = ("engine", "errors", "nn", "registry")  # which may be named without being imported


def __getattr__(name: str) -> Any:
    """Import what a name stands for: most need NumPy, runs and sweeps also Hydra and pandas."""
    if name in _ROOMS:
        return import_module(f"cnnexp.{name}")
    for module, names in _PLACES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(module), name)
            return found
    raise AttributeError(f"module 'cnnexp' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
