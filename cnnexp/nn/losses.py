"""Losses, which training minimises, and metrics, which people read beside them.

Both add up over samples, so that micro-batches can be summed in order; whoever wants a mean
divides by their number. Its options are the fields of its dataclass.

==================== ================================================== =====================
in YAML              for one sample with outputs Z                      last layer
==================== ================================================== =====================
cross_entropy        ``-log softmax(Z)[y]``, in nats                    softmax over classes
mean_squared_error   the mean of ``(Z - y)²`` over the outputs          any
==================== ================================================== =====================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import OptionError, ShapeError
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
    """

    fuses: ClassVar[str] = ""
    metrics: ClassVar[tuple[str, ...]] = ()

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return targets as `forward` takes them: real values of the outputs' shape by default.

        Raises
        ------
        ShapeError
            If they do not fit the outputs.
        """
        return real_targets(Y, output_shape, dtype)

    @abstractmethod
    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum of the loss over samples, and a cache for `backward`."""

    @abstractmethod
    def backward(self, cache: Any, scale: float) -> Array:
        """Return the gradient for `Z` of the sum, times `scale`."""


LOSSES: Registry[type[Loss]] = Registry("loss")


@LOSSES.register("cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax and categorical cross-entropy as one step.

    For one sample with logits ``z`` and the class ``y``::

        loss = -log softmax(z)[y] = log Σ exp(z - max z) - (z[y] - max z)
        dloss / dz = softmax(z) - onehot(y)

    Taken together they need no logarithm of a probability that may have been rounded to zero, so
    nothing is clipped: the gradient is exact wherever the logits are finite.

    Parameters
    ----------
    label_smoothing : float
        The fraction of the target that all classes share evenly.

    References
    ----------
    C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015,
    https://arxiv.org/abs/1512.00567 (label smoothing)

    Examples
    --------
    >>> total, cache = CrossEntropy().forward(np.zeros((1, 2)), np.array([1]))
    >>> round(total, 4), CrossEntropy().backward(cache, 1.0)
    (0.6931, array([[ 0.5, -0.5]]))
    """

    fuses: ClassVar[str] = "softmax"
    metrics: ClassVar[tuple[str, ...]] = ("error",)

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(
                f"label_smoothing must be at least 0 and below 1. Got {self.label_smoothing}."
            )

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return class indices (n_m,), from indices or from one-hot rows."""
        return class_indices(Y, output_shape[0])

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples of the cross-entropy, in nats."""
        shifted: Array = Z - Z.max(axis=1, keepdims=True)
        at_class = shifted[np.arange(len(targets)), targets]
        if self.label_smoothing:
            share = Z.dtype.type(self.label_smoothing)
            at_class = (1 - share) * at_class + share * shifted.mean(axis=1)
        exp = np.exp(shifted, out=shifted)
        total = exp.sum(axis=1)
        loss = float(np.sum(np.log(total) - at_class, dtype=np.float64))
        return loss, (exp, total, targets)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return ``scale · (softmax(Z) - target)``."""
        exp, total, targets = cache
        kind = exp.dtype.type
        dZ: Array = exp / (total / kind(scale))[:, None]
        if self.label_smoothing:
            dZ -= kind(scale * self.label_smoothing / exp.shape[1])
        dZ[np.arange(len(targets)), targets] -= kind(scale * (1 - self.label_smoothing))
        return dZ


@LOSSES.register("mean_squared_error")
@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean over the outputs of the squared distance to the target.

    Targets are real values of the shape of the outputs, or class indices, which stand for one-hot
    rows.

    Examples
    --------
    >>> total, cache = MeanSquaredError().forward(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    >>> total, MeanSquaredError().backward(cache, 1.0)
    (2.0, array([[0., 2.]]))
    """

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return real targets; class indices become one-hot rows."""
        Y = np.asarray(Y)
        if Y.ndim == 1 and len(output_shape) == 1 and output_shape[0] > 1:
            return np.eye(output_shape[0], dtype=dtype)[class_indices(Y, output_shape[0])]
        return real_targets(Y, output_shape, dtype)

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples of the mean squared error."""
        difference = Z - targets
        flat = difference.reshape(-1)
        size = difference[0].size if len(difference) else 1
        return float(np.dot(flat, flat)) / size, (difference, size)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return ``scale · 2 (Z - target) / outputs``."""
        difference, size = cache
        dZ: Array = difference * difference.dtype.type(2 * scale / size)
        return dZ


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
    if Y.shape[1:] != output_shape and Y.shape == (len(Y), *output_shape)[: Y.ndim]:
        Y = Y.reshape(-1, *output_shape)  # one output may leave its axis out
    if Y.shape[1:] != output_shape:
        raise ShapeError(
            f"Y must be targets of the shape of the outputs, (n_m, {_words(output_shape)})."
            f" Got shape {Y.shape}."
        )
    if not np.isfinite(Y).all():
        raise ShapeError("Y has targets that are not finite.")
    return Y.astype(dtype, copy=False)


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
