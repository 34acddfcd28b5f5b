"""Learning curves and times, drawn with matplotlib.

A picture has four panels: the error after each epoch, the error over the time of training, the
cross-entropy after each epoch, and the time of an epoch. Lines are named at their ends.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexp.errors import OptionError, require
from cnnexp.report import diagnostics
from cnnexp.report.drawing import (
    INK,
    End,
    draw_bars,
    draw_curves,
    draw_line,
    draw_times,
    finish_curves,
    shortened,
)
from cnnexp.report.histories import chance_error
from cnnexp.report.lines import STYLES, Line, lines_of, note_of, series_of
from cnnexp.report.table import Comparison
from cnnexp.runs.files import write_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
PANEL_INCHES = (5.6, 3.7)
LONGEST_TITLE = 110  # letters
DPI = 150
PARTS = {"test": "test set", "validation": "validation set", "train": "training set"}
RC: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ECECEC",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "text.color": INK,
    "lines.markersize": 4.5,
    "svg.hashsalt": "cnnexp",
    "text.parse_math": False,  # a dollar in a name is a dollar
}


@dataclass(frozen=True)
class Panel:
    """One picture: its title, and what draws it."""

    title: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Picture:
    """Panels that belong together, and what a reader must know about their lines."""

    panels: list[Panel]
    note: str = ""


def check_ending(path: Path) -> None:
    """Raise OptionError if a picture cannot be written under this name."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(
            f"--plot {path}: the file's name must end in {', '.join(ENDINGS[:-1])} or"
            f" {ENDINGS[-1]}."
        )


def save_plot(path: Path, picture: Picture, title: str) -> None:
    """Write all panels of a picture; the ending of the file says in which format."""
    check_ending(path)
    heading = f"{title}  ({picture.note})" if picture.note else title
    write_output(path, rendered(picture.panels, heading, path.suffix.lower().lstrip(".")))


def svg_of(panel: Panel) -> bytes:
    """Return one panel as an SVG picture without its title, all letters as outlines."""
    return rendered([panel], "", "svg")


def picture_of(
    comparison: Comparison,
    keys: Sequence[str] = (),
    target: tuple[str, float] | None = None,
) -> Picture:
    """Return the panels for some runs.

    Parameters
    ----------
    comparison : Comparison
        The runs.
    keys : sequence of str
        Columns by which runs are joined, if wanted.
    target : tuple of str and float, optional
        A figure, and the value of it that is marked by a line.
    """
    metric = target[0] if target is not None else "test_error"
    lines = lines_of(comparison, keys, metric)
    if len(lines) == 1 and len(lines[0].histories) == 1:
        folder = Path(str(comparison.readable["run"].iloc[0]))
        more = [Panel(title, draw) for title, draw in diagnostics.panels(folder)]
        chance = _chance_of(comparison)
        return Picture(_panels_of_one(lines[0], target, chance) + more)
    if target is None and _is_tested_at_end(lines):
        metric = "validation_error"
        lines = lines_of(comparison, keys, metric)
    part, _, kind = metric.rpartition("_")
    where, chance = PARTS[part], _chance_of(comparison)

    def curves(title: str, x: str, drawn: str) -> Panel:
        mark = target[1] if target is not None and kind == drawn else None
        y = f"{part}_{drawn}"
        return Panel(title, lambda axes: draw_curves(axes, lines, x, y, mark, chance))

    panels = [
        curves(f"Error on the {where}, epoch by epoch", "epoch", "error"),
        curves(f"Error on the {where}, over the time of training", "elapsed", "error"),
        curves(f"Cross-entropy on the {where}, epoch by epoch", "epoch", "loss"),
        Panel("How long an epoch takes", lambda axes: draw_times(axes, lines)),
    ]
    return Picture(panels, note_of(comparison, lines))


def _chance_of(comparison: Comparison) -> float | None:
    """Return the error of guessing, where all runs have the same data."""
    runs = comparison.readable
    same = "data" not in runs or runs["data"].nunique() == 1
    return chance_error(runs["run"].tolist()) if same else None


def _is_tested_at_end(lines: Sequence[Line]) -> bool:
    """Say whether only the validation part was evaluated in each epoch, by all runs."""
    tested, validated = (
        [len(line.curve("epoch", f"{part}_error")[0]) for line in lines]
        for part in ("test", "validation")
    )
    return max(tested, default=0) < 2 <= min(validated, default=0)


def _panels_of_one(
    line: Line, target: tuple[str, float] | None, chance: float | None
) -> list[Panel]:
    """Return the panels for a single run: what it measured on each part of the data."""
    history = line.histories[0]

    def curves(title: str, x: str, kind: str) -> Panel:
        mark = target[1] if target is not None and target[0].endswith(f"_{kind}") else None
        ends = [
            End(name, line.member(0, x, column), style)
            for (name, column), style in zip(series_of(history, kind), STYLES, strict=False)
        ]

        def draw(axes: Axes) -> None:
            for end in ends:
                draw_line(axes, end.pairs, end.style)
            finish_curves(axes, ends, x, kind, mark, chance)

        return Panel(title, draw)

    sums = [sum(history.get(key, [])) for key in ("seconds", "eval_seconds")]
    colors = [style.color for style in STYLES[:2]]
    return [
        curves("Error, epoch by epoch", "epoch", "error"),
        curves("Error, over the time of training", "elapsed", "error"),
        curves("Cross-entropy, epoch by epoch", "epoch", "loss"),
        Panel(
            "Where the time went",
            lambda axes: draw_bars(axes, ["training", "evaluation"], sums, colors, sums),
        ),
    ]


def rendered(panels: Sequence[Panel], title: str, kind: str) -> bytes:
    """Return panels as the bytes of a picture."""
    with style():
        figure = _figure(panels, title)
        out = io.BytesIO()
        extra: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
        figure.savefig(out, format=kind, dpi=DPI, **extra)
    return out.getvalue()


def _figure(panels: Sequence[Panel], title: str) -> Figure:
    """Return a figure with two panels a row, each with margins of its own."""
    from matplotlib.figure import Figure

    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / columns)
    width, height = PANEL_INCHES
    figure = Figure(figsize=(columns * width, rows * height + (0.5 if title else 0)))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    if title:
        figure.suptitle(shortened(title, LONGEST_TITLE), x=0.012, ha="left", fontsize=12, wrap=True)
    parts = figure.subfigures(rows, columns, squeeze=False).flat
    for panel, part in zip(panels, parts, strict=False):
        axes = part.subplots()
        panel.draw(axes)
        if len(panels) > 1:
            axes.set_title(panel.title, pad=12)
    return figure


@contextmanager
def style() -> Iterator[None]:
    """Draw in our style, whatever the user's is."""
    require("matplotlib", "a picture", "plots")
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield
