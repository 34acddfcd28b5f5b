"""The table of operations: what computes a layer under an implementation.

An operation, such as ``conv``, has an entry for each implementation that has its own code for it:
a forward and a backward function. For all other operations an implementation declares a `base`,
the implementation that it takes them from; a network's summary names those operations.

All operations have the same form::

    forward(A_prev, params, geometry, context)       -> (A, cache)
    backward(dA, params, geometry, cache, context)   -> (dA_prev, gradients)

`params` are the layer's parameters by name, `geometry` holds its other options, for example the
`Window` of a convolution. Shapes are canonical, memory order is free: every array of
images is logically (n_m, rows, columns, channels), whichever axis is innermost in memory. Neither
function changes its arguments. Gradients are sums over the samples given. Returned
arrays may belong to the context's memory: they are valid until its next pass.

=============  =====================================  =========================================
operation      params                                 geometry
=============  =====================================  =========================================
conv           W (f_h, f_w, n_c / groups, n_f), b     Window
max_pool                                              Window
avg_pool                                              Window
dense          W (n_in, n_out), b
pointwise                                             an object with `apply` and `gradient`
=============  =====================================  =========================================
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from cnnexp.engine.context import Array, Context
from cnnexp.engine.device import Device
from cnnexp.engine.machine import Limits
from cnnexp.errors import OptionError
from cnnexp.registry import Registry

UNCUT = 1 << 50  # bytes: more than any array has

Cache = Any
Params = Mapping[str, Array]
Gradients = dict[str, Array | None]
Reduction = Generator[Array, Array, tuple[Any, Any]]
"""A generator: it yields a partial sum, receives the sum over all micro-batches, and returns."""


class Operation(NamedTuple):
    """How one implementation computes one operation.

    Where samples depend on each other in training, both functions are generators (`Reduction`).
    """

    forward: Callable[[Array, Params, Any, Context], Any]
    backward: Callable[[Array, Params, Any, Cache, Context], Any]


class Fusion(ABC):
    """Several layers computed as one step.

    Attributes
    ----------
    name : str
        As a summary shows it.
    pattern : tuple of str
        The operations of the layers it replaces. Their parameters have different names.
    """

    name: ClassVar[str]
    pattern: tuple[str, ...]

    @abstractmethod
    def applies(self, layers: Sequence[Any]) -> bool:
        """Say whether it can compute these layers, which match its pattern, and is faster."""

    @abstractmethod
    def forward(
        self, layers: Sequence[Any], A_prev: Array, context: Context
    ) -> tuple[Array, Cache]:
        """Return the result of the last layer, and a cache."""

    @abstractmethod
    def backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> tuple[Array | None, Gradients]:
        """Return ``dA_prev`` and the gradients of all parameters by name."""

    def train_forward(self, layers: Sequence[Any], A_prev: Array, context: Context) -> Reduction:
        """Return what `forward` does in training, where samples depend on each other."""
        raise NotImplementedError

    def train_backward(
        self, layers: Sequence[Any], cache: Cache, dA: Array, context: Context
    ) -> Reduction:
        """Return what `backward` does after `train_forward`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Implementation:
    """An entry of the table of implementations: code for some operations, and a base for the rest.

    Attributes
    ----------
    name : str
        The name in the table.
    operations : mapping of str to Operation
        The operations that it has its own code for.
    about : str
        What it does, in a sentence.
    base : Implementation or None
        The implementation that it takes all other operations from.
    fusions : tuple of Fusion
        Groups of layers that it computes as one step; the first that applies is used.
    releases_gil : bool
        Whether several threads make it faster: NumPy's loops release the interpreter lock.
    folds : Operation or None
        Batch normalisation in inference, if that is part of the convolution before it; one of
        somebody's own is computed by itself.
    caches : int
        The largest feature map of a micro-batch may have this many times the bytes of the
        second-level cache.
    needs, extra : str
        A module that it imports when it is used, and the extra that installs it; empty if none.
    prepare : callable, optional
        Called with the steps of a plan and the type of numbers before the first pass.
    device : Device or None
        Where arrays live and operations run; None is the processor.
    updates : mapping of str to callable
        Steps of optimizers in one pass over memory, by name: given the type of numbers, each
        returns a function that is ready to be called.
    """

    name: str
    operations: dict[str, Operation]
    about: str = ""
    base: Implementation | None = None
    fusions: tuple[Fusion, ...] = ()
    releases_gil: bool = True
    folds: Operation | None = None
    caches: int = 4
    needs: str = ""
    extra: str = ""
    prepare: Callable[[Sequence[Any], Any], Any] | None = None
    updates: Mapping[str, Callable[[Any], Callable[..., None]]] = field(default_factory=dict)
    device: Device | None = None

    @property
    def xp(self) -> Any:
        """The module of its arrays."""
        return np if self.device is None else self.device.xp

    @property
    def limits(self) -> Limits:
        """Sizes of blocks by default; on a device nothing is cut."""
        return Limits() if self.device is None else Limits(cache=UNCUT, product=UNCUT)

    def lacks(self) -> str:
        """Say what is not here that it needs, and how to install it; empty if nothing."""
        if self.needs and not importlib.util.find_spec(self.needs):
            fault = f"{self.needs}, which is not installed: pip install 'cnnexp[{self.extra}]'"
        elif self.device is not None and (found := self.device.fault()):
            fault = f"a GPU, and {found}"
        else:
            return ""
        return f"impl={self.name} needs {fault}."

    def missing(self) -> str:
        """Say what it lacks, and what can take its place; empty if it lacks nothing."""
        if not (lacks := self.lacks()):
            return ""
        return (
            f"{lacks} Or take impl=fast, which needs nothing; for a run that is there:"
            " python -m cnnexp rerun RUN impl=fast."
        )

    def add(self, name: str, operation: Operation) -> None:
        """Enter an operation of one's own; the same definition may replace itself.

        Raises
        ------
        OptionError
            If there is another one of this name.
        """
        taken = self.operations.get(name)
        if taken is not None and _origin(taken) != _origin(operation):
            raise OptionError(f"impl={self.name} has an operation '{name}' already.")
        self.operations[name] = operation

    def find(self, operation: str) -> tuple[Operation, str]:
        """Return an operation, and the name of the implementation that computes it.

        Raises
        ------
        OptionError
            If neither this implementation nor those it takes operations from has it.
        """
        if operation in self.operations:
            return self.operations[operation], self.name
        if self.base is None:
            raise OptionError(f"impl={self.name} has no operation '{operation}'.")
        return self.base.find(operation)


def _origin(operation: Operation) -> tuple[str, str]:
    """Say where the forward function was defined."""
    return operation.forward.__module__, operation.forward.__qualname__


IMPLEMENTATIONS: Registry[Implementation] = Registry("implementation")
AUTO = "auto"  # stands for the fastest implementation that is installed
VARIABLE = "CNNEXP_IMPL"  # another one that it stands for on this computer


def automatic() -> str:
    """Return the name of the implementation that "auto" stands for here.

    Raises
    ------
    OptionError
        If the environment names one that is not in the table.
    """
    chosen = meaning_of_auto()
    if chosen not in IMPLEMENTATIONS:
        raise OptionError(f"environment variable {VARIABLE}: {IMPLEMENTATIONS.complaint(chosen)}")
    return chosen


def meaning_of_auto() -> str:
    """Return the name that "auto" stands for here; one from the environment is not checked."""
    chosen = os.environ.get(VARIABLE) or AUTO
    if chosen != AUTO:
        return chosen
    return "fast" if IMPLEMENTATIONS["compiled"].missing() else "compiled"


@contextlib.contextmanager
def auto_means(name: str | None) -> Iterator[None]:
    """Let "auto" stand for an implementation, here and in new processes; None changes nothing."""
    before = os.environ.get(VARIABLE)
    if name is not None:
        os.environ[VARIABLE] = name
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before
