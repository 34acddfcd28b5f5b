"""A batch whose pieces are shared among processes.

Its samples are gathered into shared memory. Every member of a team runs its pieces, member 0 of 2
the pieces 0, 2, 4, …, and leaves losses and gradients in shared memory; what was deferred is
multiplied in a second turn, when all factors are there. Which member ran a piece makes no
difference to any bit: sums go in the order of the pieces, as they do with threads.

Helpers know only the memory that was there when they were forked. So the first batches run on
threads, and every batch that is larger than any before it: they leave behind them all memory that
is needed.
"""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING

import numpy as np

from cnnexp.nn.batch import Batch
from cnnexp.nn.losses import Loss
from cnnexp.nn.team import POSSIBLE, Team, shared_array
from cnnexp.nn.workers import not_finite_is_no_news, pieces

if TYPE_CHECKING:
    from cnnexp.nn.passes import Engine

EXERCISES = 4  # batches on threads, before it is worth while to make processes
RUN, MULTIPLY = 0, 1  # the jobs of a team
LOST = "a process that helped has gone, perhaps for lack of memory; threads go on with its work."


class Helpers:
    """The processes that help an engine, made when they are worth while.

    Parameters
    ----------
    engine : Engine
        What runs a piece. It owns this; they end with it.
    workers : int
        How many share a batch.
    """

    def __init__(self, engine: Engine, workers: int) -> None:
        self._engine: Engine = weakref.proxy(engine)
        self._workers = workers
        self._wanted = POSSIBLE and workers > 1
        self._batches = 0
        self._largest: dict[int | None, int] = {}
        self._shared: SharedBatch | None = None
        self.team: Team | None = None

    def do_without(self) -> None:
        """Have no helpers from now on."""
        self._dismiss()
        self._wanted = False

    def leave(self) -> None:
        """Have no helpers, and leave those that there are to the process that made them."""
        self._shared = self.team = None
        self._wanted = False

    def note(self, size: int, micro_batch: int | None) -> None:
        """Note that a batch has been run on threads, and that its memory is therefore there."""
        self._batches += 1
        self._largest[micro_batch] = max(size, self._largest.get(micro_batch, 0))

    def losses(self, batch: Batch, micro_batch: int | None) -> list[Loss] | None:
        """Run every piece of a batch; None where threads have to do it."""
        if self._shared is not None and not self._shared.takes(batch, micro_batch):
            self._dismiss()
        if self.team is None or not self.team.close.alive:
            self._make(batch, micro_batch)
        if self.team is None or self._shared is None:
            return None
        self._shared.put(batch)
        jobs = [RUN, MULTIPLY] if self._engine.vector.has_deferred else [RUN]
        if all(self.team.run(job) for job in jobs):
            return self._shared.losses()
        warnings.warn(LOST, stacklevel=2)
        self.do_without()
        return None

    def _make(self, batch: Batch, micro_batch: int | None) -> None:
        """Make processes, if it is time for them."""
        self._dismiss()
        most = self._largest.get(micro_batch, 0)
        if not self._wanted or self._batches < EXERCISES or batch.size > most:
            return
        self._engine.free_all_but_first()
        shared = SharedBatch(self._engine, batch, most, micro_batch, self._workers)
        try:
            self.team = Team(shared.members, [shared.run, shared.multiply])
            self._shared = shared
        except OSError:  # there is no room for one more
            self._wanted = False

    def _dismiss(self) -> None:
        if self.team is not None:
            self.team.close()
        self._shared = self.team = None


class SharedBatch:
    """Shared memory for a batch, and the jobs of a team that works on it.

    Parameters
    ----------
    engine : Engine
        What runs a piece.
    example : Batch
        Samples and labels of the shape and type that will come.
    most : int
        The largest batch that will come.
    micro_batch : int or None
        Samples of a piece.
    workers : int
        How many there may be in the team; there will be no more than pieces.
    """

    def __init__(
        self, engine: Engine, example: Batch, most: int, micro_batch: int | None, workers: int
    ) -> None:
        self._engine, self._most, self._micro_batch = engine, most, micro_batch
        count = len(pieces(most, micro_batch))
        self.members = min(workers, count)
        self._size = shared_array((1,), np.int64)
        self._X = shared_array((most, *example.X.shape[1:]), example.X.dtype)
        self._labels = shared_array((most,), example.labels.dtype)
        self._losses = shared_array((count, len(Loss._fields)), np.float64)

    def takes(self, batch: Batch, micro_batch: int | None) -> bool:
        """Say whether there is room for a batch."""
        return batch.size <= self._most and micro_batch == self._micro_batch

    def put(self, batch: Batch) -> None:
        """Copy a batch to where all members find it."""
        self._size[0] = batch.size
        batch.gather(self._X[: batch.size], self._labels[: batch.size])

    def run(self, member: int) -> None:
        """Run a member's pieces."""
        batch, slices = self._batch()
        self._engine.outer.begin(batch.size)
        with not_finite_is_no_news():
            for k in range(member, len(slices), self.members):
                self._losses[k] = self._engine.run_piece(0, k, batch, slices)

    def multiply(self, member: int) -> None:
        """Make a member's share of the products, if it has had a piece and so knows of them."""
        _, slices = self._batch()
        having = min(self.members, len(slices))
        if member < having:
            shares = self._engine.outer.shares(self._engine.vector, self._engine.total)
            for share in shares[member::having]:
                self._engine.outer.multiply_share(0, share)

    def losses(self) -> list[Loss]:
        """Return what the members found, piece by piece."""
        _, slices = self._batch()
        rows = self._losses[: len(slices)].tolist()
        return [Loss(cce_sum, int(wrong), int(samples)) for cce_sum, wrong, samples in rows]

    def _batch(self) -> tuple[Batch, list[slice]]:
        """Return the batch that was put here, and its pieces."""
        size = int(self._size[0])
        return Batch(self._X[:size], self._labels[:size]), pieces(size, self._micro_batch)
