"""Reusable memory.

A large new array costs more than filling it: the operating system hands out its pages one fault at
a time. A `Scratch` keeps each array under a name and gives the same memory again when the same name
is asked for with the same shape. One scratch belongs to one layer and one worker; a pass may
therefore keep scratch arrays in its cache until the next pass of the same layer begins.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Scratch:
    """Named arrays that are allocated once and used again.

    Parameters
    ----------
    reuse : bool
        If false every request gives new memory: for a single pass, for looking into caches, and to
        test that reuse changes nothing.

    Examples
    --------
    >>> scratch = Scratch()
    >>> first = scratch.array("cols", (2, 3), np.float32)
    >>> scratch.array("cols", (2, 3), np.float32) is first
    True
    >>> scratch.bytes
    24
    """

    def __init__(self, reuse: bool = True) -> None:
        self.reuse = reuse
        self._memory: dict[str, Array] = {}
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return an array with undefined contents, the same memory for the same name.

        A smaller shape than before uses the beginning of the same memory, so that a short last
        piece allocates nothing.
        """
        kept = self._arrays.get(name)
        if kept is not None and kept.shape == shape and kept.dtype == dtype:
            return kept
        if not self.reuse:
            return np.empty(shape, dtype)
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = np.empty(size, dtype)
        array = self._arrays[name] = memory[:size].reshape(shape)
        return array

    def zeros(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return an array of zeros, the same memory for the same request."""
        array = self.array(name, shape, dtype)
        array.fill(0)
        return array

    def like(self, name: str, array: Array, dtype: npt.DTypeLike | None = None) -> Array:
        """Return an array of the same shape and the same order of axes in memory as `array`."""
        order = memory_order(array)
        shape = tuple(array.shape[axis] for axis in order)
        inner = self.array(name, shape, array.dtype if dtype is None else dtype)
        return inner.transpose(np.argsort(order))

    @property
    def bytes(self) -> int:
        """Bytes of all arrays held."""
        return sum(memory.nbytes for memory in self._memory.values())


def memory_order(array: Array) -> tuple[int, ...]:
    """Return the axes of an array from the outermost in memory to the innermost.

    Examples
    --------
    >>> memory_order(np.zeros((2, 3, 4)))
    (0, 1, 2)
    >>> memory_order(np.zeros((2, 3, 4)).transpose(2, 0, 1))
    (1, 2, 0)
    """
    strides = array.strides
    return tuple(sorted(range(array.ndim), key=lambda axis: -strides[axis]))
