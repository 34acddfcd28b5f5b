"""The schedules: how the learning rate changes from step to step.

================== ==========================================================================
constant           the same all the time
step, exponential  times a factor after every so many epochs, or after each
reduce_on_plateau  times a factor when a figure no longer gets smaller
cosine, polynomial down to a final factor, after a linear rise if wanted
triangle           up and down in straight lines
one_cycle          up and down along half cosines
================== ==========================================================================

The first four count in epochs, so they are defined for any number of them; their rise, if one is
wanted, is `warmup_epochs` long. For the others the whole training is the unit, and the rise takes
the fraction `warmup` of it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from cnnexp.errors import OptionError
from cnnexp.train.schedule import SCHEDULES, Moment, Schedule
from cnnexp.train.stopping import is_maximised

__all__ = ["SCHEDULES", "Moment", "Schedule"]


@dataclass(frozen=True)
class _InEpochs(Schedule):
    """Base of the schedules that count in epochs: a linear rise, and what comes after it."""

    depends_on_epochs: ClassVar[bool] = False

    warmup_epochs: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_epochs < math.inf:
            raise OptionError(
                f"warmup_epochs must be at least 0, and finite. Got {self.warmup_epochs}."
            )

    def factor(self, moment: Moment) -> float:
        """Return the factor for the step that comes next; it rises from 0 in the warm-up."""
        rise = self.warmup_epochs * moment.steps_per_epoch
        part = moment.step / rise if moment.step < rise else 1.0
        return part * self.without_warmup(moment)

    @abstractmethod
    def without_warmup(self, moment: Moment) -> float:
        """Return the factor as it is without a warm-up."""


@SCHEDULES.register("constant")
@dataclass(frozen=True)
class Constant(_InEpochs):
    """A constant learning rate, after an optional linear rise.

    Parameters
    ----------
    warmup_epochs : float
        Epochs over which the factor rises from 0 to its value, in a straight line.

    References
    ----------
    P. Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677 (the
    rise)
    """

    def without_warmup(self, moment: Moment) -> float:
        """Return 1."""
        return 1.0


@SCHEDULES.register("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """The factor falls from 1 to `final` along half a cosine, after an optional linear rise.

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
    """The factor rises from 0 to 1 in a straight line, and falls to 0 again.

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
class Step(_InEpochs):
    """The learning rate is multiplied by `fall` at regular intervals.

    Parameters
    ----------
    every : int
        Epochs from one fall to the next.
    fall : float
        The factor of each fall.
    warmup_epochs : float
        Epochs over which the factor rises from 0 to its value, in a straight line.

    References
    ----------
    A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural
    Networks, 2012, section 5

    Examples
    --------
    >>> [Step(every=2, fall=0.5).factor(Moment(0, epoch, 10, 6)) for epoch in (1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 0.25]
    """

    every: int = 10
    fall: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise OptionError(f"every must be at least 1. Got {self.every}.")
        _check_fall("fall", self.fall)

    def without_warmup(self, moment: Moment) -> float:
        """Return the factor of the epoch."""
        return float(self.fall ** ((moment.epoch - 1) // self.every))


@SCHEDULES.register("exponential")
@dataclass(frozen=True)
class Exponential(_InEpochs):
    """The learning rate is multiplied by `fall` after every epoch.

    Parameters
    ----------
    fall : float
        The factor of each epoch.
    warmup_epochs : float
        Epochs over which the factor rises from 0 to its value, in a straight line.

    References
    ----------
    Y. Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012,
    https://arxiv.org/abs/1206.5533
    """

    fall: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fall("fall", self.fall)

    def without_warmup(self, moment: Moment) -> float:
        """Return the factor of the epoch."""
        return float(self.fall ** (moment.epoch - 1))


@SCHEDULES.register("polynomial")
@dataclass(frozen=True)
class Polynomial(Schedule):
    """The factor falls from 1 to `final` along a power of the fraction of training left.

    Parameters
    ----------
    power : float
        Exponent of the fraction that is left of the training; 1 is a straight line.
    warmup : float
        Fraction of the training over which the factor rises from 0 to 1.
    final : float
        Factor at the end.

    References
    ----------
    L.-C. Chen et al., DeepLab, 2016, https://arxiv.org/abs/1606.00915, section 4.1.1

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
    """The factor rises from `start` to 1 along half a cosine, and falls to `final` along another.

    Parameters
    ----------
    warmup : float
        Fraction of the training over which the factor rises.
    start : float
        Factor at the beginning.
    final : float
        Factor at the end.

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
class ReduceOnPlateau(_InEpochs):
    """The learning rate is multiplied by `fall` when a figure has not improved for some epochs.

    Parameters
    ----------
    metric : str
        The figure, such as ``validation_loss`` or ``train_loss``. It must decrease, or increase
        for a metric of your own with ``larger_is_better``.
    patience : int
        Number of epochs without improvement that are accepted.
    fall : float
        The factor of each fall.
    threshold : float
        The fraction by which a figure must improve to count.
    least : float
        The smallest factor.
    warmup_epochs : float
        Epochs over which the factor rises from 0 to its value, in a straight line.

    References
    ----------
    K. He et al., Deep Residual Learning for Image Recognition, 2015,
    https://arxiv.org/abs/1512.03385, section 3.4

    Examples
    --------
    >>> plateau = ReduceOnPlateau(metric="train_loss", patience=1, fall=0.5)
    >>> losses = [1.0, 0.9, 0.9, 0.9, 0.8]
    >>> history = [{"train_loss": loss} for loss in losses]
    >>> [plateau.factor(Moment(0, k + 1, 1, 9, history[:k])) for k in range(6)]
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """

    metric: str = "validation_loss"
    patience: int = 5
    fall: float = 0.1
    threshold: float = 1e-4
    least: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def without_warmup(self, moment: Moment) -> float:
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
