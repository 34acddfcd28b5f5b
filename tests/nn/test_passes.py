"""Micro-batches, workers, memory, and layers that depend on the whole mini-batch."""

import copy
import dataclasses
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cnnexp import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    Network,
    Residual,
    Softmax,
)
from cnnexp.engine import IMPLEMENTATIONS as TABLE
from cnnexp.engine import Context, Limits, machine
from cnnexp.engine.operations import Implementation
from cnnexp.nn import blas, executor
from cnnexp.nn.blas import _blas, one_blas_thread
from cnnexp.nn.executor import Serial, Threads
from cnnexp.nn.plan import Plan
from cnnexp.nn.runner import micro_batches
from tests.nn.networks import IMPLEMENTATIONS, batch, layers, network, slope

X, Y = batch(23)


def bits(net, steps=3):
    """All that a training and an evaluation give, as bytes."""
    figures = [net.train(X, Y, 0.1) for _ in range(steps)]
    A, loss, error = net.evaluate(X, Y)
    return figures, net.parameters.tobytes(), A.tobytes(), loss, error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("micro_batch", [1, 4, 7, 23, "auto"])
@pytest.mark.parametrize("impl", [name for name in IMPLEMENTATIONS if name != "naive"])
@pytest.mark.few(10)
def test_one_two_and_five_threads_give_the_same_bits(impl, micro_batch, dtype):
    one, two, five = (
        bits(network(impl=impl, micro_batch=micro_batch, threads=threads, dtype=dtype))
        for threads in (1, 2, 5)
    )
    assert one == two == five


def test_threads_give_the_same_bits_under_naive():
    assert bits(network(impl="naive", micro_batch=5, threads=1), 1) == bits(
        network(impl="naive", micro_batch=5, threads=3), 1
    )


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_batch_in_micro_batches_is_the_same_batch(impl):
    found = []
    for micro_batch in (4, 23):
        net = network(impl=impl, micro_batch=micro_batch)
        sums, gradient = net.gradients(X, Y)
        found.append((net.means(sums)["loss"], gradient.copy(), net.predict(X)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-12)
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-12)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_gradients_of_whole_networks(impl):
    """Along random directions the loss changes as the gradients say."""
    net = Network(layers(), impl=impl, dtype="float64", micro_batch=5, threads=2)
    X, Y = batch(12)
    for seed in range(2):
        gradient = net.gradients(X, Y)[1].copy()
        direction = np.random.default_rng(seed).standard_normal(gradient.shape)
        assert gradient @ direction == pytest.approx(slope(net, X, Y, direction), rel=1e-5)


def test_the_gradient_of_every_parameter():
    net = network(micro_batch=3)
    X, Y = batch(5)
    gradient = net.gradients(X, Y)[1].copy()
    for k in range(0, gradient.size, 7):
        assert gradient[k] == pytest.approx(
            slope(net, X, Y, np.eye(1, gradient.size, k)[0]), abs=1e-7
        )


# Memory that is used again -------------------------------------------------------------------


def equal_convolutions(impl):
    """Two layers that ask for memory of the same names and shapes, one after the other."""
    kinds = [Conv2D(4, 3, padding="same", activation="relu") for _ in range(2)]
    return Network(
        [*kinds, Flatten(), Dense(4), Softmax()], impl=impl, dtype="float64", micro_batch=6
    )


def gradients_with(monkeypatch, impl, change):
    """Return loss and gradient after earlier passes, with the memory of all steps changed."""
    make = Plan.contexts

    def changed(plan):
        contexts = make(plan)
        change(contexts)
        return contexts

    monkeypatch.setattr(Plan, "contexts", changed)
    net = equal_convolutions(impl)
    images = np.random.default_rng(8).standard_normal((14, 6, 6, 4))
    labels = np.arange(14) % 4
    net.gradients(images[::-1], labels)
    net.evaluate(images[:3], labels[:3])
    sums, gradient = net.gradients(images, labels)
    return sums.tolist(), gradient.copy()


def use_new_memory(contexts):
    for context in contexts:
        context.reuse = False


def share_memory(contexts):
    shared = Context(reuse=True)
    for context in contexts:
        context.array = shared.array


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_reused_memory_equals_fresh_with_two_equal_layers_in_a_row(impl, monkeypatch):
    sums, gradient = gradients_with(monkeypatch, impl, lambda contexts: None)
    fresh_sums, fresh = gradients_with(monkeypatch, impl, use_new_memory)
    assert sums == fresh_sums
    np.testing.assert_array_equal(gradient, fresh)


def test_memory_shared_by_two_layers_would_be_found(monkeypatch):
    """The test above can fail: with one memory for all layers gradients are wrong."""
    _, gradient = gradients_with(monkeypatch, "sg", lambda contexts: None)
    _, wrong = gradients_with(monkeypatch, "sg", share_memory)
    assert np.abs(wrong - gradient).max() > 1e-3


def test_workers_do_not_share_memory():
    found = network(threads=2).build((8, 7, 2))._runner
    contexts = [*found._contexts_of(0, True), *found._contexts_of(1, True)]
    assert len({id(context) for context in contexts}) == 2 * len(found.plan.all_steps)


# Layers that depend on the whole mini-batch --------------------------------------------------


def normed(position, **options):
    """A network with batch normalisation at a position, and dropout."""
    kinds = [Conv2D(4, 3, activation="relu"), Flatten(), Dense(6, activation="tanh"), Dense(4)]
    kinds[position:position] = [BatchNorm()]
    kinds[-1:-1] = [Dropout(0.3)]
    return Network([*kinds, Softmax()], **({"dtype": "float64", "micro_batch": 4} | options))


POSITIONS = {"first": 0, "between": 1, "late": 3}
KINDS = {
    **{place: lambda position=k: normed(position).layers for place, k in POSITIONS.items()},
    "block": lambda: [
        Residual([Conv2D(2, 3, padding="same"), BatchNorm(), BatchNorm()], shortcut=[BatchNorm()]),
        Flatten(),
        Dropout(0.5),
        Dense(4, activation="softmax"),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.few(8)
def test_gradients_through_batch_norm_and_dropout(kind, impl):
    """Every evaluation of the loss is a pass in training, of the same step and so the same mask."""
    net = Network(KINDS[kind](), impl=impl, dtype="float64", micro_batch=5, threads=2)
    gradient = net.batch_gradients(net.batch(X, Y), 3)[1].copy()
    for seed in range(3):
        direction, step = np.random.default_rng(seed).standard_normal(gradient.shape), 1e-5
        values = []
        for sign in (1, -1):
            net.parameters[...] += sign * step * direction
            values.append(net.means(net.batch_gradients(net.batch(X, Y), 3)[0])["loss"])
            net.parameters[...] -= sign * step * direction
        assert gradient @ direction == pytest.approx(
            (values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-8
        )


@pytest.mark.parametrize("micro_batch", [3, 4, 23])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.few(3)
def test_workers_give_the_same_bits_with_batch_norm_and_dropout(kind, micro_batch):
    """Seven steps, so that processes have been forked."""
    found = []
    for threads in (1, 2, 5):
        net = Network(KINDS[kind](), dtype="float64", micro_batch=micro_batch, threads=threads)
        found.append((*bits(net, 7), [array.tobytes() for array in net.weights().values()]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", KINDS)
def test_the_cut_of_a_mini_batch_changes_nothing_but_rounding(kind):
    """Neither the statistics of batch normalisation nor the masks of dropout depend on it."""
    found = []
    for micro_batch in (1, 4, 10, 23):
        net = Network(KINDS[kind](), dtype="float64", micro_batch=micro_batch)
        losses = [net.train(X, Y, 0.1)[0] for _ in range(3)]
        found.append(np.concatenate([losses, *map(np.ravel, net.weights().values())]))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-9, atol=1e-11)


def test_masks_depend_on_seed_path_and_step():
    def mask(seed=0, name="", step=0):
        drop = Dropout(0.5)
        drop.given_name = name
        net = Network([drop, Dense(4), Softmax()], seed=seed, dtype="float64").build((50,))
        net.load_weights({"dense1.W": np.eye(50, 4), "dense1.b": np.zeros(4)})
        ones = np.ones((6, 50))
        return net.batch_gradients(net.batch(ones, np.zeros(6, int)), step)[1].copy()

    first = mask()
    np.testing.assert_array_equal(first, mask())
    for other in (mask(seed=1), mask(name="other"), mask(step=1)):
        assert not np.array_equal(first, other)


def test_dropout_keeps_the_mean_and_the_rate():
    drop = Dropout(0.3)
    net = Network([drop, Dense(1)], loss="mean_squared_error", dtype="float64").build((4000,))
    context = net._runner._contexts_of(0, True)[0]
    A, mask = drop.forward(np.ones((20, 4000)), context)
    assert (A == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert A.mean() == pytest.approx(1.0, abs=0.01)
    assert set(np.unique(A)) == {0.0, 1 / (round(0.7 * 65536) / 65536)}
    context.training = False
    assert drop.forward(np.ones((20, 4000)), context)[0].all()
    assert mask is not None


def test_state_is_kept_saved_and_used_in_inference():
    net = normed(1)
    before = {k: v.copy() for k, v in net.build((8, 7, 2)).weights().items()}
    assert not before["batch_norm1.mean"].any()
    for _ in range(3):
        net.train(X, Y, 0.1)
    weights = net.weights()
    assert np.abs(weights["batch_norm1.mean"]).max() > 0.01
    other = normed(1, seed=9).build((8, 7, 2)).load_weights(weights)
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    alone = np.concatenate([net.predict(X[k : k + 1]) for k in range(5)])
    np.testing.assert_allclose(alone, net.predict(X[:5]), atol=1e-12)  # no sample sees another
    assert "state" in net.summary().splitlines()[0]


def test_a_diverged_step_leaves_the_state():
    net = normed(1).build((8, 7, 2))
    before = net.weights()
    net.gradients(X, Y)  # state is taken with the step, not before
    for name, array in net.weights().items():
        np.testing.assert_array_equal(array, before[name])


# Threads of BLAS ------------------------------------------------------------------------------


def threads_of_blas():
    """Return those of NumPy's BLAS; another one may have been loaded since, by SciPy."""
    return {library["num_threads"] for library in _blas().info()}


class Peek(Layer):
    """Notes how many threads BLAS has, and in which of our threads it runs."""

    type = "peek"

    def __init__(self):
        self.blas, self.threads = set(), set()

    def note(self):
        self.blas |= threads_of_blas()
        self.threads.add(threading.get_ident())

    def forward(self, A_prev, context):
        self.note()
        return A_prev, None

    def backward(self, cache, dA, context):
        self.note()
        return dA, {}


@pytest.mark.parametrize("use", ["train", "evaluate", "predict"])
def test_blas_is_held_to_one_thread(use):
    peek = Peek()
    net = Network([Flatten(), Dense(5), peek, Dense(4), Softmax()], threads=2, micro_batch=2)
    arguments = {"train": (X, Y, 0.1), "evaluate": (X, Y), "predict": (X,)}[use]
    with threadpool_limits(limits=2, user_api="blas"):
        getattr(net, use)(*arguments)
        after = threads_of_blas()
    assert peek.blas == {1}
    assert after == {2}  # given back


def test_blas_gets_its_threads_back():
    with threadpool_limits(limits=2, user_api="blas"):
        with one_blas_thread():
            assert threads_of_blas() == {1}
        assert threads_of_blas() == {2}


# Workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [Serial(), Threads(2), Threads(5)])
def test_every_micro_batch_is_run_once(executor):
    for count in (0, 1, 3, 50):
        seen = []
        executor.map(lambda _, k, seen=seen: seen.append(k), count)
        assert sorted(seen) == list(range(count))
    executor.close()


def test_two_calls_at_a_time_never_have_the_same_worker():
    busy, clashes = set(), []

    def work(worker, _):
        if worker in busy:
            clashes.append(worker)
        busy.add(worker)
        threading.Event().wait(0.002)
        busy.discard(worker)

    Threads(4).map(work, 40)
    assert not clashes


@pytest.mark.parametrize("executor", [Serial(), Threads(3)])
def test_an_error_in_a_micro_batch_comes_out(executor):
    def work(_, k):
        if k == 5:
            raise KeyError(k)

    with pytest.raises(KeyError):
        executor.map(work, 9)
    seen = []
    executor.map(lambda _, k: seen.append(k), 3)  # still of use
    assert sorted(seen) == [0, 1, 2]


def test_micro_batches_cover_a_batch():
    assert micro_batches(8, 3) == (slice(0, 3), slice(3, 6), slice(6, 8))
    assert micro_batches(7, 3) == (slice(0, 3), slice(3, 7))  # a single sample joins the others
    assert micro_batches(3, 1) == (slice(0, 1), slice(1, 2), slice(2, 3))
    assert micro_batches(6, 3) == (slice(0, 3), slice(3, 6))
    assert micro_batches(2, 9) == (slice(0, 2),)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_short_batch_after_a_long_one_has_its_own_gradient(impl):
    net = network(impl=impl, micro_batch=2)
    net.gradients(X[:9], Y[:9])
    _, after = net.gradients(X[9:12], Y[9:12])
    _, alone = network(impl=impl, micro_batch=2).gradients(X[9:12], Y[9:12])
    np.testing.assert_array_equal(after, alone)


def test_by_default_all_cores_work_where_numpy_does_and_one_where_python_loops(monkeypatch):
    monkeypatch.setattr(executor, "available_cores", lambda: 5)
    found = {name: executor.automatic_threads(TABLE[name]) for name in TABLE}
    assert found == {"naive": 1, "sg": 5, "im2col": 5, "fast": 5, "compiled": 5, "cupy": 1}
    assert executor.automatic_threads(Implementation("own", {})) == 5


def test_cores_are_those_of_the_process_and_else_those_of_the_machine(monkeypatch):
    monkeypatch.setattr(executor, "_most_cores", [])
    monkeypatch.setattr(executor.os, "sched_getaffinity", lambda pid: {1, 4, 5}, raising=False)
    monkeypatch.setattr(executor.os, "cpu_count", lambda: 7)
    assert executor.available_cores() == 3
    monkeypatch.delattr(executor.os, "sched_getaffinity")
    assert executor.available_cores() == 7


def test_blas_is_limited_by_the_first_and_restored_by_the_last(monkeypatch):
    calls = []

    class Limit:
        def restore_original_limits(self):
            calls.append("restored")

    class Controller:
        def limit(self, limits):
            calls.append(limits)
            return Limit()

    monkeypatch.setattr(blas, "_blas", Controller)
    one = blas._OneThread()
    one.enter()
    one.enter()
    one.leave()
    assert calls == [1]
    one.leave()
    assert calls == [1, "restored"]


def test_gradients_that_are_made_once_a_mini_batch_are_the_same():
    """A dense layer too wide for the cache, in one micro-batch and in several."""
    units = machine.cache_bytes() // (8 * 6) + 1
    parts = [Dense(units, activation="relu"), Dense(4), Softmax()]
    nets = [Network(parts_of(parts), dtype="float64", micro_batch=n) for n in (9, 2)]
    samples, labels = batch(9, (6,))
    whole, cut = (net.gradients(samples, labels)[1].copy() for net in nets)
    assert nets[0]._parameters.deferred
    by_path = [net.weights() for net in nets]
    assert by_path[0].keys() == by_path[1].keys()
    np.testing.assert_allclose(cut, whole, rtol=1e-9, atol=1e-12)


def parts_of(layers):
    return [copy.deepcopy(layer) for layer in layers]


def test_steps_of_a_batch_count_from_zero():
    """Masks depend on the step: the first, where none is told, is number 0."""
    net = Network([Flatten(), Dropout(0.5), Dense(4), Softmax()], dtype="float64")
    checked = net.batch(X, Y)
    first = net.batch_gradients(checked)[1].copy()
    np.testing.assert_array_equal(first, net.batch_gradients(checked, 0)[1])
    assert not np.array_equal(first, net.batch_gradients(checked, 1)[1])


@pytest.mark.parametrize(
    ("cache", "samples"),
    [
        (1 << 30, 128),  # little work, so as many as there may be
        (4096 * 40, 32),  # 4,096 bytes a sample of the largest result, and 32 of them fit
        (1, 16),  # never fewer than these
    ],
)
def test_a_micro_batch_has_results_that_fit_into_the_cache(cache, samples):
    parts = [Conv2D(4, 1), MaxPool2D(2), Residual([Conv2D(4, 1)]), Flatten(), Dense(2), Softmax()]
    once = dataclasses.replace(TABLE["im2col"], caches=1)
    net = Network(parts, impl=once, limits=Limits(cache=cache)).build((16, 16, 1))
    assert net.micro_batch == samples
