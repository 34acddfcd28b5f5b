"""The mini-batches of an epoch; those that are augmented are made ahead of training.

One background thread makes the next few while the network trains on the present one. NumPy lets
both compute at the same time. Which numbers come out does not depend on the thread: an image is
augmented by draws that belong to the seed, the epoch and the sample.

Worker processes are forked from this one (`cnnexp.nn.processes`). A fork copies the thread that
calls it alone, and every lock as it is at that moment: one that the background thread held, in the
memory of BLAS perhaps, would stay locked in the child for ever. So a fork waits until the thread
is between two mini-batches.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cnnexp.data import Dataset
from cnnexp.data.augmentation import Augmentation, Augmenter, Pixels
from cnnexp.data.augmentation.base import Array, Memory
from cnnexp.data.dataset import epoch_order
from cnnexp.errors import OptionError
from cnnexp.nn.losses import LOSSES
from cnnexp.nn.network import Network
from cnnexp.nn.runner import Batch

AHEAD = 4  # mini-batches that wait at most
SIZES = ((2_000, 16), (6_000, 32), (30_000, 64))  # below so many samples, this size
LARGEST_SIZE = 128

T = TypeVar("T")
R = TypeVar("R")

_no_fork = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_no_fork.acquire,
        after_in_parent=_no_fork.release,
        after_in_child=_no_fork.release,
    )


@dataclass(frozen=True)
class MiniBatches:
    """The training part, cut into mini-batches in an order that each epoch has of its own.

    Parameters
    ----------
    samples : Batch
        All samples and targets, checked.
    size : int
        Samples of a mini-batch; the last of an epoch may be shorter.
    seed : int
        Of the order.
    augmenter : Augmenter, optional
        What augments the images of a mini-batch. If it mixes samples, targets are rows of numbers.
    ahead : int
        How many augmented mini-batches wait at most; 0 makes each when it is asked for.
    """

    samples: Batch
    size: int
    seed: int
    augmenter: Augmenter | None = None
    ahead: int = AHEAD

    def __len__(self) -> int:
        """Return the mini-batches of an epoch, the last short one included."""
        return -(-self.samples.size // self.size)

    def of_epoch(self, epoch: int, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the mini-batches of an epoch from the one with number `first` on.

        Close it, if not all are taken: a thread may be at work on the next ones.
        """
        order = epoch_order(self.samples.size, self.seed, epoch)
        parts = (order[k * self.size : (k + 1) * self.size] for k in range(first, len(self)))
        if self.augmenter is None:
            X, targets = self.samples.X, self.samples.targets
            return (Batch(X, targets, rows) for rows in parts)
        return made_ahead(self._augmented(self.augmenter, epoch), parts, self.ahead)

    def _augmented(self, augmenter: Augmenter, epoch: int) -> Callable[[Array], Batch]:
        """Return what gathers some samples of an epoch and augments them."""
        X, targets = self.samples.X, self.samples.targets
        draws, memory = augmenter.draws(epoch), Memory()

        def make(rows: Array) -> Batch:
            return Batch(*augmenter(X[rows], targets[rows], draws.of(rows), memory))

        return make


def mini_batches(
    network: Network,
    dataset: Dataset,
    size: int,
    seed: int,
    augmentations: Sequence[Augmentation] = (),
) -> MiniBatches:
    """Return the mini-batches of the training part of a data set, for a network.

    Raises
    ------
    ShapeError
        If samples are to be augmented and are not images.
    OptionError
        If samples are to be mixed, and the loss takes no mixed targets.
    """
    samples = network.batch(dataset.train.X, dataset.train.Y)
    if not augmentations:
        return MiniBatches(samples, size, seed)
    shift, factor = (
        np.mean(dataset.scale.shift),
        np.mean(dataset.scale.factor),
    )  # one for all pixels
    pixels = Pixels(-float(shift), dataset.scale.largest * float(factor))
    augmenter = Augmenter(augmentations, dataset.image_shape, pixels, seed)
    if augmenter.mixes:
        if not network.loss.soft_targets:
            raise OptionError(no_mixing(LOSSES.name_of(type(network.loss))))
        if samples.targets.ndim == 1:
            rows = np.eye(network.output_shape[0], dtype=network.dtype)[samples.targets]
            samples = Batch(samples.X, rows)
    return MiniBatches(samples, size, seed, augmenter)


def no_mixing(loss: str) -> str:
    """Return what is said of a loss whose targets cannot be mixed."""
    able = [name for name in LOSSES if LOSSES[name].soft_targets]
    return (
        f"mixup mixes targets, and loss={loss} takes none that are mixed. Choose another loss"
        f" ({', '.join(able)}), or leave mixup out."
    )


def made_ahead(
    make: Callable[[T], R], items: Iterable[T], ahead: int = AHEAD
) -> Generator[R, None, None]:
    """Yield ``make(item)`` of all items in order, made by a thread that is some items ahead.

    An error in `make` is raised where its result would have been yielded. The thread ends with the
    last item, or when the iterator is closed. If it is to be 0 items ahead there is no thread.

    Examples
    --------
    >>> list(made_ahead(lambda n: n * n, range(4)))
    [0, 1, 4, 9]
    """
    if not ahead:
        yield from map(make, items)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    def guarded(item: T) -> R:
        with _no_fork:
            return make(item)

    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="cnnexp-augment") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(guarded, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def default_batch_size(samples: int) -> int:
    """Return how many samples a mini-batch has, where that is not chosen.

    Examples
    --------
    >>> [default_batch_size(samples) for samples in (1_437, 5_000, 60_000)]
    [16, 32, 128]
    """
    return next((size for most, size in SIZES if samples < most), LARGEST_SIZE)
