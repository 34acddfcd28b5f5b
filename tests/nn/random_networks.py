"""Random networks, trees of layers of every kind, and how far they are from PyTorch's.

``python -m tests.nn.random_networks 150`` compares that many networks of each implementation, and
prints the largest difference. `tests.nn.rounding` compares them in float32 too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnexp import (
    ELU,
    GELU,
    LAYERS,
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
    GroupNorm,
    HardSwish,
    Hinge,
    Huber,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    Pad2D,
    PointwiseConv2D,
    ReLU,
    Residual,
    SeparableConv2D,
    Sigmoid,
    SiLU,
    Softplus,
    SpatialDropout,
    Tanh,
    TransposedConv2D,
    UpSample2D,
)
from cnnexp.errors import ShapeError
from cnnexp.nn.layer import walk
from tests.nn.networks import HERE
from tests.nn.torch_networks import Peer

ACTIVATIONS = (
    ReLU,
    ReLU,
    Sigmoid,
    Tanh,
    lambda: LeakyReLU(0.2),
    lambda: ELU(0.7),
    Softplus,
    SiLU,
    GELU,
    HardSwish,
)
REAL_LOSSES = (MeanSquaredError, lambda: Huber(0.4), MeanAbsoluteError)
CLASS_LOSSES = (
    CrossEntropy,
    lambda: CrossEntropy(0.1),
    lambda: Focal(1.5),
    Hinge,
    BinaryCrossEntropy,
)


def _random_activation(rng: np.random.Generator) -> Layer:
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]()


def random_network(
    seed: int, impl: str, dtype: str = "float64"
) -> tuple[Network, np.ndarray, np.ndarray]:
    """Return a network drawn from a seed, with samples and targets that suit it."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(5, 10)), int(rng.integers(5, 10)), int(rng.choice([1, 2, 3, 8])))
    shape: tuple[int, ...] = image
    layers: list[Layer] = []
    while len(layers) < rng.integers(1, 6):
        part = _random_layers(rng, shape)
        try:
            trial = Network(part, loss="mean_squared_error").build(shape)
        except ShapeError:
            continue
        layers += part
        shape = trial.output_shape
        for layer in walk(part):  # made again by the network that they are for
            layer.params, layer.state = {}, {}
    layers += [Flatten()]
    if rng.random() < 0.4:
        norm = BatchNorm() if rng.random() < 0.7 else LayerNorm()
        layers += [Dense(int(rng.integers(3, 9))), norm, _random_activation(rng)]
    n_m, classes = int(rng.integers(3, 12)), int(rng.integers(2, 5))
    layers += [Dense(classes)]
    loss: Any = REAL_LOSSES[rng.integers(len(REAL_LOSSES))]()
    targets: np.ndarray = rng.standard_normal((n_m, classes))
    if rng.random() < 0.7:
        loss = CLASS_LOSSES[rng.integers(len(CLASS_LOSSES))]()
        layers += [LAYERS[loss.fuses]()] if loss.fuses else []
        targets = rng.integers(0, classes, n_m)
        if isinstance(loss, BinaryCrossEntropy):
            targets = rng.random((n_m, classes))
    net = Network(
        layers,
        impl=impl,
        loss=loss,
        dtype=dtype,
        seed=seed,
        micro_batch=int(rng.integers(1, n_m + 2)),
        fuse=bool(rng.random() < 0.7),
        threads=1,
    )
    X = rng.standard_normal((n_m, *image))
    if rng.random() < 0.4:  # a black region, as most pictures have: outputs of exactly 0, and ties
        X[:, : int(rng.integers(2, 5))] = 0
    X = X.astype(dtype)
    targets = targets.astype(dtype) if targets.dtype.kind == "f" else targets
    return net.build(X.shape[1:]), X, targets


def _random_layers(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Layer]:
    """Return one layer, or a convolution with what often follows it."""
    kind = rng.choice(["conv"] * 4 + ["other conv"] * 2 + ["pool", "block", "norm", "rest"])
    if kind == "pool":
        return [_random_pool(rng)]
    if kind == "norm":
        return [_random_norm(rng, shape[2])]
    if kind == "rest":
        return [_random_rest(rng)]
    if kind == "block":
        return [_random_block(rng, shape)]
    conv = _random_conv if kind == "conv" else _random_other_conv
    layers: list[Layer] = [conv(rng, shape[2])]
    if rng.random() < 0.3:
        layers.append(BatchNorm())
    if rng.random() < 0.7:
        layers.append(_random_activation(rng))
    if rng.random() < 0.4:
        layers.append(MaxPool2D(int(rng.integers(2, 4))))
    return layers


def _random_norm(rng: np.random.Generator, n_c: int) -> Layer:
    if rng.random() < 0.5:
        return BatchNorm(momentum=float(rng.choice([0.1, 0.5])))
    groups = [g for g in (1, 2, n_c) if n_c % g == 0]
    return LayerNorm() if rng.random() < 0.5 else GroupNorm(int(rng.choice(groups)))


def _random_rest(rng: np.random.Generator) -> Layer:
    """Return a layer without parameters."""
    rate = float(rng.choice([0.2, 0.5]))
    choices: list[Callable[[], Layer]] = [
        lambda: Dropout(rate),
        lambda: SpatialDropout(rate),
        lambda: _random_activation(rng),
        lambda: Pad2D(((0, 1), (2, 0)), value=0.5),
        lambda: Crop2D(((1, 0), (0, 1))),
        lambda: UpSample2D((1, 2)),
    ]
    return choices[rng.integers(len(choices))]()


def _random_other_conv(rng: np.random.Generator, n_c: int) -> Layer:
    padding, stride = str(rng.choice(["valid", "same"])), int(rng.integers(1, 3))
    kernel = tuple(rng.integers(1, 4, 2).tolist())
    filters = int(rng.choice([2, 3, 8]))
    choices: list[Callable[[], Layer]] = [
        lambda: DepthwiseConv2D(kernel, stride, padding, multiplier=int(rng.integers(1, 3))),
        lambda: PointwiseConv2D(filters, stride),
        lambda: SeparableConv2D(filters, kernel, stride, padding),
        lambda: TransposedConv2D(filters, kernel, stride, padding),
    ]
    return choices[rng.integers(len(choices))]()


def _random_conv(rng: np.random.Generator, n_c: int) -> Conv2D:
    groups = int(rng.choice([g for g in (1, 1, 1, 2, n_c) if n_c % g == 0]))
    kernel = (3, 3) if rng.random() < 0.4 else tuple(rng.integers(1, 4, 2).tolist())
    plain = rng.random() < 0.5
    return Conv2D(
        groups * int(rng.choice([1, 2, 3, 8])),
        kernel,
        stride=1 if plain else tuple(rng.integers(1, 3, 2).tolist()),
        padding=["valid", "same", 1, ((0, 1), (2, 0))][rng.integers(4)],
        dilation=1 if plain else tuple(rng.integers(1, 3, 2).tolist()),
        groups=groups,
    )


def _random_pool(rng: np.random.Generator) -> Layer:
    kernel = tuple(rng.integers(1, 4, 2).tolist())
    kind = MaxPool2D if rng.random() < 0.5 else AvgPool2D
    padding = "same" if rng.random() < 0.3 else "valid"
    return kind(kernel, stride=tuple(rng.integers(1, 4, 2).tolist()), padding=padding)


def _random_block(rng: np.random.Generator, shape: tuple[int, ...]) -> Layer:
    """Return a block, a residual block, one with a projection, or branches side by side."""
    if rng.random() < 0.3:
        branch = [Conv2D(3, 3, padding="same"), _random_activation(rng)]
        pool = MaxPool2D(3, stride=1, padding="same")
        return Concat([PointwiseConv2D(2, activation="relu"), Block(branch), pool])
    n_f, stride = int(rng.choice([2, 8])), int(rng.integers(1, 3))
    body = [
        Conv2D(n_f, 3, stride=stride, padding="same"),
        *([BatchNorm()] if rng.random() < 0.5 else []),
        ReLU(),
        *([Dropout(0.3)] if rng.random() < 0.3 else []),
    ]
    if rng.random() < 0.3:
        return Block(body)
    if n_f == shape[2] and stride == 1:
        return Residual(body)
    short: list[Layer] = [Conv2D(n_f, 1, stride=stride, padding="same")]
    return Residual(body, shortcut=short + ([BatchNorm()] if rng.random() < 0.5 else []))


BOUND = 1e-11  # of float64


def largest_difference(seed: int, impl: str, steps: int = 3, rate: float = 0.05) -> float:
    """Train a random network on both sides, and return by how much they differ at most.

    Compared are loss and gradients of every step, and outputs in inference after them, each
    relative to its largest value where that is above 1. Steps are shortened alike on both
    sides so that no network diverges.
    """
    net, X, targets, peer = comparable(seed, impl)
    differences = []
    for step in range(steps):
        peer.step = step
        value = peer.loss(X, targets)
        value.backward()
        sums, gradient = net.batch_gradients(net.batch(X, targets), step)
        found = {p.path: gradient[p.part].reshape(p.shape) for p in net.named_parameters}
        most = max(1.0, *(tensor.grad.abs().max().item() for tensor in peer.params.values()))
        wanted = peer.descend(rate / most)
        differences.append(relative(net.means(sums)["loss"], value.item()))
        differences += [relative(found[name], wanted[name], most) for name in found]
        net.parameters[...] -= rate / most * gradient
        net.take_state()
    peer.training = False
    return largest([*differences, relative(net.predict(X), peer.predicted(X))])


def comparable(
    seed: int, impl: str, dtype: str = "float64"
) -> tuple[Network, np.ndarray, np.ndarray, Peer]:
    """Return a random network whose gradients exist, with samples, targets and its peer.

    Where all inputs of a normalisation are equal (a convolution that sees nothing but padding, or
    the two channels of another normalisation), its outputs are rounding errors around 0, which it
    makes larger.
    """
    for attempt in range(20):
        net, X, targets = random_network(seed + 1_000_000 * attempt, impl, dtype)
        peer = Peer(net)
        peer.loss(X, targets)
        if peer.smallest_variance > 1e-6:
            return net, X, targets, Peer(net)
    raise AssertionError(f"20 networks of seed {seed} normalise equal values.")


def largest(values: list[float]) -> float:
    """Return the largest value, or nan if there is one; `max` would pass over it."""
    return float(np.max(values))


def relative(found: Any, wanted: Any, largest: float = 1.0) -> float:
    """Return the largest difference, relative to the largest of what is wanted."""
    scale = max(largest, float(np.abs(wanted).max()))
    return float(np.abs(np.asarray(found, np.float64) - wanted).max()) / scale


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    for name in HERE:
        found = max(largest_difference(seed, name) for seed in range(count))
        print(f"{name:6} {count} networks, largest difference {found:.1e}", flush=True)
