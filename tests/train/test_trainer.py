"""The training loop: its events, its figures, and going on from a snapshot."""

import math
import pickle

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cnnexp.engine import Limits
from cnnexp.errors import ShapeError
from cnnexp.nn import blas
from cnnexp.train import BatchDone, Diverged, EpochDone
from tests.train.trainings import dataset, network, trainer

CLOCKED = ("seconds", "eval_seconds", "samples_per_second")


def timeless(event):
    """An event without its times."""
    return type(event).__name__, *(v for k, v in event._asdict().items() if k not in CLOCKED)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_the_events_of_a_training_in_order():
    events = list(trainer().events())
    assert [type(event).__name__ for event in events] == (3 * ["BatchDone"] + ["EpochDone"]) * 3
    batches = of(BatchDone, events)
    assert [(e.epoch, e.batch) for e in batches] == [(k, n) for k in (1, 2, 3) for n in (1, 2, 3)]
    assert [e.epoch for e in of(EpochDone, events)] == [1, 2, 3]


def test_the_last_short_batch_is_included():
    assert [event.samples for event in of(BatchDone, trainer(epochs=1).events())] == [4, 4, 2]
    whole = trainer(epochs=1, batch_size=5)
    assert [event.samples for event in of(BatchDone, whole.events())] == [5, 5]
    large = trainer(epochs=1, batch_size=100)
    assert [event.samples for event in of(BatchDone, large.events())] == [10]


def test_training_figures_are_means_over_the_samples_of_the_epoch():
    events = list(trainer().events())
    for epoch in of(EpochDone, events):
        batches = [e for e in of(BatchDone, events) if e.epoch == epoch.epoch]
        for name in ("loss", "error"):
            mean = sum(e.figures[name] * e.samples for e in batches) / 10
            assert epoch.train[name] == pytest.approx(mean)
        assert epoch.seconds == pytest.approx(sum(e.seconds for e in batches))
        assert epoch.samples_per_second == pytest.approx(10 / epoch.seconds)


def test_test_figures_are_those_of_the_network():
    training = trainer(dataset(validation=6))
    for event in training.events():
        if isinstance(event, EpochDone):
            for part, found in (
                (training.dataset.test, event.test),
                (training.dataset.validation, event.validation),
            ):
                assert training.network.evaluate(part.X, part.Y)[1:] == tuple(found.values())


def test_without_a_validation_part_there_are_no_figures_of_it():
    event = of(EpochDone, trainer(epochs=1).events())[0]
    assert event.validation is None


def visited(monkeypatch, **settings):
    """Return the samples of every batch by their place in the training part."""
    training = trainer(**settings)
    places = {x.tobytes(): k for k, x in enumerate(training.dataset.train.X)}
    seen = []
    gradients = training.network.batch_gradients

    def spy(batch, step):
        assert step == len(seen)
        seen.append([places[x.tobytes()] for x in batch.X[batch.rows]])
        return gradients(batch, step)

    monkeypatch.setattr(training.network, "batch_gradients", spy)
    list(training.events())
    return seen


def test_every_epoch_visits_every_sample_once_in_an_order_of_its_own(monkeypatch):
    seen = visited(monkeypatch)
    epochs = [[place for batch in seen[k : k + 3] for place in batch] for k in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_order_comes_from_the_seed_alone(monkeypatch):
    first = visited(monkeypatch, seed=4)
    assert visited(monkeypatch, seed=4, net=network(seed=9), learning_rate=0.5) == first
    assert visited(monkeypatch, seed=5) != first


def test_the_same_settings_give_the_same_bits():
    found = []
    for _ in range(2):
        training = trainer(optimizer="adam", schedule="cosine")
        events = [timeless(event) for event in training.events()]
        found.append((events, training.network.parameters.tobytes()))
    assert found[0] == found[1]


def test_one_batch_is_one_step_of_the_optimizer():
    training = trainer(epochs=1, batch_size=10, learning_rate=0.3)
    other = network()
    list(training.events())
    other.train(training.dataset.train.X, training.dataset.train.Y, 0.3)
    np.testing.assert_allclose(training.network.parameters, other.parameters, atol=1e-6)


def test_it_learns():
    training = trainer(dataset(train=200, test=100), epochs=20, learning_rate=0.3)
    epochs = of(EpochDone, training.events())
    assert epochs[-1].train["error"] < 0.1 < epochs[0].train["error"]
    assert epochs[-1].test["error"] < 0.2


# The best epoch -------------------------------------------------------------------------------


def test_the_best_epoch_is_the_first_of_the_lowest_validation_error():
    training = trainer(dataset(40, 4, 4), epochs=12, learning_rate=0.2)
    errors = [event.validation["error"] for event in of(EpochDone, training.events())]
    assert errors.count(min(errors)) > 1
    best = training.state.best
    assert (best.metric, best.value) == ("validation_error", min(errors))
    assert best.epoch == errors.index(min(errors)) + 1


def test_no_epoch_is_called_the_best_by_the_test_part():
    training = trainer(dataset(40, 4), epochs=3)
    list(training.events())
    assert training.state.best is None


# Divergence -----------------------------------------------------------------------------------


def assert_ended_with_what_was_before(training):
    """Take all events; the last one is Diverged, and it has changed nothing."""
    kept, events = training.network.parameters.copy(), []
    for event in training.events():
        events.append(event)
        if not isinstance(event, Diverged):
            kept = training.network.parameters.copy()
    assert isinstance(events[-1], Diverged)
    assert np.isfinite(training.network.parameters).all()
    np.testing.assert_array_equal(training.network.parameters, kept)
    return events


def test_a_loss_that_is_not_finite_ends_the_training():
    data = dataset()
    training = trainer(data)
    data.train.X[3] = np.nan  # samples are looked at once, before the training
    events = assert_ended_with_what_was_before(training)
    assert events[-1].reason == "the loss is nan"
    assert (events[-1].epoch, events[-1].batch) == (1, len(events))


def test_samples_that_are_not_finite_are_not_trained_on():
    data = dataset()
    data.train.X[3] = np.nan
    with pytest.raises(ShapeError, match="X must be finite"):
        trainer(data)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_step_that_is_not_finite_is_not_taken(optimizer):
    training = trainer(optimizer=optimizer, learning_rate=1e39)  # infinity in float32
    events = assert_ended_with_what_was_before(training)
    assert events == [Diverged(1, 1, "the next step is not finite")]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_training_that_grows_beyond_all_bounds_diverges_without_warnings(threads):
    net = network(threads=threads, micro_batch=2)
    training = trainer(net=net, learning_rate=1e30, epochs=50, options={"momentum": 0.9})
    assert_ended_with_what_was_before(training)


def test_a_large_step_that_is_finite_is_taken():
    """Its sum of squares overflows, and still each entry is a number."""
    training = trainer(learning_rate=1e25, epochs=1, batch_size=10)
    events = list(training.events())
    assert [type(event) for event in events] == [BatchDone, EpochDone]


# Snapshots ------------------------------------------------------------------------------------


OPTIMIZERS = [("sgd", {}), ("sgd", {"momentum": 0.9, "nesterov": True}), ("adam", {})]


def start(optimizer, options, net=None):
    return trainer(
        dataset(validation=5), optimizer=optimizer, options=options, schedule="cosine", net=net
    )


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS)
def test_going_on_from_a_snapshot_gives_the_same_bits(optimizer, options):
    """At every event, in the middle of epochs and at their ends."""
    unbroken = start(optimizer, options)
    events = [timeless(event) for event in unbroken.events()]
    for stop in range(len(events)):
        first = start(optimizer, options)
        stream = first.events()
        done = [timeless(next(stream)) for _ in range(stop + 1)]
        saved = pickle.loads(pickle.dumps(first.snapshot()))
        stream.close()
        second = start(optimizer, options, net=network(seed=7))  # other weights to begin with
        second.restore(saved)
        done += [timeless(event) for event in second.events()]
        assert done == events
        assert second.network.parameters.tobytes() == unbroken.network.parameters.tobytes()
        assert second.state.best == unbroken.state.best
        for key, array in unbroken.state.optimizer.items():
            assert second.state.optimizer[key].tobytes() == array.tobytes()


@pytest.mark.parametrize("old", [False, True], ids=["by path", "as vectors"])
def test_a_snapshot_of_a_machine_with_another_cache_is_resumed(old):
    """The cache decides which parameters come last in the vector of all parameters."""
    wide = network(limits=Limits(cache=100))  # Dense(5) is wide, so it comes after Dense(3)
    unbroken, first = start("adam", {}), start("adam", {}, net=None if old else wide)
    events = list(unbroken.events())
    stream = first.events()
    for _ in range(2):
        next(stream)
    saved = first.snapshot()
    if old:  # as checkpoints were once written, to be resumed on the same machine
        saved["optimizer"] = dict(first.state.optimizer)
    else:
        assert wide.named_parameters[-1].path == "dense1.W"
    second = start("adam", {})
    second.restore(pickle.loads(pickle.dumps(saved)))
    assert len(list(second.events())) == len(events) - 2
    np.testing.assert_allclose(
        second.network.parameters, unbroken.network.parameters, rtol=0, atol=1e-6
    )


def test_a_snapshot_of_another_network_is_refused():
    first, second = start("adam", {}), start("adam", {})
    next(first.events())
    saved = first.snapshot()
    del saved["optimizer"]["mean"]["dense1.W"]
    with pytest.raises(ShapeError, match="the optimizer's state 'mean' does not fit"):
        second.restore(saved)


def test_seconds_of_an_epoch_go_on_from_a_snapshot():
    first = start("sgd", {})
    stream = first.events()
    done = [next(stream), next(stream)]
    second = start("sgd", {})
    second.restore(first.snapshot())
    last, epoch = list(second.events())[:2]
    assert epoch.seconds == pytest.approx(sum(e.seconds for e in [*done, last]))


def test_a_snapshot_is_a_copy():
    training = start("adam", {})
    stream = training.events()
    next(stream)
    saved = training.snapshot()
    before = pickle.dumps(saved)
    list(stream)
    assert pickle.dumps(saved) == before
    training.restore(saved)
    list(training.events())
    assert pickle.dumps(saved) == before


def test_a_snapshot_is_plain():
    """Containers, numbers, texts and arrays only: what a checkpoint may hold."""

    def plain(thing):
        if isinstance(thing, dict):
            return all(isinstance(key, str) and plain(value) for key, value in thing.items())
        if isinstance(thing, (list, tuple)):
            return type(thing) in (list, tuple) and all(plain(item) for item in thing)
        return type(thing) in (int, float, str, bool, type(None), np.ndarray)

    training = start("adam", {})
    for _ in training.events():
        assert plain(training.snapshot())


def test_a_training_that_is_done_has_no_more_events():
    training = trainer()
    list(training.events())
    assert list(training.events()) == []
    training.epochs = 4
    assert [type(e).__name__ for e in training.events()] == 3 * ["BatchDone"] + ["EpochDone"]


# BLAS -----------------------------------------------------------------------------------------


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def test_blas_is_held_to_one_thread_during_a_training_and_given_back():
    blas._blas.cache_clear()  # another test may have loaded SciPy, with a BLAS of its own
    with threadpool_limits(limits=2, user_api="blas"):
        training = trainer()
        assert {n for _ in training.events() for n in blas_threads()} == {1}
        assert blas_threads() == {2}
        stream = trainer().events()
        next(stream)
        stream.close()  # as a run does that is interrupted
        assert blas_threads() == {2}


def test_figures_are_finite_where_the_clock_stands_still(monkeypatch):
    monkeypatch.setattr("time.perf_counter", lambda: 0.0)
    assert of(EpochDone, trainer(epochs=1).events())[0].samples_per_second == math.inf
