"""Every layer with its options, in small networks whose parameters and statistics are random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnnexp import (
    LAYERS,
    AvgPool2D,
    BatchNorm,
    Block,
    Concat,
    Conv2D,
    Crop2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GroupNorm,
    Layer,
    LayerNorm,
    MaxPool2D,
    Network,
    Pad2D,
    PointwiseConv2D,
    Reshape,
    Residual,
    SeparableConv2D,
    SpatialDropout,
    TransposedConv2D,
    UpSample2D,
)

SHAPE = (9, 7, 4)
FOUR = [[1, 0], [2, 1]]

LAYER_CASES: dict[str, Callable[[], list[Layer]]] = {
    "conv": lambda: [Conv2D(5, 3)],
    "conv same": lambda: [Conv2D(5, (3, 2), padding="same")],
    "conv same, stride": lambda: [Conv2D(5, (3, 2), stride=(2, 3), padding="same")],
    "conv padding of four": lambda: [Conv2D(5, 3, padding=FOUR)],
    "conv padding": lambda: [Conv2D(5, 3, padding=(1, 2), stride=2)],
    "conv dilation": lambda: [Conv2D(5, 3, padding="same", dilation=(2, 1))],
    "conv groups": lambda: [Conv2D(6, 3, groups=2)],
    "conv of one pixel": lambda: [Conv2D(3, (9, 7))],
    "depthwise_conv": lambda: [DepthwiseConv2D(3, multiplier=2, padding="same")],
    "pointwise_conv": lambda: [PointwiseConv2D(3, stride=2)],
    "separable_conv": lambda: [SeparableConv2D(5, 3, padding="same", activation="relu")],
    "transposed_conv": lambda: [TransposedConv2D(3, 3, stride=2)],
    "transposed_conv same": lambda: [TransposedConv2D(3, (3, 4), stride=2, padding="same")],
    "transposed_conv odd": lambda: [TransposedConv2D(3, 2, stride=(3, 4), padding="same")],
    "transposed_conv cut": lambda: [TransposedConv2D(3, 3, stride=(1, 2), padding=FOUR)],
    "transposed_conv padding": lambda: [TransposedConv2D(3, 3, stride=2, padding=1)],
    "max_pool": lambda: [MaxPool2D(2)],
    "max_pool same": lambda: [MaxPool2D((3, 2), stride=2, padding="same")],
    "max_pool padding": lambda: [MaxPool2D(3, stride=2, padding=1)],
    "avg_pool": lambda: [AvgPool2D((2, 3))],
    "avg_pool same": lambda: [AvgPool2D((3, 2), stride=2, padding="same")],
    "avg_pool padding": lambda: [AvgPool2D(3, stride=2, padding=[[1, 0], [0, 1]])],
    "global_avg_pool": lambda: [GlobalAvgPool2D()],
    "global_max_pool": lambda: [GlobalMaxPool2D()],
    "flatten": lambda: [Flatten()],
    "flatten, dense": lambda: [Flatten(), Dense(6)],
    "flatten, relu, dropout, dense": lambda: [
        Flatten(),
        LAYERS["relu"](),
        Dropout(0.5),
        Dense(6),
        Dense(3),
    ],
    "flatten, batch_norm, dense": lambda: [Flatten(), BatchNorm(), Dense(6)],
    "flatten in a block": lambda: [Block([Flatten()]), Dense(6)],
    "flatten twice": lambda: [Flatten(), Flatten(), Dense(6)],
    "dropout": lambda: [Dropout(0.5)],
    "spatial_dropout": lambda: [SpatialDropout(0.5), Flatten(), SpatialDropout(0.5)],
    "pad": lambda: [Pad2D(FOUR, value=-0.5)],
    "crop": lambda: [Crop2D(FOUR)],
    "reshape": lambda: [Reshape([7, 9, -1]), Conv2D(3, 3)],
    "reshape to rows": lambda: [Reshape([12, -1]), LayerNorm()],
    "reshape of a row": lambda: [Flatten(), Dense(12), Reshape([2, 3, 2]), Conv2D(3, 2)],
    "reshape to four": lambda: [Reshape([3, 3, 7, 4])],
    "upsample": lambda: [UpSample2D((2, 3))],
    "batch_norm": lambda: [BatchNorm(epsilon=1e-3)],
    "batch_norm of a row": lambda: [Flatten(), Dense(8), BatchNorm(momentum=0.3)],
    "layer_norm": lambda: [LayerNorm(epsilon=1e-3)],
    "layer_norm of a row": lambda: [Flatten(), Dense(8), LayerNorm()],
    "group_norm": lambda: [GroupNorm(groups=2, epsilon=1e-3)],
    "group_norm of a row": lambda: [Flatten(), Dense(8), GroupNorm(groups=4)],
    "softmax of channels": lambda: [LAYERS["softmax"]()],
    "log_softmax of channels": lambda: [LAYERS["log_softmax"]()],
    "softmax inside": lambda: [Flatten(), Dense(5, activation="softmax"), Dense(3)],
    "block": lambda: [Block([Conv2D(3, 3, activation="relu"), Block([BatchNorm()])])],
    "residual": lambda: [Residual([Conv2D(4, 3, padding="same", activation="relu"), BatchNorm()])],
    "residual with a projection": lambda: [
        Residual([Conv2D(6, 3, padding="same", stride=2)], shortcut=[Conv2D(6, 1, stride=2)])
    ],
    "residual inside": lambda: [
        Residual([Residual([Conv2D(4, 1)]), Concat([Conv2D(2, 1), Conv2D(2, 1)])])
    ],
    "concat": lambda: [
        Concat([Conv2D(2, 1, activation="relu"), Block([MaxPool2D(1), Conv2D(3, 3, padding=1)])])
    ],
    "concat of rows": lambda: [Flatten(), Concat([Dense(3), Dense(2)]), Dense(2)],
}
SPECIAL = {"leaky_relu": {"slope": 0.2}, "elu": {"alpha": 0.7}}
for name in LAYERS:
    if LAYERS[name].is_activation and LAYERS[name].__module__.startswith("cnnexp."):
        LAYER_CASES.setdefault(
            name, lambda name=name: [Conv2D(3, 3), LAYERS[name](**SPECIAL.get(name, {}))]
        )


def randomised(network: Network, seed: int = 1) -> Network:
    """Give biases, scales and statistics random values too; at first they are 0 and 1."""
    rng = np.random.default_rng(seed)
    values = network.weights()
    for path, array in values.items():
        if not path.endswith(".W"):
            values[path] = (0.5 + rng.random(array.shape)).astype(array.dtype)
    return network.load_weights(values)


def network_of(name: str, **options: object) -> Network:
    """Return the network of a case."""
    made = Network(LAYER_CASES[name](), loss="mean_squared_error", **options)  # type: ignore[arg-type]
    return randomised(made.build(SHAPE))


def samples(shape: tuple[int, ...], count: int = 5) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((count, *shape)).astype(np.float32)


def with_an_odd_layer(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return a network with a layer of the user's, that nothing translates."""
    monkeypatch.setattr(LAYERS, "_things", dict(LAYERS._things))

    @LAYERS.register("odd")
    class Odd(LAYERS["relu"]):  # type: ignore[misc]
        pass

    return Network([Flatten(), Odd(), Dense(2)], loss="mean_squared_error").build((3, 3, 1))
