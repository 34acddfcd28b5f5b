"""A table of runs while they run: how far each is, its curve, and how long it will take."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnexp.errors import RunError
from cnnexp.report.histories import read_history
from cnnexp.report.table import Comparison, read
from cnnexp.runs.finding import NO_RECORD
from cnnexp.runs.foreign_text import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 16  # characters of a curve
WIDE = 160  # characters of a line that goes to a file
FIGURES = ("validation_error", "test_error", "validation_loss", "test_loss", "train_loss")
STYLES = {"running": "cyan", "finished": "green", "failed": "red", "killed": "red"}


class Watched(NamedTuple):
    """One run as it is now.

    Attributes
    ----------
    name, status : str
        Its folder below that of all runs, and how it is.
    settings : tuple of str
        Its values of the settings that differ.
    done, epochs : int
        Epochs that are trained, and of the whole run.
    figure : str
        What its curve shows, for example ``test_error``.
    curve : list of float
        That figure after each epoch.
    left : float
        Seconds until its end, as far as the epochs so far tell; nan if that is not known.
    """

    name: str
    status: str
    settings: tuple[str, ...]
    done: int
    epochs: int
    figure: str
    curve: list[float]
    left: float

    @property
    def last(self) -> float:
        """The figure after the last epoch; nan before the first."""
        return self.curve[-1] if self.curve else math.nan


def watched(paths: Sequence[str | Path]) -> tuple[list[str], list[Watched]]:
    """Return the settings that differ among runs, and the runs as they are now.

    Raises
    ------
    RunError
        If a folder is not there, or there is no run in it.
    """
    comparison = Comparison(read(paths))
    names = comparison.differing[:4]
    rows = [row for _, row in comparison.frame.iterrows()]
    return names, [_watched(comparison, row, names) for row in rows]


def _watched(comparison: Comparison, row: pd.Series[Any], names: Sequence[str]) -> Watched:
    history = read_history(row["run"]) if row["status"] not in NO_RECORD else {}
    figure = next((name for name in FIGURES if _finite(history.get(name, ()))), "")
    curve, seconds = _finite(history.get(figure, ())), _finite(history.get("seconds", ()))
    epochs = int(row["epochs"]) if not _absent(row.get("epochs")) else 0
    rest = max(epochs - len(curve), 0) if row["status"] == "running" else 0
    left = rest * sum(seconds) / len(seconds) if seconds and rest else math.nan
    settings = tuple("" if _absent(row.get(name)) else str(row[name]) for name in names)
    name = comparison.short_name(row["run"])
    return Watched(name, row["status"], settings, len(curve), epochs, figure, curve, left)


def _finite(values: Sequence[float]) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]


def _absent(value: Any) -> bool:
    return value is None or value != value


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Return a curve as a line of blocks, the smallest value lowest.

    Examples
    --------
    >>> sparkline([4, 3, 2, 1])
    '█▆▃▁'
    >>> sparkline([1, 1])
    '▁▁'
    """
    if len(values) > width:
        ends = [(k + 1) * len(values) // width - 1 for k in range(width)]
        values = [values[end] for end in ends]
    low, high = (min(values), max(values)) if values else (0.0, 0.0)
    steps = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * steps)] for value in values)


def summary(runs: Sequence[Watched]) -> str:
    """Say how many runs there are of each status, how long they take, and which is best.

    Examples
    --------
    >>> summary([Watched("0", "running", (), 1, 4, "test_error", [0.25], 90.0)])
    '1 running, 1:30 left at least; best test_error: 0.2500, of 0'
    """
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.status] = counts.get(run.status, 0) + 1
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    if left := [run.left for run in runs if not math.isnan(run.left)]:
        said += f", {clock(max(left))} left at least"
    figure = next((name for name in FIGURES if any(run.figure == name for run in runs)), "")
    measured = [run for run in runs if run.figure == figure and run.curve]
    if not measured:
        return said
    best = min(measured, key=lambda run: run.last)
    return f"{said}; best {figure}: {best.last:.4f}, of {best.name}"


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, or with hours.

    Examples
    --------
    >>> clock(9.4), clock(3723)
    ('0:09', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table_of(names: Sequence[str], runs: Sequence[Watched]) -> Table:
    """Return runs as a table for the terminal; those that are under way stand first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    figures = {run.figure for run in runs if run.curve}
    single = figures.pop() if len(figures) == 1 else ""
    table = Table(
        box=box.SIMPLE_HEAD, caption=Text(printable(summary(runs))), caption_justify="left"
    )
    for name in ("run", "status", *names):
        table.add_column(Text(printable(name)), no_wrap=True)
    for name in ("epoch", single or "figure", "now", "left"):
        table.add_column(name, no_wrap=True, justify="left" if name == single else "right")
    for run in sorted(runs, key=lambda run: run.status != "running"):
        first, *settings = (Text(printable(cell)) for cell in (run.name, *run.settings))
        status = Text(run.status, style=STYLES.get(run.status, "yellow"))
        epoch = f"{run.done}/{run.epochs}" if run.epochs else ""
        curve = f"{'' if single else run.figure} {sparkline(run.curve)}".strip()
        now = f"{run.last:.4f}" if run.curve else ""
        left = "" if math.isnan(run.left) else clock(run.left)
        table.add_row(first, status, *settings, epoch, curve, now, left)
    return table


def show(paths: Sequence[str | Path]) -> None:
    """Print the table once."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table_of(*watched(paths)))


def watch(paths: Sequence[str | Path], interval: float) -> None:
    """Show the table until the user interrupts, as it changes; wait for the first run."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            try:
                found: Any = table_of(*watched(paths))
            except RunError as error:
                found = Text(printable(str(error)))
            live.update(found, refresh=True)
            time.sleep(interval)
