"""Sizes of micro-batches by measurement: what is tried, what is chosen, what stays as it was."""

import time

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Dropout, Flatten, Network, ReLU, Softmax
from cnnexp.nn import tuning

RNG = np.random.default_rng(0)
X, Y = RNG.random((32, 6, 6, 1)), RNG.integers(0, 3, 32)


def network(**options) -> Network:
    layers = [Conv2D(2, 3), ReLU(), Flatten(), Dropout(0.5), Dense(3), Softmax()]
    return Network(layers, **options).build((6, 6, 1))


@pytest.mark.parametrize(
    ("usual", "batch", "sizes"),
    [
        (64, 128, [64, 32, 128]),
        (64, 512, [64, 32, 128, 256]),
        (128, 4096, [128, 64, 256]),
        (8, 128, [8, 16, 32]),
        (7, 7, [7]),
    ],
)
def test_sizes_around_the_automatic_one(usual, batch, sizes):
    assert tuning.sizes_around(usual, batch) == sizes


@pytest.mark.parametrize(
    ("seconds", "workers", "size"),
    [
        ({64: 1.0, 32: 0.99, 128: 0.98}, 1, 64),  # hardly faster
        ({64: 1.0, 32: 0.9, 128: 0.8}, 1, 128),
        ({64: 1.0, 32: 0.9, 128: 0.8}, 2, 32),  # 128 would leave one of them without work
        ({64: 1.0, 32: 1.1, 128: 0.8}, 2, 64),
        ({128: 1.0, 64: 0.9, 32: 1.2}, 4, 64),  # one micro-batch before: too little to share
        ({64: 1.0, 128: 0.5}, 5, 64),
    ],
)
def test_the_fastest_size_that_leaves_no_worker_without_work(seconds, workers, size):
    assert tuning.best_size(seconds, 128, workers) == size


@pytest.mark.parametrize("threads", [1, 2])
def test_a_network_stays_as_it_was(threads):
    net, twin = network(threads=threads), network(threads=threads)
    found = tuning.measured(net, X, Y)
    assert list(found) == [32, 16]
    assert all(0 < seconds < 1 for seconds in found.values())
    assert (net.micro_batch, net.steps_done) == (twin.micro_batch, 0)
    for name, value in twin.weights().items():
        np.testing.assert_array_equal(net.weights()[name], value)
    assert net.train(X, Y, 0.1) == twin.train(X, Y, 0.1)  # with the same draws of dropout


def test_the_size_with_the_least_processor_time_wins(monkeypatch):
    """A clock that counts what each size is said to cost."""
    clock, cost = [0.0], {32: 0.02, 16: 0.01}
    monkeypatch.setattr(time, "thread_time", lambda: clock[0])

    def work(self, batch, step=0):
        clock[0] += cost[self.micro_batch]

    monkeypatch.setattr(Network, "batch_gradients", work)
    assert tuning.measured(network(), X, Y) == pytest.approx(cost)


def test_a_mini_batch_that_takes_long_is_tried_once(monkeypatch):
    monkeypatch.setattr(tuning, "LONG", 0.0)
    assert tuning.measured(network(), X, Y) == {}


def test_a_batch_too_small_for_two_sizes_is_not_tried():
    assert tuning.measured(network(), X[:9], Y[:9]) == {}


def test_what_has_no_gain_cannot_be_tuned():
    assert tuning.can_be_tuned(network())
    assert not tuning.can_be_tuned(network(impl="naive"))
