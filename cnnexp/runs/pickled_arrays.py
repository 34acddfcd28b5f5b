"""What NumPy's pickles of arrays ask for, imitated: nothing that they name is called.

An array is pickled as a call that makes an empty one, and a state with its type, shape and bytes;
in protocol 5 as one call that takes all of it. Here the same few functions check what they are
given, and arrays are made from it at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from cnnexp.errors import UnsafePickle

DTYPES = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
ORDERS = ("<", ">", "|", "=")


class Name:
    """A name from the table: a type, or a function that the reader imitates."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class Dtype:
    """The type of an array, which gets its byte order by BUILD."""

    def __init__(self, kind: str) -> None:
        self.kind, self.order = kind, ""

    def build(self, state: Sequence[Any]) -> None:
        """Take the byte order; types with fields are refused."""
        if self.order or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise UnsafePickle("an array type with fields is refused; numbers only.")
        if state[1] not in ORDERS:
            raise UnsafePickle("refused, because it has an array of no known byte order.")
        self.order = state[1]

    def real(self) -> np.dtype[Any]:
        """Return NumPy's type."""
        return np.dtype(f"{self.order or '='}{self.kind}")


class Unbuilt:
    """An array that has no contents yet; `places` are where the memo holds it."""

    def __init__(self) -> None:
        self.places: list[int] = []


def _dtype(kind: Any, *flags: Any) -> Dtype:
    """Imitate ``numpy.dtype``."""
    if not isinstance(kind, str) or kind not in DTYPES:
        raise UnsafePickle(f"arrays of type {str(kind)[:20]!r} are refused; numbers only.")
    return Dtype(kind)


def _reconstruct(kind: Any, shape: Any, code: Any) -> Unbuilt:
    """Imitate what makes an empty array, of ``numpy.ndarray`` itself and no other class."""
    if kind is not NDARRAY:
        raise UnsafePickle("refused, because it asks for an array of another class.")
    return Unbuilt()


def _from_buffer(
    data: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None
) -> np.ndarray:
    """Imitate what makes an array in protocol 5; `axes` are the order in which they are stored."""
    if order != "K" or axes is None:
        return make_array(data, dtype, shape, order)
    return make_array(data, dtype, shape, "C").transpose(_shape(axes))


def _scalar(dtype: Any, data: Any) -> np.ndarray:
    """Imitate what makes one number of an array type; it becomes an array without axes."""
    return make_array(data, dtype, (), "C")


def _refuse_call(*_: Any) -> None:
    raise UnsafePickle("refused, because it calls numpy.ndarray.")


NDARRAY: Final = Name(_refuse_call)
NAMES: dict[tuple[str, str], Name] = {
    ("numpy", "dtype"): Name(_dtype),
    ("numpy", "ndarray"): NDARRAY,
    **{
        (f"numpy.{core}.{module}", name): Name(function)
        for core in ("core", "_core")  # before version 2 of NumPy, and since
        for module, name, function in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}


def make_array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Return an array with memory of its own.

    Raises
    ------
    UnsafePickle
        If type, shape and contents do not belong together.
    """
    if not isinstance(dtype, Dtype) or not isinstance(data, memoryview):
        raise UnsafePickle("an array whose contents are not bytes is refused.")
    kind, sizes = dtype.real(), _shape(shape)
    if math.prod(sizes) * kind.itemsize != len(data):
        raise UnsafePickle(f"an array of shape {sizes} does not have {len(data)} bytes.")
    if kind == np.bool_ and max(data, default=0) > 1:
        raise UnsafePickle("an array of truth values holds something else.")
    flat: Any = np.frombuffer(bytearray(data), kind)
    whole: np.ndarray = flat.reshape(sizes, order="F" if order == "F" else "C")
    return whole


def _shape(value: Any) -> tuple[int, ...]:
    """Return a shape, checked."""
    sizes = getattr(value, "value", value)  # a tuple, or the reader's container of one
    if not isinstance(sizes, tuple) or len(sizes) > 32:
        raise UnsafePickle("refused, because the shape of an array is no tuple of sizes.")
    if not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
        raise UnsafePickle("refused, because the shape of an array has a size that cannot be.")
    return sizes
