"""Losses for real values: the mean over the outputs, for each sample.

==================== ==================================================================
in YAML              of the difference ``d = Z - y``
==================== ==================================================================
mean_squared_error   ``d²``
mean_absolute_error  ``|d|``
huber                ``d² / 2`` up to delta, ``delta · (|d| - delta / 2)`` beyond
==================== ==================================================================
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine import Array
from cnnexp.nn.losses import LOSSES, Loss
from cnnexp.nn.options import check_number


class _OfDifference(Loss):
    """A loss that is computed from the difference of output and target, number by number.

    Targets are real values of the shape of the outputs, or class indices, which stand for one-hot
    rows.
    """

    soft_targets: ClassVar[bool] = True

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples of the mean over outputs."""
        difference = Z - targets
        size = difference[0].size if len(difference) else 1
        total = float(np.sum(self.each(difference), dtype=np.float64))
        return total / size, (difference, size)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return the slope at every difference, times `scale`, over the outputs."""
        difference, size = cache
        dZ: Array = self.slope(difference) * difference.dtype.type(scale / size)
        return dZ

    @abstractmethod
    def each(self, d: Array) -> Array:
        """Return the loss of every difference."""

    @abstractmethod
    def slope(self, d: Array) -> Array:
        """Return its derivative."""


@LOSSES.register("mean_squared_error")
@dataclass(frozen=True)
class MeanSquaredError(_OfDifference):
    """The mean over the outputs of the squared distance to the target.

    References
    ----------
    C. Bishop, Pattern Recognition and Machine Learning, 2006, section 1.2.5

    Examples
    --------
    >>> total, cache = MeanSquaredError().forward(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    >>> total, MeanSquaredError().backward(cache, 1.0)
    (2.0, array([[0., 2.]]))
    """

    def each(self, d: Array) -> Array:
        """Return ``d²``."""
        return d * d

    def slope(self, d: Array) -> Array:
        """Return ``2 d``."""
        return 2 * d


@LOSSES.register("mean_absolute_error")
@dataclass(frozen=True)
class MeanAbsoluteError(_OfDifference):
    """The mean over the outputs of the distance to the target; its slope at 0 is 0.

    References
    ----------
    C. Bishop, Pattern Recognition and Machine Learning, 2006, section 1.5.5
    """

    def each(self, d: Array) -> Array:
        """Return ``|d|``."""
        return np.abs(d)

    def slope(self, d: Array) -> Array:
        """Return the sign."""
        return np.sign(d)


@LOSSES.register("huber")
@dataclass(frozen=True)
class Huber(_OfDifference):
    """Squared for small differences, absolute for large ones: outliers count less.

    Parameters
    ----------
    delta : float
        The distance at which the parabola becomes a straight line.

    References
    ----------
    P. Huber, Robust Estimation of a Location Parameter, 1964
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        check_number("delta", self.delta, above=0)

    def each(self, d: Array) -> Array:
        """Return the parabola, or the line."""
        delta, distance = d.dtype.type(self.delta), np.abs(d)
        return np.where(distance <= delta, d * d / 2, delta * (distance - delta / 2))

    def slope(self, d: Array) -> Array:
        """Return the difference, clipped."""
        delta = d.dtype.type(self.delta)
        return np.clip(d, -delta, delta)
