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
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnexp.errors import UnsafePickle
from cnnexp.runs.files import replace_file

OPCODES = """
    PROTO FRAME STOP MARK POP POP_MARK DUP MEMOIZE
    PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_DICT DICT SETITEM SETITEMS
    GLOBAL STACK_GLOBAL REDUCE BUILD
"""
PLAIN = (dict, list, tuple, str, bytes, int, float, bool, type(None))
DTYPES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])


def save(path: Path, content: Any) -> None:
    """Write plain containers and arrays as a pickle, whole.

    Protocol 5 would name a function for arrays that NumPy has only since version 2.
    """
    replace_file(path, pickle.dumps(content, protocol=4))


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
        _check_opcodes(content)
        return _plain(_Unpickler(io.BytesIO(content)).load(), {})
    except UnsafePickle as error:
        raise UnsafePickle(f"{name}: {error}") from None
    except Exception as error:  # a damaged pickle fails in any way
        raise UnsafePickle(f"{name}: not a whole pickle: {type(error).__name__}: {error}") from None


def _check_opcodes(content: bytes) -> None:
    """Refuse everything that plain containers and arrays do not need.

    Registered extensions, for one, would be called without anybody being asked for their names.
    """
    known = frozenset(OPCODES.split())
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in known:
            raise UnsafePickle(f"refused, because it uses {opcode.name}.")
        if opcode.name.endswith("PUT") and (argument or 0) > len(content):
            raise UnsafePickle("refused, because it asks for a memo larger than itself.")


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


def _plain(thing: Any, done: dict[int, Any]) -> Any:
    """Replace stand-ins by arrays, and refuse everything that is not plain.

    `done` holds what was replaced already, by identity: a small pickle that refers to the same
    list again and again stays small.
    """
    if id(thing) not in done:
        done[id(thing)] = _replaced(thing, done)
    return done[id(thing)]


def _replaced(thing: Any, done: dict[int, Any]) -> Any:
    if isinstance(thing, _Array):
        return thing.real()
    if type(thing) is dict:
        return {_plain(key, done): _plain(value, done) for key, value in thing.items()}
    if type(thing) in (list, tuple):
        return type(thing)(_plain(item, done) for item in thing)
    if type(thing) in PLAIN or type(thing) is bytearray:
        return thing
    raise UnsafePickle(f"refused, because it holds a {type(thing).__name__}.")
