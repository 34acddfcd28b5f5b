"""Diagnostics: norms worked by hand, units that are dead, and bits that stay as they are."""

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, Network, ReLU
from cnnexp.train import EpochDone
from cnnexp.train.diagnostics import Diagnostics, dead_units
from tests.train.trainings import dataset, network, trainer


def test_norms_worked_by_hand():
    net = Network([Dense(1)], dtype="float64").build((2,))
    net.load_weights({"dense1.W": np.array([[3.0], [4.0]]), "dense1.b": np.array([0.0])})
    looking = Diagnostics(net, np.zeros((1, 2)))
    looking.before_step(np.array([2.0, 0.0, 1.0]))  # of b, then of W
    net.load_weights({"dense1.W": np.array([[3.0], [3.0]]), "dense1.b": np.array([-2.0])})
    looking.after_step()
    rows = {row.name: row for row in looking.rows()}
    assert rows["dense1.W"][1:] == pytest.approx((1.0, np.sqrt(18), 1 / np.sqrt(18), None))
    assert rows["dense1.b"][1:] == pytest.approx((2.0, 2.0, 1.0, None))
    assert rows["all"].gradient_norm == pytest.approx(np.sqrt(5))
    assert rows["all"].update_ratio == pytest.approx(np.sqrt(5) / np.sqrt(22))


def test_means_are_taken_over_the_steps_of_an_epoch():
    training = trainer(diagnose=True, epochs=2, options={"momentum": 0.0, "clip_norm": 0.1})
    norms, found = [], []
    step = training._diagnostics.before_step
    training._diagnostics.before_step = lambda g: (norms.append(np.linalg.norm(g)), step(g))[1]
    for event in training.events():
        if isinstance(event, EpochDone):
            found += [row for row in event.diagnostics if row.name == "all"]
    assert len(norms) == 6
    for k, row in enumerate(found):  # before the clipping
        assert row.gradient_norm == pytest.approx(np.mean(norms[3 * k : 3 * k + 3]), rel=1e-6)


def test_a_dead_unit_is_zero_for_every_sample():
    layers = [Conv2D(4, 2), ReLU(), Flatten(), Dense(3, activation="relu"), Dense(2)]
    net = Network(layers, dtype="float64").build((3, 3, 1))
    weights = net.weights()
    weights["conv1.b"][:] = 1.0
    weights["conv1.b"][2] = -100.0
    weights["dense1.b"][:] = -1000.0
    net.load_weights(weights)
    X = np.random.default_rng(0).random((150, 3, 3, 1))
    assert dead_units(net, X) == {"relu1": 0.25, "relu2": 1.0}
    X[149] = 2000.0  # one sample is enough for a unit to be alive
    weights["conv1.W"][...] = weights["dense1.W"][...] = 1.0
    net.load_weights(weights)
    assert dead_units(net, X) == {"relu1": 0.0, "relu2": 0.0}


def test_a_network_without_relus_has_no_dead_units():
    net = Network([Flatten(), Dense(3, activation="tanh")]).build((2, 3, 1))
    assert dead_units(net, dataset().train.X) == {}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_trained_bits_are_the_same(ema):
    found = []
    for diagnose in (False, True):
        training = trainer(dataset(validation=5), optimizer="adam", diagnose=diagnose, ema=ema)
        events = [event[:4] for event in training.events()]
        found.append((events, training.network.parameters.tobytes()))
    assert found[0] == found[1]


def test_without_them_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(Diagnostics, "__init__", None)
    events = list(trainer(net=network()).events())
    assert [event.diagnostics for event in events if isinstance(event, EpochDone)] == [()] * 3
