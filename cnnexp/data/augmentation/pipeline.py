"""Augmentations in a row, as a mini-batch goes through them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from cnnexp.data.augmentation.base import (
    AUGMENTATIONS,
    Array,
    Augmentation,
    Draws,
    Memory,
    Pixels,
)
from cnnexp.data.augmentation.geometric import Geometric, warp
from cnnexp.errors import ShapeError

Member = tuple[Augmentation, slice]  # and the columns of its draws
CHUNK = 1 << 15  # numbers that are worked on at a time, so that they stay in the cache


class Augmenter:
    """Augments mini-batches of training images.

    Parameters
    ----------
    transforms : sequence of Augmentation
        In the order in which they are applied. Geometric ones that follow each other are composed,
        and interpolate an image once.
    image_shape : tuple of int
        Rows, columns and channels of an image.
    pixels : Pixels
        What is background, and what is bright.
    seed : int
        Of all draws.

    Raises
    ------
    ShapeError
        If the samples are not images.
    """

    def __init__(
        self,
        transforms: Sequence[Augmentation],
        image_shape: tuple[int, ...],
        pixels: Pixels,
        seed: int,
    ) -> None:
        if len(image_shape) != 3:
            raise ShapeError(not_images(image_shape))
        self.transforms, self.pixels, self.seed = tuple(transforms), pixels, seed
        counts = [transform.draws(image_shape) for transform in transforms]
        ends = list(itertools.accumulate(counts))
        self.count = sum(counts)
        own = (slice(end - n, end) for end, n in zip(ends, counts, strict=True))
        self._columns: list[Member] = list(zip(self.transforms, own, strict=True))
        self._chunk = max(1, CHUNK // math.prod(image_shape))

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, so that targets must be rows of numbers."""
        return any(transform.mixes for transform in self.transforms)

    def draws(self, epoch: int) -> Draws:
        """Return the random numbers of an epoch."""
        return Draws(self.seed, epoch, self.count)

    def __call__(
        self, X: Array, targets: Array, U: Array, memory: Memory | None = None
    ) -> tuple[Array, Array]:
        """Return a mini-batch, augmented; what is given stays as it is.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c)
            Scaled images.
        targets : array (n_m, …)
            Their targets; rows of numbers, if they are mixed.
        U : array (n_m, count)
            What `draws` gives for these samples.
        memory : Memory, optional
            What a later call may use again.
        """
        memory = memory or Memory()
        for mixes, group in itertools.groupby(self._columns, lambda pair: pair[0].mixes):
            members = list(group)
            if mixes:
                for transform, own in members:
                    X = self._applied(transform, X, U[:, own])
                    targets = transform.apply_to_targets(targets, U[:, own])
            else:
                A = np.empty_like(X)
                for at in range(0, len(X), self._chunk):
                    part = slice(at, at + self._chunk)
                    A[part] = self._one_by_one(members, X[part], U[part], memory)
                X = A
        return X, targets

    def _one_by_one(self, members: Sequence[Member], X: Array, U: Array, memory: Memory) -> Array:
        """Apply transforms that look at one image at a time."""
        for geometric, group in itertools.groupby(members, lambda m: isinstance(m[0], Geometric)):
            chosen = [(transform, U[:, own]) for transform, own in group]
            if geometric:
                shape = X.shape[1:]
                moves = [t.move(own, shape) for t, own in chosen if isinstance(t, Geometric)]
                X = warp(X, moves, self.pixels.background, memory)
            else:
                for transform, own in chosen:
                    X = self._applied(transform, X, own)
        return X

    def _applied(self, transform: Augmentation, X: Array, own: Array) -> Array:
        """Apply a transform, and look at what it returns: it may be a user's."""
        A = transform.apply(X, own, self.pixels)
        if getattr(A, "shape", None) != X.shape or A.dtype != X.dtype:
            found = f"{A.dtype} {A.shape}" if isinstance(A, np.ndarray) else type(A).__name__
            raise ShapeError(
                f"the augmentation {AUGMENTATIONS.name_of(type(transform))} must return images of"
                f" the shape and type that it got, {X.dtype} {X.shape}. Got {found}."
            )
        return A


def not_images(shape: tuple[int, ...]) -> str:
    """Return what is said of samples that cannot be augmented."""
    return (
        "augmentation is for images of rows, columns and channels, and these samples have shape"
        f" {shape}. Choose augment=none."
    )
