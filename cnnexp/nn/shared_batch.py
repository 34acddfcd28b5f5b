"""A batch whose pieces are shared among processes.

Its samples are gathered into shared memory. Every member of a team runs its pieces, member 0 of 2
the pieces 0, 2, 4, …, and leaves losses and gradients in shared memory; what was deferred is
multiplied in a second turn, when all factors are there. Which member ran a piece makes no
difference to any bit: sums go in the order of the pieces, as they do with threads.

Helpers know only the memory that was there when they were forked. So the first batches run on
threads, and every batch that is larger than any before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexp.nn.batch import Batch
from cnnexp.nn.losses import Loss
from cnnexp.nn.team import Team, shared_array
from cnnexp.nn.workers import not_finite_is_no_news, pieces

if TYPE_CHECKING:
    from cnnexp.nn.passes import Engine

RUN, MULTIPLY = 0, 1  # the jobs of a team


class SharedBatch:
    """Shared memory for a batch, and the team that works on it.

    Parameters
    ----------
    engine : Engine
        What runs a piece.
    example : Batch
        Samples and labels of the shape and type that will come.
    most : int
        The largest batch that will come.
    sub_batch : int or None
        Samples of a piece.
    members : int
        Processes, this one included; no more than there are pieces.
    """

    def __init__(
        self, engine: Engine, example: Batch, most: int, sub_batch: int | None, members: int
    ) -> None:
        self.most, self.sub_batch = most, sub_batch
        self.members = min(members, len(self._slices(most)))
        self._engine = engine
        self._size = shared_array((1,), np.int64)
        self._X = shared_array((self.most, *example.X.shape[1:]), example.X.dtype)
        self._labels = shared_array((self.most,), example.labels.dtype)
        self._losses = shared_array((len(self._slices(self.most)), len(Loss._fields)), np.float64)
        self.team = Team(self.members, [self._run, self._multiply])

    def takes(self, batch: Batch, sub_batch: int | None) -> bool:
        """Say whether there is room for a batch, and somebody to work on it."""
        alive = self.team.close.alive
        return alive and batch.size <= self.most and sub_batch == self.sub_batch

    def losses(self, batch: Batch) -> list[Loss] | None:
        """Run all pieces of a batch, with all products; None if the team was lost."""
        self._size[0] = batch.size
        batch.gather(self._X[: batch.size], self._labels[: batch.size])
        jobs = [RUN, MULTIPLY] if self._engine.vector.has_deferred else [RUN]
        if not all(self.team.run(job) for job in jobs):
            return None
        rows = self._losses[: len(self._slices(batch.size))].tolist()
        return [Loss(cce_sum, int(wrong), int(samples)) for cce_sum, wrong, samples in rows]

    def _slices(self, size: int) -> list[slice]:
        return pieces(size, self.sub_batch)

    def _run(self, member: int) -> None:
        """Run a member's pieces."""
        size = int(self._size[0])
        batch, slices = Batch(self._X[:size], self._labels[:size]), self._slices(size)
        self._engine.outer.begin(size)
        with not_finite_is_no_news():
            for k in range(member, len(slices), self.members):
                self._losses[k] = self._engine.run_piece(0, k, batch, slices)

    def _multiply(self, member: int) -> None:
        """Make a member's share of the products, if it has had a piece and so knows of them."""
        having = min(self.members, len(self._slices(int(self._size[0]))))
        if member < having:
            shares = self._engine.outer.shares(self._engine.vector, self._engine.total)
            for share in shares[member::having]:
                self._engine.outer.multiply_share(0, share)
