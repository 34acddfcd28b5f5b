"""What a schedule is: a factor for the learning rate, step by step.

A schedule gets the step, the epoch, and the figures of all finished epochs. A schedule that uses
the fraction of the training that is done depends on the number of epochs, so a run with it cannot
be extended.
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


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")
