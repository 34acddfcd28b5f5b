"""Augmentations in a row, as a mini-batch goes through them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from cnnexp.data.augmentation.base import Array, Augmentation, Draws, Pixels
from cnnexp.data.augmentation.geometric import Geometric, warp
from cnnexp.errors import ShapeError

CHUNK = 1 << 14  # numbers that are worked on at a time, so that they stay in the cache


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
        self._columns = [slice(end - n, end) for end, n in zip(ends, counts, strict=True)]
        self._chunk = max(1, CHUNK // math.prod(image_shape))

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed, so that targets must be rows of numbers."""
        return any(transform.mixes for transform in self.transforms)

    def draws(self, epoch: int) -> Draws:
        """Return the random numbers of an epoch."""
        return Draws(self.seed, epoch, self.count)

    def __call__(self, X: Array, targets: Array, U: Array) -> tuple[Array, Array]:
        """Return a mini-batch, augmented; what is given stays as it is.

        Parameters
        ----------
        X : array (n_m, ih, iw, n_c)
            Scaled images.
        targets : array (n_m, …)
            Their targets; rows of numbers, if they are mixed.
        U : array (n_m, count)
            What `draws` gives for these samples.
        """
        numbers = range(len(self.transforms))
        for mixes, group in itertools.groupby(numbers, lambda k: self.transforms[k].mixes):
            members = list(group)
            if mixes:
                for k in members:
                    own = U[:, self._columns[k]]
                    X = self.transforms[k].apply(X, own, self.pixels)
                    targets = self.transforms[k].apply_to_targets(targets, own)
            else:
                parts = (slice(at, at + self._chunk) for at in range(0, len(X), self._chunk))
                X = np.concatenate([self._one_by_one(members, X[part], U[part]) for part in parts])
        return X, targets

    def _one_by_one(self, members: Sequence[int], X: Array, U: Array) -> Array:
        """Apply transforms that look at one image at a time."""
        is_geometric = (isinstance(self.transforms[k], Geometric) for k in members)
        pairs = zip(is_geometric, members, strict=True)
        for geometric, group in itertools.groupby(pairs, lambda pair: pair[0]):
            chosen = [(self.transforms[k], U[:, self._columns[k]]) for _, k in group]
            if geometric:
                moves = [t.move(own, X.shape[1:]) for t, own in chosen if isinstance(t, Geometric)]
                X = warp(X, moves, self.pixels.background)
            else:
                for transform, own in chosen:
                    X = transform.apply(X, own, self.pixels)
        return X


def not_images(shape: tuple[int, ...]) -> str:
    """Return what is said of samples that cannot be augmented."""
    return (
        "augmentation is for images of rows, columns and channels, and these samples have shape"
        f" {shape}. Choose augment=none."
    )
