"""Factors of the learning rate, at places where they are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnexp.errors import OptionError
from cnnexp.train import SCHEDULES, EpochDone
from cnnexp.train.schedules import Constant, Cosine, Moment, Triangle
from tests.train.trainings import trainer


def moment(progress):
    """A moment after a fraction of a training of one step."""
    return Moment(step=progress, epoch=1, steps_per_epoch=1, epochs=1)


@pytest.mark.parametrize(
    ("schedule", "at", "factor"),
    [
        (Constant(), 0.0, 1),
        (Constant(), 0.7, 1),
        (Cosine(), 0.0, 1),
        (Cosine(), 1 / 3, 0.75),  # (1 + cos 60°) / 2
        (Cosine(), 0.5, 0.5),
        (Cosine(), 1.0, 0),
        (Cosine(final=0.2), 0.5, 0.6),
        (Cosine(final=0.2), 1.0, 0.2),
        (Cosine(warmup=0.2), 0.0, 0),
        (Cosine(warmup=0.2), 0.1, 0.5),
        (Cosine(warmup=0.2), 0.2, 1),
        (Cosine(warmup=0.2), 0.6, 0.5),
        (Triangle(), 0.0, 0),
        (Triangle(), 0.125, 0.5),
        (Triangle(), 0.25, 1),
        (Triangle(), 0.625, 0.5),
        (Triangle(warmup=0.0), 0.0, 1),
        (Triangle(warmup=0.5), 1.0, 0),
    ],
)
def test_factors(schedule, at, factor):
    assert schedule.factor(moment(at)) == pytest.approx(factor, abs=1e-12)


@given(st.sampled_from([Cosine, Triangle]), st.floats(0, 0.95), st.floats(0, 1))
def test_factors_lie_between_0_and_1(kind, warmup, at):
    assert -1e-12 <= kind(warmup=warmup).factor(moment(at)) <= 1 + 1e-12


def test_only_the_constant_one_does_not_depend_on_the_number_of_epochs():
    assert {name for name in SCHEDULES if not SCHEDULES[name].depends_on_epochs} == {"constant"}


def test_rates_of_a_training():
    """Three epochs of three batches: the schedule sees 0/9, 1/9, … 8/9."""
    events = list(trainer(schedule="cosine", learning_rate=0.4).events())
    rates = [event.learning_rate for event in events if hasattr(event, "batch")]
    expected = [0.4 * (1 + math.cos(math.pi * k / 9)) / 2 for k in range(9)]
    assert rates == pytest.approx(expected)
    last = [event.learning_rate for event in events if not hasattr(event, "batch")]
    assert last == pytest.approx([expected[2], expected[5], expected[8]])


def test_a_schedule_sees_step_epoch_and_the_figures_of_the_last_epoch():
    seen = []

    class Watching(Constant):
        def factor(self, moment):
            seen.append(moment)
            return 1.0

    training = trainer(epochs=2)
    training.schedule = Watching()
    figures = [event.test for event in training.events() if isinstance(event, EpochDone)]
    assert [m.step for m in seen] == [0, 1, 2, 3, 4, 5]
    assert [m.epoch for m in seen] == [1, 1, 1, 2, 2, 2]
    assert not seen[0].metrics
    assert seen[3].metrics["test_loss"] == figures[0]["loss"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cosine(warmup=1.0), "warmup must be at least 0 and below 1. Got 1.0."),
        (lambda: Triangle(warmup=-0.1), "warmup must be at least 0 and below 1. Got -0.1."),
        (lambda: Cosine(final=1.5), "final must lie between 0 and 1. Got 1.5."),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(OptionError) as raised:
        make()
    assert str(raised.value) == message
