"""How parameters stand in PyTorch: under which keys, with which axes, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cnnexp.engine import Array


class Weight(NamedTuple):
    """One entry of a ``state_dict``.

    Attributes
    ----------
    key : str
        Its name there, for example ``conv1.weight``.
    path : str
        Our name, for example ``conv1.W``; empty for PyTorch's count of batches.
    axes : tuple of int
        Our axes, in PyTorch's order.
    order : integer array, optional
        Our rows, in PyTorch's order: there, images are flattened channel by channel.
    """

    key: str
    path: str
    axes: tuple[int, ...]
    order: Array | None = None

    def to_torch(self, ours: Array) -> Array:
        """Return an array as it stands in PyTorch.

        Examples
        --------
        >>> dense = Weight("dense1.weight", "dense1.W", (1, 0))
        >>> dense.to_torch(np.array([[1, 2], [3, 4], [5, 6]])).tolist()
        [[1, 3, 5], [2, 4, 6]]
        """
        ours = ours if self.order is None else ours[self.order]
        return np.ascontiguousarray(ours.transpose(self.axes))

    def from_torch(self, theirs: Array) -> Array:
        """Return an array of PyTorch's as it stands here."""
        ours = theirs.transpose(np.argsort(self.axes))
        if self.order is not None:
            ours = ours[np.argsort(self.order)]
        return np.ascontiguousarray(ours)


def channel_by_channel(shape: Sequence[int]) -> Array | None:
    """Return the order of features after PyTorch's flatten, as our numbers of them.

    None if it is ours: with one channel, or one pixel.

    Examples
    --------
    >>> channel_by_channel((1, 3, 2))
    array([0, 2, 4, 1, 3, 5])
    """
    if len(shape) < 2 or shape[-1] == 1 or np.prod(shape[:-1]) == 1:
        return None
    numbers = np.arange(np.prod(shape)).reshape(shape)
    return np.moveaxis(numbers, -1, 0).ravel()


def to_state(weights: Mapping[str, Array], entries: Sequence[Weight]) -> dict[str, Array]:
    """Return our weights as arrays of a ``state_dict``."""
    return {
        entry.key: entry.to_torch(weights[entry.path]) if entry.path else np.array(0)
        for entry in entries
    }


def expected_shapes(
    weights: Mapping[str, Array], entries: Sequence[Weight]
) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a ``state_dict`` of a network must have, without counts of batches."""
    return {
        entry.key: tuple(np.array(weights[entry.path].shape)[list(entry.axes)].tolist())
        for entry in entries
        if entry.path
    }
