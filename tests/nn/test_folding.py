"""Batch normalisation in inference as part of the convolution before it."""

import copy
import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
    Softmax,
    Tanh,
)
from cnnexp.engine import IMPLEMENTATIONS, Limits, Operation, to_host
from cnnexp.engine.folding import FoldedBatchNorm
from tests.nn.networks import HERE

SHAPE = (8, 9, 2)
IMPLS = ["compiled", "fast"]


def network(impl, dtype="float64", steps=2, **options):
    """Return a network with all that may be folded, after some steps of training."""
    if impl == "compiled":
        pytest.importorskip("numba", reason="impl=compiled needs Numba")
    body = [DepthwiseConv2D(3, padding="same"), BatchNorm(), Tanh()]
    body += [Conv2D(8, 3, padding="same"), BatchNorm()]
    layers = [Conv2D(8, 3, padding="same"), BatchNorm(), ReLU(), Residual(body), ReLU()]
    layers += [Conv2D(8, 3), BatchNorm(), ReLU(), MaxPool2D(2)]
    layers += [Conv2D(4, 2), BatchNorm(), BatchNorm(), Flatten(), Dense(4), BatchNorm(), Softmax()]
    settings = {"micro_batch": 8, "inference_micro_batch": 16, "seed": 3} | options
    net = Network(layers, impl=impl, dtype=dtype, **settings).build(SHAPE)
    scale = np.array([1.5, -0.7, 0.0, 0.2, -2.0, 1.0, 0.5, 3.0], net.dtype)
    changed = {path: scale for path in net.weights() if path.endswith("batch_norm1.scale")}
    net.load_weights(net.weights() | changed)
    X, Y = samples()
    for _ in range(steps):
        net.train(X, Y, learning_rate=0.1)
    return net


def samples(count=19):
    X = np.random.default_rng(5).standard_normal((count, *SHAPE))
    return X, np.arange(count) % 4


def folded(net):
    """Return the layers of the steps that fold."""
    steps = net._plan.inference.all_steps
    return [step.name for step in steps if isinstance(step.fusion, FoldedBatchNorm)]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_it_equals_naive(impl, dtype, tolerance):
    """One weight vector and one state: nothing but the prediction may differ."""
    X, _ = samples()
    net, naive = network(impl, dtype), network("naive", dtype, steps=0)
    naive.load_weights(net.weights())
    np.testing.assert_allclose(net.predict(X), naive.predict(X), rtol=tolerance, atol=tolerance)


def test_what_is_folded():
    found = folded(network("fast"))
    assert found[0] == "conv1+batch_norm1+relu1"
    assert "residual1.depthwise_conv1+batch_norm1+tanh1" in found
    assert "residual1.conv1+batch_norm2" in found
    assert not [name for name in found if "batch_norm4" in name]  # two of them behind another


def test_where_weights_are_many_and_pixels_few_nothing_is_folded():
    layers = [Conv2D(8, 3, padding="same"), BatchNorm(), MaxPool2D((4, 3)), Conv2D(5, 2)]
    layers += [BatchNorm(), Flatten(), Dense(4), Softmax()]
    outputs, weights = 1 * 2 * 5, 2 * 2 * 8 * 5  # of the second convolution; the first has more
    for count in (weights // outputs, weights // outputs - 1):
        net = Network(copy.deepcopy(layers), impl="fast", limits=Limits(folding=count))
        found = folded(net.build(SHAPE))
        assert found == ["conv1+batch_norm1", "conv2+batch_norm2"][: 2 if count == 16 else 1]


def test_a_summary_says_what_is_folded():
    text = network("fast", steps=0).summary()
    assert "in inference: conv1+batch_norm1+relu1 (batch_norm folded)" in text
    assert "computed together: batch_norm1+relu1 (activation in place)" in text  # in training
    assert "in inference" not in network("fast", steps=0, fuse=False).summary()
    assert "in inference: dense" not in text


NOTHING_FOLDED = [{"impl": "naive", "steps": 0}, {"impl": "fast", "fuse": False}]


@pytest.mark.parametrize("options", NOTHING_FOLDED)
def test_without_fusions_and_under_naive_nothing_is_folded(options):
    net = network(**options)
    assert net._plan.inference is net._plan


def test_an_operation_of_ones_own_is_not_folded(monkeypatch):
    """Nobody can know what another batch normalisation computes."""
    usual = IMPLEMENTATIONS["fast"].find("batch_norm")[0]

    def forward(A_prev, params, geometry, context):
        A, cache = usual.forward(A_prev, params, geometry, context)
        return A + 100, cache

    own = Operation(forward, usual.backward)
    monkeypatch.setitem(IMPLEMENTATIONS["fast"].operations, "batch_norm", own)
    net = Network([Conv2D(4, 3), BatchNorm()], loss="mean_squared_error", impl="fast").build(SHAPE)
    assert net._plan.inference is net._plan
    assert net.predict(samples()[0]).min() > 50


@dataclass
class Softened(BatchNorm):
    """A batch normalisation whose geometry says something else than its options."""

    def build(self, *args):
        super().build(*args)
        self.geometry = SimpleNamespace(epsilon=0.5, momentum=0.3)


@pytest.mark.parametrize("impl", [name for name in HERE if name != "naive"])
@pytest.mark.parametrize("behind", [[], [ReLU()], [ReLU(), MaxPool2D(2)]])
def test_options_are_those_of_the_geometry(impl, behind):
    """Training and inference; fused, folded and by itself."""
    X, Y = samples()
    results = []
    for name in ("naive", impl):
        layers = [Conv2D(8, 3, padding=(1, 0)), Softened(), *copy.deepcopy(behind)]
        layers += [Flatten(), Dense(4), Softmax()]
        net = Network(layers, impl=name, dtype="float64", seed=3).build((4, 8, 2))
        net.train(X[:, :4, :8], Y, learning_rate=0.1)
        results.append((to_host(net.parameters), net.predict(X[:, :4, :8])))
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("impl", IMPLS)
def test_changed_parameters_and_state_are_used_at_once(impl):
    X, _ = samples()
    net, plain = network(impl), network("im2col", steps=0)
    for change in ("batch_norm1.scale", "batch_norm1.shift", "batch_norm1.variance", "conv1.W"):
        before = net.predict(X)
        net.load_weights(net.weights() | {change: net.weights()[change] * 1.5 + 0.1})
        plain.load_weights(net.weights())
        assert not np.allclose(net.predict(X), before)
        np.testing.assert_allclose(net.predict(X), plain.predict(X), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_copy_is_folded_too(impl):
    X, _ = samples()
    net = network(impl)
    restored = pickle.loads(pickle.dumps(net))
    assert folded(restored) == folded(net) != []
    np.testing.assert_array_equal(restored.predict(X), net.predict(X))


@pytest.mark.parametrize("impl", IMPLS)
def test_workers_change_no_bit(impl):
    X, _ = samples()
    one, *others = (network(impl, "float32", threads=count).predict(X) for count in (1, 2, 5))
    for other in others:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("impl", IMPLS)
def test_samples_that_are_left_over(impl):
    """A few samples, fewer than a vector has, may be computed by another method."""
    X, _ = samples()
    net = network(impl)
    parts = [net.predict(X[:3]), net.predict(X[3:])]
    np.testing.assert_allclose(np.concatenate(parts), net.predict(X), rtol=1e-9, atol=1e-10)
