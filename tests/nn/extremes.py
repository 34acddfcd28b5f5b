"""Networks at the edges of what numbers can be, and what they should give.

A case is a network with samples and targets. Its loss, gradients and predictions are compared with
PyTorch's, which computes them in float64 from the same numbers; rounded to the precision of the
network they may overflow or become zero. Values that are too small for a precision's normal numbers
have fewer digits there: `UNITS` of its smallest number are allowed beside the usual tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
)

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}  # relative to the largest gradient, or number
UNITS = 1e4  # of the smallest number above zero
Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """A network, and what it is given."""

    layers: Sequence[Layer]
    X: np.ndarray
    Y: np.ndarray
    loss: str = "cross_entropy"
    weights: float | None = None  # a factor of all initial weights

    def network(self, impl: str, dtype: str) -> Network:
        """Return the network under an implementation, built."""
        net = Network(self.layers, impl=impl, dtype=dtype, loss=self.loss)
        net.build(self.X.shape[1:])
        if self.weights is not None:
            net.parameters[...] = net.parameters.astype(np.float64) * self.weights
        return net


Make = Callable[[np.finfo], Case]


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def _layers(classes: int = 3) -> list[Layer]:
    """Return convolutions, one of them wide enough for Winograd's method, a pool, dense layers."""
    return [
        Conv2D(8, 3, padding="same", activation="relu"),
        Conv2D(9, 3, padding="same", activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(5, activation="tanh"),
        Dense(classes),
        Softmax(),
    ]


def _images(X: np.ndarray, **options: Any) -> Make:
    return lambda info: Case(_layers(), X, np.arange(len(X)) % 3, **options)


def _logits(loss: str, last: Callable[[], Layer] | None) -> Make:
    """Return logits of 10,000 and -10,000, right and wrong ones."""
    Z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, 1e4]])
    layers = [] if last is None else [last()]
    return lambda info: Case([_Identity(3), *layers], Z, np.array([0, 1, 2, 2]), loss)


class _Identity(Dense):
    """A dense layer whose outputs are its inputs, when it is built."""

    def build(self, input_shape: Any, generator: Any, dtype: Any) -> None:
        super().build(input_shape, generator, dtype)
        self.params["W"] = np.eye(len(self.params["W"]), dtype=dtype)


CASES: dict[str, Make] = {
    "logits ±10,000, cross-entropy": _logits("cross_entropy", Softmax),
    "logits ±10,000, focal": _logits("focal", Softmax),
    "logits ±10,000, hinge": _logits("hinge", None),
    "logits ±10,000, binary cross-entropy": _logits("binary_cross_entropy", Sigmoid),
    "zeros": _images(np.zeros((4, 6, 6, 8))),
    "constant images": _images(np.full((4, 6, 6, 8), 0.7)),
    "one sample": _images(_random(1, 6, 6, 8)),
    "denormal inputs": lambda info: Case(
        _layers(), _random(4, 6, 6, 8) * float(info.tiny) / 16, np.arange(4) % 3
    ),
    "denormal weights": lambda info: Case(
        _layers(), _random(4, 6, 6, 8), np.arange(4) % 3, weights=float(info.tiny) / 16
    ),
    "denormal inputs and weights": lambda info: Case(
        _layers(),
        _random(4, 6, 6, 8) * float(info.tiny) / 16,
        np.arange(4) % 3,
        weights=float(info.tiny) / 16,
    ),
    "one class": lambda info: Case(_layers(1), _random(4, 6, 6, 8), np.zeros(4, int)),
    "batch_norm of one sample": lambda info: Case(
        [Conv2D(8, 3), BatchNorm(), ReLU(), Flatten(), Dense(3), Softmax()],
        _random(1, 6, 6, 2),
        np.array([1]),
    ),
    "kernel as large as the image": lambda info: Case(
        [Conv2D(8, (5, 4), activation="relu"), Flatten(), Dense(3), Softmax()],
        _random(4, 5, 4, 8),
        np.arange(4) % 3,
    ),
    "images of 1x1": lambda info: Case(
        [
            Conv2D(8, 3, padding="same", activation="relu"),
            Conv2D(8, 3, padding="same", activation="relu"),
            MaxPool2D(1),
            Flatten(),
            Dense(3),
            Softmax(),
        ],
        _random(4, 1, 1, 8),
        np.arange(4) % 3,
    ),
}


def made(name: str, dtype: str) -> Case:
    """Return a case; its samples are numbers of the precision."""
    case = CASES[name](np.finfo(dtype))
    return case._replace(X=case.X.astype(dtype))


def ours(name: str, impl: str, dtype: str) -> Arrays:
    """Return loss, gradients and predictions of an implementation."""
    case = made(name, dtype)
    net = case.network(impl, dtype)
    found = {"prediction": net.predict(case.X)}
    sums, gradient = net.gradients(case.X, case.Y)
    found["loss"] = np.array(net.means(sums)["loss"])
    return found | {p.path: gradient[p.part].reshape(p.shape) for p in net.named_parameters}


def pytorch(name: str, dtype: str) -> Arrays:
    """Return the same by PyTorch, in float64."""
    from tests.nn.torch_networks import Peer

    case = made(name, dtype)
    net = case.network("naive", dtype)
    peer = Peer(net)
    loss = peer.loss(case.X, net.batch(case.X, case.Y).targets)
    loss.backward()
    found = {"loss": loss.detach().numpy(), **peer.descend(0.0)}
    still = Peer(net)
    still.training = False
    return found | {"prediction": still.predicted(case.X)}


def faults(found: Arrays, wanted: Arrays, dtype: str) -> list[str]:
    """Say in which arrays two sides differ by more than rounding, or are not finite."""
    said, least = [], float(np.finfo(dtype).smallest_subnormal)
    assert found.keys() == wanted.keys()
    largest = {name: float(np.abs(array).max()) for name, array in wanted.items()}
    gradient = max(value for name, value in largest.items() if "." in name)
    for name, expected in wanted.items():
        array = found[name].astype(np.float64)
        scale = gradient if "." in name else largest[name]
        allowed = TOLERANCE[dtype] * scale + UNITS * least
        if not np.isfinite(array).all():
            said.append(f"{name} is not finite")
        elif not (np.abs(array - expected) <= allowed).all():
            said.append(f"{name} is off by {float(np.abs(array - expected).max()):.1e}")
    return said
