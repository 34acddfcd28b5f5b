"""Tiles: vectors of samples that a kernel keeps in the registers of the processor.

A compiler makes vectors of a loop where it can prove that nothing stands against it, and decides by
itself which numbers stay in registers. For sums of many products that is not enough: a loop must
keep a *tile* of sums, eight filters by sixteen samples for example, and every number that is read
must serve several of them. So kernels of such sums say it: a tile is a value, with a row for each
filter or weight and a column for each sample, and one operation makes one instruction a row::

                 16 samples
    x            x x x x x x … x            sums = add_products(sums, x, W, at)
    filter 0     s s s s s s … s            row f:  s += x · W[at + f]
    filter 1     s s s s s s … s
    filter 2     s s s s s s … s

The operations below are plain Python that says what each of them does; as such they run where the
user has switched Numba off. `tile_code.py` has the instructions. Arrays are given as one long run,
and places in it are counted from its beginning.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnexp.engine.compiled.registers import lanes


class Operation:
    """An operation on tiles: Python, and what makes instructions of it in a kernel.

    Parameters
    ----------
    function : callable
        What it does.
    constants : tuple of int
        What it has as constants.
    """

    def __init__(self, function: Callable[..., Any], constants: tuple[int, ...] = ()) -> None:
        self.function, self.constants = function, constants

    @functools.cached_property
    def _numba_type_(self) -> Any:
        """Numba asks any object for its type by this name."""
        from cnnexp.engine.compiled import tile_code

        return tile_code.type_of(self.function, self.constants)

    def __call__(self, *arguments: Any) -> Any:
        """Run it as plain Python."""
        return self.function(*self.constants, *arguments)


def sized(function: Callable[..., Any]) -> Callable[[int], Any]:
    """Make a function a family of operations: one for each number of rows of its result."""
    of_size = functools.cache(lambda rows: Operation(function, (rows,)))
    of_size.__doc__ = function.__doc__
    return of_size


@Operation
def width(A):
    """Return the samples of a row."""
    return lanes(A.itemsize)


@sized
def load(rows, A, at, step, count):
    """Return rows of an array, `step` apart; behind the first `count` the last one again."""
    n = lanes(A.itemsize)
    return np.stack([A[at + min(r, count - 1) * step :][:n] for r in range(rows)])


@sized
def load_bytes(rows, winner, at, step, count, A):
    """Return rows of an array of bytes as whole numbers, so many samples as for `A`."""
    n = lanes(A.itemsize)
    found = [winner[at + min(r, count - 1) * step :][:n] for r in range(rows)]
    return np.stack(found).astype(f"i{A.itemsize}")


@sized
def gather(rows, A, at, offsets, first):
    """Return the rows of an array that lie at some offsets from a place."""
    n = lanes(A.itemsize)
    return np.stack([A[at + offsets[first + r] :][:n] for r in range(rows)])


@sized
def spread(rows, A, at):
    """Return a tile whose rows are numbers of an array, each for all samples."""
    return np.repeat(A[at : at + rows, None], lanes(A.itemsize), axis=1)


@sized
def full(rows, A, number):
    """Return a tile of one number, of an array's type."""
    return np.full((rows, lanes(A.itemsize)), number, A.dtype)


@sized
def whole(rows, A, number):
    """Return a tile of one whole number, for as many samples."""
    return np.full((rows, lanes(A.itemsize)), number, f"i{A.itemsize}")


@Operation
def add_products(tile, x, W, at):
    """Add the products of a row with one weight for each row of the tile."""
    return tile + x * W[at : at + len(tile), None]


@Operation
def add_strided_products(tile, x, W, at, step):
    """Add the products of a row with weights that lie a step apart, one for each row."""
    return tile + x * W[at::step][: len(tile), None]


@Operation
def add_outer(tile, rows, columns):
    """Add the products of all rows with all columns, those of the first row first."""
    return tile + (rows[:, None] * columns).reshape(tile.shape)


@Operation
def greater(z, best):
    """Return where a tile is greater than the best so far, or NaN."""
    return (z > best) | np.isnan(z)


@Operation
def chosen(where, yes, no):
    """Return the one or the other, number by number."""
    return np.where(where, yes, no)


@Operation
def noted(where, k, tile):
    """Return whole numbers, with `k` where something is so."""
    return np.where(where, tile.dtype.type(k), tile)


@Operation
def at_least(tile, floor):
    """Return what is not below the floor, and the floor else; NaN stays."""
    return np.where(tile < floor, floor, tile)


@Operation
def above(tile, floor):
    """Return where a tile is above the floor."""
    return tile > floor


@Operation
def with_bit(where, k, tile):
    """Return whole numbers, with bit `k` set where something is so."""
    return np.where(where, tile | tile.dtype.type(1 << k), tile)


@Operation
def has_bit(tile, k):
    """Return where bit `k` of whole numbers is set."""
    return (tile >> k) & 1 == 1


@Operation
def is_number(tile, k):
    """Return where whole numbers are `k`."""
    return tile == k


@Operation
def only(where, tile):
    """Return a tile, and zeros where something is not so."""
    return np.where(where, tile, tile.dtype.type(0))


@Operation
def plus(one, two):
    """Return the sum of two tiles."""
    return one + two


@Operation
def times(tile, factor):
    """Return a tile times a number."""
    return tile * factor


@Operation
def store(A, at, step, count, tile):
    """Write the first `count` rows, `step` apart; as bytes if the array is one of bytes."""
    for r in range(min(count, len(tile))):
        A[at + r * step :][: tile.shape[1]] = tile[r]


@Operation
def add_at(A, at, offsets, first, count, tile):
    """Add the first `count` rows at some offsets from a place."""
    for r in range(min(count, len(tile))):
        A[at + offsets[first + r] :][: tile.shape[1]] += tile[r]


@Operation
def add_sums(A, at, tile):
    """Add the sum of each row to a number of an array."""
    A[at : at + len(tile)] += tile.sum(axis=1)


@Operation
def copy_square(A, at, step, first, X, to, places):
    """Copy as many numbers of as many samples to where each number of them belongs."""
    n = lanes(A.itemsize)
    for r in range(n):
        X[to + places[first + r] :][:n] = A[at + first + r :: step][:n]
