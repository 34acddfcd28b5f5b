"""Batch normalisation under ``impl=compiled``: by itself, with ReLU, and with max-pooling."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="impl=compiled needs Numba")

from cnnexp import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax, Tanh
from cnnexp.engine.compiled.batch_norm import BatchNormPass
from cnnexp.engine.fast.in_place import BatchNormInPlace
from cnnexp.nn.plan import finish
from tests.nn.test_fusions import check_equal, fusions

POOLS = [None, MaxPool2D(2), MaxPool2D(3), MaxPool2D(2, stride=3), MaxPool2D(3, stride=2)]
SHAPE = (9, 11, 2)


def network(*behind, impl="compiled", activation=ReLU, **options):
    """Return a network with a normalisation of images, and one of features after a dense layer.

    One scale is negative and one is 0, so that all candidates of its pooling windows are equal.
    """
    layers = [Conv2D(5, 3, padding="same"), BatchNorm(), activation(), *behind]
    layers += [Conv2D(3, 3), BatchNorm(), Flatten(), Dense(6), BatchNorm(), ReLU(), Dense(4)]
    settings = {"dtype": "float64", "micro_batch": 4, "seed": 3} | options
    net = Network([*layers, Softmax()], impl=impl, **settings).build(SHAPE)
    scale = np.array([1.5, -0.7, 0.0, 0.2, -2.0])
    return net.load_weights(net.weights() | {"batch_norm1.scale": scale.astype(net.dtype)})


def samples(count=11, whole_numbers=False):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((count, *SHAPE))
    return (np.sign(np.round(X)) if whole_numbers else X), np.arange(count) % 4


def check_trained(net, other, tolerance):
    """Compare before and after a few steps: running statistics take part in the second."""
    X, Y = samples()
    check_equal(net, other, X, Y, tolerance)
    for one in (net, other):
        for _ in range(3):
            one.train(X, Y, learning_rate=0.1)
    check_equal(net, other, X, Y, 10 * tolerance)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 3e-4)])
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.few(8)
def test_it_equals_naive(pool, dtype, tolerance, fuse):
    behind = [] if pool is None else [pool]
    net = network(*behind, dtype=dtype, fuse=fuse)
    if fuse:
        assert fusions(net)[0] is BatchNormPass
        assert len(net._plan.steps[1].layers) == 2 + len(behind)
    check_trained(net, network(*behind, impl="naive", dtype=dtype), tolerance)


@pytest.mark.parametrize("size", [16, 17])
def test_winners_of_a_large_window_are_told_apart(size):
    """A byte counts to 255: windows of 289 pixels are pooled by themselves."""
    nets = []
    for impl in ("compiled", "naive"):
        layers = [
            Conv2D(2, 2),
            BatchNorm(),
            ReLU(),
            MaxPool2D(size),
            Flatten(),
            Dense(3),
            Softmax(),
        ]
        nets.append(Network(layers, impl=impl, dtype="float64").build((18, 18, 1)))
    X = np.random.default_rng(5).standard_normal((4, 18, 18, 1))
    check_equal(*nets, X, np.arange(4) % 3)


def test_other_activations_and_pooling_with_padding_are_computed_as_under_fast():
    net = network(MaxPool2D(2), activation=Tanh)
    assert fusions(net)[0] is BatchNormInPlace
    check_trained(net, network(MaxPool2D(2), activation=Tanh, impl="naive"), 1e-9)
    padded = network(MaxPool2D(3, stride=2, padding=1))
    assert len(padded._plan.steps[1].layers) == 2
    check_trained(padded, network(MaxPool2D(3, stride=2, padding=1), impl="naive"), 1e-9)


def test_of_pixels_that_tie_the_first_gets_the_gradient():
    """Images of whole numbers: many patches are equal."""
    X, Y = samples(whole_numbers=True)
    figures = [network(MaxPool2D(2), impl=impl).gradients(X, Y)[1] for impl in ("compiled", "sg")]
    np.testing.assert_allclose(*figures, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("behind", [[], [MaxPool2D(2)]], ids=["alone", "pooled"])
def test_workers_change_no_bit(behind):
    X, Y = samples()
    found = []
    for threads in (1, 2, 5):
        net = network(*behind, dtype="float32", threads=threads, micro_batch=2)
        for _ in range(3):
            net.train(X, Y, learning_rate=0.1)
        found.append(np.concatenate([net.parameters, net.predict(X).ravel()]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("behind", [[], [MaxPool2D(2)]], ids=["alone", "pooled"])
def test_what_is_not_a_number_stays_so(behind):
    X, _ = samples()
    X[2, 4, 4, 0] = np.nan
    net = network(*behind)
    contexts = net._plan.contexts()
    for context in contexts:
        context.training = False
    outputs, _ = finish(net._plan.forward(X, contexts))
    assert np.isnan(outputs[2]).all()
    assert np.isfinite(outputs[[0, 1, 3]]).all()
