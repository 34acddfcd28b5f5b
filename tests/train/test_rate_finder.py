"""The learning-rate range test: its rates, its smoothing, where it ends, what it suggests."""

import math

import numpy as np
import pytest

from cnnexp.errors import OptionError
from cnnexp.train import EarlyStopping
from cnnexp.train.rate_finder import RatePoint, find_rate, suggest
from tests.train.trainings import dataset, trainer


def points(losses, first=1e-4):
    return [RatePoint(first * 10 ** (k / 10), loss, loss) for k, loss in enumerate(losses)]


def test_rates_grow_by_one_factor_from_the_first_to_the_last():
    found = find_rate(trainer(dataset(40)), 1e-4, 1e-2, 21)
    rates = np.array([point.learning_rate for point in found])
    np.testing.assert_allclose(rates, 1e-4 * 10 ** (np.arange(21) / 10))


def test_the_smoothed_loss_is_a_running_mean_without_the_pull_of_its_start():
    found = find_rate(trainer(dataset(40)), 1e-4, 1e-2, 12)
    losses = [point.loss for point in found]
    for k, point in enumerate(found):
        weights = 0.9 ** np.arange(k, -1, -1)
        assert point.smoothed == pytest.approx(np.average(losses[: k + 1], weights=weights))


def test_losses_are_those_of_a_training_with_that_rate():
    """Rates that hardly differ are one rate: the losses are those of a run."""
    found = find_rate(trainer(dataset(40)), 0.1, 0.1 * (1 + 1e-9), 20)
    events = [e for e in trainer(dataset(40), epochs=2).events() if hasattr(e, "batch")]
    assert [p.loss for p in found] == pytest.approx([e.figures["loss"] for e in events], rel=1e-4)


def test_it_ends_when_the_loss_explodes():
    found = find_rate(trainer(dataset(40)), 1e-3, 1e6, 100)
    assert 10 < len(found) < 100
    assert all(math.isfinite(point.loss) for point in found)
    lowest = min(point.smoothed for point in found)
    assert found[-2].smoothed <= 4 * lowest


def test_mini_batches_of_a_step_are_one_point():
    found = find_rate(trainer(dataset(40), accumulate=4), 1e-4, 1e-2, 10)
    rates = [point.learning_rate for point in found]
    assert len(rates) == len(set(rates)) == 10
    first = find_rate(trainer(dataset(40)), 1e-12, 1e-11, 10)  # hardly any step
    assert found[0].loss == pytest.approx(np.mean([p.loss for p in first[:4]]))


def test_nothing_is_evaluated_or_chosen():
    training = trainer(
        dataset(40, validation=8),
        early_stopping=EarlyStopping(patience=1),
        best_weights=True,
        ema=0.9,
    )
    training.network.evaluate_figures = None
    assert len(find_rate(training, 1e-5, 1e-4, 30)) == 30
    assert training.state.epoch == 0 and training.state.history == []


def test_suggestions_worked_by_hand():
    losses = [2.0] * 10 + [1.9, 1.7, 1.0, 0.7, 0.5, 0.4, 0.6, 2.0, 8.0]
    found = suggest(points(losses))
    # Slopes over both neighbours: (1.0 - 1.9), (0.7 - 1.7) and (0.5 - 1.0): at the 13th point
    assert found.steepest == pytest.approx(1e-4 * 10**1.2)
    assert found.lowest == pytest.approx(1e-4 * 10**1.5)
    assert found.tenth == pytest.approx(found.lowest / 10)


def test_a_loss_that_only_rises_suggests_nothing():
    assert suggest(points([1.0 + 0.1 * k for k in range(30)])).steepest is None


@pytest.mark.parametrize(
    ("first", "last", "steps", "words"),
    [
        (0.0, 1.0, 100, "rates must be above 0"),
        (1.0, 0.1, 100, "the first below the last. Got 1 and 0.1"),
        (0.1, math.inf, 100, "rates must be above 0"),
        (0.1, 1.0, 5, "number of steps must be at least 10"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(first, last, steps, words):
    with pytest.raises(OptionError, match=words):
        find_rate(trainer(), first, last, steps)
