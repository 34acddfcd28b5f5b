"""What a user gives to a network in Python is checked before anything is changed by it."""

import sys
import threading

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, Network, Softmax
from cnnexp.classic import FCLayer_Softmax, FlatLayer, Net
from cnnexp.errors import CnnexpError, OptionError, ShapeError
from cnnexp.nn.layer import Layer
from tests.cases import in_one_test

X, Y = np.random.default_rng(0).random((8, 6, 6, 1)), np.arange(8) % 3


def network(**options):
    layers = options.pop("layers", None) or [Conv2D(4, 3), Flatten(), Dense(3), Softmax()]
    return Network(layers, **options)


@pytest.mark.parametrize("rate", [None, "nan", "0.1", float("nan"), np.inf, True, [0.1], 1j])
def test_a_learning_rate_that_is_no_number_changes_nothing(rate):
    net = network().build((6, 6, 1))
    before = net.parameters.copy()
    with pytest.raises(OptionError, match="learning_rate must be a finite number"):
        net.train(X, Y, rate)
    np.testing.assert_array_equal(net.parameters, before)
    with pytest.raises(OptionError, match=r"learning.rate"):
        Net([FlatLayer(), FCLayer_Softmax(3)]).train((X, Y), rate)


@pytest.mark.parametrize("rate", [np.float32(0.1), np.float64(0.1), np.array(0.1), 1, np.int64(1)])
def test_numbers_of_numpy_are_numbers(rate):
    wanted, found = network(), network()
    wanted.train(X, Y, float(rate))
    found.train(X, Y, rate)
    np.testing.assert_array_equal(found.parameters, wanted.parameters)


def test_the_classic_network_takes_them_too():
    wanted, found = (Net([FlatLayer(), FCLayer_Softmax(3)]) for _ in range(2))
    wanted.train((X, Y), float(np.float32(0.1)))
    found.train((X, Y), np.float32(0.1))
    np.testing.assert_array_equal(found.network.parameters, wanted.network.parameters)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_not_finite_are_refused(value):
    bad = X.copy()
    bad[3, 2, 1, 0] = value
    net = network()
    for call in (lambda: net.train(bad, Y, 0.1), lambda: net.evaluate(bad, Y)):
        with pytest.raises(ShapeError, match=r"X must be finite.*at \[3, 2, 1, 0\]"):
            call()
    with pytest.raises(ShapeError, match="X must be finite"):
        net.predict(bad)
    if value == 1e300:
        assert np.isfinite(network(dtype="float64").predict(bad)).all()


def test_large_samples_whose_sum_is_infinite_are_finite():
    assert network().predict(np.full((2, 6, 6, 1), 3e38, np.float32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1, 2, 0, 1, 2, 0, np.nan], "labels that are not finite"),
        ([0.0, 1, 2, 0, 1, 2, 0, np.inf], "labels that are not finite"),
        ([[1], [2, 3]], "rows must be equally long"),
        (["a"] * 8, "must be numbers"),
        (None, "must be numbers"),
    ],
)
def test_labels_that_are_none_are_refused(labels, message):
    with pytest.raises(ShapeError, match=message):
        network().train(X, labels, 0.1)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([[1, 2], [3]], "rows must be equally long"),
        (None, "X must be numbers"),
        ("abc", "X must be numbers"),
        (X + 1j, "X must be numbers"),
        (X.astype(object), "X must be numbers"),
    ],
)
def test_samples_that_are_none_are_refused(samples, message):
    with pytest.raises(ShapeError, match=message):
        network().predict(samples)


@in_one_test(
    "options",
    [
        {"impl": None},
        {"impl": 3},
        {"dtype": "bogus"},
        {"dtype": None},
        {"dtype": [1]},
        {"dtype": "int32"},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": None},
        {"loss": None},
        {"loss": 3},
        {"metrics": None},
        {"metrics": "error"},
        {"threads": None},
        {"layers": 3},
        {"layers": "abc"},
        {"layers": Dense(3)},
        {"layers": [Dense]},
    ],
)
def test_options_that_cannot_be_used_are_refused(options):
    with pytest.raises(OptionError, match=r"must|is made of"):
        network(**options)
    with pytest.raises(OptionError, match="layers must be a list"):
        Network(None)


@pytest.mark.parametrize("layer", [Conv2D(10**30, 3), Conv2D(4, 3, padding=10**400)], ids=type)
def test_sizes_that_no_computer_has_are_refused(layer):
    with pytest.raises(ShapeError, match=r"conv1: gives about 10\^\d+ numbers for each sample"):
        network(layers=[layer, Flatten(), Dense(3), Softmax()]).predict(X)


@pytest.mark.parametrize("shape", [None, "abc", (-1, 2, 3), (6.5, 6, 1), 3])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ShapeError, match="input_shape must be sizes"):
        network().build(shape)


@pytest.mark.parametrize("values", [None, {"a": 1}, {"conv1.W": "abc"}])
def test_weights_that_are_none_are_refused_and_nothing_is_changed(values):
    net = network().build((6, 6, 1))
    before = net.weights()
    text = {"conv1.W": np.full((3, 3, 1, 4), "a")}
    for given in (values, before | text):
        with pytest.raises(CnnexpError):
            net.load_weights(given)
    for name, array in net.weights().items():
        np.testing.assert_array_equal(array, before[name])


def test_threads_that_meet_at_an_unbuilt_network_build_it_once(monkeypatch):
    interval = sys.getswitchinterval()
    built, build = [], Layer.build

    def slowly(layer, *arguments):
        built.append(layer)
        gate.wait(0.01)
        build(layer, *arguments)

    gate = threading.Event()
    monkeypatch.setattr(Layer, "build", slowly)
    net, found, wanted = network(), [], network().predict(X)
    built.clear()
    threads = [threading.Thread(target=lambda: found.append(net.predict(X))) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 4
    assert len(built) == len(net.layers)
    for A in found:
        np.testing.assert_array_equal(A, wanted)


def test_the_first_number_that_is_not_finite_is_named():
    X = np.ones((3, 2))
    X[1, 1] = X[2, 0] = np.nan
    with pytest.raises(ShapeError, match=r"Got nan as float32, at \[1, 1\]"):
        Network([Dense(2), Softmax()]).predict(X)
