"""Losses for classes.

====================== ================================================ =================
in YAML                for one sample with outputs Z and class y        last layer
====================== ================================================ =================
cross_entropy          ``-log softmax(Z)[y]``, in nats                  softmax
focal                  ``-(1 - p)^γ log p``, with ``p = softmax(Z)[y]`` softmax
hinge                  the mean of ``max(0, m - Z[y] + Z[k])``, k ≠ y   any
binary_cross_entropy   ``-log sigmoid(±Z)``, the mean over the outputs  sigmoid
====================== ================================================ =================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnnexp.engine import Array, row_maxima
from cnnexp.errors import OptionError, ShapeError
from cnnexp.nn.losses import LOSSES, Loss, Shape, class_indices, one_hot


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
    class_weights : list of float, optional
        A factor for each class, to count rare classes more. The mean is still taken over samples,
        so weights around 1 keep the loss comparable.

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
    soft_targets: ClassVar[bool] = True
    needs_classes: ClassVar[bool] = True

    label_smoothing: float = 0.0
    class_weights: list[float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise OptionError(
                f"label_smoothing must be at least 0 and below 1. Got {self.label_smoothing}."
            )
        if self.class_weights is not None and not all(w >= 0 for w in self.class_weights):
            raise OptionError(f"class_weights must be at least 0. Got {self.class_weights}.")

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return class indices (n_m,), from indices or from one-hot rows."""
        if self.class_weights is not None and len(self.class_weights) != output_shape[0]:
            raise ShapeError(
                f"class_weights must be {output_shape[0]} numbers, one for each class."
                f" Got {len(self.class_weights)}."
            )
        return class_indices(Y, output_shape[0])

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples of the cross-entropy, in nats.

        Targets are class indices (n_m,), or rows (n_m, classes) of numbers that add up to 1.
        """
        shifted: Array = Z - row_maxima(Z)
        if self.class_weights is not None:
            return self._weighted_forward(shifted, targets)
        if targets.ndim == 2:
            at_class = np.einsum("ij,ij->i", shifted, targets)
        else:
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
        if self.class_weights is not None:
            probabilities, wanted = cache
            weight = wanted.sum(axis=1, keepdims=True)
            weighted: Array = (probabilities * weight - wanted) * wanted.dtype.type(scale)
            return weighted
        exp, total, targets = cache
        kind = exp.dtype.type
        dZ: Array = exp / (total / kind(scale))[:, None]
        if self.label_smoothing:
            dZ -= kind(scale * self.label_smoothing / exp.shape[1])
        rest = kind(scale * (1 - self.label_smoothing))
        if targets.ndim == 2:
            dZ -= rest * targets
        else:
            dZ[np.arange(len(targets)), targets] -= rest
        return dZ

    def _weighted_forward(self, shifted: Array, targets: Array) -> tuple[float, Any]:
        """Return the same with targets, one row per sample, that are weighted by class."""
        n_m, classes = shifted.shape
        wanted = np.full((n_m, classes), self.label_smoothing / classes, shifted.dtype)
        rest = shifted.dtype.type(1 - self.label_smoothing)
        if targets.ndim == 2:
            wanted += rest * targets
        else:
            wanted[np.arange(n_m), targets] += rest
        wanted *= np.array(self.class_weights, shifted.dtype)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        loss = -float(np.sum(wanted * log_probabilities, dtype=np.float64))
        return loss, (np.exp(log_probabilities), wanted)


@LOSSES.register("focal")
@dataclass(frozen=True)
class Focal(Loss):
    """Cross-entropy that gives less weight to samples that are already right.

    Parameters
    ----------
    gamma : float
        How much less weight these samples get; 0 is cross-entropy.

    References
    ----------
    T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017, https://arxiv.org/abs/1708.02002
    """

    fuses: ClassVar[str] = "softmax"
    metrics: ClassVar[tuple[str, ...]] = ("error",)
    needs_classes: ClassVar[bool] = True

    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise OptionError(f"gamma must be at least 0. Got {self.gamma}.")

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return class indices (n_m,), from indices or from one-hot rows."""
        return class_indices(Y, output_shape[0])

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples, in nats."""
        shifted = Z - row_maxima(Z)
        logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        log_p = logs[np.arange(len(targets)), targets]
        wrong = -np.expm1(log_p)  # 1 - p, without loss of digits
        total = -np.sum(wrong ** Z.dtype.type(self.gamma) * log_p, dtype=np.float64)
        return float(total), (np.exp(logs), log_p, wrong, targets)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return the gradient: that of cross-entropy times a factor for each sample."""
        probabilities, log_p, wrong, targets = cache
        kind = probabilities.dtype.type
        gamma = kind(self.gamma)
        factor = wrong**gamma
        if self.gamma:
            inner = np.where(wrong > 0, wrong, 1) ** (gamma - 1)
            factor = factor - np.where(wrong > 0, gamma * inner * np.exp(log_p) * log_p, 0)
        dZ: Array = probabilities.copy()
        dZ[np.arange(len(targets)), targets] -= 1
        dZ *= (factor * kind(scale))[:, None]
        return dZ


@LOSSES.register("hinge")
@dataclass(frozen=True)
class Hinge(Loss):
    """The multi-class hinge loss: the right output must be above all others by a margin.

    Parameters
    ----------
    margin : float
        By how much the right output must be above every other one.

    References
    ----------
    J. Weston and C. Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999
    """

    metrics: ClassVar[tuple[str, ...]] = ("error",)
    needs_classes: ClassVar[bool] = True

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise OptionError(f"margin must be above 0. Got {self.margin}.")

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return class indices (n_m,), from indices or from one-hot rows."""
        return class_indices(Y, output_shape[0])

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples; each is divided by the number of classes."""
        rows = np.arange(len(targets))
        short = self.margin - Z[rows, targets][:, None] + Z
        short[rows, targets] = 0
        short = np.maximum(short, 0)
        return float(np.sum(short, dtype=np.float64)) / Z.shape[1], (short > 0, targets, Z.dtype)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return 1 for every output that is too large, minus their number for the right one."""
        beyond, targets, dtype = cache
        dZ: Array = beyond.astype(dtype)
        dZ[np.arange(len(targets)), targets] = -beyond.sum(axis=1)
        dZ *= dtype.type(scale / dZ.shape[1])
        return dZ


@LOSSES.register("binary_cross_entropy")
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Sigmoid and cross-entropy as one step, for outputs that are right or wrong independently.

    Targets are numbers from 0 to 1 in the shape of the outputs, or class indices, which stand for
    one-hot rows.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville, Deep Learning, 2016, section 6.2.2.2
    """

    fuses: ClassVar[str] = "sigmoid"
    metrics: ClassVar[tuple[str, ...]] = ("error",)
    soft_targets: ClassVar[bool] = True

    def check_targets(self, Y: Array, output_shape: Shape, dtype: Any) -> Array:
        """Return targets from 0 to 1."""
        targets = one_hot(Y, output_shape, dtype)
        if len(targets) and not 0 <= targets.min() <= targets.max() <= 1:
            raise ShapeError(
                "targets of binary-cross-entropy must lie between 0 and 1."
                f" Got {targets.min():g} … {targets.max():g}."
            )
        return targets

    def forward(self, Z: Array, targets: Array) -> tuple[float, Any]:
        """Return the sum over samples of ``max(Z, 0) - Z·y + log(1 + exp(-|Z|))``, in nats."""
        each = np.maximum(Z, 0) - Z * targets + np.log1p(np.exp(-np.abs(Z)))
        outputs = Z[0].size if len(Z) else 1
        return float(np.sum(each, dtype=np.float64)) / outputs, (Z, targets, outputs)

    def backward(self, cache: Any, scale: float) -> Array:
        """Return ``scale · (sigmoid(Z) - y) / outputs``."""
        Z, targets, outputs = cache
        half = Z.dtype.type(0.5)
        dZ: Array = half * np.tanh(half * Z) + half - targets
        dZ *= Z.dtype.type(scale / outputs)
        return dZ
