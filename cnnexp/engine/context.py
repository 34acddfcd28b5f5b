"""The context of a pass: what a layer gets besides its input.

It holds the mode, random numbers, the layer's state, and memory. Allocating a large array often
takes longer than filling it, because every new page causes a page fault. So a context keeps each
array under a name and returns the same memory when the same name is requested again. A context
belongs to one step and one worker; a pass may therefore keep such arrays in its cache until the
next pass of the same layer begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine.machine import Limits

Array = npt.NDArray[Any]
Outer = Callable[[str, Array, Array], None]


@dataclass
class Context:
    """What a layer gets besides its input: mode, memory, gradients, state, random numbers.

    Attributes
    ----------
    operation, training_operation : Operation or None
        The layer's operation under the chosen implementation; the second one is for training, if
        that differs.
    reuse : bool
        Whether memory is reused. If not, every request gives new memory: for a single pass, to
        inspect caches, and to test that reuse changes nothing.
    training : bool
        The mode: training or inference. A layer such as dropout works in training only.
    keep_cache : bool
        Whether a backward pass may follow. If not, nothing need be kept.
    need_dA_prev : bool
        Whether anything before this layer has parameters. If not, ``dA_prev`` may be None.
    flattens : bool
        Whether a flatten layer follows: images in memory order (h, w, c, n_m) then need no copy.
    grads : mapping of str to array
        Where gradients may be written; a layer may return new arrays instead.
    state : mapping of str to array
        The layer's state before this step, such as running statistics; not to be changed.
    state_updates : dict of str to array
        Where a pass in training puts the state after this step.
    limits : Limits
        Sizes of blocks, and thresholds between methods.
    xp : module
        Where arrays that are made from nothing come from: NumPy, or the module of a device.
    seed : tuple of int
        Of random draws: the seed of the network and the path of the layer.
    step : int
        The number of mini-batches before this one.
    first : int
        Position of the first sample in the mini-batch.
    deferred_outer : callable, optional
        Receives the factors of gradients that are multiplied once per mini-batch.

    Examples
    --------
    >>> context = Context(reuse=True)
    >>> first = context.array("cols", (2, 3), np.float32)
    >>> context.array("cols", (2, 3), np.float32) is first
    True
    >>> context.bytes
    24
    """

    operation: Any = None
    training_operation: Any = None
    reuse: bool = False
    training: bool = True
    keep_cache: bool = True
    need_dA_prev: bool = True
    flattens: bool = False
    grads: Mapping[str, Array] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)
    state_updates: dict[str, Array] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    xp: Any = np
    seed: tuple[int, ...] = (0,)
    step: int = 0
    first: int = 0
    deferred_outer: Outer | None = None

    def __post_init__(self) -> None:
        self._memory: dict[str, Array] = {}
        self._arrays: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """Return an array with undefined contents, the same memory for the same name.

        A smaller shape than before uses the beginning of the same memory, so that a short last
        micro-batch allocates nothing.
        """
        kept = self._arrays.get(name)
        if kept is not None and kept.shape == shape and kept.dtype == dtype:
            return kept
        if not self.reuse:
            return self.xp.empty(shape, dtype)  # type: ignore[no-any-return]
        size = math.prod(shape)
        memory = self._memory.get(name)
        if memory is None or memory.size < size or memory.dtype != dtype:
            memory = self._memory[name] = self.xp.empty(size, dtype)
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
        return inner.transpose(sorted(order, key=order.__getitem__))

    @property
    def bytes(self) -> int:
        """Bytes of all arrays held."""
        return sum(memory.nbytes for memory in self._memory.values())

    def outer(self, name: str, A: Array, dZ: Array) -> Array | None:
        """Return the gradient ``A.T @ dZ`` of a parameter, or None if it is computed later.

        For a wide dense layer the product is as large as the weights. It is then computed once per
        mini-batch instead of once per micro-batch; the layer need not know.

        Parameters
        ----------
        name : str
            The parameter.
        A : array (n_m, n_in)
        dZ : array (n_m, n_out)
        """
        if self.deferred_outer is not None:
            self.deferred_outer(name, A, dZ)
            return None
        product: Array = np.matmul(A.T, dZ, out=self.grads.get(name))
        return product

    def random(self, draws: int) -> np.random.Generator:
        """Return a generator that depends on seed, layer path, step and position alone.

        It begins with the numbers of the first sample of this micro-batch. Every sample has `draws`
        numbers of 64 bits, so a sample gets the same numbers for any size of a micro-batch.
        All calls in one pass return the same numbers: call it once, and draw everything from it.

        Parameters
        ----------
        draws : int
            Numbers of 64 bits that one sample takes, for example one for each value of
            ``random(n)``. All samples of the micro-batch must be drawn at once and in order.

        Examples
        --------
        >>> whole = Context(step=7).random(3).random((4, 3))
        >>> part = Context(step=7, first=2).random(3).random((2, 3))
        >>> bool((whole[2:] == part).all())
        True
        """
        bits = np.random.PCG64DXSM(np.random.SeedSequence([*self.seed, self.step]))
        return np.random.Generator(bits.advance(self.first * draws))


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
    if len(strides) == 2:  # most often, and each call of a small network counts
        return (0, 1) if strides[0] >= strides[1] else (1, 0)
    return tuple(sorted(range(array.ndim), key=lambda axis: -strides[axis]))


def to_host(array: Any) -> npt.NDArray[Any]:
    """Return an array of NumPy: the array itself, or a copy from the memory of a device.

    Examples
    --------
    >>> A = np.zeros(3)
    >>> to_host(A) is A
    True
    """
    if isinstance(array, np.ndarray):
        return array
    found: npt.NDArray[Any] = array.get()
    return found


def host_copy(array: Any) -> npt.NDArray[Any]:
    """Return a copy that is an array of NumPy."""
    return array.copy() if isinstance(array, np.ndarray) else to_host(array)
