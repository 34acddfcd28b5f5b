"""What one panel of a plot is drawn with: curves, bars, scales, and names at the ends of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnnexp.report.formats import amount
from cnnexp.report.lines import GREY, Line, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#222222"
TARGET_STYLE = Style("#777777", "", ":")
WIDE_RANGE = 20.0  # from this ratio on an axis is logarithmic
MOST_BARS = 24
LONGEST = 40  # letters of a name
SHORT = 12  # letters of a name that may stand among the curves
LABEL_HEIGHT = 0.075  # of the height of the axes
UNITS = ((2 * 3600.0, 3600.0, "hours"), (10 * 60.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))

Pairs = tuple[list[float], list[float]]


class End(NamedTuple):
    """A line that is named: its label, its points, and its look."""

    label: str
    pairs: Pairs
    style: Style


def draw_curves(
    axes: Axes,
    lines: Sequence[Line],
    x: str,
    y: str,
    mark: float | None,
    chance: float | None = None,
) -> None:
    """Draw one curve a line, a mean with the band of its runs; grey ones first."""
    ends = []
    for line in sorted(lines, key=lambda line: line.style is not GREY):
        if len(line.histories) > 1:
            draw_band(axes, line.band(x, y), line.style)
        pairs = line.curve(x, y)
        draw_line(axes, pairs, line.style)
        if line.style is not GREY:
            ends.append(End(line.label, pairs, line.style))
    finish_curves(axes, ends, x, y.rpartition("_")[2], mark, chance)


def draw_band(axes: Axes, band: tuple[list[float], list[float], list[float]], style: Style) -> None:
    """Fill what lies between the lowest and the highest of several runs."""
    axes.fill_between(*band, color=style.color, alpha=0.18, linewidth=0)


def draw_line(axes: Axes, pairs: Pairs, style: Style) -> None:
    """Draw a line with its own colour, dashes and markers, at most a dozen of these."""
    axes.plot(
        *pairs,
        color=style.color,
        linestyle=style.dashes,
        marker=style.marker,
        markevery=max(len(pairs[0]) // 12, 1),
        linewidth=0.8 if style is GREY else 1.8,
    )


def finish_curves(
    axes: Axes,
    ends: Sequence[End],
    x: str,
    kind: str,
    mark: float | None,
    chance: float | None = None,
    wide: bool = False,
) -> None:
    """Set scales and names of the axes, and name the lines, a target and the error of guessing.

    Axes are logarithmic where figures range widely, and where `wide` asks for it.
    """
    if not any(len(xs) for xs, _ in map(_points, axes.lines)):
        _say_instead(axes, "no epoch has been logged")
        return
    _scale_x(axes, x, wide)
    _scale_y(axes, kind, mark, wide)
    named = [
        (end.label, end.pairs[0][-1], end.pairs[1][-1], end.style) for end in ends if end.pairs[0]
    ]
    if mark is not None:
        axes.axhline(mark, color=TARGET_STYLE.color, linewidth=1, linestyle=":", zorder=1)
        words = _percent(mark) if kind == "error" else f"{mark:g}"
        named.append((f"target {words}", axes.get_xlim()[1], mark, TARGET_STYLE))
    if kind == "error" and chance is not None:
        _mark_chance(axes, chance)
    _name_ends(axes, named)


def _mark_chance(axes: Axes, chance: float) -> None:
    """Draw the error of guessing, or name it at the axis where the errors lie far below it."""
    words = f"chance: {_percent(round(chance, 3))}"
    if axes.get_yscale() != "log" and axes.get_ylim()[1] < chance / 2:
        axes.set_ylabel(axes.get_ylabel().replace("better)", f"better; {words})"))
        return
    axes.set_ylim(top=max(axes.get_ylim()[1], 1.1 * chance))
    axes.axhline(chance, color="#999999", linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    axes.annotate(
        words,
        (0.99, chance),
        (0, 2),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color="#777777",
    )


def _say_instead(axes: Axes, words: str) -> None:
    """Say why there is nothing to draw."""
    axes.text(0.5, 0.5, words, ha="center", transform=axes.transAxes)
    axes.set_axis_off()


def _scale_x(axes: Axes, x: str, wide: bool = False) -> None:
    """Name the axis below, with a unit that suits the time."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if x == "epoch":
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return
    ends = [xs[-1] for xs, _ in map(_points, axes.lines) if xs]
    size, unit = next((size, unit) for least, size, unit in UNITS if max(ends) >= least)
    if wide or max(ends) > WIDE_RANGE * min(ends) > 0:
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / size:g}"))
    axes.set_xlabel(f"time of training ({unit}{_if_logarithmic(axes.get_xscale())})")


def _scale_y(axes: Axes, kind: str, mark: float | None, wide: bool = False) -> None:
    """Name the axis at the left; a wide range of figures gets a logarithmic one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    values = [y for line in axes.lines for y in _points(line)[1]]
    paths = [path for band in axes.collections for path in band.get_paths()]
    values += [float(y) for path in paths for y in np.asarray(path.vertices)[:, 1]]
    values += [] if mark is None else [mark]
    if min(values) > 0 and (wide or max(values) > WIDE_RANGE * min(values)):
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 1.2, max(values) * 1.2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, max(values) * 1.06 or 1)
    form = _percent if kind == "error" else "{:g}".format
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form(value)))
    words = "wrongly classified samples" if kind == "error" else "loss, mean of all samples"
    words += _if_logarithmic(axes.get_yscale())
    axes.set_ylabel(f"{words}\n(lower is better)")


def _points(line: Any) -> Pairs:
    """Return the coordinates of a drawn line."""
    return [float(x) for x in line.get_xdata()], [float(y) for y in line.get_ydata()]


def _if_logarithmic(scale: str) -> str:
    return ", logarithmic" if scale == "log" else ""


def _percent(value: float) -> str:
    return f"{100 * value:g} %"


def _name_ends(axes: Axes, ends: Sequence[tuple[str, float, float, Style]]) -> None:
    """Write names beside the ends of lines, or at the right edge, apart from each other."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [to_axes.transform((x, y)).tolist() for _, x, y, _ in ends]
    beside = [x < 0.8 and len(end[0]) <= SHORT for (x, _), end in zip(places, ends, strict=True)]
    for inside in (True, False):
        chosen = [k for k in range(len(ends)) if beside[k] is inside]
        heights = spread([places[k][1] for k in chosen], LABEL_HEIGHT)
        for k, height in zip(chosen, heights, strict=True):
            _name_end(axes, ends[k], (places[k][0] + 0.03 if inside else 1.03, height))


def spread(places: Sequence[float], least: float) -> list[float]:
    """Move numbers apart, as little as need be, until neighbours are `least` apart.

    Numbers that touch form a block around their mean, and blocks that touch are joined.

    Examples
    --------
    >>> [round(place, 2) for place in spread([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    """
    order = sorted(range(len(places)), key=lambda k: places[k])
    blocks: list[tuple[list[int], float]] = []  # members from below, and the lowest place
    for k in order:
        members, lowest = [k], places[k]
        while blocks and blocks[-1][1] + least * len(blocks[-1][0]) > lowest:
            before, _ = blocks.pop()
            members = before + members
            middle = sum(places[m] for m in members) / len(members)
            lowest = middle - least * (len(members) - 1) / 2
        blocks.append((members, lowest))
    result = [0.0] * len(places)
    for members, lowest in blocks:
        for n, member in enumerate(members):
            result[member] = lowest + n * least
    return result


def shortened(label: str, most: int = LONGEST) -> str:
    """Return a text, its middle left out if it is too long.

    Examples
    --------
    >>> shortened("a very long name of a run", 11)
    'a ver…a run'
    """
    half = (most - 1) // 2
    return label if len(label) <= most else f"{label[:half]}…{label[-half:]}"


def _name_end(axes: Axes, end: tuple[str, float, float, Style], place: tuple[float, float]) -> None:
    """Write one name, with a thin line from it to what it names."""
    label, x, y, style = end
    leader = {
        "arrowstyle": "-",
        "color": style.color,
        "linewidth": 0.7,
        "alpha": 0.6,
        "shrinkA": 1,
        "shrinkB": 2,
        "relpos": (0, 0.5),
    }
    axes.annotate(
        shortened(label),
        (x, y),
        place,
        textcoords="axes fraction",
        color=_darker(style.color),
        va="center",
        annotation_clip=False,
        arrowprops=leader,
    )


def _darker(color: str) -> str:
    """Return a colour that can be read as text on white."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(color)
    return to_hex((0.72 * red, 0.72 * green, 0.72 * blue))


def draw_times(axes: Axes, lines: Sequence[Line]) -> None:
    """Draw the time of an epoch of each line; where it stands for several runs, their mean."""
    timed = [line for line in lines if line.seconds_per_epoch]
    if not timed:
        _say_instead(axes, "no epoch has been timed")
        return
    if len(timed) > MOST_BARS:
        half = MOST_BARS // 2
        by_time = sorted(timed, key=lambda line: line.mean_seconds)
        timed = by_time[:half] + by_time[-half:]
        _note(axes, f"the {half} fastest and the {half} slowest of {len(by_time)}")
    draw_bars(
        axes,
        [line.label for line in timed],
        [line.mean_seconds for line in timed],
        [line.style.color for line in timed],
        [max(line.seconds_per_epoch) for line in timed],
    )
    if any(len(line.seconds_per_epoch) > 1 for line in timed):
        for k, line in enumerate(timed):
            times = line.seconds_per_epoch
            axes.plot(times, [k] * len(times), "|", color=INK, alpha=0.6, markersize=15)
        axes.set_xlabel("seconds of training per epoch\n(lower is better; a stroke is a run)")
    else:
        axes.set_xlabel("seconds of training per epoch (lower is better)")


def _note(axes: Axes, words: str) -> None:
    """Write a remark in the lower right corner."""
    axes.text(1, 0.02, words, ha="right", fontsize=8, color="#555555", transform=axes.transAxes)


def draw_bars(
    axes: Axes,
    names: Sequence[str],
    seconds: Sequence[float],
    colors: Sequence[str],
    reach: Sequence[float],
) -> None:
    """Draw bars from top to bottom, and the seconds beside what each of them reaches."""
    places = range(len(names))
    size = 8.5 if len(names) <= 12 else 6.5
    axes.barh(places, seconds, color=colors, height=0.7)
    axes.set_yticks(places, [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=size)
    axes.set_xlim(0, max(*reach, 1e-12) * 1.2)
    axes.set_xlabel("seconds")
    for place, value, end in zip(places, seconds, reach, strict=True):
        axes.annotate(
            f"{amount(value)} s",
            (end, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=size,
        )
