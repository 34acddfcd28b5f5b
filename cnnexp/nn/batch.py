"""What a pass runs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnexp.engine import Array, Scratch


@dataclass(frozen=True)
class Batch:
    """Samples and their labels, checked; or some of them, in an order.

    Attributes
    ----------
    X : array (n, …)
        Samples in the network's dtype.
    labels : integer array (n,)
        Their classes.
    rows : integer array (n_m,), optional
        Which of them make the batch; all, if not given. They are gathered piece by piece.
    """

    X: Array
    labels: Array
    rows: Array | None = None

    @property
    def size(self) -> int:
        """Number of samples in the batch."""
        return len(self.labels) if self.rows is None else len(self.rows)

    def at(self, rows: Array) -> Batch:
        """Return a batch of some of the samples.

        Raises
        ------
        IndexError
            If a row is not there; they are counted from 0.
        """
        if len(rows) and not 0 <= np.min(rows) <= np.max(rows) < len(self.labels):
            raise IndexError(f"rows must lie in 0 … {len(self.labels) - 1}.")
        return Batch(self.X, self.labels, rows)

    def piece(self, at: slice, scratch: Scratch) -> tuple[Array, Array]:
        """Return the samples and labels of a piece."""
        if self.rows is None:
            return self.X[at], self.labels[at]
        rows = self.rows[at]
        X = scratch.array("samples", (len(rows), *self.X.shape[1:]), self.X.dtype)
        return np.take(self.X, rows, axis=0, out=X, mode="clip"), self.labels[rows]

    def gather(self, X: Array, labels: Array) -> None:
        """Copy all samples and labels of the batch."""
        if self.rows is None:
            X[...], labels[...] = self.X, self.labels
        else:
            np.take(self.X, self.rows, axis=0, out=X, mode="clip")
            np.take(self.labels, self.rows, out=labels, mode="clip")
