"""The names, the argument order and the calls of the original's page."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, classic
from cnnexp.classic import (
    ConvLayer,
    FCLayer_ReLU,
    FCLayer_Sigmoid,
    FCLayer_Softmax,
    FlatLayer,
    Net,
    PoolLayer_Avg,
    PoolLayer_Max,
)
from cnnexp.errors import OptionError, ShapeError

PAGE = Path(__file__).parents[1] / "docs" / "original.md"
RNG = np.random.default_rng(0)
X, Y = RNG.random((20, 8, 8, 1)), np.arange(20) % 10
ONE_HOT = np.eye(10)[Y]


def page_net(**options):
    """The network of the page, made by its calls."""
    l1 = ConvLayer(32, 3)
    l2 = PoolLayer_Max(2)
    l3 = FlatLayer()
    l4 = FCLayer_ReLU(100)
    l5 = FCLayer_Softmax(10)
    return Net([l1, l2, l3, l4, l5], **options)


def test_the_calls_of_the_page():
    net = page_net()
    mini_batch, learning_rate = (X, ONE_HOT), 0.1
    layers, cce, ce = net.train(mini_batch, learning_rate)
    assert [type(layer).__name__ for layer in layers] == [
        "ConvLayer",
        "PoolLayer_Max",
        "FlatLayer",
        "FCLayer_ReLU",
        "FCLayer_Softmax",
    ]
    assert cce > 0
    assert 0 <= ce <= 1
    A, cce, ce = net.evaluate(X, ONE_HOT)
    np.testing.assert_array_equal(net.predict(X), A)
    np.testing.assert_allclose(A.sum(axis=1), 1, rtol=1e-6)
    assert ce == np.mean(A.argmax(axis=1) != Y)


def test_the_code_of_our_page_runs():
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        names = {}
        exec(code, names)
        assert names["A"].shape == (20, 10)


def test_it_is_the_same_network_under_other_names():
    ours = Network(
        [
            Conv2D(32, 3),
            MaxPool2D(2),
            Flatten(),
            Dense(100, activation="relu"),
            Dense(10, activation="softmax"),
        ]
    )
    theirs = page_net()
    for _ in range(3):
        assert theirs.train(X, Y, 0.1)[1:] == ours.train(X, Y, 0.1)
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))


def test_every_way_to_call_train_is_the_same_step():
    calls = [
        lambda net: net.train(X, Y, 0.1),
        lambda net: net.train(X, ONE_HOT, learning_rate=0.1),
        lambda net: net.train((X, Y), 0.1),
        lambda net: net.train((X, Y), learning_rate=0.1),
        lambda net: net.train([X, ONE_HOT], 0.1),
    ]
    results = []
    for call in calls:
        net = page_net()
        _, *figures = call(net)
        results.append((figures, net.predict(X).tolist()))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("arguments", [(X, Y), ((X, Y),), (X,), (X, 0.1)])
def test_a_call_without_a_learning_rate_or_labels_says_what_train_takes(arguments):
    with pytest.raises(
        OptionError, match=r"\(X, Y, learning_rate\) or \(\(X, Y\), learning_rate\)"
    ):
        page_net().train(*arguments)


def test_the_returned_layers_are_a_copy_after_the_step():
    net = page_net()
    layers, _, _ = net.train(X, Y, 0.1)
    np.testing.assert_array_equal(layers[0].W, net.layers[0].W)
    before = layers[0].W.copy()
    net.train(X, Y, 0.1)
    np.testing.assert_array_equal(layers[0].W, before)
    assert not np.array_equal(before, net.layers[0].W)


def test_a_kept_copy_can_be_put_back_or_made_a_network():
    net = page_net()
    best, _, _ = net.train(X, Y, 0.1)
    expected = net.predict(X)
    for _ in range(3):
        net.train(X, Y, 0.5)
    assert not np.array_equal(net.predict(X), expected)
    np.testing.assert_array_equal(Net(copy.deepcopy(best)).predict(X), expected)
    net.layers = best
    np.testing.assert_array_equal(net.predict(X), expected)


def test_trained_layers_may_be_followed_by_new_ones():
    net = page_net()
    layers, _, _ = net.train(X, Y, 0.1)
    grown = Net([*layers[:3], FCLayer_Softmax(3)])
    np.testing.assert_array_equal(grown.layers[0].W, net.layers[0].W)
    assert grown.predict(X).shape == (20, 3)
    with pytest.raises(OptionError, match="cannot stand before"):
        Net([ConvLayer(2, 1), *layers])
    with pytest.raises(ShapeError, match="do not fit"):
        Net([layers[0], PoolLayer_Max(3), *layers[2:]])


def test_letters_of_the_original():
    conv, pool = ConvLayer(4, 3, 2, 1), PoolLayer_Max(3)
    assert (conv.n_f, conv.f_w, conv.s, conv.p) == (4, 3, 2, 1)
    assert (pool.f_w, pool.s, pool.p) == (3, 3, 0)
    assert (ConvLayer(4, 3).s, ConvLayer(4, 3).p) == (1, 0)
    assert PoolLayer_Avg(3, 2).s == 2
    assert conv.W is None
    net = Net([conv, pool, FlatLayer(), FCLayer_Sigmoid(5), FCLayer_Softmax(10)])
    net.predict(X)
    assert conv.W.shape == (3, 3, 1, 4)
    assert conv.b.shape == (4,)
    assert net.layers[3].W.shape == (4, 5)


def test_a_convolution_has_no_activation():
    net = Net([ConvLayer(1, 1), FlatLayer(), FCLayer_Softmax(10)])
    net.predict(X)
    assert [layer.type for layer in net.network.layers] == ["conv", "flatten", "dense", "softmax"]


def test_the_star_gives_the_names_of_the_page_and_no_others():
    assert classic.__all__ == sorted(classic.__all__)
    assert set(classic.__all__) == {
        "ConvLayer",
        "PoolLayer_Max",
        "PoolLayer_Avg",
        "FlatLayer",
        "FCLayer_ReLU",
        "FCLayer_Sigmoid",
        "FCLayer_Softmax",
        "Net",
    }
