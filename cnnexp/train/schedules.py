"""Learning-rate schedules: a factor for the learning rate, step by step.

A schedule gets the step, the epoch, and the figures of all finished epochs. A schedule that uses
the fraction of the training that is done depends on the number of epochs, so a run with it cannot
be extended.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from cnnexp.errors import OptionError
from cnnexp.registry import Registry
from cnnexp.train.stopping import is_maximised


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
    restarts : int
        How often the factor goes back to 1 after the rise; the parts are equally long.

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
    restarts: int = 0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)
        if self.restarts < 0:
            raise OptionError(f"restarts must be at least 0. Got {self.restarts}.")
        if not 0 <= self.final <= 1:
            raise OptionError(f"final must lie between 0 and 1. Got {self.final}.")

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next."""
        progress = moment.progress
        if progress < self.warmup:
            return progress / self.warmup
        along = (progress - self.warmup) / (1 - self.warmup) * (self.restarts + 1)
        if self.restarts and progress < 1:
            along %= 1
        elif self.restarts:
            along = 1.0
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


@SCHEDULES.register("step")
@dataclass(frozen=True)
class Step(Schedule):
    """Multiplied by `fall` after every `every` epochs.

    Parameters
    ----------
    every : int
        Epochs from one fall to the next.
    fall : float
        The factor of each fall.

    Examples
    --------
    >>> [Step(every=2, fall=0.5).factor(Moment(0, epoch, 10, 6)) for epoch in (1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 0.25]
    """

    depends_on_epochs = False

    every: int = 10
    fall: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise OptionError(f"every must be at least 1. Got {self.every}.")
        _check_fall("fall", self.fall)

    def factor(self, moment: Moment) -> float:
        """Return the factor of the epoch."""
        return float(self.fall ** ((moment.epoch - 1) // self.every))


@SCHEDULES.register("exponential")
@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiplied by `fall` after every epoch.

    Parameters
    ----------
    fall : float
        The factor of each epoch.
    """

    depends_on_epochs = False

    fall: float = 0.9

    def __post_init__(self) -> None:
        _check_fall("fall", self.fall)

    def factor(self, moment: Moment) -> float:
        """Return the factor of the epoch."""
        return float(self.fall ** (moment.epoch - 1))


@SCHEDULES.register("polynomial")
@dataclass(frozen=True)
class Polynomial(Schedule):
    """From 1 to `final` along a power of what is left of the training.

    Parameters
    ----------
    power : float
        1 is a straight line.
    warmup : float
        Fraction of the training over which the factor rises from 0 to 1.
    final : float
        Factor at the end.

    Examples
    --------
    >>> Polynomial(power=2.0).factor(Moment(1, 1, 2, 1))
    0.25
    """

    power: float = 1.0
    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)
        if not self.power > 0:
            raise OptionError(f"power must be above 0. Got {self.power}.")
        if not 0 <= self.final <= 1:
            raise OptionError(f"final must lie between 0 and 1. Got {self.final}.")

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next."""
        progress = moment.progress
        if progress < self.warmup:
            return progress / self.warmup
        left = (1 - progress) / (1 - self.warmup)
        return float(self.final + (1 - self.final) * left**self.power)


@SCHEDULES.register("one_cycle")
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from `start` to 1 along half a cosine, and down to `final` along another.

    Parameters
    ----------
    warmup : float
        Fraction of the training over which the factor rises.
    start, final : float
        Factors at the beginning and at the end.

    References
    ----------
    L. Smith and N. Topin, Super-Convergence, 2018, https://arxiv.org/abs/1708.07120
    """

    warmup: float = 0.3
    start: float = 0.04
    final: float = 4e-6

    def __post_init__(self) -> None:
        _check_warmup(self.warmup)
        for name in ("start", "final"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} must lie between 0 and 1. Got {getattr(self, name)}.")

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next, of the last one at the last step."""
        last = moment.epochs * moment.steps_per_epoch - 1
        peak = self.warmup * (last + 1) - 1
        if moment.step <= peak:
            return _along_cosine(self.start, 1.0, moment.step / peak if peak else 1.0)
        return _along_cosine(1.0, self.final, (moment.step - peak) / max(last - peak, 1e-9))


@SCHEDULES.register("reduce_on_plateau")
@dataclass(frozen=True)
class ReduceOnPlateau(Schedule):
    """Multiplied by `fall` whenever a figure has not decreased for some epochs.

    Parameters
    ----------
    metric : str
        The figure, such as ``validation_loss`` or ``train_loss``. Of a metric of one's own that
        says ``larger_is_better``, larger ones are waited for.
    patience : int
        Epochs without a decrease that are accepted.
    fall : float
        The factor of each fall.
    threshold : float
        The fraction by which a figure must decrease to count.
    least : float
        The smallest factor.

    Examples
    --------
    >>> plateau = ReduceOnPlateau(metric="train_loss", patience=1, fall=0.5)
    >>> losses = [1.0, 0.9, 0.9, 0.9, 0.8]
    >>> history = [{"train_loss": loss} for loss in losses]
    >>> [plateau.factor(Moment(0, k + 1, 1, 9, history[:k])) for k in range(6)]
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """

    depends_on_epochs = False

    metric: str = "validation_loss"
    patience: int = 5
    fall: float = 0.1
    threshold: float = 1e-4
    least: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise OptionError(f"patience must be at least 0. Got {self.patience}.")
        _check_fall("fall", self.fall)
        for name in ("threshold", "least"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"{name} must be at least 0 and below 1. Got {getattr(self, name)}."
                )
        if self.metric.startswith("test_"):
            raise OptionError(
                f"metric must not be of the test part, by which nothing may be chosen."
                f" Got '{self.metric}'."
            )

    def factor(self, moment: Moment) -> float:
        """Return the factor after all epochs that are finished; it is found from their figures."""
        factor, best, waited = 1.0, math.inf, 0
        sign = -1 if is_maximised(self.metric) else 1
        for figures in moment.history:
            if self.metric not in figures:
                known = ", ".join(name for name in figures if not name.startswith("test_"))
                raise OptionError(
                    f"schedule.metric: no figure is named '{self.metric}'. Figures: {known}."
                    " Those of a validation part need data.validation, for example 0.1."
                )
            value = sign * figures[self.metric]
            if value < best * (1 - sign * self.threshold):
                best, waited = value, 0
            else:
                waited += 1
            if waited > self.patience:
                factor, waited = max(factor * self.fall, self.least), 0
        return factor


def _along_cosine(first: float, last: float, part: float) -> float:
    """Return a value on the half cosine from one number to another."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * part))


def _check_fall(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise OptionError(f"{name} must be above 0 and at most 1. Got {value}.")


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise OptionError(f"warmup must be at least 0 and below 1. Got {warmup}.")
