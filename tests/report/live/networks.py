"""Small networks that have every layer of the table, and engine gradients in inference."""

from __future__ import annotations

from typing import Any

import numpy as np

import cnnexp.nn.activations as activations
from cnnexp.nn.blocks import Block, Concat, Residual, SeparableConv2D
from cnnexp.nn.convolutions import Conv2D, DepthwiseConv2D, PointwiseConv2D, TransposedConv2D
from cnnexp.nn.introspection import _contexts
from cnnexp.nn.layer import Layer
from cnnexp.nn.layers import AvgPool2D, Dense, Dropout, Flatten, MaxPool2D, SpatialDropout
from cnnexp.nn.network import Network
from cnnexp.nn.normalization import BatchNorm, GroupNorm, LayerNorm
from cnnexp.nn.plan import Plan, finish
from cnnexp.nn.shapes import (
    Crop2D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    Pad2D,
    Reshape,
    UpSample2D,
)

CLASSES = 4


def _end() -> list[Layer]:
    return [Flatten(), Dense(CLASSES), activations.Softmax()]


NETWORKS = {
    "convolutions": lambda: [
        Conv2D(6, (3, 2), stride=(2, 1), padding=((1, 2), (0, 1)), dilation=(1, 2), groups=2),
        activations.LeakyReLU(0.1),
        DepthwiseConv2D(3, padding="same", multiplier=2),
        activations.ELU(0.7),
        PointwiseConv2D(4),
        TransposedConv2D(3, 3, stride=2, padding="same"),
        activations.Tanh(),
        TransposedConv2D(2, (2, 3), stride=(3, 1), padding=((1, 0), (0, 1))),
        *_end(),
    ],
    "pooling": lambda: [
        MaxPool2D(3, stride=2, padding=1),
        UpSample2D((2, 3)),
        AvgPool2D((2, 3), stride=1, padding="same"),
        Pad2D([[1, 0], [2, 1]], value=0.3),
        Crop2D([[0, 2], [1, 1]]),
        Dropout(0.5),
        SpatialDropout(0.2),
        activations.ReLU(),
        *_end(),
    ],
    "normalization": lambda: [
        Conv2D(4, 3),
        BatchNorm(),
        activations.GELU(),
        GroupNorm(2),
        activations.SiLU(),
        LayerNorm(),
        activations.HardSwish(),
        GlobalAvgPool2D(),
        Dense(8),
        BatchNorm(),
        LayerNorm(),
        activations.Softplus(),
        Dense(CLASSES),
        activations.Softmax(),
    ],
    "blocks": lambda: [
        Residual([Conv2D(4, 3, padding="same"), BatchNorm()], shortcut=[PointwiseConv2D(4)]),
        Concat([PointwiseConv2D(2), Block([Conv2D(3, 3, padding="same"), activations.ReLU()])]),
        Residual([Conv2D(5, 3, padding="same")]),
        SeparableConv2D(6, 3),
        Block([activations.Sigmoid(), Reshape([9, 4, 6]), Residual([PointwiseConv2D(6)])]),
        GlobalMaxPool2D(),
        Dense(CLASSES),
        activations.LogSoftmax(),
    ],
    "sigmoids": lambda: [Flatten(), Dense(6, activation="tanh"), Dense(CLASSES, "sigmoid")],
}
SHAPE = (8, 8, 2)


def build(name: str, loss: str | None = None) -> Network:
    """Return a network with weights and running statistics that are not those of a start."""
    default = {"blocks": "mean_squared_error", "sigmoids": "binary_cross_entropy"}
    network = Network(NETWORKS[name](), loss=loss or default.get(name, "cross_entropy"))
    network.build(SHAPE)
    generator = np.random.default_rng(1)
    network.load_weights(
        {
            path: (abs(values) + generator.random(values.shape) * 0.5 + 0.1)
            if path.endswith("variance")
            else values + generator.normal(0, 0.2, values.shape)
            for path, values in network.weights().items()
        }
    )
    return network


def images(count: int, shape: tuple[int, ...] = SHAPE) -> Any:
    """Return images with zeros and ties among their pixels."""
    generator = np.random.default_rng(2)
    X = np.round(generator.normal(0, 1, (count, *shape)), 1)
    return (X * (generator.random(X.shape) < 0.8)).astype(np.float32)


def engine_gradients(network: Network, image: Any, y: int) -> tuple[float, Any, dict[str, Any]]:
    """Return loss, gradient for the image, and those for the parameters, in inference."""
    plan = Plan(network._before_loss, network.implementation, fuse=False, input_gradient=True)
    contexts = _contexts(plan)
    Z, caches = finish(plan.forward(image[None], contexts))
    targets = network.loss.check_targets(np.array([y]), network.output_shape, network.dtype)
    value, cache = network.loss.forward(Z, targets)
    found: dict[str, Any] = {}
    for step in plan.all_steps:
        grads = {name: np.zeros_like(values) for name, values in step.layer.params.items()}
        contexts[step.index].grads = grads
        found |= {f"{step.layer.path}.{name}": gradient for name, gradient in grads.items()}
    dX = finish(plan.backward(caches, network.loss.backward(cache, 1.0), contexts))
    return value, dX[0], found
