"""Gradients, updates and dead units of a run: as a table, and as panels of a plot."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexp.errors import foreign
from cnnexp.report.drawing import INK, draw_line
from cnnexp.report.formats import aligned
from cnnexp.report.lines import STYLES
from cnnexp.runs.files import is_file, whole_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = "diagnostics.csv"
MOST_EPOCHS = 1 << 53  # what a float counts exactly
KINDS = {
    "gradient_norm": ("Gradient norms", "norm of the gradient, a mean over the epoch"),
    "update_ratio": ("Updates over weights", "norm of an update over that of the weights"),
    "dead_fraction": ("Dead units", "fraction of units that are 0 for all samples"),
}

Series = dict[str, dict[int, float]]
"""By the name of a parameter or a layer: the value of each epoch."""


def read(folder: Path) -> dict[str, Series]:
    """Return the figures of a run, by kind; empty if it has logged none.

    Rows that hold anything but numbers are left out.

    Raises
    ------
    RunError
        If the file is no table.
    """
    path = folder / FILE
    if not is_file(path):
        return {}
    found: dict[str, Series] = {kind: {} for kind in KINDS}
    with foreign(path):
        for row in csv.DictReader(whole_lines(path).splitlines()):
            for kind, series in found.items():
                try:
                    value, name, epoch = float(row[kind]), row["name"], int(row["epoch"])
                except (KeyError, TypeError, ValueError):
                    continue
                if 0 <= epoch < MOST_EPOCHS:
                    series.setdefault(name, {})[epoch] = value
    return found


def table(folder: Path) -> list[str]:
    """Return the figures of the first and the last epoch, a row for each parameter and layer."""
    found = read(folder)
    names = list(dict.fromkeys(name for series in found.values() for name in series))
    if not names:
        return []
    last = max(epoch for series in found.values() for s in series.values() for epoch in s)
    head = ("", "gradient norm", "update/weights", "dead units")
    rows = [
        (name, *(_course(found[kind].get(name, {}), last, kind) for kind in KINDS))
        for name in names
    ]
    span = f"epoch 1 -> epoch {last}" if last > 1 else "epoch 1"
    return [*aligned([head, *rows], right=(1, 2, 3)), span]


def _course(values: Mapping[int, float], last: int, kind: str) -> str:
    """Return the first and the last value as text."""
    form: Callable[[float], str] = "{:.2g}".format if kind != "dead_fraction" else "{:.1%}".format
    ends = [values[epoch] for epoch in dict.fromkeys((1, last)) if epoch in values]
    return " -> ".join(form(value) for value in ends)


def panels(folder: Path) -> list[tuple[str, Callable[[Axes], None]]]:
    """Return title and drawing of each kind of figure that a run has logged.

    Of more series than there are looks, the first ones are drawn; all parameters together, and
    weights before biases.
    """
    found = []
    for kind, series in read(folder).items():
        if series:
            title, words = KINDS[kind]
            found.append((title, _drawing(_most_telling(series), words, kind)))
    return found


def _most_telling(series: Series) -> Series:
    """Return as many series as there are looks."""
    names = sorted(series, key=lambda name: (name != "all", name.endswith(".b")))
    kept = names[: len(STYLES)]
    return {name: values for name, values in series.items() if name in kept}


def _drawing(series: Series, words: str, kind: str) -> Callable[[Axes], None]:
    """Return what draws some series over the epochs."""

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

        axes.set_ylabel(words)
        for (name, values), style in zip(series.items(), STYLES, strict=False):
            draw_line(axes, (list(map(float, values)), list(values.values())), style)
            axes.lines[-1].set_label(name)
        if kind == "dead_fraction":
            axes.set_ylim(-0.02, 1.02)
        elif all(value > 0 for values in series.values() for value in values.values()):
            axes.set_yscale("log")
            axes.set_ylabel(f"{words}, logarithmic")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch")
        axes.legend(loc="best", fontsize=7, labelcolor=INK, ncols=2)

    return draw


def classes(folder: Path, most: int = 12) -> dict[str, Sequence[Sequence[str]]]:
    """Return the rows of ``per_class.csv`` as text, by part of the data set.

    Of more than `most` classes those with the lowest F1 are returned, the average among them.

    Raises
    ------
    RunError
        If the file is no table, or has anything but numbers where numbers belong.
    """
    path = folder / "per_class.csv"
    if not is_file(path):
        return {}
    parts: dict[str, list[dict[str, str]]] = {}
    with foreign(path):
        for row in csv.DictReader(whole_lines(path).splitlines()):
            parts.setdefault(row["part"], []).append(row)
        return {
            part: [_class_cells(row) for row in _worst(rows, most)] for part, rows in parts.items()
        }


def _worst(rows: list[dict[str, str]], most: int) -> list[dict[str, str]]:
    """Return the rows, or the worst of them and the average, which stands last."""
    if len(rows) <= most:
        return rows
    return [*sorted(rows[:-1], key=lambda row: float(row["f1"]))[: most - 1], rows[-1]]


def _class_cells(row: Mapping[str, str]) -> list[str]:
    figures = [f"{float(row[key]):.4f}" for key in ("precision", "recall", "f1")]
    return [row["class"], f"{int(row['samples']):,}", *figures]
