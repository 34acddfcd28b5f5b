"""Small networks and batches for the tests of `nn`."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnexp import AvgPool2D, Conv2D, Dense, Flatten, Layer, MaxPool2D, Network, Softmax
from cnnexp.engine import IMPLEMENTATIONS as TABLE

IMPLEMENTATIONS = [name for name in TABLE if TABLE[name].device is None]  # see test_device
HERE = [name for name in TABLE if not TABLE[name].missing()]  # that are installed


def batch(n_m: int = 11, shape: tuple[int, ...] = (8, 7, 2), classes: int = 4):
    """Random samples and labels."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((n_m, *shape)), rng.integers(0, classes, n_m)


def layers(classes: int = 4) -> list[Layer]:
    """Every kind of layer that has a geometry, and every activation."""
    return [
        Conv2D(5, 3, padding="same", activation="relu"),
        Conv2D(4, 2, stride=2, activation="tanh"),
        MaxPool2D(2, stride=1),
        AvgPool2D(2, stride=1, padding=1),
        Flatten(),
        Dense(7, activation="sigmoid"),
        Dense(classes),
        Softmax(),
    ]


def network(**options: Any) -> Network:
    """Return a small network in float64, so that differences are of the method."""
    return Network(layers(), **({"dtype": "float64"} | options))


def slope(net: Network, X: Any, Y: Any, direction: Any, step: float = 1e-5) -> float:
    """Return how the loss changes along a direction of the parameters, by two evaluations."""
    values = []
    for sign in (1, -1):
        net.parameters[...] += sign * step * direction
        values.append(net.means(net.gradients(X, Y)[0])["loss"])
        net.parameters[...] -= sign * step * direction
    return (values[0] - values[1]) / (2 * step)
