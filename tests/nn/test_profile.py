"""What a profile counts; no test looks at how long anything took."""

import time

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU
from cnnexp.engine import Context
from cnnexp.engine.machine import cache_bytes as cache_of_the_machine
from cnnexp.nn.profile import cache_bytes
from tests.nn.networks import HERE, IMPLEMENTATIONS, batch

LOSS = "softmax+cross_entropy"

X, Y = batch(n_m=11)


def small(**options):
    parts = [
        Conv2D(6, 3, activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(9, activation="relu"),
        Dense(4, activation="softmax"),
    ]
    return Network(parts, **options).build((8, 7, 2))


class Clock:
    """A clock that goes on by one second whenever somebody looks."""

    def __init__(self):
        self.seconds = 0

    def __call__(self):
        self.seconds += 1
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    """Every call that is measured takes one second."""
    monkeypatch.setattr(time, "perf_counter", Clock())


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_watched_network_computes_the_same_bits(impl, threads):
    plain, watched = (small(impl=impl, threads=threads, micro_batch=3) for _ in range(2))
    watched.profile()
    for _ in range(2):
        assert watched.train(X, Y, 0.1) == plain.train(X, Y, 0.1)
    np.testing.assert_array_equal(watched.parameters, plain.parameters)
    assert watched.summary() == plain.summary()


@pytest.mark.parametrize("impl", HERE)
@pytest.mark.parametrize("fuse", [True, False])
def test_every_step_keeps_something_for_its_backward_pass(impl, fuse):
    parts = [Conv2D(8, 3, padding="same"), Conv2D(8, 3), BatchNorm(), MaxPool2D(2), ReLU()]
    parts += [Conv2D(4, 2), BatchNorm(), ReLU(), Flatten(), Dense(4, activation="softmax")]
    net = Network(parts, impl=impl, micro_batch=4, fuse=fuse).build((8, 7, 2))
    measured = net.profile()
    net.train(X, Y, 0.1)
    found = {row.layer: row.cache_bytes for row in measured.rows()}
    assert not [name for name in found if found[name] == 0 and name not in ("flatten1", LOSS)]


def test_without_it_nothing_is_measured(monkeypatch):
    net = small(impl="fast")
    monkeypatch.setattr(time, "perf_counter", lambda: pytest.fail("somebody looks at the clock"))
    net.train(X, Y, 0.1)


def test_calls_are_counted_by_micro_batch(clock):
    net = small(impl="sg", micro_batch=3)
    measured = net.profile()
    net.train(X, Y, 0.1)  # 4 micro-batches
    rows = {row.layer: row for row in measured.rows()}
    assert list(rows) == [*(layer.name for layer in net.layers[:-1]), LOSS]
    assert {row.forward_seconds for row in rows.values()} == {4}
    assert {row.backward_seconds for row in rows.values()} == {4, 0}
    assert rows[LOSS].backward_seconds == 0
    assert measured.times()["conv1"]["samples"] == len(X)


def test_layers_computed_together_are_one_row():
    net = small(impl="fast")
    rows = net.profile().rows()
    assert rows[0].layer == "conv1+relu1+max_pool1"
    assert rows[0].type == "conv+relu+max_pool"
    assert rows[0].output_shape == "3x2x6"
    assert rows[0].parameters == 6 * 19
    assert rows[0].multiply_adds == 6 * 5 * 6 * 18
    assert sum(row.parameters for row in rows) == net.parameter_count


def test_an_evaluation_is_not_counted():
    net = small(impl="fast")
    measured = net.profile()
    net.evaluate(X, Y)
    assert all(row.forward_seconds == 0 for row in measured.rows())


def test_operations_a_second(clock):
    """2 operations a multiply-add; forward, dW and (not in the first layer) dA_prev."""
    net = small(impl="sg")
    measured = net.profile()
    net.train(X, Y, 0.1)
    rows = {row.layer: row for row in measured.rows()}
    conv, dense = rows["conv1"], rows["dense1"]
    assert conv.gflops == pytest.approx(11 * 2 * 2 * conv.multiply_adds / 2 / 1e9)
    assert dense.gflops == pytest.approx(11 * 2 * 3 * dense.multiply_adds / 2 / 1e9)
    assert rows["relu1"].gflops is None and rows[LOSS].gflops is None


def test_products_once_a_batch_belong_to_their_layer(clock):
    units = cache_of_the_machine() // (4 * 84) + 1  # too many weights for the cache
    parts = [Flatten(), Dense(units, activation="relu"), Dense(4, activation="softmax")]
    net = Network(parts, impl="sg", micro_batch=3).build((6, 7, 2))
    measured = net.profile()
    net.train(np.ones((9, 6, 7, 2)), np.zeros(9, int), 0.1)
    rows = {row.layer: row for row in measured.rows()}
    assert rows["dense1"].backward_seconds == 3 + 1  # micro-batches, one product
    assert rows["dense2"].backward_seconds == 3


def test_a_pass_that_is_cut_is_measured_too(clock):
    net = Network([Flatten(), BatchNorm(), Dense(4, activation="softmax")], micro_batch=4)
    net.build((8, 7, 2))
    measured = net.profile()
    net.train(X, Y, 0.1)
    assert [row.forward_seconds > 0 for row in measured.rows()] == [True] * 4
    assert measured.times()["batch_norm1"]["samples"] == len(X)


def test_a_run_that_goes_on_adds_to_what_it_took_before(clock):
    net = small(impl="sg", micro_batch=3)
    measured = net.profile()
    net.train(X, Y, 0.1)
    earlier = measured.times()
    measured.reset()
    measured.add_times(earlier)
    net.train(X, Y, 0.1)
    assert measured.times()["conv1"]["forward"] == 8
    assert measured.times()["conv1"]["samples"] == 22
    assert measured.times()["conv1"]["cache_bytes"] == earlier["conv1"]["cache_bytes"] > 0


def test_bytes_of_a_cache():
    array = np.zeros((4, 6), np.float32)
    weights = np.zeros(10)

    class Work:
        def __init__(self):
            self.X, self.again, self.W = array, [array[:2], {"k": array.T}], weights[:5]
            self.context = Context(reuse=True)
            self.context.array("big", (1000,), np.float32)

    assert cache_bytes((Work(), None, 3, "words"), {id(weights)}) == array.nbytes
    assert cache_bytes(np.broadcast_to(array, (50, 4, 6)), set()) == array.nbytes
    assert cache_bytes(array[:1], set()) == array.nbytes // 4


def test_a_dense_layer_keeps_its_input():
    net = small(impl="sg", micro_batch=4)
    measured = net.profile()
    net.train(X, Y, 0.1)  # the largest micro-batch has 4 samples
    rows = {row.layer: row for row in measured.rows()}
    assert rows["dense1"].cache_bytes == 4 * 36 * 4
    assert rows["relu1"].cache_bytes == 4 * 6 * 5 * 6 * 4


def test_a_cache_that_holds_itself_is_counted_once():
    array = np.zeros(6)
    cache = {"array": array}
    cache["again"] = cache
    assert cache_bytes(cache, set()) == array.nbytes


def test_a_profile_begins_again_from_zero(clock):
    net = small(impl="sg", micro_batch=4)
    measured = net.profile()
    net.train(X, Y, 0.1)
    sizes = {name: times["cache_bytes"] for name, times in measured.times().items()}
    measured.reset()
    found = measured.times()
    assert all(times["samples"] == times["forward"] == 0 for times in found.values())
    assert {name: times["cache_bytes"] for name, times in found.items()} == sizes


def test_the_loss_has_the_shape_of_what_it_gets():
    assert small().profile().rows()[-1].output_shape == "4"
