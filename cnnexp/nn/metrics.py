"""Metrics: figures of a network that people read, beside the loss that it is trained with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnnexp.engine import Array
from cnnexp.registry import Registry

Metric = Callable[[Array, Array], float]
"""A sum over samples, given outputs (n_m, …) and checked targets."""

METRICS: Registry[Metric] = Registry("metric")


@METRICS.register("error")
def error(outputs: Array, targets: Array) -> float:
    """Return the number of samples whose largest output is not that of their class.

    Of equal outputs the first counts.

    Examples
    --------
    >>> error(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([1, 1]))
    1.0
    """
    classes = targets if targets.ndim == 1 else targets.argmax(axis=1)
    return float(np.count_nonzero(outputs.argmax(axis=1) != classes))


@METRICS.register("mean_absolute_error")
def mean_absolute_error(outputs: Array, targets: Array) -> float:
    """Return the sum over samples of the mean distance between outputs and targets."""
    distance = np.abs(outputs - targets).reshape(len(outputs), -1)
    return float(distance.mean(axis=1, dtype=np.float64).sum())
