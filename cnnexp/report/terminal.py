"""Curves and bars out of characters, for a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexp.report.drawing import WIDE_RANGE, spread

if TYPE_CHECKING:
    from rich.text import Text

BRAILLE = 0x2800
# the bit of each of a character's dots, by row and column
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
COLORS = ("deep_sky_blue3", "dark_orange", "green")
BLOCKS = " ▏▎▍▌▋▊▉█"

Curve = Sequence[float]


def chart(
    curves: Mapping[str, Curve],
    width: int,
    height: int,
    form: Callable[[float], str] = "{:g}".format,
) -> list[Text]:
    """Draw curves over their epochs, with their names at their ends.

    Each character has two by four dots. A wide range of values gets a logarithmic axis.

    Parameters
    ----------
    curves : mapping of str to sequence of float
        Values by epoch; those that are not finite are left out.
    width, height : int
        Characters of the drawing itself.
    form : callable
        Writes the values at the axis.

    Returns
    -------
    list of Text
        Lines; none if there is nothing to draw.
    """
    values = [value for curve in curves.values() for value in curve if math.isfinite(value)]
    if not values:
        return []
    axis = _Axis.over(values)
    longest = max(len(curve) for curve in curves.values())
    dots: dict[tuple[int, int], int] = {}
    ends: dict[int, float] = {}  # by place of the curve: in which row it ends
    for k, curve in enumerate(curves.values()):
        places = [
            (_dot(epoch, longest - 1, 2 * width), _dot(axis.below_top(value), 1.0, 4 * height))
            for epoch, value in enumerate(curve)
            if math.isfinite(value)
        ]
        dots.update(dict.fromkeys(_joined(places), k))
        if places:
            ends[k] = places[-1][1] / 4
    rows = [_row(dots, row, width) for row in range(height)]
    names = list(curves)
    for k, row in zip(ends, _free_rows(list(ends.values()), height), strict=True):
        rows[row].append(f" {names[k]}", style=COLORS[k % len(COLORS)])
    return _framed(rows, axis, f"1{longest:>{width - 1}}" if longest > 1 else "1", form)


@dataclass(frozen=True)
class _Axis:
    """The axis of values, from zero unless it is logarithmic."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def over(cls, values: Sequence[float]) -> _Axis:
        low, high = min(values), max(values)
        if low > 0 and high > WIDE_RANGE * low:
            return cls(low, high, True)
        return cls(min(low, 0.0), high if high > 0 else 1.0, False)

    def below_top(self, value: float) -> float:
        """Return how far a value lies below the top, as a fraction of the axis."""
        scale = math.log if self.logarithmic else float
        return (scale(self.high) - scale(value)) / (scale(self.high) - scale(self.low))


def _framed(
    rows: Sequence[Text], axis: _Axis, epochs: str, form: Callable[[float], str]
) -> list[Text]:
    """Put the axes beside and below a drawing."""
    from rich.text import Text

    top, bottom = form(axis.high), form(axis.low)
    wide = max(len(top), len(bottom))
    left = [f"{top:>{wide}} ┤", *[f"{'':>{wide}} │"] * (len(rows) - 2), f"{bottom:>{wide}} ┤"]
    lines = [Text(start) + row for start, row in zip(left, rows, strict=True)]
    lines.append(Text(f"{'':>{wide}}  {epochs} epoch"))
    if axis.logarithmic:
        lines[-1].append(", values on a logarithmic axis")
    for line in lines:
        line.rstrip()
    return lines


def _dot(value: float, whole: float, count: int) -> int:
    """Return which of `count` dots a value between 0 and `whole` falls on."""
    return round(value / whole * (count - 1)) if whole > 0 else 0


def _joined(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return all dots on straight lines from place to place."""
    found = list(places[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        found += [
            (round(x0 + (x1 - x0) * n / steps), round(y0 + (y1 - y0) * n / steps))
            for n in range(1, steps + 1)
        ]
    return found


def _row(dots: Mapping[tuple[int, int], int], row: int, width: int) -> Text:
    """Return one line of characters, each in the colour of a curve that runs through it."""
    from rich.text import Text

    line = Text()
    for column in range(width):
        bits, owner = 0, None
        for y in range(4):
            for x in range(2):
                k = dots.get((2 * column + x, 4 * row + y))
                if k is not None:
                    bits, owner = bits | DOTS[y][x], k
        if owner is None:
            line.append(" ")
        else:
            line.append(chr(BRAILLE + bits), style=COLORS[owner % len(COLORS)])
    return line


def _free_rows(wanted: Sequence[float], height: int) -> list[int]:
    """Return a row for each name, near the wanted place, in their order, and no row twice."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    rows = [0] * len(wanted)
    next_free = 0
    for n, k in enumerate(order):
        last = height - len(order) + n  # the names below need a row each
        rows[k] = min(max(round(spread(wanted, 1.0)[k]), next_free), last)
        next_free = rows[k] + 1
    return rows


def bar(share: float, width: int) -> str:
    """Return a bar that fills a share of `width` characters, to an eighth of one.

    Examples
    --------
    >>> bar(0.5, 5)
    '██▌'
    """
    eighths = round(max(share, 0.0) * width * 8)
    return "█" * (eighths // 8) + BLOCKS[eighths % 8].strip()
