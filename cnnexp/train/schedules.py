"""Learning-rate schedules: a factor for the learning rate, batch by batch.

A schedule sees how much of the training is done, as a fraction from 0 to 1. One that uses it
depends on the number of epochs, and a run under it cannot be extended.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from cnnexp.errors import OptionError
from cnnexp.registry import Registry


class Schedule(ABC):
    """Base of all schedules. The dataclass fields of a subclass are its options."""

    depends_on_epochs: ClassVar[bool] = True

    @abstractmethod
    def factor(self, progress: float) -> float:
        """Return the factor at a fraction of the training, 0 at its first batch."""


SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


@SCHEDULES.register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate all the time."""

    depends_on_epochs = False

    def factor(self, progress: float) -> float:
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
    >>> [round(Cosine().factor(progress), 3) for progress in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """

    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)
        if not 0 <= self.final <= 1:
            raise OptionError(f"final must lie between 0 and 1. Got {self.final}.")

    def factor(self, progress: float) -> float:
        """Return the factor at a fraction of the training."""
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
    >>> [Triangle(warmup=0.25).factor(progress) for progress in (0, 0.25, 1)]
    [0.0, 1.0, 0.0]
    """

    warmup: float = 0.25

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)

    def factor(self, progress: float) -> float:
        """Return the factor at a fraction of the training."""
        if progress < self.warmup:
            return progress / self.warmup
        return (1 - progress) / (1 - self.warmup)


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise OptionError(f"warmup must be at least 0 and below 1. Got {warmup}.")
