"""Images with constant regions: equal candidates before a max-pool, and outputs of exactly zero.

By definition a patch of zeros gives exactly the bias. At the first step, where biases are 0, such
outputs stand on the kink of a ReLU and are equal before a max-pool, and the definition says which
gradient passes. Equal patches that are not zero give equal outputs too. There it does not matter
for the parameters which of them gets the gradient: the same pixels met the same weights.
"""

import numpy as np
import pytest

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from cnnexp.engine import IMPLEMENTATIONS, Context, Limits, to_host
from tests.engine.geometries import TINY, Geometry, weights

Y = np.arange(4) % 3


def digits(size=11, channels=1):
    """Images that are black but for a patch in the middle, of which a part is constant."""
    X = np.zeros((4, size, size, channels))
    X[:, 4:8, 3:7] = np.random.default_rng(0).random((4, 4, 4, channels))
    X[:, 4:6, 3:5] = 1.0
    return X


def gradients(layers, X, steps=0, **options):
    """Return the gradient of every parameter after some steps."""
    net = Network(layers(), dtype="float64", **options).build(X.shape[1:])
    for _ in range(steps):
        net.train(X, Y, 0.1)
    gradient = to_host(net.gradients(X, Y)[1])
    return {p.path: gradient[p.part].copy() for p in net.named_parameters}


def check_equal_naive(layers, X, steps=0, **options):
    expected = gradients(layers, X, steps, impl="naive")
    for path, found in gradients(layers, X, steps, **options).items():
        np.testing.assert_allclose(found, expected[path], atol=1e-12, err_msg=path)


def two_convolutions(activation, pool, padding, *between):
    return lambda: [
        Conv2D(8, 3, padding=padding),
        activation(),
        Conv2D(9, 3, padding=padding),
        *(layer() for layer in between),
        activation(),
        *([pool()] if pool else []),
        Flatten(),
        Dense(3),
        Softmax(),
    ]


POOLS = {
    "2": lambda: MaxPool2D(2),
    "4": lambda: MaxPool2D(4),
    "3": lambda: MaxPool2D(3),
    "overlapping": lambda: MaxPool2D(3, stride=2, padding="same"),
    "none": None,
}


LONG = pytest.mark.long
PADDINGS = [pytest.param("valid", marks=LONG), "same", pytest.param(2, marks=LONG)]


@pytest.mark.parametrize("fuse", [True, pytest.param(False, marks=LONG)])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("activation", [ReLU, Tanh])
def test_gradients_at_the_first_step_are_those_of_naive(activation, pool, padding, fuse):
    layers = two_convolutions(activation, POOLS[pool], padding)
    check_equal_naive(layers, digits(), impl="fast", fuse=fuse)


@pytest.mark.parametrize(
    "activation", [ReLU, Tanh, *(pytest.param(a, marks=LONG) for a in (LeakyReLU, Sigmoid))]
)
@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=LONG)])
def test_ties_of_equal_patches_change_no_gradient_later(activation, steps):
    layers = two_convolutions(activation, POOLS["2"], "same")
    check_equal_naive(layers, digits(), steps, impl="fast")


@pytest.mark.parametrize("impl", [name for name in IMPLEMENTATIONS if name != "naive"])
def test_batch_norm_between_changes_nothing(impl):
    layers = two_convolutions(ReLU, POOLS["2"], "same", BatchNorm)
    check_equal_naive(layers, digits(), impl=impl)


@pytest.mark.parametrize("pool", [2, 3, 4])
@pytest.mark.parametrize("fuse", [True, False])
def test_padding_before_and_behind_an_overlapping_pool(pool, fuse):
    """A max-pool, a convolution whose border sees padding alone, another one, and a max-pool."""

    def layers():
        return [
            MaxPool2D(4, stride=2, padding="same"),
            Conv2D(12, 2, padding=2, activation="tanh"),
            Conv2D(9, 3, padding=2, activation="tanh"),
            MaxPool2D(pool),
            Flatten(),
            Dense(3, activation="softmax"),
        ]

    X = np.random.default_rng(1).standard_normal((4, 9, 9, 2))
    check_equal_naive(layers, X, impl="fast", fuse=fuse)


@pytest.mark.parametrize("limits", [Limits(), TINY])
@pytest.mark.parametrize("bias", ["all zero", "some zero"])
def test_a_patch_of_zeros_gives_exactly_the_bias(limits, bias):
    g = Geometry(11, 11, 3, 1, "same", 8, 9, 4)
    W, b = weights(g, np.float32)
    b *= 0 if bias == "all zero" else np.arange(9) % 2
    X = digits(11, 8).astype(np.float32)
    Z, _ = (
        IMPLEMENTATIONS["fast"]
        .find("conv")[0]
        .forward(X, {"W": W, "b": b}, g.window, Context(limits=limits))
    )
    naive, _ = (
        IMPLEMENTATIONS["naive"].find("conv")[0].forward(X, {"W": W, "b": b}, g.window, Context())
    )
    black = (naive == b).all(axis=3)
    assert 0.4 < black.mean() < 0.9
    assert (Z[black][:, b == 0] == 0).all()
    np.testing.assert_allclose(Z, naive, atol=1e-4)
