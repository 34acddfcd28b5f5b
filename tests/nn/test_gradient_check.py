"""The check of gradients by differences: what it accepts, and what it finds."""

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, Dense, Flatten, Network, ReLU, Softmax
from cnnexp.errors import OptionError
from cnnexp.nn.gradient_check import check_gradients

X, Y = np.random.default_rng(0).standard_normal((9, 6, 6, 1)), np.arange(9) % 3


def network(*first, dtype="float64"):
    return Network([*first, Flatten(), Dense(3), Softmax()], dtype=dtype).build((6, 6, 1))


def test_a_gradient_of_zero_agrees():
    """A bias before batch normalisation changes nothing, and both sides are rounding errors."""
    net = network(Conv2D(4, 3), BatchNorm(), ReLU())
    checks = {check.path: check for check in check_gradients(net, net.batch(X, Y))}
    assert checks["conv1.b"].analytic < 1e-12
    assert max(check.difference for check in checks.values()) < 1e-5


def test_a_wrong_gradient_is_found(monkeypatch):
    monkeypatch.setattr(ReLU, "gradient", lambda self, dA, kept, out: np.copyto(out, dA))
    net = network(Conv2D(4, 3), ReLU(), Conv2D(2, 2))
    checks = {check.path: check for check in check_gradients(net, net.batch(X, Y))}
    assert checks["conv1.W"].difference > 0.1
    assert checks["conv2.W"].difference < 1e-5


def test_single_precision_is_refused():
    net = network(dtype="float32")
    with pytest.raises(OptionError, match=r"checked in float64\. Got dtype=float32\."):
        check_gradients(net, net.batch(X, Y))


def test_a_small_gradient_is_compared_with_itself(monkeypatch):
    """Twice the right gradient of one bias, which is a small part of the whole."""
    compute = Network.batch_gradients

    def doubled(net, batch, step=0):
        sums, gradient = compute(net, batch, step)
        part = next(p.part for p in net.named_parameters if p.path == "dense1.b")
        gradient[part] *= 2
        return sums, gradient

    monkeypatch.setattr(Network, "batch_gradients", doubled)
    net = network()
    checks = {check.path: check for check in check_gradients(net, net.batch(30 * X, Y))}
    assert checks["dense1.b"].difference == pytest.approx(0.5, rel=1e-3)
    assert checks["dense1.W"].difference < 1e-5
