"""A compiled function: Python that Numba turns into machine code when it is first needed.

A kernel is an ordinary function in a file of this folder, marked with `kernel` and with the types
of its arguments. Nothing of Numba is imported before one is used. It is compiled once for each type
of numbers, and kept in a file (`cache.py`); later processes read that file.

All kernels let go of Python's lock, so threads run side by side, and use one thread each. NumPy's
rules hold: division by zero gives inf. Multiplication and addition may become one instruction
(`contract`), which rounds once instead of twice. Sums keep their order unless a kernel says
`sums=True`: then the compiler may add up many numbers in several partial sums, always the same ones
on one machine. No kernel assumes that there is no NaN or infinity.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnexp.engine.context import Array

Function = Callable[..., Any]
_lock = threading.RLock()


class Kernel:
    """A function that is compiled when it is first called, or made ready before.

    Parameters
    ----------
    function : callable
        What is compiled.
    arguments : str
        The types of its arguments, a word each: ``in3``, an array of numbers with three axes that
        is only read; ``out3``, one that is written; ``bytes2``, an array of bytes; ``ints1``, of
        whole numbers; ``number``; ``int``. All arrays are contiguous, and could be written:
        `plain` makes them so.
    constants : tuple of int
        What the function has as constants, if it was made for some.
    sums : bool
        Whether long sums may be split into partial sums.

    Examples
    --------
    >>> def double(A, out):
    ...     for i in range(len(A)):
    ...         out[i] = 2 * A[i]
    >>> Kernel(double, "in1 out1").name
    'double'
    """

    def __init__(
        self,
        function: Function,
        arguments: str,
        constants: tuple[int, ...] = (),
        sums: bool = False,
    ) -> None:
        self.function, self.arguments = function, arguments.split()
        self.constants, self.sums = constants, sums
        self.name = "_".join([function.__name__, *map(str, constants)])
        self._ready: set[np.dtype[Any]] = set()

    def __repr__(self) -> str:
        return f"Kernel({self.name})"

    def __call__(self, *arguments: Any) -> None:
        """Run it; the first argument is an array, and says which type of numbers it is."""
        if arguments[0].dtype not in self._ready:
            self.make_ready(arguments[0].dtype)
        self.dispatcher(*arguments)

    def make_ready(self, dtype: npt.DTypeLike) -> bool:
        """Load or compile it for a type of numbers; say whether it had to be compiled."""
        import numba

        dtype = np.dtype(dtype)
        with _lock:
            if dtype in self._ready or numba.config.DISABLE_JIT:
                return False
            self.dispatcher.disable_compile(False)
            from cnnexp.engine.compiled import cache

            compiled = cache.load_or_compile(self.dispatcher, self.name, self._types(dtype))
            self.dispatcher.disable_compile()
            self._ready.add(dtype)
            return compiled

    def is_kept(self, dtype: npt.DTypeLike) -> bool:
        """Say whether there is a file of it for a type of numbers, or nothing to compile."""
        import numba

        from cnnexp.engine.compiled import cache

        if numba.config.DISABLE_JIT:
            return True
        return cache.holds(self.dispatcher, self.name, self._types(np.dtype(dtype)))

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's object, or the plain function where the user has switched Numba off."""
        return _dispatcher(self.function, self.sums)

    def _types(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """Return Numba's types of the arguments."""
        from numba import types
        from numba.np.numpy_support import from_dtype

        number = from_dtype(dtype)
        plain = {"number": number, "int": types.int64}

        def type_of(word: str) -> Any:
            if word in plain:
                return plain[word]
            of = {"bytes": types.uint8, "ints": types.int64}.get(word[:-1], number)
            return types.Array(of, int(word[-1]), "C")

        return tuple(type_of(word) for word in self.arguments)


def plain(array: Array) -> Array:
    """Return an array as kernels take it: contiguous, aligned, not locked; a copy if need be."""
    return array if array.flags.carray else array.copy("C")


class Helper:
    """A function that kernels call; it is compiled into them.

    Parameters
    ----------
    function : callable
        What is compiled; `sums` as for kernels, for its own loops.
    """

    def __init__(self, function: Function, sums: bool = True) -> None:
        self.function, self.sums = function, sums

    @functools.cached_property
    def dispatcher(self) -> Any:
        """Numba's object."""
        return _dispatcher(self.function, self.sums)

    @property
    def _numba_type_(self) -> Any:
        """Numba asks any object for its type by this name."""
        return self.dispatcher._numba_type_

    def __call__(self, *arguments: Any) -> Any:
        """Run it as plain Python: where the user has switched Numba off."""
        return self.function(*arguments)


def helper(function: Function) -> Helper:
    """Make a function one that kernels call; its sums may be split into partial sums."""
    return Helper(function)


def _dispatcher(function: Function, sums: bool) -> Any:
    """Return Numba's object, or the plain function where the user has switched Numba off."""
    import numba

    fastmath = {"contract", "reassoc", "nsz"} if sums else {"contract"}
    return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)


def kernel(arguments: str, sums: bool = False) -> Callable[[Function], Kernel]:
    """Return a decorator that makes a function a kernel; the options are those of `Kernel`."""
    return lambda function: Kernel(function, arguments, sums=sums)


def kernels(arguments: str, sums: bool = False) -> Callable[[Function], Callable[..., Kernel]]:
    """Return a decorator for a function that makes functions, one for some constants each."""

    def decorate(make: Function) -> Callable[..., Kernel]:
        @functools.cache
        def made(*constants: int) -> Kernel:
            return Kernel(make(*constants), arguments, constants, sums)

        return made

    return decorate
