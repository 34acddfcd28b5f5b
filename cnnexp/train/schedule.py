"""What a schedule is: a factor for the learning rate, step by step.

A schedule gets the step, the epoch, and the figures of all finished epochs. A schedule that uses
the fraction of the training that is done depends on the number of epochs: a run with it cannot be
extended, for its first steps would have had other learning rates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from cnnexp.registry import Registry


class Moment(NamedTuple):
    """The state of a training before a step.

    Attributes
    ----------
    step : int
        Steps of the optimizer done in the whole training: mini-batches, or groups of them where
        the gradients of several are accumulated.
    epoch : int
        The epoch, counted from 1.
    steps_per_epoch, epochs : int
        How long it is.
    history : sequence of mappings of str to float
        Figures, such as ``validation_loss``, of each epoch that is finished.

    Examples
    --------
    >>> Moment(step=15, epoch=2, steps_per_epoch=10, epochs=3).progress
    0.5
    """

    step: int
    epoch: int
    steps_per_epoch: int
    epochs: int
    history: Sequence[Mapping[str, float]] = ()

    @property
    def progress(self) -> float:
        """The fraction of the training that is done, 0 at its first step."""
        return self.step / (self.epochs * self.steps_per_epoch)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the last finished epoch; empty in the first one."""
        return self.history[-1] if self.history else {}


class Schedule(ABC):
    """Base of all schedules. The dataclass fields of a subclass are its options."""

    depends_on_epochs: ClassVar[bool] = True

    @abstractmethod
    def factor(self, moment: Moment) -> float:
        """Return the factor of the learning rate for the step that comes next."""


def first_other_step(
    schedule: Schedule,
    done: int,
    steps_per_epoch: int,
    epochs: tuple[int, int],
    history: Sequence[Mapping[str, float]] = (),
) -> int | None:
    """Return the first of the steps that are done at which two lengths have another factor.

    Parameters
    ----------
    schedule : Schedule
        The schedule.
    done : int
        How many steps are done.
    steps_per_epoch : int
        Steps of an epoch.
    epochs : tuple of int
        Both lengths.
    history : sequence of mappings
        The figures of each finished epoch.

    Returns
    -------
    int or None
        Counted from 0; None if all factors are the same, to the last bit.
    """
    if not schedule.depends_on_epochs:
        return None
    for step in range(done):
        epoch = step // steps_per_epoch + 1
        before = history[: epoch - 1]
        factors = {
            schedule.factor(Moment(step, epoch, steps_per_epoch, length, before))
            for length in epochs
        }
        if len(factors) > 1:
            return step
    return None


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")
