"""Factors of the learning rate, at places where they are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnexp.errors import OptionError
from cnnexp.train import SCHEDULES, EpochDone
from cnnexp.train.schedules import (
    Constant,
    Cosine,
    Exponential,
    Moment,
    OneCycle,
    Polynomial,
    ReduceOnPlateau,
    Step,
    Triangle,
)
from tests.cases import in_one_test
from tests.train.trainings import trainer


def moment(progress):
    """A moment after a fraction of a training of one step."""
    return Moment(step=progress, epoch=1, steps_per_epoch=1, epochs=1)


@in_one_test(
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


def test_some_do_not_depend_on_the_number_of_epochs():
    found = {name for name in SCHEDULES if not SCHEDULES[name].depends_on_epochs}
    assert found == {"constant", "step", "exponential", "reduce_on_plateau"}


EPOCHS, PER_EPOCH = 12, 5


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [  # four steps per epoch, two of them in the warm-up, three epochs
        (Constant(warmup_epochs=0.5), [0, 0.5, 1, 1, *[1] * 8]),
        (Step(1, 0.5, warmup_epochs=0.5), [0, 0.5, 1, 1, *[0.5] * 4, *[0.25] * 4]),
        (Exponential(0.1, warmup_epochs=1.5), [0, 1 / 6, 2 / 6, 0.5, 4 / 60, 5 / 60]),
        (ReduceOnPlateau("train_loss", warmup_epochs=0.25), [0, 1, 1, 1]),
    ],
)
def test_those_that_count_in_epochs_may_rise_first(schedule, expected):
    moments = [Moment(k, 1 + k // 4, 4, 3) for k in range(len(expected))]
    assert [schedule.factor(moment) for moment in moments] == pytest.approx(expected)


STEPS = EPOCHS * PER_EPOCH


def factors(schedule, losses=()):
    """The factor of every step of a training."""
    history = [{"validation_loss": loss} for loss in losses]
    return [
        schedule.factor(Moment(k, 1 + k // PER_EPOCH, PER_EPOCH, EPOCHS, history[: k // PER_EPOCH]))
        for k in range(STEPS)
    ]


def peers(torch):
    """The schedules of PyTorch, how often they step, and ours."""
    kinds = torch.optim.lr_scheduler
    return {
        "constant": (lambda o: kinds.ConstantLR(o, 1.0), 1, Constant()),
        "step": (lambda o: kinds.StepLR(o, 3, 0.5), PER_EPOCH, Step(3, 0.5)),
        "exponential": (lambda o: kinds.ExponentialLR(o, 0.8), PER_EPOCH, Exponential(0.8)),
        "polynomial": (lambda o: kinds.PolynomialLR(o, STEPS, 2.5), 1, Polynomial(2.5)),
        "cosine": (lambda o: kinds.CosineAnnealingLR(o, STEPS, 0.1), 1, Cosine(final=0.1)),
        "cosine with restarts": (
            lambda o: kinds.CosineAnnealingWarmRestarts(o, STEPS // 3, eta_min=0.1),
            1,
            Cosine(final=0.1, restarts=2),
        ),
        "one_cycle": (lambda o: kinds.OneCycleLR(o, 1.0, STEPS), 1, OneCycle()),
    }


@pytest.mark.parametrize(
    "name",
    [
        "constant",
        "step",
        "exponential",
        "polynomial",
        "cosine",
        "cosine with restarts",
        "one_cycle",
    ],
)
def test_every_step_of_a_training_has_the_rate_of_pytorch(name):
    torch = pytest.importorskip("torch")
    make, every, schedule = peers(torch)[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    peer, expected = make(optimizer), []
    for k in range(STEPS):
        if k and k % every == 0:
            optimizer.step()
            peer.step()
        expected.append(optimizer.param_groups[0]["lr"])
    assert factors(schedule) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_plateaus_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    losses = [1.0, 0.8, 0.8, 0.79999, 0.9, 0.7, 0.71, 0.72, 0.73, 0.5, 0.51, 0.52]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.5, 1, min_lr=0.2, eps=0)
    expected = []
    for loss in losses:
        expected += [optimizer.param_groups[0]["lr"]] * PER_EPOCH
        peer.step(loss)
    found = factors(ReduceOnPlateau(patience=1, fall=0.5, least=0.2), losses)
    assert found == pytest.approx(expected)
    assert min(found) < 0.3


def test_a_plateau_of_a_figure_that_is_not_there_says_what_is():
    with pytest.raises(OptionError, match=r"named 'validation_loss'\. Figures: train_loss\."):
        ReduceOnPlateau().factor(Moment(0, 2, 1, 3, [{"train_loss": 1.0, "test_loss": 2.0}]))


def test_a_training_that_is_resumed_remembers_its_plateau():
    """The figures of all epochs are in the checkpoint."""

    def rates(training, epochs):
        training.schedule = ReduceOnPlateau("train_loss", patience=0, fall=0.5, threshold=0.9)
        done = [event for event in training.events() if isinstance(event, EpochDone)]
        return [event.learning_rate for event in done][:epochs]

    whole = rates(trainer(epochs=4), 4)
    first = trainer(epochs=2)
    rates(first, 2)
    second = trainer(epochs=4)
    second.restore(first.snapshot())
    assert rates(second, 2) == whole[2:]
    assert whole[-1] < whole[0]


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


@in_one_test(
    ("make", "message"),
    [
        (lambda: Cosine(warmup=1.0), "warmup must be at least 0 and below 1. Got 1.0."),
        (lambda: Triangle(warmup=-0.1), "warmup must be at least 0 and below 1. Got -0.1."),
        (lambda: Cosine(restarts=-1), "restarts must be at least 0. Got -1."),
        (lambda: Step(every=0), "every must be at least 1. Got 0."),
        (lambda: Exponential(fall=0.0), "fall must be above 0 and at most 1. Got 0.0."),
        (lambda: Polynomial(power=0.0), "power must be above 0. Got 0.0."),
        (lambda: OneCycle(start=2.0), "start must lie between 0 and 1. Got 2.0."),
        (lambda: ReduceOnPlateau(patience=-1), "patience must be at least 0. Got -1."),
        (
            lambda: ReduceOnPlateau("test_loss"),
            "metric must not be of the test part, by which nothing may be chosen. Got 'test_loss'.",
        ),
        (
            lambda: Step(warmup_epochs=-1.0),
            "warmup_epochs must be at least 0, and finite. Got -1.0.",
        ),
        (lambda: Cosine(final=1.5), "final must lie between 0 and 1. Got 1.5."),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(OptionError) as raised:
        make()
    assert str(raised.value) == message
