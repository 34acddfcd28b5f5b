"""Config-driven experiments with convolutional networks in NumPy.

The engine is usable by itself::

    net = Network([Conv2D(32, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10), Softmax()])
    net.train(X, Y, learning_rate=0.1)

and runs are made by ``python -m cnnexp`` and read back by `load_run` and `load_runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnexp.engine import Context
from cnnexp.nn.activations import LeakyReLU, Pointwise, ReLU, Sigmoid, Softmax, Tanh
from cnnexp.nn.blocks import Block, Residual
from cnnexp.nn.layer import LAYERS, Container, Layer
from cnnexp.nn.layers import AvgPool2D, Conv2D, Dense, Dropout, Flatten, MaxPool2D
from cnnexp.nn.losses import LOSSES, METRICS, CrossEntropy, Loss, MeanSquaredError
from cnnexp.nn.network import Network
from cnnexp.nn.normalization import BatchNorm

if TYPE_CHECKING:
    from cnnexp.runs.reading import Run, load_run, load_runs

__version__ = "0.1.0"

__all__ = [
    "LAYERS",
    "LOSSES",
    "METRICS",
    "AvgPool2D",
    "BatchNorm",
    "Block",
    "Container",
    "Context",
    "Conv2D",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Loss",
    "MaxPool2D",
    "MeanSquaredError",
    "Network",
    "Pointwise",
    "ReLU",
    "Residual",
    "Run",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "__version__",
    "load_run",
    "load_runs",
]

_LATER = ("Run", "load_run", "load_runs")  # they need more than NumPy


def __getattr__(name: str) -> Any:
    """Import what reads run folders when it is first asked for."""
    if name in _LATER:
        from cnnexp.runs import reading

        return getattr(reading, name)
    raise AttributeError(f"module 'cnnexp' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
