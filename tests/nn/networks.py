"""Small networks and batches for the tests of this room, and a layer that couples samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnexp import AvgPool2D, Context, Conv2D, Dense, Flatten, Layer, MaxPool2D, Network, Softmax
from cnnexp.engine import KERNELS

IMPLEMENTATIONS = list(KERNELS)


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


@dataclass
class BatchNorm(Layer):
    """Every channel to mean 0 and variance 1 over the batch, then scaled and moved."""

    type = "batch_norm"
    couples_samples = True

    def build(self, input_shape, generator, dtype):
        super().build(input_shape, generator, dtype)
        n_c = input_shape[-1]
        draws = generator.normal(1, 0.2, n_c), generator.normal(0, 0.2, n_c)
        self.params = {"gamma": draws[0].astype(dtype), "beta": draws[1].astype(dtype)}
        self.seen: list[int] = []

    def forward(self, A_prev: Any, context: Context):
        self.seen.append(len(A_prev))
        axes = tuple(range(A_prev.ndim - 1))
        centred = A_prev - A_prev.mean(axis=axes)
        deviation = np.sqrt((centred**2).mean(axis=axes) + 1e-5)
        normal = centred / deviation
        return normal * self.params["gamma"] + self.params["beta"], (normal, deviation)

    def backward(self, cache: Any, dA: Any, context: Context):
        normal, deviation = cache
        axes = tuple(range(dA.ndim - 1))
        grads = {"gamma": (dA * normal).sum(axis=axes), "beta": dA.sum(axis=axes)}
        d_normal = dA * self.params["gamma"]
        d_centred = (
            d_normal - d_normal.mean(axis=axes) - normal * (d_normal * normal).mean(axis=axes)
        )
        return d_centred / deviation, grads


def slope(net: Network, X: Any, Y: Any, direction: Any, step: float = 1e-5) -> float:
    """Return how the loss changes along a direction of the parameters, by two evaluations."""
    values = []
    for sign in (1, -1):
        net.parameters[...] += sign * step * direction
        values.append(net.gradients(X, Y)[0].loss)
        net.parameters[...] -= sign * step * direction
    return (values[0] - values[1]) / (2 * step)
