"""Losses, which training minimises, and metrics, which people read beside them.

Both add up over samples, so that micro-batches can be summed in order; the network divides
by the number of samples. Its options are the fields of its dataclass.

Those for classes are in `class_losses`, those for real values in `value_losses`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import ShapeError
from cnnexp.registry import Registry

Shape = tuple[int, ...]


class Loss(ABC):
    """Base of all losses. The dataclass fields of a subclass are its options.

    Attributes
    ----------
    fuses : str
        The activation that is part of it: the loss gets what goes into that last layer. Empty if
        the loss takes the network's output as it is.
    metrics : tuple of str
        The metrics that suit it, and are logged beside it.
    soft_targets : bool
        Whether `forward` and `backward` take mixed targets: rows of numbers that add up to 1 in
        place of class indices.
    needs_classes : bool
        Whether it has a meaning for classes only, and none for real values.
    """

    fuses: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ()
    soft_targets: ClassVar[bool] = False
    needs_classes: ClassVar[bool] = False

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return targets as `forward` takes them: by default real values of the outputs' shape.

        Class indices stand for one-hot rows.

        Raises
        ------
        ShapeError
            If they do not fit the outputs.
        """
        return one_hot(Y, output_shape, dtype)

    @abstractmethod
    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum of the loss over samples, and a cache for `backward`."""

    @abstractmethod
    def backward(self, cache: Any, scale: float) -> Array:
        """Return the gradient for `Z` of the sum, times `scale`."""


LOSSES: Registry[type[Loss]] = Registry("loss")


Metric = Callable[[Array, Array], float]
"""A sum over samples, given outputs (n_m, …) and checked targets."""

METRICS: Registry[Metric] = Registry("metric")

OF_CLASSES = frozenset({"error", "binary_error", "top_3_error", "top_5_error"})
"""Metrics that have a meaning for classes only."""


@METRICS.register("error")
def error(outputs: Array, targets: Array) -> float:
    """Return the number of samples whose largest output is not that of their class.

    Of equal outputs the first counts. A single output with targets of 0 and 1 says yes or no; with
    class indices there is one class, and it is always right.

    References
    ----------
    Y. LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, section III

    Examples
    --------
    >>> error(np.array([[0.1, 0.9], [0.6, 0.4]]), np.array([1, 1]))
    1.0
    """
    if outputs.shape[1] == 1 and targets.ndim > 1:
        return binary_error(outputs, targets.reshape(outputs.shape))
    classes = targets if targets.ndim == 1 else targets.argmax(axis=1)
    return float(np.count_nonzero(outputs.argmax(axis=1) != classes))


@METRICS.register("binary_error")
def binary_error(outputs: Array, targets: Array) -> float:
    """Return the sum over samples of the fraction of outputs on the wrong side of zero.

    References
    ----------
    M.-L. Zhang and Z.-H. Zhou, A Review on Multi-Label Learning Algorithms, 2014 (Hamming loss)

    Examples
    --------
    >>> binary_error(np.array([[2.0, -1.0], [-3.0, 0.5]]), np.array([[1.0, 1.0], [0.0, 1.0]]))
    0.5
    """
    if targets.ndim == 1:
        targets = np.eye(outputs.shape[1])[targets]
    return float(((outputs > 0) != (targets > 0.5)).mean(axis=1).sum())


@METRICS.register("top_3_error")
def top_3_error(outputs: Array, targets: Array) -> float:
    """Return the number of samples whose class is not among the three largest outputs.

    References
    ----------
    O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2014,
    https://arxiv.org/abs/1409.0575 (top-5 error)
    """
    return _beyond(outputs, targets, 3)


@METRICS.register("top_5_error")
def top_5_error(outputs: Array, targets: Array) -> float:
    """Return the number of samples whose class is not among the five largest outputs.

    References
    ----------
    O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2014,
    https://arxiv.org/abs/1409.0575
    """
    return _beyond(outputs, targets, 5)


def _beyond(outputs: Array, targets: Array, k: int) -> float:
    """Return the number of samples with `k` outputs or more above that of their class.

    Of equal outputs the first counts as the larger.
    """
    classes = targets if targets.ndim == 1 else targets.argmax(axis=1)
    own = np.take_along_axis(outputs, classes[:, None], axis=1)
    earlier = np.arange(outputs.shape[1]) < classes[:, None]
    above = (outputs > own) | ((outputs == own) & earlier)
    return float(np.count_nonzero(above.sum(axis=1) >= k))


@METRICS.register("mean_absolute_error")
def mean_absolute_error(outputs: Array, targets: Array) -> float:
    """Return the sum over samples of the mean distance between outputs and targets.

    References
    ----------
    C. Willmott and K. Matsuura, Advantages of the Mean Absolute Error, 2005
    """
    distance = np.abs(outputs - targets).reshape(len(outputs), -1)
    return float(distance.mean(axis=1, dtype=np.float64).sum())


def real_targets(Y: Array, output_shape: Shape, dtype: Any) -> Array:
    """Return real-valued targets in the shape of the outputs.

    Raises
    ------
    ShapeError
        If they have another shape, or are not finite numbers.
    """
    Y = np.asarray(Y)
    if Y.dtype.kind not in "biuf":
        raise ShapeError(f"Y must be numbers. Got {Y.dtype}.")
    given = max(Y.ndim - 1, 0)
    if Y.shape[1:] == output_shape[:given] and math.prod(output_shape[given:]) == 1:
        Y = Y.reshape(-1, *output_shape)  # a last axis of length 1 may be left out
    if Y.shape[1:] != output_shape:
        raise ShapeError(
            f"Y must be targets of the shape of the outputs, (n_m, {_words(output_shape)})."
            f" Got shape {Y.shape}."
        )
    if not np.isfinite(Y).all():
        raise ShapeError("Y has targets that are not finite.")
    return Y.astype(dtype, copy=False)


def one_hot(Y: Array, output_shape: Shape, dtype: Any) -> Array:
    """Return real-valued targets; class indices become rows with a single 1."""
    Y = np.asarray(Y)
    if Y.ndim == 1 and len(output_shape) == 1 and output_shape[0] > 1:
        return np.eye(output_shape[0], dtype=dtype)[class_indices(Y, output_shape[0])]
    return real_targets(Y, output_shape, dtype)


def class_indices(Y: Array, classes: int) -> Array:
    """Return class indices (n_m,) from indices or from one-hot rows (n_m, classes).

    Raises
    ------
    ShapeError
        If `Y` is neither, or an index is not below `classes`.
    """
    Y = np.asarray(Y)
    if Y.dtype.kind not in "biuf":
        raise ShapeError(f"Y must be numbers: integer labels or one-hot rows. Got {Y.dtype}.")
    if Y.dtype.kind == "f" and not np.isfinite(Y).all():
        raise ShapeError("Y has labels that are not finite.")
    if Y.ndim == 2 and Y.shape[1] == classes:
        if not (np.count_nonzero(Y) == np.count_nonzero(Y == 1) == len(Y) and Y.any(axis=1).all()):
            raise ShapeError("Y has rows that are not one-hot: one entry must be 1, all others 0.")
        found: Array = Y.argmax(axis=1)
        return found
    if Y.ndim != 1 or not (np.issubdtype(Y.dtype, np.integer) or np.array_equal(Y, Y.astype(int))):
        raise ShapeError(
            f"Y must be integer labels (n_m,) or one-hot rows (n_m, {classes})."
            f" Got shape {Y.shape} of {Y.dtype}."
        )
    if len(Y) and not (Y.min() >= 0 and Y.max() < classes):
        raise ShapeError(
            f"labels must lie in 0 … {classes - 1}, for the {classes} outputs of the last layer."
            f" Got {int(Y.min())} … {int(Y.max())}."
        )
    return Y.astype(np.intp, copy=False)


def _words(shape: Shape) -> str:
    return ", ".join(str(size) for size in shape)
