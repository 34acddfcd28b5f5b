"""Where a sliding window stands: output sizes, padding and stride groups, in one place.

A window of `f` x `f` pixels slides over a padded image in steps of `s`. Along one axis of length
`i` (padding included) it stands at ``(i - f) // s + 1`` positions; pixels that no position covers
are left over and ignored.

Positions that lie ``ceil(f / s)`` steps apart do not overlap, so the positions fall into at most
``ceil(f / s)`` *stride groups* per axis. In a group no pixel is met twice: the group is one slice
of the image, cut into blocks, and the window is the first `f` pixels of each block::

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

from collections.abc import Iterator
from dataclasses import dataclass

from cnnexp.errors import OptionError, ShapeError

Padding = int | str


@dataclass(frozen=True)
class AxisGroup:
    """One stride group along one axis, in units of positions and of padded pixels.

    Attributes
    ----------
    first, step, count : int
        The group holds the positions ``first, first + step, …``, `count` of them.
    start, block : int
        Its first pixel, and the pixels from one member to the next (at least the width).
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

    @property
    def padded(self) -> int:
        """Pixels of the image with its padding."""
        return self.before + self.size + self.after

    @property
    def out(self) -> int:
        """Positions of the window; pixels left over at the end are dropped."""
        return (self.padded - self.width) // self.stride + 1

    @property
    def group_count(self) -> int:
        """Stride groups: ``min(ceil(width / stride), positions)``."""
        return min(-(-self.width // self.stride), self.out)

    def groups(self) -> Iterator[AxisGroup]:
        """Yield the stride groups of this axis."""
        step = -(-self.width // self.stride)
        for first in range(self.group_count):
            count = -(-(self.out - first) // step)
            yield AxisGroup(first, step, count, first * self.stride, step * self.stride)

    @property
    def extent(self) -> int:
        """Pixels that a buffer needs so that every block of every group lies inside it."""
        return max(self.padded, *(group.stop for group in self.groups()))

    @property
    def inside(self) -> slice:
        """The image itself within its padding."""
        return slice(self.before, self.before + self.size)


@dataclass(frozen=True)
class Window:
    """A square window over the rows and columns of an image.

    Examples
    --------
    >>> window = Window.over((28, 28), width=3, stride=1, padding="valid")
    >>> window.out, window.group_count
    ((26, 26), 9)
    >>> Window.over((28, 28), width=2, stride=2, padding="valid").group_count
    1
    """

    rows: Axis
    cols: Axis

    @classmethod
    def over(cls, image: tuple[int, int], width: int, stride: int, padding: Padding, dilation=1) -> Window:
        """Place a window over an image of (ih, iw) pixels.

        Parameters
        ----------
        image : tuple of int
            Rows and columns of the image, without padding.
        width, stride : int
            The window's width `f_w` and stride `s`, in pixels, both axes alike.
        padding : {"valid", "same"} or int
            ``"valid"``: none. ``"same"``: as many as give ``ceil(i / s)`` positions, an odd one
            at the bottom and right (TensorFlow's rule). A number: that many on every side.

        Raises
        ------
        ShapeError
            If the window is wider than the padded image.
        """
        axes = [Axis(size, width, stride, *_pads(size, width, stride, padding)) for size in image]
        if any(axis.padded < width for axis in axes):
            rows, cols = (axis.padded for axis in axes)
            around = "" if padding == "valid" else f" with padding {padding}"
            raise ShapeError(
                f"a {width}x{width} window does not fit on an image of {rows}x{cols}{around}"
            )
        return cls(*axes)

    @property
    def width(self) -> int:
        """Pixels of the window along either axis, `f_w`."""
        return self.rows.width

    @property
    def stride(self) -> int:
        """Pixels from one position to the next, `s`."""
        return self.rows.stride

    @property
    def out(self) -> tuple[int, int]:
        """Positions along rows and columns, (oh, ow)."""
        return self.rows.out, self.cols.out

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(axis.before or axis.after for axis in (self.rows, self.cols))

    @property
    def group_count(self) -> int:
        """Stride groups, and so the iterations of the stride-group method."""
        return self.rows.group_count * self.cols.group_count

    def groups(self) -> Iterator[tuple[AxisGroup, AxisGroup]]:
        """Yield the stride groups as pairs of a row group and a column group."""
        for rows in self.rows.groups():
            for cols in self.cols.groups():
                yield rows, cols


def pair(name, value):
    if not isinstance(value, int) or isinstance(value, bool):
        raise OptionError(f"{name} must be a whole number. Got {value!r}.")
    if value < 1:
        raise OptionError(f"{name} must be at least 1. Got {value}.")
    return (value, value)


Pairs = tuple


def check_padding(padding: Padding) -> None:
    """Raise OptionError unless `padding` is one of the allowed values."""
    if padding in ("valid", "same"):
        return
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise OptionError(
            f"padding must be 'valid', 'same' or a number of at least 0. Got {padding!r}."
        )


def _pads(size: int, width: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Return the pixels of padding before and after an axis."""
    check_padding(padding)
    if padding == "valid":
        return 0, 0
    if padding == "same":
        out = -(-size // stride)
        total = max((out - 1) * stride + width - size, 0)
        return total // 2, total - total // 2
    return int(padding), int(padding)
