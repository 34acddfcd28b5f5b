"""The contract of an implementation, and the table of implementations.

An implementation computes convolution and pooling, forward and backward. Everything else (dense
layers, activations, the loss) is shared. Shapes are canonical, memory order is free: every array
of images is logically (n_m, rows, columns, channels), whichever axis is innermost in memory.

A forward pass returns its result and a cache, a backward pass takes that cache. Neither keeps
anything else, and neither changes what it was given. Gradients are sums over the samples given.
Arrays that an implementation returns may live in `scratch`: they hold until the next pass that
uses the same scratch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from cnnexp.engine.context import Context
from cnnexp.engine.scratch import Array, Scratch
from cnnexp.engine.window import Window
from cnnexp.registry import Registry

Cache = Any
Gradients = dict[str, Array | None]


class Fusion(ABC):
    """Several layers computed as one.

    Attributes
    ----------
    name : str
        As a summary shows it.
    pattern : tuple of str
        The types of the layers it stands for. Only the first may have parameters.
    """

    name: ClassVar[str]
    pattern: ClassVar[tuple[str, ...]]

    @abstractmethod
    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether it computes these layers, which are of its pattern, and gains by it."""

    @abstractmethod
    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result of the last layer, and a cache."""

    @abstractmethod
    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return ``dA_prev`` and the gradients of the first layer's parameters."""


class Kernels(ABC):
    """Convolution and pooling by one method.

    In all methods ``W`` is (f_w, f_w, n_c, n_f), ``b`` is (n_f,), ``A_prev`` is
    (n_m, ih, iw, n_c), ``Z`` and ``dZ`` are (n_m, oh, ow, n_f), the pooled ``A`` and ``dA`` are
    (n_m, oh, ow, n_c); `window` says where the filter stands.

    Attributes
    ----------
    name : str
        The name in the table of implementations.
    threads_pay : bool
        Whether threads make it faster: NumPy's loops run side by side, Python's do not.
    caches : int
        The largest result of a piece of a batch may be so many times the second-level cache. More
        pays where every result is passed over fewer times.
    fusions : tuple of Fusion types
        Groups of layers it computes as one, the first that applies is used.
    """

    name: ClassVar[str]
    threads_pay: ClassVar[bool] = True
    caches: ClassVar[int] = 4
    fusions: ClassVar[tuple[type[Fusion], ...]] = ()

    @abstractmethod
    def conv_forward(
        self, A_prev: Array, W: Array, b: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Return ``Z``, the cross-correlation of `A_prev` with `W` plus `b`, and a cache."""

    @abstractmethod
    def conv_backward(
        self,
        dZ: Array,
        W: Array,
        window: Window,
        cache: Cache,
        scratch: Scratch,
        need_dA_prev: bool = True,
    ) -> tuple[Array | None, Array, Array]:
        """Return ``dA_prev`` (None where it is not needed), ``dW`` and ``db``."""

    @abstractmethod
    def max_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Return the largest value under each window, and a cache; padding counts as -inf."""

    @abstractmethod
    def max_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Return ``dA_prev``: each gradient goes to the first maximum in row-major order."""

    @abstractmethod
    def avg_pool_forward(
        self, A_prev: Array, window: Window, scratch: Scratch
    ) -> tuple[Array, Cache]:
        """Return the mean under each window, and a cache; padding counts as zeros."""

    @abstractmethod
    def avg_pool_backward(self, dA: Array, window: Window, cache: Cache, scratch: Scratch) -> Array:
        """Return ``dA_prev``: each gradient is shared evenly by the pixels of its window."""


KERNELS: Registry[type[Kernels]] = Registry("implementation")
