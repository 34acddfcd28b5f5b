"""A running maximum that remembers which candidate it came from.

Max-pooling looks at the same position of every window together: candidate 0 of all windows, then
candidate 1, and so on, each one long array. The maximum is updated candidate by candidate, and one
byte for each value notes whether it was *strictly greater* than all candidates before it::

    candidate        3   5   5   2         greater?   1   1   0   0
    running maximum  3   5   5   5                        ^ the last 1 is the first maximum

The candidate to which the gradient belongs is the last one that was greater, which by the strict
comparison is the first of equal maxima in row-major order. On the backward pass, "greater here
and not later" is one comparison of bytes. No indices are stored and no masked copies are made,
since NumPy computes comparisons and maxima several times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnnexp.engine.context import Array, Context


class RunningMax:
    """A running maximum over `count` candidates of one shape.

    Parameters
    ----------
    best : array
        Receives the maximum; the first candidate overwrites it.
    count : int
        Number of candidates.
    context : Context
        Owns the bytes; there are none if it keeps no cache.
    name : str
        The name of the bytes in the context.
    """

    def __init__(self, best: Array, count: int, context: Context, name: str = "greater") -> None:
        self.best = best
        self.greater: Array | None = None
        if context.keep_cache:
            self.greater = context.array(name, (count, *best.shape), np.bool_)

    def take(self, k: int, candidate: Array) -> None:
        """Compare candidate `k`, and keep the greater values."""
        if k == 0:
            np.copyto(self.best, candidate)
            return
        if self.greater is not None:
            np.greater(candidate, self.best, out=self.greater[k])
        np.maximum(candidate, self.best, out=self.best)

    @staticmethod
    def winners(greater: Array, context: Context) -> Iterator[tuple[int, Array]]:
        """Yield (k, where candidate k is the first maximum), from the last to the first.

        The array that is yielded is used again for the next candidate.
        """
        later = context.zeros("later", greater.shape[1:], np.bool_)
        won = context.array("won", greater.shape[1:], np.bool_)
        for k in reversed(range(1, len(greater))):
            np.greater(greater[k], later, out=won)
            np.logical_or(greater[k], later, out=later)
            yield k, won
        yield 0, np.logical_not(later, out=won)
