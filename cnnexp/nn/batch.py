"""Samples and targets that a pass runs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnnexp.engine import Array, Context


@dataclass(frozen=True)
class Batch:
    """Samples and their targets, checked; or some of them, in an order.

    Attributes
    ----------
    X : array (n, …)
        Samples in the network's dtype.
    targets : array (n, …)
        Class indices, or real values, as the loss takes them.
    rows : integer array (n_m,), optional
        Which of them make the mini-batch; all, if not given. They are gathered when they are used.
    """

    X: Array
    targets: Array
    rows: Array | None = None

    @property
    def size(self) -> int:
        """Number of samples in the mini-batch."""
        return len(self.targets) if self.rows is None else len(self.rows)

    def at(self, rows: Array) -> Batch:
        """Return a mini-batch of some of the samples.

        Raises
        ------
        IndexError
            If a row is not there; they are counted from 0.
        """
        if len(rows) and not 0 <= np.min(rows) <= np.max(rows) < len(self.targets):
            raise IndexError(f"rows must lie in 0 … {len(self.targets) - 1}.")
        return Batch(self.X, self.targets, rows)

    def part(self, at: slice, memory: Context) -> tuple[Array, Array]:
        """Return the samples and targets of a micro-batch."""
        if self.rows is None:
            return self.X[at], self.targets[at]
        rows = self.rows[at]
        X = memory.array("samples", (len(rows), *self.X.shape[1:]), self.X.dtype)
        return np.take(self.X, rows, axis=0, out=X, mode="clip"), self.targets[rows]

    def gather(self, X: Array, targets: Array) -> None:
        """Copy all samples and targets of the mini-batch."""
        if self.rows is None:
            X[...], targets[...] = self.X, self.targets
        else:
            np.take(self.X, self.rows, axis=0, out=X, mode="clip")
            np.take(self.targets, self.rows, axis=0, out=targets, mode="clip")
