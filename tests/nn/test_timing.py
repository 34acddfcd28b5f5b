"""How passes are shared out, with a clock that is ours; no test measures anything."""

import itertools
import time

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, Network
from cnnexp.nn.timing import MOST, Course, loop_seconds, measure


def network(impl: str) -> Network:
    layers = [Conv2D(2, 3, activation="relu"), Flatten(), Dense(3, activation="softmax")]
    return Network(layers, impl=impl).build((5, 5, 1))


@pytest.fixture
def passes(monkeypatch):
    """A sample takes as many seconds as its implementation says; every pass is noted."""
    state = {"now": 0.0, "each": {}, "log": []}
    monkeypatch.setattr(time, "perf_counter", lambda: state["now"])
    compute = Network.batch_gradients

    def counted(net, batch, step=0):
        state["log"].append((net.implementation.name, batch.size))
        result = compute(net, batch)
        state["now"] += state["each"][net.implementation.name] * batch.size
        return result

    monkeypatch.setattr(Network, "batch_gradients", counted)
    return state


def made(*impls):
    networks = {impl: network(impl) for impl in impls}
    X = np.random.default_rng(0).random((40, 5, 5, 1))
    return networks, networks[impls[0]].batch(X, np.arange(40) % 3)


def test_whole_batches_in_turn_until_the_time_is_up(passes):
    passes["each"] = {"sg": 0.1, "fast": 0.05}
    sg, fast = measure(*made("sg", "fast"), seconds=42)
    assert passes["log"][:2] == [("sg", 16), ("fast", 16)]  # trials
    assert passes["log"][2:6] == [("sg", 40), ("fast", 40)] * 2
    assert (sg.passes, sg.samples, sg.extrapolated) == (5, 40, False)
    assert (fast.passes, fast.samples, fast.extrapolated) == (10, 40, False)
    assert sg.seconds == pytest.approx(0.1)
    assert fast.seconds == pytest.approx(0.05)


def test_what_is_slow_gets_a_few_samples(passes):
    passes["each"] = {"naive": 2.0, "sg": 0.001}
    naive, sg = measure(*made("naive", "sg"), seconds=62)
    assert (naive.samples, naive.passes, naive.extrapolated) == (5, 3, True)
    assert naive.seconds == pytest.approx(2.0)
    assert passes["log"].count(("naive", 1)) == 1
    assert (sg.passes, sg.extrapolated) == (MOST, False)


def test_what_is_slower_than_the_time_is_measured_once(passes):
    passes["each"] = {"naive": 50.0}
    (naive,) = measure(*made("naive"), seconds=60)
    assert (naive.samples, naive.passes, naive.extrapolated) == (1, 1, True)
    assert passes["log"] == [("naive", 1)]


def test_medians_of_one_sample(passes):
    passes["each"] = {"sg": 1.0}
    networks, batch = made("sg")
    (sg,) = measure(networks, batch, seconds=1000)
    assert [row.layer for row in sg.rows] == [
        "conv1",
        "relu1",
        "flatten1",
        "dense1",
        "softmax+cross_entropy",
    ]
    assert {row.forward_seconds for row in sg.rows} == {0}  # the clock stands still inside
    assert sg.rows[0].cache_bytes > 0


def test_loops_are_recognised_beforehand():
    assert loop_seconds(network("naive")) == pytest.approx(2e-5 * 3 * 3 * 2)
    assert loop_seconds(network("fast")) == 0


def test_every_pass_is_measured_from_zero():
    networks, batch = made("sg")
    course = Course(networks["sg"], batch, networks["sg"].profile())
    for _ in range(3):
        course.run()
    assert [figures["conv1"]["samples"] for figures in course.figures] == [40, 40, 40]


def test_figures_are_of_one_sample(monkeypatch):
    """With a clock that goes on by a second at every look, there are operations a second."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    networks, batch = made("sg")
    course = Course(networks["sg"], batch, networks["sg"].profile())
    course.run()
    conv = course.measured(40).rows[0]
    seconds = conv.forward_seconds + conv.backward_seconds
    assert conv.gflops == pytest.approx(2 * 2 * conv.multiply_adds / seconds / 1e9)
