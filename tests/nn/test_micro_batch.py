"""The automatic size of a micro-batch, and predictions in micro-batches."""

import copy

import numpy as np
import pytest

from cnnexp import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, Softmax
from cnnexp.errors import ShapeError
from cnnexp.nn import micro_batch
from tests.train.trainings import trainer

THREADS = (1, 2, 5)


def deep(**settings):
    kinds = [Conv2D(32, 3, activation="relu"), Conv2D(64, 3, activation="relu"), MaxPool2D(2)]
    net = Network([*kinds, Flatten(), Dense(10), Softmax()], **settings)
    return net.build((28, 28, 1))


def flat(**settings):
    layers = [Flatten(), Dense(100), ReLU(), Dense(10), Softmax()]
    return Network(layers, **settings).build((28, 28, 1))


def chosen(net, batch_size):
    net.suit_batches(batch_size)
    return net.micro_batch


def test_a_small_mini_batch_of_much_work_is_cut_in_two():
    net = deep()
    whole = net.micro_batch
    assert whole in (16, 32, 64)
    assert chosen(net, whole) == whole // 2
    assert chosen(net, whole - 1) == whole // 2
    assert chosen(net, 2 * whole) == whole  # it is chosen anew, not from what was chosen before
    assert chosen(net, 2) == whole  # too little for two


@pytest.mark.parametrize("threads", THREADS)
def test_the_number_of_workers_has_no_part_in_it(threads):
    assert chosen(deep(threads=threads), 14) == 7


def test_what_costs_more_than_it_gives_is_left_whole():
    assert chosen(flat(), 32) == 128
    assert chosen(deep(impl="naive"), 16) == deep(impl="naive").micro_batch


def test_a_size_that_was_given_stays():
    assert chosen(deep(micro_batch=40), 32) == 40
    net = deep()
    net.suit_batches(16)
    net.micro_batch = 32  # as a measurement may find
    assert chosen(net, 16) == 32


def test_a_copy_and_a_file_know_whether_the_size_is_the_automatic_one(tmp_path):
    net = deep()
    chosen(net, 32)
    net.save(tmp_path / "net.npz")
    given = deep(micro_batch=int(net.micro_batch))
    given.save(tmp_path / "given.npz")
    for other in (copy.deepcopy(net), Network.load(tmp_path / "net.npz")):
        assert other.micro_batch == net.micro_batch  # as the original would go on
        assert chosen(other, 14) == 7
    for other in (copy.deepcopy(given), Network.load(tmp_path / "given.npz")):
        assert chosen(other, 14) == given.micro_batch
    assert chosen(Network.load(tmp_path / "net.npz", micro_batch=9), 14) == 9


def test_a_trainer_lets_its_network_suit_its_mini_batches(monkeypatch):
    monkeypatch.setattr(micro_batch, "MUCH_WORK", 1)
    net = Network([Flatten(), Dense(4), Softmax()])
    trainer(net=net, batch_size=8)
    assert net.micro_batch == 4


def test_little_work_is_done_in_larger_parts_in_inference():
    assert flat().inference_micro_batch == 4 * flat().micro_batch == 512
    assert deep().inference_micro_batch == 2 * deep().micro_batch


def test_predictions_are_the_same_bits_for_any_number_of_workers():
    X = np.random.default_rng(0).random((103, 28, 28), np.float32)
    nets = [flat(threads=threads, inference_micro_batch=10) for threads in THREADS]
    one, *others = (net.predict(X) for net in nets)
    for other in others:
        np.testing.assert_array_equal(other, one)
    np.testing.assert_array_equal(nets[0].evaluate(X, np.zeros(103, int))[0], one)


@pytest.mark.parametrize("threads", THREADS)
def test_a_number_that_is_not_finite_is_found_in_any_part(threads):
    X = np.ones((50, 28, 28, 1))
    X[37, 2, 1, 0] = np.nan
    with pytest.raises(ShapeError, match=r"X must be finite. Got nan as float32, at \[37, 2, 1, 0"):
        flat(threads=threads, inference_micro_batch=10, micro_batch=10).predict(X)


def test_a_sum_that_overflows_does_not_make_a_part_infinite():
    X = np.full((20, 28, 28), np.float32(1e38))
    net = Network([Flatten(), Dense(4, initializer=0.0), Softmax()], inference_micro_batch=10)
    np.testing.assert_array_equal(net.predict(X), np.full((20, 4), 0.25, np.float32))


@pytest.mark.parametrize("threads", THREADS)
def test_the_first_number_that_is_not_finite_is_told_whoever_finds_it(threads):
    X = np.zeros((2000, 28, 28), np.float32)
    X[100, 0, 0], X[1500, 3, 3] = np.inf, np.nan
    net = flat(threads=threads, inference_micro_batch=64)
    with pytest.raises(ShapeError, match=r"Got inf as float32, at \[100, 0, 0, 0\]") as told:
        net.predict(X)
    assert told.value.__context__ is None
    assert net.predict(X[:50]).shape == (50, 10)
