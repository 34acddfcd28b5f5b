"""Fifty steps of training with each new layer and loss, against PyTorch in float64.

``python -m tests.nn.test_fifty_steps`` prints the largest difference of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnexp import (
    ELU,
    GELU,
    AvgPool2D,
    BatchNorm,
    BinaryCrossEntropy,
    Block,
    Concat,
    Conv2D,
    Crop2D,
    CrossEntropy,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    Focal,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    HardSwish,
    Hinge,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    Loss,
    MaxPool2D,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    Pad2D,
    PointwiseConv2D,
    ReLU,
    Reshape,
    Residual,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout,
    Tanh,
    TransposedConv2D,
    UpSample2D,
)
from tests.nn.networks import IMPLEMENTATIONS
from tests.nn.torch_networks import Peer

STEPS, RATE, BOUND = 50, 0.05, 1e-9


def _end(*layers: Layer) -> list[Layer]:
    return [*layers, Flatten(), Dense(3), Softmax()]


PLAIN: dict[str, Callable[[], list[Layer]]] = {
    "relu": lambda: _end(Conv2D(4, 3), ReLU()),
    "sigmoid": lambda: _end(Conv2D(4, 3), Sigmoid()),
    "tanh": lambda: _end(Conv2D(4, 3), Tanh()),
    "softmax": lambda: [Flatten(), Dense(9), Softmax(), Dense(3), Softmax()],
    "conv": lambda: _end(Conv2D(4, 3, stride=2, padding="same", groups=2), ReLU()),
    "conv, dilated": lambda: _end(Conv2D(4, (2, 3), dilation=2, padding=1), ReLU()),
    "max_pool": lambda: _end(Conv2D(4, 3), MaxPool2D(3, stride=1)),
    "avg_pool": lambda: _end(Conv2D(4, 3), AvgPool2D(2, padding=1)),
    "flatten": lambda: [Flatten(), Dense(3), Softmax()],
    "dense": lambda: [Flatten(), Dense(7), Dense(3), Softmax()],
    "block": lambda: _end(Block([Conv2D(4, 3), Tanh()])),
}
CASES: dict[str, tuple[Callable[[], list[Layer]], Loss]] = {
    **{name: (layers, CrossEntropy()) for name, layers in PLAIN.items()},
    "cross_entropy": (lambda: _end(Conv2D(4, 3), ReLU()), CrossEntropy()),
    "leaky_relu": (lambda: _end(Conv2D(4, 3), LeakyReLU(0.1), MaxPool2D(2)), CrossEntropy()),
    "dropout": (lambda: _end(Conv2D(4, 3), ReLU(), Dropout(0.4)), CrossEntropy()),
    "batch_norm after conv": (lambda: _end(Conv2D(4, 3), BatchNorm(), ReLU()), CrossEntropy()),
    "batch_norm after dense": (
        lambda: [Flatten(), Dense(9), BatchNorm(), ReLU(), Dense(3), Softmax()],
        CrossEntropy(),
    ),
    "residual": (
        lambda: _end(Residual([Conv2D(2, 3, padding="same"), BatchNorm(), ReLU()])),
        CrossEntropy(),
    ),
    "residual with projection": (
        lambda: _end(
            Residual([Conv2D(8, 3, padding="same", stride=2)], [Conv2D(8, 1, stride=2)]), ReLU()
        ),
        CrossEntropy(),
    ),
    **{
        name: (lambda layer=layer: _end(Conv2D(4, 3), layer(), MaxPool2D(2)), CrossEntropy())
        for name, layer in {
            "elu": lambda: ELU(0.7),
            "softplus": Softplus,
            "silu": SiLU,
            "gelu": GELU,
            "hard_swish": HardSwish,
            "layer_norm": LayerNorm,
            "group_norm": lambda: GroupNorm(2),
            "spatial_dropout": lambda: SpatialDropout(0.4),
            "depthwise_conv": lambda: DepthwiseConv2D(3, multiplier=2, padding="same"),
            "pointwise_conv": lambda: PointwiseConv2D(3, activation="relu"),
            "separable_conv": lambda: SeparableConv2D(6, 3, padding="same"),
            "transposed_conv": lambda: TransposedConv2D(3, 3, stride=2, padding="same"),
            "pad": lambda: Pad2D([[1, 2], [0, 1]], value=0.5),
            "crop": lambda: Crop2D([[0, 1], [1, 0]]),
            "upsample": lambda: UpSample2D((2, 3)),
            "concat": lambda: Concat(
                [
                    PointwiseConv2D(2, activation="relu"),
                    Block([Conv2D(3, 3, padding="same"), Tanh()]),
                    MaxPool2D(3, stride=1, padding="same"),
                ]
            ),
        }.items()
    },
    "log_softmax": (
        lambda: [Flatten(), Dense(9), LogSoftmax(), Dense(3), Softmax()],
        CrossEntropy(),
    ),
    "reshape": (lambda: _end(Reshape([12, 3, -1]), Conv2D(4, 2), ReLU()), CrossEntropy()),
    "global_avg_pool": (
        lambda: [Conv2D(6, 3, activation="relu"), GlobalAvgPool2D(), Dense(3), Softmax()],
        CrossEntropy(),
    ),
    "global_max_pool": (
        lambda: [Conv2D(6, 3), GlobalMaxPool2D(), Dense(3), Softmax()],
        CrossEntropy(),
    ),
    "cross_entropy, smoothed": (lambda: _end(Conv2D(4, 3), ReLU()), CrossEntropy(0.1)),
    "cross_entropy, weighted": (
        lambda: _end(Conv2D(4, 3), ReLU()),
        CrossEntropy(0.1, [0.5, 1.0, 2.0]),
    ),
    "focal": (lambda: _end(Conv2D(4, 3), ReLU()), Focal()),
    "hinge": (lambda: [Conv2D(4, 3), ReLU(), Flatten(), Dense(3)], Hinge()),
    "binary_cross_entropy": (
        lambda: [Conv2D(4, 3), ReLU(), Flatten(), Dense(3), Sigmoid()],
        BinaryCrossEntropy(),
    ),
    "mean_absolute_error": (
        lambda: [Conv2D(4, 3), ReLU(), Flatten(), Dense(3)],
        MeanAbsoluteError(),
    ),
    "huber": (lambda: [Conv2D(4, 3), ReLU(), Flatten(), Dense(3)], Huber(0.4)),
    "mean_squared_error": (
        lambda: [Conv2D(4, 3), ReLU(), Flatten(), Dense(3)],
        MeanSquaredError(),
    ),
}


def difference(case: str, impl: str) -> float:
    """Return the largest difference of any parameter or state after any of the steps."""
    layers, loss = CASES[case]
    net = Network(layers(), impl=impl, loss=loss, dtype="float64", micro_batch=4)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10, 6, 6, 2))
    targets: Any = rng.integers(0, 3, 10)
    if isinstance(loss, (MeanSquaredError, MeanAbsoluteError, Huber)):
        targets = rng.standard_normal((10, 3))
    if isinstance(loss, BinaryCrossEntropy):
        targets = rng.random((10, 3))
    peer, worst = Peer(net.build((6, 6, 2))), 0.0
    for step in range(STEPS):
        peer.step = step
        peer.loss(X, targets).backward()
        peer.descend(RATE)
        net.train(X, targets, RATE)
        theirs = {name: tensor.detach() for name, tensor in (peer.params | peer.state).items()}
        worst = max(
            worst, *(float(np.abs(v - theirs[k].numpy()).max()) for k, v in net.weights().items())
        )
    return worst


@pytest.mark.parametrize(
    "impl",
    [pytest.param(i, marks=pytest.mark.long if i == "naive" else ()) for i in IMPLEMENTATIONS],
)
@pytest.mark.parametrize("case", [case for case in CASES if case not in PLAIN])
@pytest.mark.few(10)
def test_fifty_steps_are_those_of_pytorch(case, impl):
    pytest.importorskip("torch")
    assert difference(case, impl) < BOUND


@pytest.mark.long
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", PLAIN)
def test_fifty_steps_of_the_plainest_layers(case, impl):
    pytest.importorskip("torch")
    assert difference(case, impl) < BOUND


if __name__ == "__main__":
    for name in CASES:
        print(f"{name:26}", *(f"{impl} {difference(name, impl):.1e} " for impl in IMPLEMENTATIONS))
