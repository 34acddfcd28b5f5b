"""Learning-rate schedules: a factor for the learning rate, step by step.

A schedule sees where the training stands: step, epoch, and the figures of the last epoch. One that
uses the fraction of the training that is done depends on the number of epochs, and a run under it
cannot be extended.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from cnnexp.errors import OptionError
from cnnexp.registry import Registry


class Moment(NamedTuple):
    """Where a training stands before a step.

    Attributes
    ----------
    step : int
        Mini-batches done in the whole training.
    epoch : int
        The epoch, counted from 1.
    steps_per_epoch, epochs : int
        How long it is.
    metrics : mapping of str to float
        Figures of the last finished epoch, such as ``validation_loss``; empty in the first one.

    Examples
    --------
    >>> Moment(step=15, epoch=2, steps_per_epoch=10, epochs=3).progress
    0.5
    """

    step: int
    epoch: int
    steps_per_epoch: int
    epochs: int
    metrics: Mapping[str, float] = MappingProxyType({})

    @property
    def progress(self) -> float:
        """The fraction of the training that is done, 0 at its first step."""
        return self.step / (self.epochs * self.steps_per_epoch)


class Schedule(ABC):
    """Base of all schedules. The dataclass fields of a subclass are its options."""

    depends_on_epochs: ClassVar[bool] = True

    @abstractmethod
    def factor(self, moment: Moment) -> float:
        """Return the factor of the learning rate for the step that comes next."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


@SCHEDULES.register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate all the time."""

    depends_on_epochs = False

    def factor(self, moment: Moment) -> float:
        """Return 1."""
        return 1.0


@SCHEDULES.register("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """From 1 to `final` along half a cosine, after a linear rise if wanted.

    Parameters
    ----------
    warmup : float
        Fraction of the training over which the factor rises from 0 to 1.
    final : float
        Factor at the end.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983

    Examples
    --------
    >>> [round(Cosine().factor(Moment(step, 1, 2, 1)), 3) for step in (0, 1, 2)]
    [1.0, 0.5, 0.0]
    """

    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)
        if not 0 <= self.final <= 1:
            raise OptionError(f"final must lie between 0 and 1. Got {self.final}.")

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next."""
        progress = moment.progress
        if progress < self.warmup:
            return progress / self.warmup
        along = (progress - self.warmup) / (1 - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * along))


@SCHEDULES.register("triangle")
@dataclass(frozen=True)
class Triangle(Schedule):
    """From 0 up to 1 in a straight line, and down to 0 again.

    Parameters
    ----------
    warmup : float
        Fraction of the training over which the factor rises.

    References
    ----------
    L. Smith and N. Topin, Super-Convergence, 2018, https://arxiv.org/abs/1708.07120

    Examples
    --------
    >>> [Triangle(warmup=0.25).factor(Moment(step, 1, 4, 1)) for step in (0, 1, 4)]
    [0.0, 1.0, 0.0]
    """

    warmup: float = 0.25

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next."""
        progress = moment.progress
        if progress < self.warmup:
            return progress / self.warmup
        return (1 - progress) / (1 - self.warmup)


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise OptionError(f"warmup must be at least 0 and below 1. Got {warmup}.")
