"""Early stopping, best weights, and when the test part is evaluated."""

import math
import pickle

import numpy as np
import pytest

from cnnexp.errors import OptionError
from cnnexp.nn.losses import METRICS
from cnnexp.train import EarlyStopping, EpochDone
from cnnexp.train.schedules import Moment, ReduceOnPlateau
from cnnexp.train.stopping import is_better
from tests.train.trainings import dataset, network, trainer

PARTS = dataset(train=20, test=7, validation=12)


def epochs_of(training):
    return [event for event in training.events() if isinstance(event, EpochDone)]


def history(*losses):
    return [{"validation_loss": loss} for loss in losses]


@pytest.fixture
def accuracy(monkeypatch):
    """A metric of one's own that is to become large."""

    def hits(outputs, targets):
        return float(np.count_nonzero(outputs.argmax(axis=1) == targets))

    hits.larger_is_better = True
    monkeypatch.setattr(METRICS, "_things", METRICS._things | {"accuracy": hits})
    return "validation_accuracy"


# Early stopping -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ([1.0], 1, False),
        ([1.0, 0.9], 1, False),
        ([1.0, 1.0], 1, True),  # as good is not better
        ([1.0, 1.1, 0.9, 1.0], 2, False),  # counted from the best one
        ([1.0, 1.1, 0.9, 1.0, 1.0], 2, True),
        ([math.nan, math.nan, 0.5], 2, False),  # any figure is better than none
        ([math.nan, math.nan], 2, True),
    ],
)
def test_patience_is_counted_from_the_best_epoch(losses, patience, stops):
    stopping = EarlyStopping(patience, "validation_loss")
    assert (stopping.reason(history(*losses)) is not None) == stops


def test_a_small_improvement_may_not_count():
    losses = history(1.0, 0.95, 0.9)
    assert EarlyStopping(2, "validation_loss").reason(losses) is None
    reason = EarlyStopping(2, "validation_loss", min_delta=0.2).reason(losses)
    assert reason == "validation_loss has not been below 1 by 0.2 for 2 epochs"


def test_a_metric_says_that_larger_is_better(accuracy):
    figures = [{accuracy: value} for value in (0.5, 0.6, 0.55)]
    assert EarlyStopping(2, accuracy).reason(figures) is None
    reason = EarlyStopping(1, accuracy).reason(figures)
    assert reason == "validation_accuracy has not been above 0.6 for 1 epoch"
    assert is_better(accuracy, 0.6, 0.5) and not is_better(accuracy, 0.5, 0.6)


def test_a_plateau_of_such_a_metric_is_one_of_the_largest(accuracy):
    plateau = ReduceOnPlateau(metric=accuracy, patience=0, fall=0.5)
    for values, factor in (((0.5, 0.6, 0.7), 1.0), ((0.7, 0.6), 0.5)):
        figures = [{accuracy: value} for value in values]
        moment = Moment(len(values), len(values) + 1, 1, 9, figures)
        assert plateau.factor(moment) == factor


def test_the_best_epoch_of_such_a_metric_has_the_largest(accuracy):
    net = network(metrics=["accuracy"])
    training = trainer(PARTS, net=net, epochs=8, best_weights=accuracy)
    values = [event.validation["accuracy"] for event in epochs_of(training)]
    assert training.state.best.value == max(values) > min(values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"patience": 0}, "patience must be at least 1"),
        ({"min_delta": -1.0}, "min_delta must be at least 0"),
        ({"metric": "test_error"}, "metric must be a figure of the validation part"),
        ({"metric": "train_loss"}, "metric must be a figure of the validation part"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        EarlyStopping(**options)


@pytest.mark.parametrize(
    "choosing", [{"early_stopping": EarlyStopping()}, {"best_weights": True}], ids=str
)
def test_without_a_validation_part_nothing_is_chosen(choosing):
    with pytest.raises(OptionError, match=r"there is none: .*data\.validation=0\.1"):
        trainer(dataset(), **choosing)


def test_a_training_stops_and_says_why():
    stopping = EarlyStopping(patience=3, metric="validation_error")
    whole = epochs_of(trainer(PARTS, epochs=30, learning_rate=0.3))
    errors = [event.validation["error"] for event in whole]
    end = next(
        k for k in range(1, 31) if stopping.reason([{"validation_error": e} for e in errors[:k]])
    )
    assert end < 30
    training = trainer(PARTS, epochs=30, learning_rate=0.3, early_stopping=stopping)
    assert [event.train for event in epochs_of(training)] == [e.train for e in whole[:end]]
    assert training.done and "validation_error has not been below" in training.state.stopped
    training.epochs = 40
    assert list(training.events()) == []  # more epochs do not begin it again


# When the test part is evaluated --------------------------------------------------------------


def test_at_the_end_the_test_part_is_evaluated_once():
    each, once = (trainer(PARTS, epochs=4, evaluate=e) for e in ("each_epoch", "at_end"))
    every, last = epochs_of(each), epochs_of(once)
    assert [event.test for event in last[:3]] == [None] * 3
    assert last[3].test == every[3].test
    assert last[3].kept == every[3].kept
    assert [event.validation for event in last] == [event.validation for event in every]


def test_it_is_evaluated_when_a_training_stops_early():
    stopping = EarlyStopping(patience=1)
    events = epochs_of(trainer(PARTS, epochs=30, evaluate="at_end", early_stopping=stopping))
    assert len(events) < 30
    assert [event.test is None for event in events] == [True] * (len(events) - 1) + [False]


def test_another_moment_is_refused():
    with pytest.raises(OptionError, match="evaluate must be each_epoch or at_end"):
        trainer(evaluate="never")


# Best weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluate", ["each_epoch", "at_end"])
@pytest.mark.parametrize("ema", [None, 0.7])
def test_the_weights_of_the_best_epoch_are_kept_and_tested(evaluate, ema):
    settings = {"epochs": 9, "learning_rate": 0.4, "ema": ema}
    plain = trainer(PARTS, **settings)
    weights, events = [], []
    for event in plain.events():
        if isinstance(event, EpochDone):
            weights.append(plain.kept_weights())
            events.append(event)
    errors = [event.validation["error"] for event in events]
    best = errors.index(min(errors))
    assert best + 1 < 9
    training = trainer(PARTS, best_weights=True, evaluate=evaluate, **settings)
    last = epochs_of(training)[-1]
    assert training.state.best.epoch == best + 1
    for name, array in training.kept_weights().items():
        assert array.tobytes() == weights[best][name].tobytes()
    tested = {f"test_{name}": value for name, value in events[best].test.items()}
    assert last.kept.items() >= tested.items()
    assert last.test == (events[best].test if evaluate == "at_end" else events[8].test)
    assert training.network.parameters.tobytes() == plain.network.parameters.tobytes()


def test_predicted_classes_are_those_of_the_kept_weights():
    for best in (False, True):
        training = trainer(PARTS, epochs=9, learning_rate=0.4, best_weights=best, ema=0.7)
        epochs_of(training)
        with training.kept():
            A = training.network.predict(PARTS.test.X)
        np.testing.assert_array_equal(training.predicted("test"), A.argmax(axis=1))
        np.testing.assert_array_equal(
            trainer(PARTS).predicted("validation"),
            trainer(PARTS).network.predict(PARTS.validation.X).argmax(axis=1),
        )


# Going on -------------------------------------------------------------------------------------

ALL = {
    "optimizer": "adam",
    "schedule": "cosine",
    "learning_rate": 0.05,
    "epochs": 12,
    "evaluate": "at_end",
    "early_stopping": EarlyStopping(patience=4),
    "best_weights": "validation_loss",
    "ema": 0.8,
    "accumulate": 2,
    "diagnose": True,
}


CLOCKED = ("seconds", "eval_seconds", "samples_per_second")


def timeless(events):
    """Events without their times."""
    return [{k: v for k, v in e._asdict().items() if k not in CLOCKED} for e in events]


def bits(thing):
    """A snapshot without its times, every array as bytes."""
    if isinstance(thing, dict):
        return {key: bits(value) for key, value in thing.items() if key != "seconds"}
    return thing.tobytes() if isinstance(thing, np.ndarray) else thing


def test_everything_together_goes_on_with_the_same_bits_from_any_event():
    unbroken = trainer(PARTS, **ALL)
    events = timeless(unbroken.events())
    wanted = bits(unbroken.snapshot())
    assert unbroken.state.stopped and unbroken.state.best.epoch < unbroken.state.epoch
    for stop in range(0, len(events), 3):
        first = trainer(PARTS, **ALL)
        stream = first.events()
        for _ in range(stop + 1):
            next(stream)
        saved = pickle.loads(pickle.dumps(first.snapshot()))
        second = trainer(PARTS, net=network(seed=7), **ALL)
        second.restore(saved)
        assert timeless(second.events()) == events[stop + 1 :]
        assert bits(second.snapshot()) == wanted
        for name, array in unbroken.kept_weights().items():
            assert second.kept_weights()[name].tobytes() == array.tobytes()


def test_any_number_of_workers_gives_the_same_bits():
    found = []
    for threads in (1, 2):
        net = network(threads=threads, micro_batch=2)
        training = trainer(PARTS, net=net, **{**ALL, "epochs": 3})
        events = timeless(training.events())
        found.append((events, bits(training.snapshot())))
        net.close()
    assert found[0] == found[1]


def test_a_snapshot_of_an_earlier_version_is_taken():
    """It has fewer entries, and a best epoch by the test part."""
    first = trainer(PARTS)
    stream = first.events()
    for _ in range(7):
        next(stream)
    old = first.snapshot()
    new = {"best_weights", "average", "gradient", "stopped", "callbacks", "diagnostics"}
    old = {key: value for key, value in old.items() if key not in new}
    old["best"] = {"metric": "test_error", "value": 0.5, "epoch": 1}
    second = trainer(PARTS, net=network(seed=3))
    second.restore(old)
    assert second.state.best is None
    assert [e[:4] for e in second.events()] == [e[:4] for e in stream]
    assert second.network.parameters.tobytes() == first.network.parameters.tobytes()
