"""The stride groups of a window, drawn: one panel a group, one colour an element of the filter.

Everything is drawn in one pair of axes whose unit is a pixel of the image, from the top left corner
downwards. A large image is cut to its upper left corner: the pattern repeats.
"""

from __future__ import annotations

import io
import itertools
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnexp.errors import OptionError
from cnnexp.report.drawing import INK
from cnnexp.report.inside.meetings import (
    Group,
    element,
    elements,
    groups_of,
    heading,
    meeting,
    outputs_of,
)
from cnnexp.report.plots import style
from cnnexp.runs.files import write_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexp.engine.window import Axis, AxisGroup, Window

ENDINGS = (".png", ".svg", ".pdf")
WIDEST_FILTER = 11  # pixels; the letters of a wider one could not be read
MOST_ALONG = 4  # groups along an axis that are drawn
CELLS_ACROSS = 44  # pixels that all panels beside each other may show
MOST_SIDE, MOST_LISTED = 12, 9  # pixels of an image that is drawn whole; elements that are listed
CELL, SMALLEST_CELL, WIDEST = 0.36, 0.2, 11.0  # inches: a pixel, at least, and the figure
LINE = 0.6  # of a pixel: a line of a list
LETTER = 0.25  # of a pixel: a letter of a list
TITLE = 5.2  # pixels: the title of a panel
GAP = 1.3  # pixels between panels
OUTPUT, ARROW = 0.62, 1.1  # of a pixel: an output, and the room before the first
HEADING, REMARK = 0.265, 0.195  # of a pixel: a letter of what stands above the panels
FAINT, GIVEN = "#8A8A8A", "#B9B9B9"
# hues of Okabe and Ito: one for each row of the filter, or for each element of a small one
HUES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#D55E00")


class Part(NamedTuple):
    """The pixels along one axis that are shown, padding included: all, or the first ones."""

    axis: Axis
    shown: int

    @property
    def whole(self) -> bool:
        """Whether nothing is cut off."""
        return self.shown == self.axis.padded

    def starts(self, group: AxisGroup) -> list[int]:
        """Return where the members of a group begin that are shown whole."""
        starts = (group.start + k * group.block for k in range(group.count))
        last = self.shown - self.axis.width
        return list(itertools.takewhile(lambda start: start <= last, starts))


class Grid(NamedTuple):
    """What is drawn of a window, and which groups."""

    window: Window
    rows: Part
    cols: Part
    groups: list[Group]
    across: int

    @property
    def listed(self) -> bool:
        """Whether the lists of pixels stand below each group."""
        return self.rows.whole and self.cols.whole and self.window.rows.width**2 <= MOST_LISTED

    @property
    def has_outputs(self) -> bool:
        """Whether the outputs of each group stand beside it."""
        return self.rows.whole and self.cols.whole

    @property
    def panel(self) -> tuple[float, float]:
        """Width and height of a panel, in pixels."""
        outputs = ARROW + OUTPUT * self.cols.axis.out if self.has_outputs else 0.0
        width, lines = max(self.cols.shown + outputs, TITLE), 0
        if self.listed:
            longest = max(len(line) for group in self.groups for line in _lists(self.window, group))
            width, lines = max(width, LETTER * longest), self.window.rows.width**2
        return width, 1.0 + self.rows.shown + LINE * (lines + 0.5 * bool(lines))

    @property
    def note(self) -> str:
        """Say what is left out."""
        notes = []
        if not (self.rows.whole and self.cols.whole):
            notes.append(
                f"the upper left {self.rows.shown}x{self.cols.shown} of"
                f" {self.rows.axis.padded}x{self.cols.axis.padded} pixels"
            )
        if len(self.groups) < self.window.group_count:
            notes.append(f"{len(self.groups)} of {self.window.group_count:,} groups")
        return f"Shown: {' and '.join(notes)}." if notes else ""


def check_drawable(window: Window, path: Path) -> None:
    """Raise OptionError if the groups of a window cannot be drawn into a file."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(
            f"--out {path}: the file's name must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}."
        )
    if window.rows.width > WIDEST_FILTER:
        raise OptionError(
            f"a filter of {window.rows.width}x{window.rows.width} has too many elements to be"
            f" drawn: at most {WIDEST_FILTER}x{WIDEST_FILTER}. Without --out its groups are"
            " counted."
        )


def save_stride_groups(path: Path, window: Window) -> None:
    """Draw the stride groups of a window into a file; its ending says in which format.

    Raises
    ------
    OptionError
        If the ending is unknown, or the filter has too many elements.
    """
    check_drawable(window, path)
    kind = path.suffix.lower().lstrip(".")
    with style():
        out = io.BytesIO()
        extra: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
        draw_stride_groups(window).savefig(out, format=kind, dpi=150, **extra)
    write_output(path, out.getvalue())


def draw_stride_groups(window: Window) -> Figure:
    """Return a figure of the stride groups of a window."""
    from matplotlib.figure import Figure

    grid = _grid_of(window)
    panel_width, panel_height = grid.panel
    down = -(-len(grid.groups) // grid.across)
    left = max(window.rows.width, 2) + 1.6 * GAP  # of the panels; the filter stands beside them
    across = left + grid.across * (panel_width + GAP)
    head = textwrap.wrap(_sentence(window), int(across / HEADING))
    remarks = textwrap.wrap(f"{_legend(grid)} {grid.note}", int(across / REMARK))
    top = 0.8 * len(head) + 0.6 * len(remarks) + 0.5  # of the panels
    below = top + down * (panel_height + GAP)
    cell = max(min(CELL, WIDEST / across), SMALLEST_CELL)
    figure = Figure(figsize=(across * cell, below * cell))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-GAP / 2, across - GAP / 2), ylim=(below - 0.6, -0.6))
    axes.set_axis_off()
    scale = cell / CELL
    for k, line in enumerate(head):
        _words(axes, (0, 0.2 + 0.8 * k), line, 11 * scale, weight="bold")
    for k, line in enumerate(remarks):
        at = (0, 0.1 + 0.8 * len(head) + 0.6 * k)
        _words(axes, at, line, 8.5 * scale, color="#555555")
    _draw_filter(axes, window, (0.0, top + 1.0), scale)
    for k, group in enumerate(grid.groups):
        y, x = divmod(k, grid.across)
        corner = (left + x * (panel_width + GAP), top + y * (panel_height + GAP))
        _draw_group(axes, grid, group, corner, scale)
    return figure


def _grid_of(window: Window) -> Grid:
    """Choose what is drawn: all, or a corner of the image and the first groups."""
    down, across = (min(axis.group_count, MOST_ALONG) for axis in (window.rows, window.cols))
    side = max(min(MOST_SIDE, CELLS_ACROSS // across), 2 * window.rows.width - 1)
    rows, cols = (Part(axis, min(axis.padded, side)) for axis in (window.rows, window.cols))
    return Grid(window, rows, cols, _first_along(window, down, across), across)


def _first_along(window: Window, down: int, across: int) -> list[Group]:
    """Return the first groups along both axes."""
    per_row = window.cols.group_count
    first = itertools.islice(groups_of(window), down * per_row)
    return [group for group in first if (group.number - 1) % per_row < across]


def _sentence(window: Window) -> str:
    words = heading(window)
    return words[:1].upper() + words[1:]


def _legend(grid: Grid) -> str:
    """Say how the picture is read."""
    padding = " · is padding." if grid.window.has_padding else ""
    outputs = " At the right: the outputs that the group gives." if grid.has_outputs else ""
    return (
        "Heavy frames: filter positions of one group; they do not overlap. A colour and a letter:"
        f" the filter's element that meets the pixel.{outputs}{padding}"
    )


def _draw_filter(axes: Axes, window: Window, corner: tuple[float, float], scale: float) -> None:
    """Draw the filter with its letters in their colours."""
    x, y = corner
    _words(axes, (x, y - 0.45), "filter", 9 * scale, weight="bold")
    for row, col in elements(window.rows.width):
        _cell(axes, (x + col, y + row), color_of(window.rows.width, row, col))
        middle = (x + col + 0.5, y + row + 0.5)
        _words(axes, middle, element(window.rows.width, row, col), 9 * scale, ha="center")
    _frame(axes, corner, window.rows.width)


def _draw_group(
    axes: Axes, grid: Grid, group: Group, corner: tuple[float, float], scale: float
) -> None:
    """Draw one group: the image, the positions on it, its outputs, and the lists below."""
    x, y = corner
    count = "1 output" if group.size == 1 else f"{group.size:,} outputs"
    _words(axes, (x, y + 0.55), f"group {group.number}: {count}", 9 * scale, weight="bold")
    y += 1.0
    for row, col in itertools.product(range(grid.rows.shown), range(grid.cols.shown)):
        _cell(axes, (x + col, y + row), "white" if _pixel(grid, row, col) else "#EFEFEF")
    starts = list(itertools.product(grid.rows.starts(group.rows), grid.cols.starts(group.cols)))
    met = {}
    for top, left in starts:
        for row, col in elements(grid.window.rows.width):
            _cell(axes, (x + left + col, y + top + row), color_of(grid.window.rows.width, row, col))
            met[top + row, left + col] = element(grid.window.rows.width, row, col)
    for row, col in itertools.product(range(grid.rows.shown), range(grid.cols.shown)):
        _number(axes, grid, (row, col), (x, y), met.get((row, col), ""), scale)
    for top, left in starts:
        _frame(axes, (x + left, y + top), grid.window.rows.width)
    if grid.has_outputs:
        _draw_outputs(axes, grid, group, (x + grid.cols.shown, y), scale)
    if grid.listed:
        for k, line in enumerate(_lists(grid.window, group)):
            at = (x, y + grid.rows.shown + LINE * (k + 1))
            _words(axes, at, line, 8 * scale, family="monospace")


def _draw_outputs(
    axes: Axes, grid: Grid, group: Group, corner: tuple[float, float], scale: float
) -> None:
    """Draw all outputs of the layer, with those of one group filled."""
    x, y = corner
    rows, columns = grid.window.out
    _words(axes, (x + 0.5 * ARROW, y + grid.rows.shown / 2), "→", 11 * scale, ha="center")
    x, y = x + ARROW, y + (grid.rows.shown - OUTPUT * rows) / 2
    given = set(outputs_of(grid.window, group))
    for row, col in itertools.product(range(rows), range(columns)):
        number = row * columns + col + 1
        at = (x + OUTPUT * col, y + OUTPUT * row)
        _cell(axes, at, GIVEN if number in given else "white", OUTPUT)
        if number in given:
            middle = (at[0] + OUTPUT / 2, at[1] + OUTPUT / 2)
            _words(axes, middle, str(number), (6.5 if number < 100 else 5) * scale, ha="center")


def _number(
    axes: Axes,
    grid: Grid,
    place: tuple[int, int],
    corner: tuple[float, float],
    letter: str,
    scale: float,
) -> None:
    """Write the number of a pixel, and the letter that meets it."""
    (row, col), (x, y) = place, corner
    number = _pixel(grid, row, col)
    shown = str(number) if number else "·"
    size = (9.5 if len(shown) < 3 else 7.5 if len(shown) < 5 else 5.5) * scale
    color = INK if letter else FAINT
    _words(axes, (x + col + 0.55, y + row + 0.6), shown, size, ha="center", color=color)
    _words(axes, (x + col + 0.09, y + row + 0.22), letter, 5.5 * scale, weight="bold")


def _pixel(grid: Grid, row: int, col: int) -> int:
    """Return the number of a pixel of the padded image, 0 for padding."""
    rows, cols = grid.rows.axis, grid.cols.axis
    y, x = row - rows.before, col - cols.before
    return y * cols.size + x + 1 if 0 <= y < rows.size and 0 <= x < cols.size else 0


def _lists(window: Window, group: Group) -> Iterator[str]:
    """Yield what each element of the filter meets in a group."""
    for row, col in elements(window.rows.width):
        yield f"{element(window.rows.width, row, col)} × {meeting(window, group, row, col, 9)}"


def color_of(width: int, row: int, col: int) -> str:
    """Return the colour of an element: a hue for its row, paler from column to column.

    A filter of up to 2x2 has a hue for each element.
    """
    from matplotlib.colors import to_hex, to_rgb

    hue = HUES[row * width + col] if width <= 2 else HUES[row % len(HUES)]
    white = 0.45 if width <= 2 else 0.25 + 0.55 * col / (width - 1)
    red, green, blue = to_rgb(hue)
    return to_hex((red + white * (1 - red), green + white * (1 - green), blue + white * (1 - blue)))


def _cell(axes: Axes, corner: tuple[float, float], color: str, side: float = 1) -> None:
    """Draw one pixel, or one output."""
    from matplotlib.patches import Rectangle

    look: dict[str, Any] = {"facecolor": color, "edgecolor": "#C9C9C9", "linewidth": 0.6}
    axes.add_artist(Rectangle(corner, side, side, **look))


def _frame(axes: Axes, corner: tuple[float, float], width: int) -> None:
    """Draw the edge of the filter."""
    from matplotlib.patches import Rectangle

    inset = 0.04
    x, y = corner
    side = width - 2 * inset
    axes.add_artist(
        Rectangle((x + inset, y + inset), side, side, fill=False, edgecolor=INK, linewidth=1.8)
    )


def _words(axes: Axes, place: tuple[float, float], words: str, size: float, **look: str) -> None:
    """Write words, their middle at a height."""
    axes.text(*place, words, fontsize=size, va="center", **look)  # type: ignore[arg-type]
