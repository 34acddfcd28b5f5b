"""How pixels, features and targets are scaled, and arrays that are scaled when they are used.

Most sets are scaled once, into one array of floats. That array is four times as large as the bytes
it is made from, so very large sets, and those whose arrays stay on disk, are scaled row by row
instead: `ScaledRows` looks like the array, and computes the rows that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


BLOCK = 2**22  # bytes of an array on disk that are looked at together


class ScaleRecord(TypedDict):
    """A scale as plain numbers; lists of them for columns."""

    factor: Any
    shift: Any
    largest: float


@dataclass(frozen=True, eq=False)
class Scale:
    """How values were scaled: ``value · factor - shift``.

    Attributes
    ----------
    factor, shift : float, or array (columns,)
        What values are multiplied with, and what is taken off afterwards; numbers for images,
        and one of each for every column of a table or of targets.
    largest : float
        A fully lit pixel before scaling.

    Examples
    --------
    >>> Scale(factor=1 / 255, shift=0.0, largest=255.0)(np.array([0, 51, 255]), "float64")
    array([0. , 0.2, 1. ])
    >>> columns = Scale(np.array([1.0, 0.5]), np.array([2.0, 0.0]), 1.0)
    >>> columns(np.array([[3, 4]]), "float64"), columns.undo(np.array([[1.0, 2.0]]))
    (array([[1., 2.]]), array([[3., 4.]]))
    """

    factor: float | Array
    shift: float | Array
    largest: float = 1.0

    def __call__(self, values: Array, dtype: npt.DTypeLike, out: Array | None = None) -> Array:
        """Return scaled values, in `out` if that is given."""
        if isinstance(self.factor, np.ndarray):  # a column may be far from 0: rounded at the end
            exact = np.multiply(values, self.factor, dtype=np.float64) - self.shift
            if out is None:
                return exact.astype(dtype)
            out[...] = exact
            return out
        X: Array = np.multiply(values, self.factor, out=out, dtype=dtype)
        if self.shift:
            X -= X.dtype.type(self.shift)
        return X

    def undo(self, scaled: Array) -> Array:
        """Return values as they were before scaling, in float64."""
        found: Array = (np.asarray(scaled, np.float64) + self.shift) / self.factor
        return found

    def as_record(self) -> ScaleRecord:
        """Return plain numbers for ``run.json``, from which `from_record` makes the same scale."""
        return {
            "factor": np.asarray(self.factor, np.float64).tolist(),
            "shift": np.asarray(self.shift, np.float64).tolist(),
            "largest": float(self.largest),
        }

    @classmethod
    def from_record(cls, record: ScaleRecord) -> Scale:
        """Return the scale that `as_record` wrote down."""

        def read(value: Any) -> Any:
            return np.array(value, np.float64) if isinstance(value, list) else float(value)

        return cls(read(record["factor"]), read(record["shift"]), float(record["largest"]))


IDENTITY = Scale(1.0, 0.0)


class ScaledRows:
    """Rows of an array that are scaled when they are used; the array may lie on disk.

    It has what networks ask of samples: a shape, a type, a length, slices, and `take_rows`.

    Parameters
    ----------
    array : array (n, …)
        Unscaled values, often a memory-mapped file. It is never changed.
    index : range or integer array, optional
        Which of its rows, in which order; all, if not given.
    scale : Scale
        How they are scaled.
    dtype : dtype
        Of the scaled rows.

    Examples
    --------
    >>> rows = ScaledRows(np.array([[0], [51], [255]], "u1"), scale=Scale(1 / 255, 0.0))
    >>> rows.at(np.array([2, 1])).at(slice(1, 2))[:].round(3)
    array([[0.2]], dtype=float32)
    """

    def __init__(
        self,
        array: Array,
        index: range | Array | None = None,
        scale: Scale = IDENTITY,
        dtype: npt.DTypeLike = "float32",
    ) -> None:
        self.array, self.scale, self.dtype = array, scale, np.dtype(dtype)
        self.index: Any = range(len(array)) if index is None else index
        self.shape = (len(self.index), *array.shape[1:])
        self.ndim = array.ndim

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, at: Any) -> Array:
        """Return scaled rows, or a single one."""
        if isinstance(at, (int, np.integer)):
            one: Array = self[np.array([at])][0]
            return one
        return self.scale(self._raw(at), self.dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        """Return all rows as one array in memory."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def take_rows(self, rows: Array, out: Array) -> Array:
        """Scale some rows into `out`, and return it."""
        return self.scale(self._raw(rows), out.dtype, out)

    def astype(self, dtype: npt.DTypeLike, copy: bool = True) -> ScaledRows:
        """Return the same rows in another type."""
        return ScaledRows(self.array, self.index, self.scale, dtype)

    def at(self, rows: slice | Array) -> ScaledRows:
        """Return some of the rows; nothing is read."""
        return ScaledRows(self.array, self._chosen(rows), self.scale, self.dtype)

    def scaled(self, scale: Scale, dtype: npt.DTypeLike) -> ScaledRows:
        """Return the same rows with another scale."""
        return ScaledRows(self.array, self.index, scale, dtype)

    def blocks(self) -> Iterator[Array]:
        """Yield the unscaled rows, some megabytes at a time."""
        size = max(BLOCK // max(self.array[:1].nbytes, 1), 1)
        for start in range(0, len(self), size):
            yield self._raw(slice(start, start + size))

    def _raw(self, rows: slice | Array) -> Array:
        index: Any = self._chosen(rows)
        if isinstance(index, range) and index.step == 1:
            index = slice(index.start, index.stop)
        found: Array = self.array[index]
        return found

    def _chosen(self, rows: slice | Array) -> range | Array:
        """Return which rows of the array are meant."""
        if isinstance(self.index, range) and not isinstance(rows, slice):
            rows = np.asarray(rows)
            return np.where(rows < 0, rows + len(self.index), rows) + self.index.start
        chosen: range | Array = self.index[rows]
        return chosen


Rows = Array | ScaledRows


def _blocks(X: Rows) -> Iterator[Array]:
    """Yield unscaled rows; an array in memory is one block."""
    if isinstance(X, ScaledRows):
        yield from X.blocks()
    else:
        yield X


def not_finite(X: Rows) -> str | None:
    """Say which sample is the first that holds a value that is infinite or not a number.

    Examples
    --------
    >>> not_finite(np.array([[1.0], [np.nan]])), not_finite(np.array([[1, 2]]))
    ('Sample 1, counted from 0, holds nan.', None)
    """
    before = 0
    for block in _blocks(X):
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            first = np.argwhere(~np.isfinite(block))[0]
            return f"Sample {before + first[0]:,}, counted from 0, holds {block[tuple(first)]}."
        before += len(block)
    return None


def standard_scale(X: Rows, largest: float = 1.0) -> Scale:
    """Return the scale that gives mean 0 and standard deviation 1.

    That is over all pixels of images, and for every column of a table (n_m, features). What is
    constant becomes 0.
    """
    axis = 0 if X.ndim == 2 else None
    if isinstance(X, ScaledRows):
        mean = _mean(X, axis, lambda block: block)
        deviation = np.sqrt(_mean(X, axis, lambda block: (block - mean) ** 2))
    else:
        mean = X.mean(axis=axis, dtype=np.float64)
        deviation = X.std(axis=axis, dtype=np.float64)
    factor = 1.0 / np.where(deviation == 0, 1.0, deviation)
    if axis is None:
        return Scale(float(factor), float(mean) * float(factor), largest)
    return Scale(factor, mean * factor, largest)


def _mean(X: ScaledRows, axis: int | None, of: Callable[[Array], Array]) -> Any:
    """Return a mean over rows that are read block by block."""
    total = sum(of(block.astype(np.float64)).sum(axis=axis) for block in X.blocks())
    return total / (len(X) * (1 if axis == 0 else np.prod(X.shape[1:])))


def unit_scale(X: Rows, largest: float) -> Scale:
    """Return the scale to values from 0 to 1.

    For images that is the value of a fully lit pixel, for a table the range of each column.
    """
    if X.ndim != 2:
        return Scale(1.0 / largest, 0.0, largest)
    low = np.min([block.min(axis=0) for block in _blocks(X)], axis=0).astype(np.float64)
    high = np.max([block.max(axis=0) for block in _blocks(X)], axis=0).astype(np.float64)
    factor = 1.0 / np.where(high == low, 1.0, high - low)
    return Scale(factor, low * factor, largest)
