"""Which pixels each element of a filter meets, stride group by stride group.

The pixels are numbered row by row from 1, as in a book; padding is `PADDING`. The elements of a
filter have letters, row by row as well. All of it is read off a window's own groups, the very ones
that the stride-group method computes with.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnnexp.engine.window import Axis, AxisGroup, Window

PADDING = 0
MOST_NUMBERS = 12  # of a list, before its rest is left out
MOST_LISTS = 100  # that are printed
MOST_ELEMENTS = 49  # of a filter, whose lists are printed
MOST_SIDE = 12  # pixels of an image that is printed


class Group(NamedTuple):
    """One stride group: a set of filter positions that do not overlap.

    Attributes
    ----------
    number : int
        Counted from 1.
    rows, cols : AxisGroup
        Its positions along either axis.
    """

    number: int
    rows: AxisGroup
    cols: AxisGroup

    @property
    def size(self) -> int:
        """Filter positions in the group."""
        return self.rows.count * self.cols.count


def groups_of(window: Window) -> Iterator[Group]:
    """Yield the stride groups of a window in the order in which they are computed."""
    for number, (rows, cols) in enumerate(window.groups(), 1):
        yield Group(number, rows, cols)


def pixels_met(window: Window, group: Group, row: int, col: int) -> Iterator[int]:
    """Yield the numbers of the pixels that one element of the filter meets in a group.

    Parameters
    ----------
    window : Window
        Where the filter stands.
    group : Group
        One of its groups.
    row, col : int
        The element of the filter.
    """
    for y in _met(window.rows, group.rows, row):
        for x in _met(window.cols, group.cols, col):
            inside = 0 <= y < window.rows.size and 0 <= x < window.cols.size
            yield y * window.cols.size + x + 1 if inside else PADDING


def outputs_of(window: Window, group: Group) -> Iterator[int]:
    """Yield the numbers of the outputs that a group gives, one a filter position."""
    columns = window.cols.out
    for y in range(group.rows.count):
        for x in range(group.cols.count):
            row = group.rows.first + y * group.rows.step
            yield row * columns + group.cols.first + x * group.cols.step + 1


def element(width: int, row: int, col: int) -> str:
    """Return the letter of an element of a filter; a wide filter has numbers instead.

    Examples
    --------
    >>> element(2, 1, 0), element(7, 1, 0)
    ('C', '2,1')
    """
    letters = string.ascii_uppercase
    return letters[row * width + col] if width**2 <= len(letters) else f"{row + 1},{col + 1}"


def elements(width: int) -> list[tuple[int, int]]:
    """Return the rows and columns of all elements of a filter, row by row."""
    return [(row, col) for row in range(width) for col in range(width)]


def heading(window: Window) -> str:
    """Say what slides over what.

    Examples
    --------
    >>> from cnnexp.engine.window import Window
    >>> heading(Window.over((4, 4), 2, 1, "valid"))
    'a 2x2 filter over 4x4 pixels, stride 1: 3x3 outputs in 4 stride groups'
    """
    f, count = window.rows.width, window.group_count
    padding = f" with padding {_around(window)}" if window.has_padding else ""
    groups = "1 stride group" if count == 1 else f"{count:,} stride groups"
    return (
        f"a {f}x{f} filter over {window.rows.size}x{window.cols.size} pixels{padding}, stride"
        f" {window.rows.stride}: {window.rows.out}x{window.cols.out} outputs in {groups}"
    )


def lines_of(window: Window) -> list[str]:
    """Return everything as text; what is long is shortened, and says so."""
    f = window.rows.width
    lines = [heading(window), "", *_count(window), ""]
    if max(window.rows.size, window.cols.size) <= MOST_SIDE and f**2 <= MOST_ELEMENTS:
        lines += [*_side_by_side(window), ""]
    if f**2 > MOST_ELEMENTS:
        return [*lines, f"The lists of {f**2:,} elements in each group are left out."]
    shown = max(MOST_LISTS // f**2, 1)
    for group in itertools.islice(groups_of(window), shown):
        lines += _group(window, group)
    if window.group_count > shown:
        lines.append(f"… and {window.group_count - shown:,} further groups")
    return lines


def meeting(window: Window, group: Group, row: int, col: int, most: int = MOST_NUMBERS) -> str:
    """Return the list of pixels that an element meets as text, its rest left out if long."""
    return shortened_list(pixels_met(window, group, row, col), group.size, most)


def shortened_list(numbers: Iterator[int], count: int, most: int) -> str:
    """Return the first numbers as text, and how many follow.

    Examples
    --------
    >>> shortened_list(iter([1, 0, 3]), 3, 3), shortened_list(iter(range(1, 100)), 99, 3)
    ('1, ·, 3', '1, 2, 3, … (99 in all)')
    """
    words = [
        str(number) if number != PADDING else "·" for number in itertools.islice(numbers, most)
    ]
    return ", ".join(words) + (f", … ({count:,} in all)" if count > most else "")


def _met(axis: Axis, group: AxisGroup, offset: int) -> Iterator[int]:
    """Yield the pixels along one axis that are `offset` into each block, padding not counted."""
    for k in range(group.count):
        yield group.start + k * group.block + offset - axis.before


def _around(window: Window) -> str:
    """Say how many pixels of padding there are at the four sides."""
    rows, cols = window.rows, window.cols
    sides = {"top": rows.before, "bottom": rows.after, "left": cols.before, "right": cols.after}
    if len(set(sides.values())) == 1:
        return str(rows.before)
    return f"({', '.join(f'{side} {pixels}' for side, pixels in sides.items() if pixels)})"


def _count(window: Window) -> list[str]:
    """Say why there are so many groups."""
    f, s = window.rows.width, window.rows.stride
    parts = [
        f"{name} min(ceil({f}/{s}), {axis.out}) = {axis.group_count}"
        for name, axis in (("down:", window.rows), ("across:", window.cols))
    ]
    return [f"groups {'; '.join(parts)}; together {window.group_count:,}"]


def _side_by_side(window: Window) -> list[str]:
    """Return the filter's letters beside the image's numbers."""
    f, (ih, iw) = window.rows.width, (window.rows.size, window.cols.size)
    left = [" ".join(element(f, row, col) for col in range(f)) for row in range(f)]
    wide = len(str(ih * iw))
    right = [" ".join(f"{y * iw + x + 1:{wide}}" for x in range(iw)) for y in range(ih)]
    rows = itertools.zip_longest(["filter", *left], ["pixels", *right], fillvalue="")
    width = max(len("filter"), *map(len, left))
    return [f"{a:<{width}}    {b}".rstrip() for a, b in rows]


def _group(window: Window, group: Group) -> list[str]:
    """Return one group: its outputs, and what each element meets."""
    outputs = shortened_list(outputs_of(window, group), group.size, MOST_NUMBERS)
    what = "output" if group.size == 1 else "outputs"
    return [
        f"group {group.number}: {what} {outputs}",
        *(
            f"  {element(window.rows.width, row, col)} meets {meeting(window, group, row, col)}"
            for row, col in elements(window.rows.width)
        ),
        "",
    ]
