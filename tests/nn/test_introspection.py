"""The feature maps of every layer, and the gradient for the input."""

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, Softmax
from cnnexp.errors import OptionError, ShapeError
from tests.nn.networks import HERE, IMPLEMENTATIONS, batch, layers, network

X, Y = batch(n_m=5)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_activations_are_those_of_each_layer(impl):
    net = network(impl=impl).build((8, 7, 2))
    found = net.activations(X)
    assert [name for name, _ in found] == [layer.name for layer in net.layers]
    assert [A.shape[1:] for _, A in found] == [layer.output_shape for layer in net.layers]
    np.testing.assert_allclose(found[-1][1], net.predict(X), atol=1e-12)
    assert all(A.flags.c_contiguous for _, A in found)
    for k, (_, A) in enumerate(found):
        assert not any(np.shares_memory(A, other) for _, other in found[k + 1 :])
    named = dict(found)
    np.testing.assert_array_equal(named["relu1"], np.maximum(named["conv1"], 0))
    np.testing.assert_allclose(named["tanh1"], np.tanh(named["conv2"]))
    np.testing.assert_array_equal(named["flatten1"], named["avg_pool1"].reshape(len(X), -1))


def test_all_implementations_give_the_same_activations():
    expected = network(impl="naive").activations(X)
    for impl in HERE:
        for (_, A), (name, right) in zip(network(impl=impl).activations(X), expected, strict=True):
            np.testing.assert_allclose(A, right, atol=1e-10, err_msg=f"{impl} {name}")


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_activations_stay_when_the_network_is_used_again(impl):
    net = network(impl=impl)
    found = net.activations(X)
    before = [A.copy() for _, A in found]
    net.train(X, Y, 0.1)
    net.activations(X + 1)
    for (name, A), right in zip(found, before, strict=True):
        np.testing.assert_array_equal(A, right, err_msg=name)


def logit(net: Network, X, labels):
    """Return the logit of a label for each sample, without softmax."""
    return net.activations(X)[-2][1][np.arange(len(labels)), labels]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_saliency_is_the_slope_of_the_score_pixel_by_pixel(impl):
    net = network(impl=impl)
    found, step = net.saliency(X, Y), 1e-6
    assert found.shape == X.shape
    for pixel in [(0, 0, 0), (3, 4, 1), (7, 6, 0), (5, 2, 1)]:
        moved = np.zeros(X.shape[1:])
        moved[pixel] = step
        slope = (logit(net, X + moved, Y) - logit(net, X - moved, Y)) / (2 * step)
        np.testing.assert_allclose(found[:, *pixel], slope, atol=1e-7)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_saliency_through_layers_that_would_be_fused(impl):
    """Convolution, relu, pooling and dense, as `fast` joins them; a random direction."""
    parts = [
        Conv2D(6, 3, activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(9, activation="relu"),
        Dense(4, activation="softmax"),
    ]
    net = Network(parts, impl=impl, dtype="float64")
    direction = np.random.default_rng(3).standard_normal(X.shape)
    slope = (logit(net, X + 1e-6 * direction, Y) - logit(net, X - 1e-6 * direction, Y)) / 2e-6
    found = (net.saliency(X, Y) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-6)


def test_saliency_of_any_class_right_or_not_and_one_by_one():
    net = network(impl="fast")
    other = (Y + 1) % 4
    together = net.saliency(X, other)
    for k in range(len(X)):
        alone = net.saliency(X[k : k + 1], other[k : k + 1])
        np.testing.assert_allclose(together[k : k + 1], alone, atol=1e-12)
    assert not np.allclose(together, net.saliency(X, Y))


def test_saliency_through_batch_norm_uses_its_running_statistics():
    net = Network([Flatten(), BatchNorm(), Dense(4), Softmax()], dtype="float64")
    direction = np.random.default_rng(3).standard_normal(X.shape)
    up, down = (logit(net, X + sign * 1e-6 * direction, Y).sum() for sign in (1, -1))
    assert (net.saliency(X, Y) * direction).sum() == pytest.approx((up - down) / 2e-6, rel=1e-5)


def test_nothing_is_changed():
    net = network(impl="fast").build((8, 7, 2))
    parameters, samples = net.parameters.copy(), X.copy()
    net.saliency(X, Y)
    net.activations(X)
    np.testing.assert_array_equal(net.parameters, parameters)
    np.testing.assert_array_equal(X, samples)


def test_mistakes():
    net = network().build((8, 7, 2))
    with pytest.raises(ShapeError, match="X must be samples of shape"):
        net.activations(X[:, :3])
    with pytest.raises(ShapeError, match="labels must lie in 0 … 3"):
        net.saliency(X, Y + 4)
    with pytest.raises(OptionError, match="the last layer must be softmax"):
        Network(layers()[:-1]).saliency(X, Y)


def test_saliency_and_activations_are_those_of_inference():
    """Dropout does nothing, and batch normalisation uses its running statistics."""
    kinds = [Conv2D(3, 3), BatchNorm(), Dropout(0.5), Flatten(), Dense(4), Softmax()]
    net = Network(kinds, dtype="float64").build((8, 7, 2))
    for _ in range(2):
        net.train(X, Y, 0.1)
    np.testing.assert_allclose(net.activations(X)[-1][1], net.predict(X), atol=1e-12)
    together, alone = net.saliency(X, Y), net.saliency(X[:1], Y[:1])
    np.testing.assert_allclose(alone[0], together[0], atol=1e-12)  # no statistics of these samples
    direction = np.random.default_rng(0).standard_normal(X.shape)
    above, below = (logit(net, X + step * direction, Y) for step in (1e-6, -1e-6))
    slope = (together * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=1e-5, atol=1e-8)
