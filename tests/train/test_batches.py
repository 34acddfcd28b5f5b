"""Mini-batches augmented ahead of training: the same bits always, and a thread that ends."""

from __future__ import annotations

import os
import pickle
import threading
import time

import numpy as np
import pytest

from cnnexp import BatchNorm, Conv2D, Dense, Dropout, Flatten, Network
from cnnexp.data import Dataset, Samples
from cnnexp.data.augmentation import AUGMENTATIONS
from cnnexp.data.dataset import Scale
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.processes import WARMUP
from cnnexp.train import BatchDone, EpochDone
from cnnexp.train.batches import made_ahead, mini_batches
from tests.train.trainings import trainer

ALL = list(AUGMENTATIONS)


def dataset(count=30, shape=(8, 8, 1)):
    """Images of which the class is the lit row."""
    rng = np.random.default_rng(0)
    Y = rng.integers(0, 3, count)
    X = rng.random((count, *shape)).astype("float32")
    X[np.arange(count), 2 * Y + 1] += 1
    part = Samples(X, Y)
    return Dataset("made", part, part.at(slice(9)), None, ("0", "1", "2"), "", Scale(1, 0, 2))


def network(**options):
    layers = [
        Conv2D(3, 3, activation="relu"),
        BatchNorm(),
        Flatten(),
        Dropout(0.2),
        Dense(3, activation="softmax"),
    ]
    return Network(layers, **options)


def start(names=ALL, threads=1, micro_batch=2, **changes):
    return trainer(
        changes.pop("data", None) or dataset(),
        net=network(threads=threads, micro_batch=micro_batch),
        optimizer="adam",
        augmentations=[AUGMENTATIONS[name]() for name in names],
        **({"learning_rate": 0.01, "epochs": 2, "batch_size": 4} | changes),
    )


def finished(training):
    """Train to the end, and return the bits."""
    list(training.events())
    training.network.close()
    return training.network.parameters.tobytes()


def background():
    return [t for t in threading.enumerate() if t.name.startswith("cnnexp-augment")]


# The same bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 5])
def test_any_number_of_workers_gives_the_same_bits(threads):
    assert WARMUP < 2 * 8  # so worker processes are forked while the thread is at work
    assert finished(start(threads=threads, micro_batch=1)) == finished(start(micro_batch=1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("at", [1, 5, 8, 11, 15])
@pytest.mark.few(4)
def test_training_that_stops_within_an_epoch_resumes_bit_for_bit(at, threads):
    whole = start()
    first = start(threads=threads)
    events = first.events()
    done = 0
    while done < at:
        done += isinstance(next(events), BatchDone)
    saved = pickle.dumps(first.snapshot())
    events.close()
    first.network.close()
    second = start(threads=threads)
    second.restore(pickle.loads(saved))
    assert finished(second) == finished(whole)


def test_it_makes_no_difference_how_far_ahead_they_are_made():
    found = []
    for ahead in (0, 1, 100):
        batches = mini_batches(network(), dataset(), 4, 0, [AUGMENTATIONS[n]() for n in ALL])
        object.__setattr__(batches, "ahead", ahead)
        found.append(b"".join(b.X.tobytes() + b.targets.tobytes() for b in batches.of_epoch(2)))
    assert found[0] == found[1] == found[2]


def test_an_image_is_the_same_in_mini_batches_of_any_size_and_another_in_every_epoch():
    def images(size, epoch, seed=0):
        """Augmented images by sample."""
        names = [name for name in ALL if not AUGMENTATIONS[name].mixes]
        chain = [AUGMENTATIONS[n]() for n in names]
        batches = mini_batches(network(), dataset(), size, seed, chain)
        plain = mini_batches(network(), dataset(), size, seed)
        order = np.concatenate([batch.rows for batch in plain.of_epoch(epoch)])
        X = np.concatenate([batch.X for batch in batches.of_epoch(epoch)])
        return X[np.argsort(order)]

    np.testing.assert_array_equal(images(4, 1), images(7, 1))
    for epoch, seed in ((2, 0), (1, 1)):
        assert (images(4, 1) != images(4, epoch, seed)).any(axis=(1, 2, 3)).all()


def test_without_augmentation_mini_batches_are_rows_of_the_data_set():
    batches = list(mini_batches(network(), dataset(), 4, 0).of_epoch(1))
    assert [batch.size for batch in batches] == [4] * 7 + [2]
    assert sorted(np.concatenate([batch.rows for batch in batches])) == list(range(30))


# What training sees -------------------------------------------------------------------------------


def test_the_data_set_stays_as_it_is_and_what_is_tested_is_not_augmented():
    data = dataset()
    before = data.train.X.copy()
    training = start(data=data, epochs=1)
    (done,) = [event for event in training.events() if isinstance(event, EpochDone)]
    np.testing.assert_array_equal(data.train.X, before)
    assert training.network.evaluate_figures(data.test.X, data.test.Y)[1] == done.test


def test_background_is_that_of_scaled_pixels():
    data = dataset()
    object.__setattr__(data, "scale", Scale(factor=0.5, shift=0.75, largest=4.0))
    shift = AUGMENTATIONS["shift"](pixels=1000)
    batch = next(mini_batches(network(), data, 4, 0, [shift]).of_epoch(1))
    assert (batch.X[1:] == -0.75).any()
    noise = AUGMENTATIONS["noise"](deviation=0.5)
    (batch,) = mini_batches(network(), data, 30, 0, [noise]).of_epoch(1)
    (plain,) = mini_batches(network(), data, 30, 0).of_epoch(1)
    assert (batch.X - data.train.X[plain.rows]).std() == pytest.approx(0.5 * 4 * 0.5, rel=0.1)


def test_mixed_targets_are_rows_that_add_up_to_one():
    batches = list(mini_batches(network(), dataset(), 4, 0, [AUGMENTATIONS["mixup"]()]).of_epoch(1))
    targets = np.concatenate([batch.targets for batch in batches])
    assert targets.shape == (30, 3)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    assert 0 < (targets.max(axis=1) < 0.999).sum() < 30


@pytest.mark.parametrize("names", [ALL, ["mixup"], ["shift", "rotate"]])
def test_it_learns(names):
    training = start(names, data=dataset(90), epochs=12, batch_size=10)
    epochs = [event for event in training.events() if isinstance(event, EpochDone)]
    assert epochs[-1].train["loss"] < epochs[0].train["loss"]


def test_a_network_may_train_on_indices_first_and_on_mixed_targets_then():
    """Memory that worker processes share was made for indices."""
    found = []
    for threads in (1, 2):
        training = start(["mixup"], threads=threads, micro_batch=1)
        X, Y = training.dataset.train.X[:4], training.dataset.train.Y[:4]
        for _ in range(WARMUP + 2):
            training.network.gradients(X, Y)
        found.append(finished(training))
    assert found[0] == found[1]


# Mistakes -----------------------------------------------------------------------------------------


def test_a_loss_that_takes_no_mixed_targets_says_so():
    net = Network([Flatten(), Dense(3)], loss="hinge")
    with pytest.raises(OptionError, match=r"loss=hinge takes none that are mixed. Choose another"):
        trainer(dataset(), net=net, augmentations=[AUGMENTATIONS["mixup"]()])


def test_samples_that_are_no_images_say_so():
    data = dataset()
    for part in ("train", "test"):
        samples = getattr(data, part)
        object.__setattr__(data, part, Samples(samples.X.reshape(len(samples.X), -1), samples.Y))
    net = Network([Dense(3, activation="softmax")])
    with pytest.raises(ShapeError, match="augmentation is for images"):
        trainer(data, net=net, augmentations=[AUGMENTATIONS["shift"]()])


# The thread ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["to the end", "closed", "dropped", "an error"])
def test_the_thread_ends_with_the_training(how):
    training = start(["shift"])
    events = training.events()
    next(events)
    assert len(background()) == 1
    if how == "to the end":
        list(events)
    elif how == "closed":
        events.close()
    elif how == "dropped":
        del events
    else:
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt)
    assert background() == []


def test_there_is_no_thread_without_augmentation():
    events = start([]).events()
    next(events)
    assert background() == []


def test_an_error_of_the_thread_is_raised_where_its_result_would_have_been():
    def make(number):
        if number == 6:
            raise ValueError("the sixth")
        return number

    found = []
    with pytest.raises(ValueError, match="the sixth"):
        found.extend(iter_into(found, made_ahead(make, range(20), ahead=2)))
    assert found == [0, 1, 2, 3, 4, 5]
    assert background() == []


def iter_into(found, items):
    """Append items one by one, so that those before an error are kept."""
    for item in items:
        found.append(item)
    return []


def test_no_more_than_asked_are_made_ahead():
    made = []
    items = made_ahead(lambda n: made.append(n) or n, range(100), ahead=3)
    assert next(items) == 0
    time.sleep(0.05)
    assert len(made) <= 4
    items.close()
    assert len(made) <= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_lock_that_the_thread_holds_is_never_copied_by_a_fork():
    """As one in the memory of BLAS would be: a child could not take it, and would wait for ever."""
    lock, at_work = threading.Lock(), threading.Event()

    def make(number):
        with lock:
            at_work.set()
            time.sleep(0.01)
        return number

    items = made_ahead(make, range(1000))
    for _ in range(10):
        at_work.clear()
        next(items)  # makes room for another one, so that the thread begins again after `clear`
        assert at_work.wait(60)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if lock.acquire(timeout=1) else 1)
        assert os.waitpid(pid, 0)[1] == 0
    items.close()
