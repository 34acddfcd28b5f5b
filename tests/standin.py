"""A device that is none: arrays of NumPy that let no other array touch them, as CuPy's do.

An array from elsewhere in an operation, a conversion by ``np.asarray``, a function that CuPy does
not have, a method of a NumPy function (``np.add.at``): each raises, as on a GPU. What is read back
is counted.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from cnnexp.engine.device import Device
from cnnexp.engine.operations import Implementation

# Functions that CuPy has under the same name, with the arguments that are used here.
FUNCTIONS = (
    *("amax", "amin", "argmax", "broadcast_to", "clip", "concatenate", "copyto", "dot", "einsum"),
    *("empty_like", "full_like", "max", "mean", "min", "moveaxis", "norm", "pad"),
    *("put_along_axis", "repeat", "sliding_window_view", "split", "stack", "sum"),
    *("take_along_axis", "transpose", "vstack", "where", "zeros_like"),
)
METHODS = (
    *("all", "any", "argmax", "astype", "copy", "dot", "fill", "max", "mean", "min", "ravel"),
    *("repeat", "reshape", "sum", "swapaxes", "transpose"),
)
PLAIN = ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags")
reads: list[str] = []  # how each array was read back


class Foreign(NDArrayOperatorsMixin):
    """An array on the device."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, inner: Any) -> None:
        assert isinstance(inner, (np.ndarray, np.generic)), type(inner)
        self._inner = np.asarray(inner)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"the device has no {ufunc.__name__}.{method}")
        if unknown := options.keys() - {"out", "dtype", "casting"}:
            raise TypeError(f"the device's {ufunc.__name__} takes no {unknown}")
        return wrapped(ufunc(*unwrapped(inputs), **{k: unwrapped(v) for k, v in options.items()}))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function.__name__ not in FUNCTIONS:
            raise TypeError(f"the device has no function {function.__name__}")
        return wrapped(function(*unwrapped(args), **{k: unwrapped(v) for k, v in options.items()}))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to an array of NumPy is not allowed: call get()")

    def __getattr__(self, name: str) -> Any:
        if name in PLAIN:
            return getattr(self._inner, name)
        if name == "T":
            return Foreign(self._inner.T)
        if name == "base":
            return None if self._inner.base is None else Foreign(self._inner.base)
        if name not in METHODS:
            raise AttributeError(f"arrays of the device have no {name}")
        method = getattr(self._inner, name)
        return lambda *args, **options: wrapped(
            method(*unwrapped(args), **{k: unwrapped(v) for k, v in options.items()})
        )

    def __getitem__(self, key: Any) -> Foreign:
        found = self._inner[unwrapped(key)]
        if isinstance(found, np.generic):  # a view, as in CuPy
            found = self._inner[(*np.atleast_1d(key), ...)]
        return Foreign(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._inner[unwrapped(key)] = unwrapped(value)

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Any:
        return map(Foreign, self._inner)

    def __float__(self) -> float:
        return float(self.get("float"))

    def __int__(self) -> int:
        return int(self.get("int"))

    def __bool__(self) -> bool:
        return bool(self.get("bool"))

    def get(self, how: str = "get") -> Any:
        """Copy the array to the host."""
        reads.append(how)
        return np.array(self._inner, order="C")


def unwrapped(found: Any) -> Any:
    """Return what is inside; raise for an array of the host."""
    if isinstance(found, Foreign):
        return found._inner
    if isinstance(found, (tuple, list)):
        return type(found)(unwrapped(part) for part in found)
    if isinstance(found, np.ndarray):
        raise TypeError(f"an array of the host, of shape {found.shape}, among the device's")
    return found


def wrapped(found: Any) -> Any:
    """Return a result as arrays of the device."""
    if isinstance(found, (tuple, list)):
        return type(found)(wrapped(part) for part in found)
    return Foreign(found) if isinstance(found, (np.ndarray, np.generic)) else found


def asarray(found: Any, dtype: Any = None) -> Foreign:
    """Move an array to the device: a copy."""
    return found if isinstance(found, Foreign) else Foreign(np.array(found, dtype))


def _as_strided(found: Foreign, shape: Any, strides: Any) -> Foreign:
    return Foreign(np.lib.stride_tricks.as_strided(unwrapped(found), shape, strides))


MODULE = SimpleNamespace(
    asarray=asarray,
    array=asarray,
    ascontiguousarray=lambda found: Foreign(np.ascontiguousarray(unwrapped(found))),
    lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided)),
    empty=lambda *args: Foreign(np.full(args[0], np.nan, *args[1:])),
    zeros=lambda *args: Foreign(np.zeros(*args)),
    ones=lambda *args: Foreign(np.ones(*args)),
)


class StandIn(Device):
    """The device of these arrays."""

    @property
    def xp(self) -> Any:
        return MODULE

    def fault(self) -> str:
        return ""

    def describe(self) -> dict[str, str]:
        return {"device": "stand-in"}

    def synchronize(self) -> None:
        pass


def implementation(of: Implementation) -> Implementation:
    """Return an implementation whose arrays live there, with the operations of another."""
    return Implementation("standin", of.operations, base=of.base, device=StandIn())
