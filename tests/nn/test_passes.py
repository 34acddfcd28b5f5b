"""Pieces, threads, memory, and layers that couple samples."""

import threading

import numpy as np
import pytest
from cnnexp.nn.workers import Workers, one_blas_thread, pieces
from threadpoolctl import threadpool_info, threadpool_limits

from cnnexp import Conv2D, Dense, Flatten, Layer, Network, Softmax
from cnnexp.engine import Scratch
from cnnexp.nn import passes
from tests.nn.networks import IMPLEMENTATIONS, BatchNorm, batch, layers, network, slope

X, Y = batch(23)


def bits(net, steps=3):
    """All that a training and an evaluation give, as bytes."""
    figures = [net.train(X, Y, 0.1) for _ in range(steps)]
    A, loss, error = net.evaluate(X, Y)
    return figures, net.parameters.tobytes(), A.tobytes(), loss, error


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("micro_batch", [1, 4, 7, 23, "auto"])
@pytest.mark.parametrize("impl", [name for name in IMPLEMENTATIONS if name != "naive"])
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
def test_a_batch_in_pieces_is_the_same_batch(impl):
    found = []
    for micro_batch in (4, 23):
        net = network(impl=impl, micro_batch=micro_batch)
        loss, gradient = net.gradients(X, Y)
        found.append((loss.loss, gradient.copy(), net.predict(X)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-12)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-12)
    np.testing.assert_allclose(found[0][2], found[1][2], atol=1e-12)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("kinds", [layers, lambda: [Conv2D(4, 3), BatchNorm(), *layers()[1:]]])
def test_gradients_of_whole_networks(kinds, impl):
    """Along random directions the loss changes as the gradients say."""
    net = Network(kinds(), impl=impl, dtype="float64", micro_batch=5, threads=2)
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
    """Two layers that ask for scratch of the same names and shapes, one after the other."""
    kinds = [Conv2D(4, 3, padding="same", activation="relu") for _ in range(2)]
    return Network(
        [*kinds, Flatten(), Dense(4), Softmax()], impl=impl, dtype="float64", micro_batch=6
    )


def memory_of(engine, scratches):
    """What a worker keeps, with other scratch."""
    memory = passes.Memory(engine.kernels, engine.first_trained, len(engine.steps))
    for context, scratch in zip(memory.contexts, scratches, strict=False):
        context.scratch = scratch
    return memory


def gradients_with(monkeypatch, impl, memory):
    """Return loss and gradient after earlier passes, with the memory of each step replaced."""
    if memory is not None:
        monkeypatch.setattr(passes.Engine, "_memory", lambda self, worker: memory(self))
    net = equal_convolutions(impl)
    images = np.random.default_rng(8).standard_normal((14, 6, 6, 4))
    labels = np.arange(14) % 4
    net.gradients(images[::-1], labels)
    net.evaluate(images[:3], labels[:3])
    loss, gradient = net.gradients(images, labels)
    return loss, gradient.copy()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_reused_memory_equals_fresh_with_two_equal_layers_in_a_row(impl, monkeypatch):
    loss, gradient = gradients_with(monkeypatch, impl, None)
    fresh_loss, fresh = gradients_with(
        monkeypatch, impl, lambda engine: memory_of(engine, [Scratch(reuse=False)] * 9)
    )
    assert loss == fresh_loss
    np.testing.assert_array_equal(gradient, fresh)


def test_memory_shared_by_two_layers_would_be_found(monkeypatch):
    """The test above can fail: with one scratch for all layers gradients are wrong."""
    _, gradient = gradients_with(monkeypatch, "sg", None)
    shared = [Scratch()] * 9
    _, wrong = gradients_with(monkeypatch, "sg", lambda engine: memory_of(engine, shared))
    assert np.abs(wrong - gradient).max() > 1e-3


def test_workers_do_not_share_memory():
    engine = network(threads=2).build((8, 7, 2))._engine
    contexts = [*engine._memory(0).contexts, *engine._memory(1).contexts]
    assert len({id(context.scratch) for context in contexts}) == 2 * len(engine.steps)


# Layers that couple samples -------------------------------------------------------------------


def coupled(position, **options):
    """A network with batch normalisation at a place."""
    kinds = [Conv2D(4, 3, activation="relu"), Flatten(), Dense(6, activation="tanh"), Dense(4)]
    norms = [BatchNorm()]
    kinds[position:position] = norms
    net = Network([*kinds, Softmax()], **({"dtype": "float64", "micro_batch": 4} | options))
    return net, norms[0]


POSITIONS = {"first": 0, "between": 1, "late": 3, "last": 4}


@pytest.mark.parametrize("place", POSITIONS)
def test_a_layer_that_couples_samples_sees_the_whole_batch(place):
    net, norm = coupled(POSITIONS[place], threads=2)
    net.train(X, Y, 0.1)
    net.evaluate(X, Y)
    net.predict(X[:9])
    assert norm.seen == [23, 23, 9]


@pytest.mark.parametrize("place", POSITIONS)
def test_gradients_through_a_layer_that_couples_samples(place):
    net, _ = coupled(POSITIONS[place], threads=2)
    gradient = net.gradients(X, Y)[1].copy()
    for k in np.random.default_rng(0).choice(gradient.size, 25, replace=False):
        expected = slope(net, X, Y, np.eye(1, gradient.size, k)[0])
        assert gradient[k] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("place", POSITIONS)
def test_threads_give_the_same_bits_with_a_layer_that_couples_samples(place):
    found = [bits(coupled(POSITIONS[place], threads=threads)[0]) for threads in (1, 2, 5)]
    assert found[0] == found[1] == found[2]


def test_two_layers_that_couple_samples_in_a_row():
    norms = [BatchNorm(), BatchNorm()]
    net = Network([*norms, Flatten(), Dense(4), Softmax()], dtype="float64", micro_batch=4)
    gradient = net.gradients(X, Y)[1].copy()
    assert [norm.seen for norm in norms] == [[23], [23]]
    direction = np.random.default_rng(0).standard_normal(gradient.shape)
    assert gradient @ direction == pytest.approx(slope(net, X, Y, direction), rel=1e-5)


# Threads of BLAS ------------------------------------------------------------------------------


class Peek(Layer):
    """Notes how many threads BLAS has, and in which of our threads it runs."""

    type = "peek"

    def __init__(self):
        self.blas, self.threads = set(), set()

    def note(self):
        self.blas |= {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
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
        after = {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
    assert peek.blas == {1}
    assert after == {2}  # given back


def test_blas_gets_its_threads_back():
    with threadpool_limits(limits=2, user_api="blas"):
        with one_blas_thread():
            assert {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"} == {1}
        assert {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"} == {2}


# Workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_workers_keep_the_order(threads):
    with Workers(threads) as workers:
        for count in (0, 1, 3, 50):
            assert workers.map(lambda _, k: k * k, range(count)) == [k * k for k in range(count)]


def test_two_calls_at_a_time_never_have_the_same_worker():
    busy, clashes = set(), []

    def work(worker, _):
        if worker in busy:
            clashes.append(worker)
        busy.add(worker)
        threading.Event().wait(0.002)
        busy.discard(worker)

    with Workers(4) as workers:
        workers.map(work, range(40))
    assert not clashes


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_piece_comes_out(threads):
    def work(_, k):
        if k == 5:
            raise KeyError(k)

    with Workers(threads) as workers:
        with pytest.raises(KeyError):
            workers.map(work, range(9))
        assert workers.map(lambda _, k: k, [1, 2, 3]) == [1, 2, 3]  # still of use


def test_pieces_cover_a_batch():
    assert pieces(8, 3) == [slice(0, 3), slice(3, 6), slice(6, 8)]
    assert pieces(7, 3) == [slice(0, 3), slice(3, 7)]  # a single sample joins the others
    assert pieces(3, 1) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert pieces(6, 3) == [slice(0, 3), slice(3, 6)]
    assert pieces(2, 9) == [slice(0, 2)]


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_a_short_batch_after_a_long_one_has_its_own_gradient(impl):
    net = network(impl=impl, micro_batch=2)
    net.gradients(X[:9], Y[:9])
    _, after = net.gradients(X[9:12], Y[9:12])
    _, alone = network(impl=impl, micro_batch=2).gradients(X[9:12], Y[9:12])
    np.testing.assert_array_equal(after, alone)
