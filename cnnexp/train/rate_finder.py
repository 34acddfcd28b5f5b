"""The learning-rate range test: how the loss answers to a rate that grows from step to step.

With a rate that is far too small the loss stays where it is; then it falls, faster and faster;
beyond some rate it rises, and soon explodes. A good rate lies where it falls steeply, well below
the rate of the lowest loss::

    loss ──────╮                 ╭
               ╰──╮             │       the rate grows by the same factor with every step, so
                   ╰──╮       ╭─╯       the axis of rates is logarithmic
                       ╰─────╯
          1e-5     1e-3      1e-1

The training itself is that of a run, with its optimizer, decay, clipping and accumulation; only the
schedule is another one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnnexp.errors import OptionError
from cnnexp.train.events import BatchDone, Diverged, TrainingState
from cnnexp.train.schedules import Moment, Schedule
from cnnexp.train.trainer import Trainer

SMOOTHING = 0.9  # how much of the mean loss is kept at each step
EXPLODED = 4.0  # times the lowest smoothed loss, after which the test ends
LEFT_OUT = 0.1  # of the steps, at the start: the mean is not smooth yet


class RatePoint(NamedTuple):
    """One step of the test: its learning rate, its loss, and the smoothed loss."""

    learning_rate: float
    loss: float
    smoothed: float


class Suggestion(NamedTuple):
    """What the test suggests.

    Attributes
    ----------
    steepest : float or None
        The rate where the smoothed loss falls fastest over the logarithm of the rate; None if it
        never falls.
    lowest : float
        The rate of the lowest smoothed loss.
    """

    steepest: float | None
    lowest: float

    @property
    def tenth(self) -> float:
        """A tenth of the rate of the lowest loss, which is where training is still stable."""
        return self.lowest / 10


@dataclass(frozen=True)
class Ramp(Schedule):
    """From 1 up to `last` in a number of steps, each larger than the one before by one factor.

    Examples
    --------
    >>> [round(Ramp(100.0, 3).factor(Moment(step, 1, 3, 1)), 6) for step in range(3)]
    [1.0, 10.0, 100.0]
    """

    last: float
    steps: int

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next."""
        return float(self.last ** (moment.step / (self.steps - 1)))


def find_rate(trainer: Trainer, first: float, last: float, steps: int) -> list[RatePoint]:
    """Train with a rate that grows from `first` to `last`, until the loss explodes.

    Parameters
    ----------
    trainer : Trainer
        Not begun yet. Its network is trained; nothing is evaluated, and nothing is chosen.
    first, last : float
        The smallest and the largest learning rate.
    steps : int
        Steps from one to the other.

    Returns
    -------
    list of RatePoint
        One for each step that was taken with a finite loss.

    Raises
    ------
    OptionError
        If the rates or the number of steps are not in their ranges.

    References
    ----------
    L. Smith, Cyclical Learning Rates for Training Neural Networks, 2017, section 3.3,
    https://arxiv.org/abs/1506.01186
    """
    if not 0 < first < last < math.inf:
        raise OptionError(
            f"the rates must be above 0, and the first below the last. Got {first:g} and {last:g}."
        )
    if steps < 10:
        raise OptionError(f"the number of steps must be at least 10. Got {steps}.")
    ramped = _ramped(trainer, first, last, steps)
    found: list[RatePoint] = []
    mean, lowest = 0.0, math.inf
    for rate, loss in _losses(ramped):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed = mean / (1 - SMOOTHING ** (len(found) + 1))  # the mean began at 0
        found.append(RatePoint(rate, loss, smoothed))
        lowest = min(lowest, smoothed)
        if len(found) == steps or (len(found) > LEFT_OUT * steps and smoothed > EXPLODED * lowest):
            break
    return found


def suggest(points: Sequence[RatePoint]) -> Suggestion:
    """Return the rates that a test suggests.

    The first tenth of the points counts for nothing: their mean is of a few losses only.

    Examples
    --------
    >>> losses = [2.0] * 10 + [1.9, 1.5, 1.0, 0.9, 0.8, 3.0]
    >>> rates = [10.0 ** (k - 12) for k in range(16)]
    >>> points = [RatePoint(*point) for point in zip(rates, losses, losses)]
    >>> found = suggest(points)
    >>> f"{found.steepest:g} {found.lowest:g} {found.tenth:g}"
    '0.1 100 10'
    """
    used = points[int(LEFT_OUT * len(points)) :]
    losses = np.array([point.smoothed for point in used])
    low = int(losses.argmin())
    steepest = None
    if low >= 2:
        slopes = np.gradient(losses[: low + 1], np.log([p.learning_rate for p in used[: low + 1]]))
        if slopes.min() < 0:
            steepest = used[int(slopes.argmin())].learning_rate
    return Suggestion(steepest, used[low].learning_rate)


def _ramped(trainer: Trainer, first: float, last: float, steps: int) -> Trainer:
    """Return the trainer with a growing rate, which evaluates nothing and chooses nothing."""
    return dataclasses.replace(
        trainer,
        dataset=dataclasses.replace(trainer.dataset, validation=None),
        schedule=Ramp(last / first, steps),
        learning_rate=first,
        epochs=steps + 1,  # more than are needed: the test part is evaluated after the last one
        evaluate="at_end",
        early_stopping=None,
        best_weights=False,
        ema=None,
        callbacks=(),
        diagnose=False,
        state=TrainingState(),
    )


def _losses(trainer: Trainer) -> Iterator[tuple[float, float]]:
    """Yield the rate and the loss of every step, a mean over the samples of its mini-batches."""
    total, samples = 0.0, 0
    for event in trainer.events():
        if isinstance(event, Diverged):
            return
        if isinstance(event, BatchDone):
            total += event.figures["loss"] * event.samples
            samples += event.samples
            if event.batch % trainer.accumulate == 0 or event.batch == trainer.batches_per_epoch:
                yield event.learning_rate, total / samples
                total, samples = 0.0, 0
