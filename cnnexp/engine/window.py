"""Sliding windows: output sizes, padding, and the stride groups of window positions.

A window slides over a padded image in steps of the stride. Along one axis of length `i` (padding
included) a window of `f` pixels stands at ``(i - f) // s + 1`` positions; pixels that no position
covers are left over and ignored. With dilation `d` the pixels of a window lie `d` apart, and it
reaches over ``r = (f - 1) · d + 1`` pixels.

Positions that lie ``ceil(r / s)`` steps apart do not overlap, so the positions fall into at most
``ceil(r / s)`` *stride groups* per axis. Within a group no pixel is used twice: the group is one
slice of the image, cut into blocks, and the window is the first `r` pixels of each block::

    f = 2, s = 1, i = 5                     position    0 1 2 3
                                            group       0 1 0 1
    group 0   [a b][c d] .        blocks of 2 from pixel 0
    group 1    . [b c][d e]       blocks of 2 from pixel 1

Two axes multiply: a 3x3 window of stride 1 has nine groups, a window that moves by its own width
has one. The count depends on `f` and `s`, never on the number of samples, channels or filters.

References
----------
David Stein, cnn-numpy, https://www.github.com/neuron-whisperer/cnn-numpy
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

from cnnexp.errors import OptionError, ShapeError

Pair = int | Sequence[int]
Padding = int | str | Sequence[Any]
Pads = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class AxisGroup:
    """One stride group along one axis, in units of positions and of padded pixels.

    Attributes
    ----------
    first, step, count : int
        The group holds the positions ``first, first + step, …``, `count` of them.
    start, block : int
        Its first pixel, and the pixels from one member to the next (at least the reach).
    """

    first: int
    step: int
    count: int
    start: int
    block: int

    @property
    def positions(self) -> slice:
        """The group's members among all positions of the axis."""
        return slice(self.first, None, self.step)

    @property
    def stop(self) -> int:
        """One past the last pixel of the last block; it may lie beyond the image."""
        return self.start + self.count * self.block


@dataclass(frozen=True)
class Axis:
    """A window along one axis of an image.

    Parameters
    ----------
    size : int
        Pixels of the image, without padding.
    width : int
        Pixels of the window.
    stride : int
        Pixels from one position to the next.
    before, after : int
        Pixels of padding at either end.
    dilation : int
        Pixels of the image from one pixel of the window to the next.

    Examples
    --------
    >>> axis = Axis(size=4, width=2, stride=1, before=0, after=0)
    >>> axis.out, axis.group_count
    (3, 2)
    >>> [group.start for group in axis.groups()]
    [0, 1]
    """

    size: int
    width: int
    stride: int
    before: int
    after: int
    dilation: int = 1

    @cached_property
    def reach(self) -> int:
        """Pixels of the image from the first to the last of the window."""
        return (self.width - 1) * self.dilation + 1

    @cached_property
    def padded(self) -> int:
        """Pixels of the image with its padding."""
        return self.before + self.size + self.after

    @cached_property
    def out(self) -> int:
        """Positions of the window; pixels left over at the end are dropped."""
        return (self.padded - self.reach) // self.stride + 1

    @cached_property
    def group_count(self) -> int:
        """Stride groups: ``min(ceil(reach / stride), positions)``."""
        return min(-(-self.reach // self.stride), self.out)

    def groups(self) -> Iterator[AxisGroup]:
        """Yield the stride groups of this axis."""
        step = -(-self.reach // self.stride)
        for first in range(self.group_count):
            count = -(-(self.out - first) // step)
            yield AxisGroup(first, step, count, first * self.stride, step * self.stride)

    @cached_property
    def extent(self) -> int:
        """Pixels that a buffer needs so that every block of every group lies inside it."""
        return max(self.padded, *(group.stop for group in self.groups()))

    @cached_property
    def inside(self) -> slice:
        """The slice of the padded image that is the image itself."""
        return slice(self.before, self.before + self.size)

    def at(self, position: int) -> slice:
        """The pixels of the padded image under the window at a position."""
        start = position * self.stride
        return slice(start, start + self.reach, self.dilation)


@dataclass(frozen=True)
class Window:
    """A window over the rows and columns of an image.

    Examples
    --------
    >>> window = Window.over((28, 28), kernel=3, stride=1, padding="valid")
    >>> window.out, window.group_count
    ((26, 26), 9)
    >>> Window.over((28, 28), kernel=(2, 3), stride=(2, 3), padding="valid").group_count
    1
    """

    rows: Axis
    cols: Axis

    @classmethod
    def over(
        cls,
        image: tuple[int, int],
        kernel: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair = 1,
    ) -> Window:
        """Return the window for an image of (ih, iw) pixels.

        Parameters
        ----------
        image : tuple of int
            Rows and columns of the image, without padding.
        kernel, stride, dilation : int or pair of int
            Of both axes, or of rows and of columns, in pixels.
        padding : {"valid", "same"}, int, pair of int, or pair of pairs
            ``"valid"``: none. ``"same"``: as many as give ``ceil(i / s)`` positions, an odd one
            at the bottom and right (TensorFlow's rule). A number: that many on every side. A
            pair: above and below, left and right. A pair of pairs: ``((above, below), (left,
            right))``.

        Raises
        ------
        ShapeError
            If the window is wider than the padded image.
        """
        widths, strides = pair("kernel_size", kernel), pair("stride", stride)
        dilations, given = pair("dilation", dilation), check_padding(padding)
        axes = []
        for k, size in enumerate(image):
            pads = given[k]
            if padding == "same":
                reach = (widths[k] - 1) * dilations[k] + 1
                total = max((-(-size // strides[k]) - 1) * strides[k] + reach - size, 0)
                pads = total // 2, total - total // 2
            axes.append(Axis(size, widths[k], strides[k], *pads, dilations[k]))
        rows, cols = axes
        if rows.padded < rows.reach or cols.padded < cols.reach:
            around = "" if padding == "valid" else f" with padding {padding}"
            dilated = "" if max(dilations) == 1 else f" with dilation {_plain(dilation)}"
            raise ShapeError(
                f"a {rows.width}x{cols.width} window{dilated} does not fit on an image of"
                f" {rows.padded}x{cols.padded}{around}"
            )
        return cls(rows, cols)

    @cached_property
    def kernel(self) -> tuple[int, int]:
        """Rows and columns of the window, (f_h, f_w)."""
        return self.rows.width, self.cols.width

    @cached_property
    def size(self) -> int:
        """Pixels of the window."""
        return self.rows.width * self.cols.width

    @cached_property
    def stride(self) -> tuple[int, int]:
        """Pixels from one position to the next, (s_h, s_w)."""
        return self.rows.stride, self.cols.stride

    @cached_property
    def dilation(self) -> tuple[int, int]:
        """Pixels of the image from one pixel of the window to the next."""
        return self.rows.dilation, self.cols.dilation

    @cached_property
    def out(self) -> tuple[int, int]:
        """Positions along rows and columns, (oh, ow)."""
        return self.rows.out, self.cols.out

    @cached_property
    def has_padding(self) -> bool:
        """Whether there is any padding."""
        return any(axis.before or axis.after for axis in (self.rows, self.cols))

    @cached_property
    def overlaps(self) -> bool:
        """Whether neighbouring positions share pixels."""
        return any(axis.stride < axis.reach for axis in (self.rows, self.cols))

    @cached_property
    def group_count(self) -> int:
        """Stride groups, and so the iterations of the stride-group method."""
        return self.rows.group_count * self.cols.group_count

    def groups(self) -> Iterator[tuple[AxisGroup, AxisGroup]]:
        """Yield the stride groups as pairs of a row group and a column group."""
        for rows in self.rows.groups():
            for cols in self.cols.groups():
                yield rows, cols


def pair(name: str, value: Any, least: int = 1) -> tuple[int, int]:
    """Return an option as a number for rows and one for columns.

    Raises
    ------
    OptionError
        If it is neither a whole number nor a pair of them, or too small.

    Examples
    --------
    >>> pair("stride", 2), pair("stride", [2, 1])
    ((2, 2), (2, 1))
    """
    both = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
    if both is not None and len(both) != 2:
        raise OptionError(
            f"{name} must be a whole number or a pair, [rows, columns]. Got {_plain(value)}."
        )
    for number in both or (value,):
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise OptionError(f"{name} must be a whole number. Got {number!r}.")
        if number < least:
            raise OptionError(f"{name} must be at least {least}. Got {number}.")
    rows, cols = both or (value, value)
    return int(rows), int(cols)


def check_padding(padding: Padding) -> Pads:
    """Return the padding of rows and columns at both ends; zeros for the words.

    Raises
    ------
    OptionError
        If it is not one of the allowed values.
    """
    if isinstance(padding, str) and padding in ("valid", "same"):
        return (0, 0), (0, 0)
    try:
        if isinstance(padding, Sequence) and not isinstance(padding, str):
            if len(padding) != 2:
                raise OptionError("")
            rows, cols = (pair("padding", ends, least=0) for ends in padding)
            return rows, cols
        return (pair("padding", padding, least=0),) * 2
    except OptionError:
        raise OptionError(
            "padding must be 'valid', 'same', a number of at least 0, a pair [rows, columns] or"
            f" [[above, below], [left, right]]. Got {_plain(padding)!r}."
        ) from None


def _plain(value: Any) -> Any:
    """Return a value for a message: sequences of any kind as lists."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
