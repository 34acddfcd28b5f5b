"""Pickles of plain containers and NumPy arrays, read without running anything.

``pickle.load`` runs whatever a file tells it to. Here only the handful of names that NumPy writes
for plain arrays are known, and even those are not called: small stand-ins collect what they were
given, and arrays are made from the collected bytes at the end. Every other name is refused, and
named, before anything of it happens.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.errors import UnsafePickle
from cnnexp.runs.files import replace_file

PLAIN = (dict, list, tuple, str, bytes, int, float, bool, type(None))
DTYPES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


def save(path: Path, content: Any) -> None:
    """Write plain containers and arrays as a pickle, whole."""
    replace_file(path, pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL))


def load(path: Path) -> Any:
    """Read a pickle of plain containers and numeric arrays.

    Raises
    ------
    UnsafePickle
        If it names anything else, or is damaged.
    """
    return loads(path.read_bytes(), str(path))


def loads(content: bytes, name: str = "the pickle") -> Any:
    """Read a pickle from bytes; `name` stands for it in messages."""
    try:
        return _plain(_Unpickler(io.BytesIO(content)).load())
    except UnsafePickle as error:
        raise UnsafePickle(f"{name}: {error}") from None
    except Exception as error:  # a damaged pickle fails in any way
        raise UnsafePickle(f"{name}: not a whole pickle: {type(error).__name__}: {error}") from None


class _Dtype:
    """Stands for ``numpy.dtype``."""

    def __init__(self, kind: str, *_: object) -> None:
        if kind not in DTYPES:
            raise UnsafePickle(f"arrays of type {kind!r} are refused; numbers only.")
        self.kind = kind
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise UnsafePickle("an array type with fields is refused; numbers only.")
        self.order = order

    def real(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.kind}")


class _Array:
    """Stands for an array that is being put together."""

    def __init__(
        self, shape: Any = (), dtype: Any = None, data: Any = b"", order: str = "C"
    ) -> None:
        self.shape, self.dtype, self.data, self.order = shape, dtype, data, order

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, fortran, self.data = state
        self.order = "F" if fortran else "C"

    def real(self) -> Any:
        if not isinstance(self.dtype, _Dtype) or not isinstance(self.data, (bytes, bytearray)):
            raise UnsafePickle("an array whose contents are not bytes is refused.")
        dtype = self.dtype.real()
        shape = tuple(int(size) for size in self.shape)
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(self.data):
            raise UnsafePickle(f"an array of shape {shape} does not have {len(self.data)} bytes.")
        flat: Any = np.frombuffer(bytearray(self.data), dtype)
        return flat.reshape(shape, order="F" if self.order == "F" else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> _Array:
    return _Array(shape, dtype, data, order)


def _scalar(dtype: Any, data: Any) -> _Array:
    return _Array((), dtype, data)


def _only_named(*_: object) -> None:
    raise UnsafePickle("refused, because it calls numpy.ndarray.")


class _StandIn:
    """Stands for one known name; a pickle can call it, and cannot change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise UnsafePickle("refused, because it would change what reads it.")


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _only_named,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    """Knows the stand-ins and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _StandIn(_STAND_INS[module, name])
        except KeyError:
            raise UnsafePickle(
                f"refused, because it asks for {module}.{name}. Only NumPy arrays of numbers and"
                " plain containers are loaded; nothing of it was run."
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafePickle("refused, because it refers to objects outside the file.")


def _plain(thing: Any) -> Any:
    """Replace stand-ins by arrays, and refuse everything that is not plain."""
    if isinstance(thing, _Array):
        return thing.real()
    if type(thing) is dict:
        return {_plain(key): _plain(value) for key, value in thing.items()}
    if type(thing) in (list, tuple):
        return type(thing)(_plain(item) for item in thing)
    if type(thing) in PLAIN or type(thing) is bytearray:
        return thing
    raise UnsafePickle(f"refused, because it holds a {type(thing).__name__}.")
