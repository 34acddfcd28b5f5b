"""The loss: softmax and categorical cross-entropy as one step.

For one sample with scores ``z`` and the label ``y``::

    cce = -log softmax(z)[y] = log Σ exp(z - max z) - (z[y] - max z)
    dcce / dz = softmax(z) - onehot(y)

Taken together they need no logarithm of a probability that may have been rounded to zero, so
nothing is clipped and no noise is added: the gradient is exact wherever the scores are finite.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnnexp.engine import Array
from cnnexp.errors import ShapeError


class Loss(NamedTuple):
    """Sums over some samples.

    Attributes
    ----------
    cce_sum : float
        Categorical cross-entropy in nats, added up over the samples.
    wrong : int
        Samples whose largest score is not at the label (the first of equal scores counts).
    samples : int
        How many samples there were.
    """

    cce_sum: float
    wrong: int
    samples: int

    @property
    def cce(self) -> float:
        """Categorical cross-entropy, mean per sample, in nats."""
        return self.cce_sum / self.samples if self.samples else float("nan")

    @property
    def ce(self) -> float:
        """Classification error, the fraction wrong."""
        return self.wrong / self.samples if self.samples else float("nan")

    def __add__(self, other: object) -> Loss:
        """Return the sums over the samples of both."""
        if not isinstance(other, Loss):
            return NotImplemented
        return Loss(
            self.cce_sum + other.cce_sum, self.wrong + other.wrong, self.samples + other.samples
        )


NO_LOSS = Loss(0.0, 0, 0)


def softmax_cross_entropy(
    Z: Array, labels: Array, batch: int, dZ: Array | None = None
) -> tuple[Loss, Array]:
    """Return the loss of scores, and its gradient for the mean over the whole batch.

    Parameters
    ----------
    Z : array (n_m, classes)
        Scores before the softmax.
    labels : integer array (n_m,)
        The right class of each sample.
    batch : int
        Samples of the whole batch, of which these may be a piece: the gradient is divided by it.
    dZ : array (n_m, classes), optional
        Where to write the gradient.

    Returns
    -------
    loss : Loss
    dZ : array (n_m, classes)

    Examples
    --------
    >>> loss, dZ = softmax_cross_entropy(np.zeros((1, 2)), np.array([1]), batch=1)
    >>> round(loss.cce, 4), loss.ce, dZ
    (0.6931, 1.0, array([[ 0.5, -0.5]]))
    """
    rows = np.arange(len(labels))
    wrong = int(np.count_nonzero(Z.argmax(axis=1) != labels))
    shifted: Array = Z - Z.max(axis=1, keepdims=True)
    at_label = shifted[rows, labels]
    A = np.exp(shifted, out=shifted)
    total = A.sum(axis=1)
    cce_sum = float(np.sum(np.log(total) - at_label, dtype=np.float64))
    gradient: Array = np.divide(A, (total * Z.dtype.type(batch))[:, None], out=dZ)
    gradient[rows, labels] -= Z.dtype.type(1.0 / batch)
    return Loss(cce_sum, wrong, len(labels)), gradient


def labels_of(Y: Array, classes: int) -> Array:
    """Return integer labels (n_m,) from labels or from one-hot rows (n_m, classes).

    Raises
    ------
    ShapeError
        If `Y` is neither, or a label is not below `classes`.
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
